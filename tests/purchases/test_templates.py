"""Templates of deals: kept by administrators in versions, started from by everybody who drafts."""

import re
from datetime import date, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit.models import Event
from audit.refusals import Invalid, NotAllowed, Stale, WrongStatus
from audit.roles import Role
from proposals.models import Proposal
from purchases import deal_templates, drafts
from purchases.models import DealTemplate, Purchase
from tests import factories as f

pytestmark = pytest.mark.django_db

BOTH = pytest.mark.parametrize("model", [Proposal, Purchase])
LIST = "/admin/purchases/dealtemplate/"
LOWER_FEE = {"fixedFeeRateCards": {"addon.platform": {"rateValues": {"EUR": {"rate": "399"}}}}}


def kept(*, by=None, name="Starter", deal=None, **given):
    """A template made from a whole proposal on a recurring plan."""
    deal = deal or f.draft(
        type="ASSOCIATION",
        price_plan=f.PricePlanFactory(recurring=True),
        quantity=None,
        association_override=LOWER_FEE,
        expected_volumes={"um.messages": "1200"},
        effective_from=date(2030, 6, 1),
        valid_until=date(2030, 2, 1),
        title="Renewal of Harbor",
        internal_note="They also talk to somebody else.",
    )
    return deal_templates.save_from(deal, by=by or f.administrator(), at=f.NOON, name=name, **given)


def edited(template, by=None, **fields):
    by = by or f.administrator()
    return deal_templates.edit(template_id=template.pk, by=by, at=f.NOON, fields=fields)


def started(template, by=None, model=Proposal, **given):
    by = by or f.rep()
    return deal_templates.start(
        model,
        template_id=template.pk,
        account=given.pop("account", None) or f.AccountFactory(owner=by),
        by=by,
        at=f.NOON,
        sequence=model._meta.model_name,
        **given,
    )


def change_page(template):
    return f"{LIST}{template.pk}/change/"


def posted(client, template, **changes):
    """The form of a template as a browser sends it back, with some of it typed over."""
    html = client.get(change_page(template)).content.decode()
    seen = re.search(r'name="seen" value="([^"]+)"', html)
    given = {
        "name": template.name,
        "description": template.description,
        "validity_days": template.validity_days or "",
        "payment_mode": template.payment_mode,
        "quantity": template.quantity or "",
        "seen": seen[1] if seen else "",
    } | ({"active": "on"} if template.active else {})
    return {name: value for name, value in (given | changes).items() if value is not None}


# --- What it keeps ---


def test_every_field_of_a_template_is_of_the_deal_or_of_its_own():
    """G-03: a new field has to say which."""
    own = {"id", "number", "version", "is_latest", "saved_by", "saved_at"}
    names = {field.name for field in DealTemplate._meta.get_fields()}
    assert names == {*deal_templates.TERMS, *deal_templates.WRITTEN} | own
    assert set(deal_templates.TERMS) == set(drafts.CLONED_FIELDS) - {"account"}


def test_a_template_keeps_what_is_sold_and_nothing_about_whom_or_when():
    """G-03"""
    template = kept()
    assert template.association_override == LOWER_FEE
    assert (template.payment_mode, template.expected_volumes) == ("PREPAID", {"um.messages": "1200"})
    said = str({name: getattr(template, name) for name in (*deal_templates.TERMS, *deal_templates.WRITTEN)})
    for secret in ("Harbor", "somebody else", "2030", "harbor"):
        assert secret not in said


@BOTH
def test_a_draft_from_a_template_has_its_terms_and_the_record_names_its_version(model):
    """G-03"""
    template = edited(kept(), description="For small ones")
    draft = model.objects.get(pk=started(template, model=model).pk)
    for name in set(deal_templates.TERMS) & set(drafts.fields_of(model)):
        assert getattr(draft, name) == getattr(template, name), name
    assert (draft.status, draft.effective_from, draft.valid_until) == ("DRAFT", None, None)
    event = Event.objects.about(draft).get()
    assert (event.verb, event.after["template"]) == ("create", f"{template.reference} v2")


def test_a_template_with_a_validity_gives_its_drafts_one_from_the_day_they_are_started():
    """G-03"""
    assert started(kept(validity_days=14)).valid_until == drafts.business_day(f.NOON) + timedelta(days=14)


def test_a_draft_is_started_for_ones_own_account_only():
    """G-03, S-07"""
    template = kept()
    with pytest.raises(Invalid):
        started(template, account=f.AccountFactory(owner=f.rep()))
    with pytest.raises(NotAllowed):
        started(template, by=f.person(Role.AUDITOR))


# --- Versions ---


def test_an_edit_makes_a_version_and_the_old_one_stays_as_it_was():
    """G-03"""
    first = kept()
    boss = f.administrator()
    second = edited(first, by=boss, name="Starter plus", payment_mode="POSTPAID")
    assert (second.number, second.version, second.is_latest) == (first.number, 2, True)
    assert (second.name, second.payment_mode, second.saved_by) == ("Starter plus", "POSTPAID", boss)
    assert second.association_override == LOWER_FEE
    old = DealTemplate.objects.get(pk=first.pk)
    assert (old.name, old.payment_mode, old.version, old.is_latest) == ("Starter", "PREPAID", 1, False)
    event = Event.objects.about(second).get()
    assert (event.verb, event.actor) == ("edit", boss)
    assert event.before == {"name": "Starter", "payment_mode": "PREPAID", "version": 1}
    assert event.after == {"name": "Starter plus", "payment_mode": "POSTPAID", "version": 2}


def test_an_edit_that_changes_nothing_makes_no_version():
    """G-03"""
    template = kept()
    assert edited(template, name="Starter") == template
    assert DealTemplate.objects.count() == 1


def test_an_old_version_is_neither_edited_nor_started_from():
    """G-03, G-07"""
    first = kept()
    edited(first, name="Starter plus")
    with pytest.raises(Stale):
        edited(first, name="Other")
    with pytest.raises(WrongStatus):
        started(first)
    assert (DealTemplate.objects.count(), Proposal.objects.count()) == (2, 1)


def test_a_retired_template_is_not_started_from():
    """G-03"""
    retired = edited(kept(), active=False)
    assert list(DealTemplate.objects.offered()) == []
    with pytest.raises(WrongStatus):
        started(retired)


def test_a_deal_can_become_the_next_version_of_a_template():
    """G-03: that is how its prices change."""
    first = kept()
    second = deal_templates.save_from(
        f.draft(), by=f.administrator(), at=f.NOON, name="Starter", replaces=first
    )
    assert (second.number, second.version, second.type) == (first.number, 2, "ENTITLEMENT_GRANT")
    assert list(DealTemplate.objects.offered()) == [second]


@pytest.mark.parametrize("role", [role for role in Role if role != Role.ADMINISTRATOR])
def test_only_administrators_write_templates(role):
    """G-03"""
    template, somebody = kept(), f.person(role)
    with pytest.raises(NotAllowed):
        kept(by=somebody)
    with pytest.raises(NotAllowed):
        edited(template, by=somebody, name="Mine")
    assert DealTemplate.objects.count() == 1


def test_a_template_that_no_draft_could_be_started_from_is_refused():
    """G-03: no name, nothing bought, or what its type does not take."""
    template = kept()
    for broken in ({"name": " "}, {"quantity": 3}, {"number": 7}):
        with pytest.raises(Invalid):
            edited(template, **broken)
    with pytest.raises(Invalid):
        kept(deal=f.draft(type="", price_plan=None, quantity=None))
    assert DealTemplate.objects.count() == 1


# --- Pages ---


def test_an_administrator_keeps_a_proposal_as_a_template_and_nobody_else_is_offered_it(client):
    """G-03"""
    proposal = f.submitted()
    url = f"{proposal.get_absolute_url()}save-as-template/"
    client.force_login(proposal.owner)
    assert url not in client.get(proposal.get_absolute_url()).content.decode()
    client.force_login(f.administrator())
    assert url in client.get(proposal.get_absolute_url()).content.decode()
    page = client.get(url)
    assert "who drafts may start from it" in page.content.decode()
    assert client.post(url, {"name": ""}).context["form"].errors["name"]
    answer = client.post(url, {"name": "Starter", "validity_days": "14"}, follow=True)
    template = DealTemplate.objects.get()
    assert (template.name, template.validity_days, template.quantity) == ("Starter", 14, 2)
    assert "Starter, version 1, is offered on new deals." in answer.content.decode()
    assert Event.objects.about(template).get().after["from"] == str(proposal)


@BOTH
def test_a_rep_picks_a_template_on_the_page_of_a_new_deal(client, model):
    """G-03: and may still fill in the blank one."""
    template = kept(description="For small ones")
    retired = edited(kept(name="Long gone"), active=False)
    rep = f.rep()
    account = f.AccountFactory(owner=rep)
    client.force_login(rep)
    desk = f"/{model._meta.model_name}s/new/"
    page = client.get(f"{desk}?account={account.togai_id}")
    html = page.content.decode()
    assert f'<option value="template:{template.pk}">Starter – For small ones</option>' in html
    assert retired.name not in html
    given = {
        "account": account.togai_id,
        "form_token": str(page.context["starts"]["token"]),
        "from": f"template:{template.pk}",
    }
    first = client.post(f"{desk}start/", given, follow=True)
    draft = model.objects.latest("pk")
    assert first.redirect_chain == [(reverse(f"{model._meta.app_label}:edit", args=[draft.reference]), 303)]
    assert (draft.owner, draft.account, draft.association_override) == (rep, account, LOWER_FEE)
    again = client.post(f"{desk}start/", given)
    assert again["Location"] == first.redirect_chain[0][0]
    shown = client.get(draft.get_absolute_url()).content.decode()
    assert "From the template “Starter”, version 1." in shown


def test_a_template_on_a_plan_that_was_replaced_starts_a_draft_that_says_so(client):
    """G-03, G-15"""
    template, rep = kept(), f.rep()
    plan = template.price_plan
    plan.is_latest = False
    plan.save()
    f.PricePlanFactory(recurring=True, togai_id=plan.togai_id, version=2, name=plan.name)
    client.force_login(rep)
    draft = started(template, by=rep)
    assert draft.price_plan == plan
    page = client.get(f"/proposals/{draft.reference}/edit/").content.decode()
    assert f"{plan.name} has a version 2" in page


def test_a_template_that_was_replaced_meanwhile_is_refused_and_one_that_never_was_is_not_found(client):
    """G-03: 409 and nothing drafted."""
    template, rep = kept(), f.rep()
    edited(template, name="Starter plus")
    account = f.AccountFactory(owner=rep)
    client.force_login(rep)
    given = {"account": account.togai_id, "form_token": "00000000-0000-4000-8000-000000000001"}
    for pk, status in ((template.pk, 409), (999, 404)):
        answer = client.post("/proposals/new/start/", given | {"from": f"template:{pk}"})
        assert answer.status_code == status
    assert not Proposal.objects.filter(owner=rep).exists()


def test_the_new_page_asks_as_often_for_fifty_templates_as_for_none(client):
    """G-03, L4"""
    rep = f.rep()
    account = f.AccountFactory(owner=rep)
    client.force_login(rep)
    url = f"/proposals/new/?account={account.togai_id}"
    client.get(url)
    with CaptureQueriesContext(connection) as none:
        client.get(url)
    boss, deal = f.administrator(), f.draft()
    for number in range(50):
        kept(by=boss, deal=deal, name=f"Starter {number}")
    with CaptureQueriesContext(connection) as fifty:
        client.get(url)
    assert len(none) == len(fifty) <= 8


# --- The administration ---


def test_an_administrator_edits_a_template_and_the_old_version_is_only_read(client):
    """G-03"""
    first = kept()
    client.force_login(f.administrator())
    answer = client.post(change_page(first), posted(client, first, name="Starter plus", validity_days="30"))
    assert answer.status_code == 302
    second = DealTemplate.objects.get(version=2)
    assert (second.name, second.validity_days, second.association_override) == (
        "Starter plus",
        30,
        LOWER_FEE,
    )
    old = client.get(change_page(first)).content.decode()
    assert 'name="name"' not in old
    assert "Starter" in old
    assert change_page(second) in old
    assert change_page(first) in client.get(change_page(second)).content.decode()
    listed = client.get(LIST).content.decode()
    assert change_page(second) in listed
    assert change_page(first) not in listed


def test_an_administrator_retires_a_template(client):
    """G-03"""
    first = kept()
    client.force_login(f.administrator())
    assert client.post(change_page(first), posted(client, first, active=None)).status_code == 302
    assert not DealTemplate.objects.offered().exists()
    assert DealTemplate.objects.count() == 2


def test_two_administrators_do_not_overwrite_each_other(client):
    """G-03, G-07: what the second one typed is still there."""
    first = kept()
    client.force_login(f.administrator())
    mine = posted(client, first, name="My words")
    edited(first, name="Their words")
    answer = client.post(change_page(first), mine)
    html = answer.content.decode()
    assert answer.status_code == 200
    assert "Somebody saved a newer version" in html
    assert 'value="My words"' in html
    assert DealTemplate.objects.count() == 2


def test_what_the_type_does_not_take_is_told_at_its_field(client):
    """G-03"""
    first = kept()
    client.force_login(f.administrator())
    answer = client.post(change_page(first), posted(client, first, quantity="3"))
    assert answer.context["adminform"].form.errors["quantity"]
    assert DealTemplate.objects.count() == 1


def test_others_read_templates_and_write_none(client):
    """G-03"""
    template = kept()
    client.force_login(f.finance())
    html = client.get(change_page(template)).content.decode()
    assert "Starter" in html
    assert 'name="name"' not in html
    assert client.post(change_page(template), {"name": "Mine"}).status_code == 403
    assert DealTemplate.objects.count() == 1


def test_the_list_pages_by_key_and_asks_as_often_for_fifty_as_for_five(client):
    """L4: no COUNT, no OFFSET, no leading wildcard."""
    boss, deal = f.administrator(), f.draft()
    client.force_login(boss)
    asked = []
    for rows in (5, 50):
        for number in range(rows):
            kept(by=boss, deal=deal, name=f"Starter {number}")
        with CaptureQueriesContext(connection) as queries:
            assert client.get(LIST).status_code == 200
        asked.append([query["sql"] for query in queries])
    few, many = asked
    assert len(few) == len(many) <= 8
    for sql in many:
        assert not re.search(r"COUNT\(|OFFSET|LIKE '%", sql), sql
