"""What a draft stores, through whichever door it came."""

from datetime import timedelta
from decimal import Decimal

import pytest

from audit.models import Event
from audit.refusals import Invalid, NotAllowed, Stale, WrongStatus
from audit.roles import Role
from proposals import services
from proposals.models import Proposal
from purchases import drafts
from purchases.models import HasTerms, Purchase
from tests.factories import (
    NOON,
    AccountFactory,
    PricePlanFactory,
    TeamFactory,
    administrator,
    draft,
    finance,
    person,
    purchase_draft,
    rep,
    submitted,
)
from togai.models import Delivery

pytestmark = pytest.mark.django_db

CHEAPER_FEE = {"fixedFeeRateCards": {"addon.onboarding": {"rateValues": {"EUR": {"rate": "700"}}}}}
PLANS_OWN_FEE = {"fixedFeeRateCards": {"addon.onboarding": {"rateValues": {"EUR": {"rate": "750"}}}}}


def edit(deal, *, by=None, version=None, **fields):
    return drafts.edit(
        type(deal),
        pk=deal.pk,
        by=by or deal.created_by,
        at=NOON,
        fields=fields,
        version=version or deal.version,
    )


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"title": "Just an idea"},
        {"type": "ASSOCIATION"},
        {"quantity": 3},
        {"valid_until": NOON.date() + timedelta(days=3)},
        {"internal_note": "Ask for the volumes."},
    ],
)
def test_a_draft_takes_any_subset_of_fields_and_sends_nothing(fields):
    """G-01: nothing is queued for Togai before the submit."""
    proposal = services.create(by=rep(), at=NOON, fields=fields)
    assert proposal.status == Proposal.Status.DRAFT
    assert not Delivery.objects.exists()


def test_what_equals_the_plan_is_not_stored():
    """G-02: an override holds only what differs; setting it back removes it."""
    proposal = draft(purchase_plan_override=PLANS_OWN_FEE)
    assert proposal.purchase_plan_override is None
    proposal = edit(proposal, purchase_plan_override=CHEAPER_FEE)
    assert proposal.purchase_plan_override == CHEAPER_FEE
    proposal = edit(proposal, purchase_plan_override=PLANS_OWN_FEE)
    assert proposal.purchase_plan_override is None


def test_the_figures_of_the_list_follow_the_terms():
    """The estimate is kept with every save: 2 × 1000 calls in two slabs and 2 × the fee."""
    proposal = draft()
    assert (proposal.estimate, proposal.list_price, proposal.currency) == (1850, 1850, "EUR")
    proposal = edit(proposal, purchase_plan_override=CHEAPER_FEE)
    assert (proposal.estimate, proposal.list_price) == (1750, 1850)


def test_an_amount_too_long_for_the_list_is_left_to_the_page():
    """A legal quantity at a legal rate may be longer than the column; it is unknown there, not an error."""
    proposal = draft(
        quantity=2_000_000_000,
        purchase_plan_override={
            "fixedFeeRateCards": {"addon.onboarding": {"rateValues": {"EUR": {"rate": "99999999999999"}}}}
        },
    )
    assert proposal.estimate is None


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("WALLET_TOPUP", {"quantity": 1}),
        ("ASSOCIATION", {"quantity": 1}),
        ("ENTITLEMENT_GRANT", {"effective_from": NOON.date()}),
        ("ENTITLEMENT_GRANT", {"wallet_topup_amount": 5}),
        ("PREPAID", {"effective_until": NOON.date()}),
    ],
)
def test_a_field_that_the_type_forbids_is_refused_by_service_and_database(kind, fields):
    """G-04: form, service and constraint alike; the form has its own test."""
    from django.db import IntegrityError, transaction

    with pytest.raises(Invalid) as refused:
        services.create(by=rep(), at=NOON, fields={"type": kind} | fields)
    assert {problem.field for problem in refused.value.problems} == set(fields)
    for deal in (
        draft(type=kind, quantity=None, price_plan=None),
        purchase_draft(type=kind, quantity=None, price_plan=None),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            type(deal).objects.filter(pk=deal.pk).update(**fields)


@pytest.mark.parametrize("amount", ["0.0001", "1000000000000", "-1"])
@pytest.mark.parametrize("name", ["wallet_topup_amount", "wallet_purchase_amount"])
def test_an_amount_that_no_column_holds_is_refused_at_its_field(name, amount):
    """G-14: money is kept digit for digit or not at all, through every door."""
    with pytest.raises(Invalid) as refused:
        services.create(by=rep(), at=NOON, fields={"type": "WALLET_TOPUP", name: Decimal(amount)})
    assert [problem.field for problem in refused.value.problems] == [name]


def test_a_payment_mode_belongs_to_proposals_alone():
    """G-04: a direct purchase has none."""
    with pytest.raises(Invalid):
        drafts.create(Purchase, by=rep(), at=NOON, fields={"payment_mode": "PREPAID"}, sequence="purchase")


def test_the_second_saver_is_told_and_nothing_is_overwritten():
    """G-07: by version, in the service behind every door."""
    proposal = draft()
    edit(proposal, title="First")
    with pytest.raises(Stale):
        edit(proposal, title="Second", version=1)
    assert Proposal.objects.get().title == "First"


def test_an_earlier_version_can_be_read_back():
    """G-07: base, theirs and mine need the base."""
    proposal = draft(title="One")
    edit(proposal, title="Two", version=1)
    edit(proposal, title="Three", internal_note="x", version=2)
    proposal.refresh_from_db()
    base, later = drafts.plain_at(proposal, 1)
    assert (base["title"], base["internal_note"]) == ("One", "")
    assert [event.after["title"] for event in later] == ["Three", "Two"]


def test_saving_without_a_change_leaves_no_trace():
    proposal = draft(title="Same")
    edit(proposal, title="Same")
    proposal.refresh_from_db()
    assert proposal.version == 1
    assert not Event.objects.filter(verb="edit").exists()


def test_who_edits_the_terms_becomes_an_editor_and_who_edits_the_title_does_not():
    """P-01: commercial fields make an author."""
    proposal, admin = draft(), administrator()
    edit(proposal, by=admin, title="Nicer")
    assert admin not in proposal.editors.all()
    edit(proposal, by=admin, version=2, quantity=5)
    assert admin in proposal.editors.all()


def test_every_column_is_classified():
    """G-23: a new field has to be called commercial, of the desk, or a service's own, or this fails."""
    own = {
        "id", "number", "revision", "owner", "created_by", "last_edited_by", "submitted_by", "version",
        "content_hash", "created_at", "updated_at", "submitted_at", "currency", "estimate", "estimate_per",
        "list_price", "togai_id", "togai_status", "togai_price", "togai_currency", "togai_invoice_id",
        "togai_comment", "togai_responded_at", "togai_seen_at", "togai_refusal", "togai_problem", "status",
        "is_live", "previous", "form_token", "decided_by", "decided_at", "released_by", "released_at",
    }  # fmt: skip
    for model in (Proposal, Purchase):
        columns = {field.name for field in model._meta.concrete_fields}
        assert columns - set(drafts.COMMERCIAL_FIELDS) - set(drafts.DESK_FIELDS) - own == set()
    assert set(HasTerms.TERMS_FIELDS) <= set(drafts.COMMERCIAL_FIELDS)


def test_people_outside_the_deal_do_not_write_it():
    """S-01: finance reads, the owner and administrators write."""
    proposal = draft()
    for outsider in (finance(), rep(), person(Role.AUDITOR), person()):
        with pytest.raises(NotAllowed):
            edit(proposal, by=outsider, title="Mine now")
    edit(proposal, by=administrator(), title="Tidied")


@pytest.mark.parametrize("role", [Role.AUDITOR, None])
def test_some_people_start_no_drafts(role):
    """S-01: auditors write nothing, and neither does somebody without a role."""
    with pytest.raises(NotAllowed):
        services.create(by=person(*[role] if role else []), at=NOON, fields={})


def test_a_draft_is_for_an_account_one_may_see():
    """G-62: somebody else's account is as good as none."""
    with pytest.raises(Invalid) as refused:
        services.create(by=rep(), at=NOON, fields={"account": AccountFactory(owner=rep())})
    assert refused.value.problems[0].field == "account"


def test_a_manager_sees_and_uses_the_accounts_of_the_team():
    """G-62: the team's, not another team's."""
    member, manager = rep(), person(Role.MANAGER)
    team = TeamFactory()
    team.members.add(member)
    team.managers.add(manager)
    services.create(by=manager, at=NOON, fields={"account": AccountFactory(owner=member)})
    assert list(Proposal.objects.visible_to(manager)) == [Proposal.objects.get()]
    other = draft()
    assert other not in Proposal.objects.visible_to(manager)
    assert draft(by=member) in Proposal.objects.visible_to(manager)


def test_somebody_without_a_role_sees_nothing_even_of_their_own():
    """S-05: a removed role is effective on the next request."""
    author = rep()
    draft(by=author)
    author.groups.clear()
    author = type(author).objects.get(pk=author.pk)
    assert not Proposal.objects.visible_to(author).exists()


def test_a_submitted_deal_cannot_be_edited():
    """G-23: a change to a submitted proposal is a new revision."""
    with pytest.raises(WrongStatus):
        edit(submitted(), title="Later")


def test_a_deal_is_handed_over_by_an_administrator_to_somebody_who_drafts():
    """The owner changes, the record says so, and the new owner sees it."""
    proposal, successor = draft(), rep()
    with pytest.raises(NotAllowed):
        drafts.hand_over(Proposal, pk=proposal.pk, to=successor, by=finance(), at=NOON)
    with pytest.raises(NotAllowed):
        drafts.hand_over(Proposal, pk=proposal.pk, to=person(Role.AUDITOR), by=administrator(), at=NOON)
    drafts.hand_over(Proposal, pk=proposal.pk, to=successor, by=administrator(), at=NOON)
    assert Proposal.objects.visible_to(successor).get() == proposal
    assert Event.objects.get(verb="hand_over").after["owner"] == str(successor)


def test_earlier_revisions_go_to_the_new_owner_too():
    """G-62: who owns a deal reads its whole chain."""
    old, successor = submitted(), rep()
    services.recall(
        proposal_id=old.pk, by=old.created_by, at=NOON, reason_code="other", reason="Wants less of it."
    )
    new = services.revise(proposal_id=old.pk, by=old.created_by, at=NOON)
    drafts.hand_over(Proposal, pk=new.pk, to=successor, by=administrator(), at=NOON)
    assert set(Proposal.objects.visible_to(successor)) == {old, new}


def test_numbers_rise_without_gaps_and_are_not_shared():
    """G-35: P-000001 and on; a plan that is not used leaves no hole."""
    PricePlanFactory()
    assert [draft().reference for _ in range(3)] == ["P-000001", "P-000002", "P-000003"]
    assert purchase_draft().reference == "D-000001"
