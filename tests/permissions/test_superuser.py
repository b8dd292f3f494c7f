"""A superuser without a deciding role opens every door and still decides nothing."""

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME

from audit.refusals import NotAllowed, OwnWork
from audit.roles import Role
from proposals import services as proposals
from proposals.models import Proposal
from purchases import services as purchases
from purchases.models import Purchase
from tests.factories import finance, person, submitted, submitted_purchase
from tests.permissions import matrix
from tests.permissions.objects import REASON
from tests.permissions.watching import watched

pytestmark = pytest.mark.django_db

WHY = {"reason_code": "other", "reason": REASON}
DECISIONS = [
    ("proposals:approve", "api:proposal-approve"),
    ("proposals:decline", "api:proposal-decline"),
    ("proposals:request_changes", "api:proposal-request-changes"),
    ("purchases:release", "api:purchase-release"),
    ("purchases:send_back", "api:purchase-send-back"),
]


@pytest.mark.parametrize("caller", ["SU", "AD"])
def test_the_services_ask_for_the_role_not_for_the_superuser(caller, world):
    """S-04: whatever `has_perm` says."""
    user, at = world.user(caller), world.at
    proposal = world.deals["proposal", "submitted", "SO"]
    purchase = world.deals["purchase", "submitted", "SO"]
    seen = {"proposal_id": proposal.pk, "by": user, "at": at, "content_hash": proposal.content_hash}
    bought = {"purchase_id": purchase.pk, "by": user, "at": at}
    assert user.has_perm("proposals.change_proposal") is user.is_superuser
    with watched() as watch:
        for verb, given in (
            (proposals.approve, seen),
            (proposals.decline, seen | WHY),
            (proposals.request_changes, seen | WHY),
            (purchases.release, bought | {"content_hash": purchase.content_hash}),
            (purchases.send_back, bought | {"reason": REASON}),
        ):
            with pytest.raises(NotAllowed):
                verb(**given)
    assert watch.changes(world.before) == []


@pytest.mark.parametrize("caller", ["SU", "AD"])
@pytest.mark.parametrize("name", [name for names in DECISIONS for name in names])
def test_pages_and_programs_refuse_as_well(name, caller, world):
    """S-04: 403, nothing changed, and the same request is fine from finance."""
    with watched() as watch:
        answer = world.ask(matrix.Cell(name, "POST", "submitted", "", caller, "403"))
    assert answer.status_code == 403
    assert watch.changes(world.before) == []
    assert world.ask(matrix.Cell(name, "POST", "submitted", "", "FN", "")).status_code in (202, 303)


@pytest.mark.parametrize(
    ("model", "action", "typed"),
    [
        (Proposal, "approve", {}),
        (Proposal, "decline", WHY),
        (Purchase, "release", {}),
        (Purchase, "send_back", {"reason": REASON}),
    ],
)
def test_no_bulk_action_decides_for_a_superuser(model, action, typed, world):
    """S-04: not offered, refused when asked for, and a plan made for finance is worth nothing to others."""
    name = model._meta.model_name
    path = f"/admin/{model._meta.app_label}/{name}/"
    deal = world.deals[name, "submitted", "SO"]
    superuser, decider = (world.callers[caller].client() for caller in ("SU", "FN"))
    assert f'value="{action}"' not in superuser.get(path).content.decode()
    assert f'value="{action}"' in decider.get(path).content.decode()

    first = {"action": action, ACTION_CHECKBOX_NAME: [deal.pk]}
    asked = decider.post(path, first)
    if typed:
        asked = decider.post(path, {"action": action, "chosen": asked.context["chosen"]} | typed)
    confirmed = {"action": action, "plan": asked.context["plan"], "count": "1"}
    with watched() as watch:
        for given in (first, confirmed, confirmed | {"action": "submit"}):
            assert superuser.post(path, given).status_code in (400, 403)
        assert world.callers["CF"].client().post(path, confirmed).status_code == 400
    assert watch.changes(world.before) == []

    assert decider.post(path, confirmed).status_code == 200
    assert model.objects.get(pk=deal.pk).status != deal.status


def test_a_superuser_who_holds_finance_decides_but_never_their_own(world):
    """S-04, G-22: the role counts; four eyes hold for everybody, in the service and by the bulk action."""
    chief = person(Role.FINANCE, is_superuser=True, is_staff=True)
    mine, bought = submitted(by=chief, at=world.at), submitted_purchase(by=chief, at=world.at)
    other = world.deals["proposal", "submitted", "SO"]
    with pytest.raises(OwnWork):
        proposals.approve(proposal_id=mine.pk, by=chief, at=world.at, content_hash=mine.content_hash)
    with pytest.raises(OwnWork):
        purchases.release(purchase_id=bought.pk, by=chief, at=world.at, content_hash=bought.content_hash)
    client = world.callers["AN"].client()
    client.force_login(chief)
    asked = client.post(
        "/admin/proposals/proposal/", {"action": "approve", ACTION_CHECKBOX_NAME: [mine.pk, other.pk]}
    )
    client.post("/admin/proposals/proposal/", {"action": "approve", "plan": asked.context["plan"]})
    assert Proposal.objects.get(pk=mine.pk).status == Proposal.Status.SUBMITTED
    assert Proposal.objects.get(pk=other.pk).status == Proposal.Status.APPROVED


def test_the_forms_of_the_administration_take_no_status_and_no_key(world):
    """S-04, S-06: every column of a deal sent along with its words; only the words change."""
    for name, deal in ((kind, world.deals[kind, "draft", "SO"]) for kind in ("proposal", "purchase")):
        cell = matrix.Cell(f"admin:{name}s_{name}_change", "POST", "draft", "", "SU", "303")
        given = world.body(cell)
        columns = [field.attname for field in deal._meta.concrete_fields if field.attname not in given]
        forged = {column: "APPROVED" if column == "status" else "7" for column in columns}
        assert world.callers["SU"].client().post(world.path(cell), forged | given).status_code == 302
        now = type(deal).objects.get(pk=deal.pk)
        changed = {
            field.attname
            for field in deal._meta.concrete_fields
            if getattr(now, field.attname) != getattr(deal, field.attname)
        }
        assert changed == {"title", "version", "updated_at"}


def test_nobody_becomes_finance_to_decide_their_own(world):
    """S-04: an administrator gives roles to others, never to themselves."""
    cell = matrix.Cell("admin:auth_user_change", "POST", "self", "roles", "AD", "403")
    assert world.ask(cell).status_code == 403
    assert set(world.user("AD").groups.values_list("name", flat=True)) == {Role.ADMINISTRATOR.value}


def test_four_eyes_hold_in_the_database_itself(world):
    """S-04, R-09: not even a shell stores a decision by the author."""
    from django.db import IntegrityError, transaction

    author = finance()
    proposal = submitted(by=author, at=world.at)
    with pytest.raises(IntegrityError), transaction.atomic():
        Proposal.objects.filter(pk=proposal.pk).update(status="APPROVED", decided_by=author)
