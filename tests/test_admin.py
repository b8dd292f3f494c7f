"""The administration: who looks, who writes, what a list costs, and what a hostile page gets."""

import re
from datetime import timedelta
from html import unescape
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from knox.models import AuthToken

from accounts.models import Account, Team
from audit import admin_pages
from audit.models import Event
from audit.roles import Role
from proposals import services
from proposals.models import Decision, Proposal, ReasonCode
from purchases.models import PricePlan, Purchase
from tests.factories import (
    NOON,
    PASSWORD,
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
    submitted_purchase,
)
from togai.models import Delivery, RemoteSnapshot

pytestmark = pytest.mark.django_db

User = get_user_model()
OURS = ("proposals", "purchases", "accounts", "togai", "audit")
PROPOSALS = "/admin/proposals/proposal/"
ACCOUNTS = "/admin/accounts/account/"
PEOPLE = "/admin/auth/user/"
RECORD = "/admin/audit/event/"
WHY = "The discount is far too high."


@pytest.fixture
def one_by_one(settings):
    """A bulk change runs a service per row on purpose; the hunter of queries in loops looks away."""
    settings.ZEAL_ALLOWLIST = [{"model": "*", "field": "*"}]


def as_(user):
    client = Client()
    client.force_login(user)
    return client


def list_url(model):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def change_url(row):
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def hidden(response, name):
    """The value of a hidden field of a page."""
    found = re.search(rf'<input type="hidden" name="{name}"[^>]* value="([^"]*)"', response.content.decode())
    assert found, f"no {name} in the page"
    return unescape(found[1])


def text_of(response):
    return unescape(response.content.decode())


def choose(client, url, action, *rows, **more):
    return client.post(url, {"action": action, "_selected_action": [row.pk for row in rows], **more})


def preview(client, url, action, *rows, **answers):
    """Choose rows and answer what the action asks; the page with the plan."""
    page = choose(client, url, action, *rows)
    if answers:
        page = client.post(url, {"action": action, "chosen": hidden(page, "chosen"), **answers})
    return page


def confirm(client, url, action, page, **more):
    return client.post(url, {"action": action, "plan": hidden(page, "plan"), **more})


# --- The gate ---


def test_every_model_of_ours_has_a_page_or_stands_on_one():
    shown = set(admin.site._registry)
    shown |= {inline.model for one in admin.site._registry.values() for inline in one.inlines}
    missing = [model for app in OURS for model in apps.get_app_config(app).get_models() if model not in shown]
    assert missing == []


def test_nothing_is_registered_past_the_gate():
    """What libraries register by themselves edits rows and repeats jobs without asking our roles."""
    assert all(isinstance(one, admin_pages.DeskModelAdmin) for one in admin.site._registry.values())
    gated = [inline for one in admin.site._registry.values() for inline in one.inlines]
    assert all(issubclass(inline, admin_pages.RoleGate) for inline in gated)


@pytest.mark.parametrize(
    ("role", "status"),
    [
        (Role.ADMINISTRATOR, 200),
        (Role.FINANCE, 200),
        (Role.CFO, 200),
        (Role.AUDITOR, 200),
        (Role.REP, 403),
        (Role.MANAGER, 403),
    ],
)
def test_roles_open_the_administration_and_nothing_else_does(role, status):
    """S-01: Django's own flags open nothing."""
    user = person(role, is_staff=True)
    for url in ("/admin/", PROPOSALS, PEOPLE):
        assert as_(user).get(url, follow=True).status_code == status


@pytest.mark.parametrize("role", [Role.FINANCE, Role.CFO, Role.AUDITOR])
def test_readers_write_nothing(role):
    """S-01: who reads the administration gets 403 on every way to write in it."""
    team, reason, proposal = TeamFactory(), ReasonCode.objects.first(), draft()
    account, colleague = AccountFactory(), rep()
    client = as_(person(role))
    for url in (
        "/admin/accounts/team/add/",
        change_url(team),
        f"/admin/accounts/team/{team.pk}/delete/",
        change_url(reason),
        f"/admin/proposals/reasoncode/{reason.pk}/delete/",
        change_url(proposal),
        change_url(account),
        f"{PEOPLE}add/",
        change_url(colleague),
        f"{PEOPLE}{colleague.pk}/password/",
    ):
        assert client.post(url, {"name": "x", "title": "x"}).status_code == 403, url
    assert choose(client, ACCOUNTS, "change_owner", account).status_code == 403
    assert choose(client, PROPOSALS, "extend_validity", proposal).status_code == 403
    assert not Event.objects.exclude(verb="create").exists()


def test_a_role_that_is_taken_away_closes_the_next_page():
    """S-05: no session keeps a right alive."""
    ada = administrator()
    client = as_(ada)
    assert client.get(PROPOSALS).status_code == 200
    ada.groups.clear()
    assert client.get(PROPOSALS, follow=True).status_code == 403


@pytest.mark.parametrize(
    "url",
    [
        f"{PROPOSALS}{{proposal}}/delete/",
        f"{ACCOUNTS}{{account}}/delete/",
        f"{RECORD}{{event}}/delete/",
        f"{PEOPLE}{{user}}/delete/",
        "/admin/togai/delivery/{delivery}/delete/",
    ],
)
def test_nobody_deletes_what_is_kept(url):
    proposal = submitted()
    ids = {
        "proposal": proposal.pk,
        "account": proposal.account_id,
        "event": Event.objects.first().pk,
        "user": proposal.owner_id,
        "delivery": Delivery.objects.get().pk,
    }
    client = as_(administrator(is_superuser=True))
    for method in (client.get, client.post):
        assert method(url.format(**ids), {"post": "yes"}).status_code == 405
    assert Proposal.objects.filter(pk=proposal.pk).exists()


def test_the_action_that_deletes_what_is_chosen_does_not_exist():
    proposal = draft()
    client = as_(administrator(is_superuser=True))
    assert choose(client, PROPOSALS, "delete_selected", proposal).status_code == 400
    assert choose(client, PEOPLE, "delete_selected", proposal.owner).status_code == 405


def test_the_record_is_read_and_never_written():
    """S-28: 405, for whoever asks."""
    submitted()
    event = Event.objects.first()
    for user in (finance(), administrator(is_superuser=True), person(Role.AUDITOR)):
        client = as_(user)
        assert client.get(change_url(event)).status_code == 200
        assert client.post(change_url(event), {"reason": "nothing"}).status_code == 405
        assert client.post(f"{RECORD}add/").status_code == 403
        assert client.post(RECORD, {"action": "x"}).status_code == 405


# --- Lists ---


def many(count):
    """Rows of every kind that grows."""
    mia, plan = rep(), PricePlanFactory()
    for _ in range(count):
        proposal = submitted(by=mia, price_plan=plan, account=AccountFactory(owner=mia))
        RemoteSnapshot.objects.create(
            remote_id=f"remote-{proposal.pk}",
            kind="CREATE_PROPOSAL",
            subject_type="proposals.Proposal",
            subject_id=proposal.pk,
            status="PROPOSAL_ACTIVE",
            raw="{}",
            fetched_at=NOON,
        )
        submitted_purchase(by=mia, price_plan=plan, account=proposal.account)
        AuthToken.objects.create(mia)
        team = TeamFactory()
        team.members.add(mia)
        team.managers.add(person(Role.MANAGER))


GROWING = [Proposal, Purchase, Account, Delivery, RemoteSnapshot, Event, User, Team, AuthToken]


def test_a_list_asks_at_most_eight_times_however_long_it_is():
    """L4: the same questions at 5 and at 50 rows; no COUNT, no OFFSET, no leading wildcard."""
    client = as_(administrator())
    asked = {}
    for rows in (5, 45):
        many(rows)
        for model in GROWING:
            with CaptureQueriesContext(connection) as queries:
                assert client.get(list_url(model)).status_code == 200
            asked.setdefault(model, []).append([query["sql"] for query in queries])
    for model, (few, lots) in asked.items():
        assert len(few) == len(lots) <= 8, (model, len(few), len(lots))
        for sql in lots:
            assert not re.search(r"COUNT\(|OFFSET|LIKE '%", sql), sql


@pytest.mark.parametrize(
    "query",
    [
        "status=SUBMITTED",
        "togai_status=PENDING",
        "type=ENTITLEMENT_GRANT",
        "payment_mode=PREPAID",
        "status=SUBMITTED&type=ENTITLEMENT_GRANT",
        "q=harbor",
        "q=P-000001",
        "q=1",
        "after=3",
        "before=1",
    ],
)
def test_filters_and_searches_count_nothing_either(query):
    many(3)
    client = as_(administrator())
    with CaptureQueriesContext(connection) as queries:
        assert client.get(f"{PROPOSALS}?{query}").status_code == 200
    assert len(queries) <= 8
    # The text in which accounts are searched has a trigram index (accounts/search.py).
    asked = [one["sql"] for one in queries if "search_text" not in one["sql"]]
    assert not [sql for sql in asked if re.search(r"COUNT\(|OFFSET|LIKE '%", sql)]


def test_a_list_pages_by_key_and_keeps_its_filters():
    many(52)
    client = as_(administrator())
    first = client.get(f"{PROPOSALS}?status=SUBMITTED")
    rows = [proposal.pk for proposal in first.context["cl"].result_list]
    assert len(rows) == 50
    following = first.context["cl"].pager["next"]
    assert "status=SUBMITTED" in following
    second = client.get(PROPOSALS + following)
    assert [row.pk for row in second.context["cl"].result_list] == sorted(
        set(Proposal.objects.values_list("pk", flat=True)) - set(rows), reverse=True
    )
    assert second.context["cl"].pager["next"] is None
    # A filter of the second page starts at the first page again.
    assert "after" not in second.context["cl"].get_query_string({"status": "DRAFT"})


def test_a_list_shows_money_dates_and_states_as_every_page_does():
    submitted()
    page = text_of(as_(administrator()).get(PROPOSALS))
    assert re.search(
        r'<span class="money__amount">[\d,]+\.\d\d</span> <span class="money__currency">EUR', page
    )
    assert '<span class="status status--submitted">Submitted</span>' in page
    assert "9 Feb 2030" in page


def test_what_nobody_knows_is_not_zero():
    draft(account=None, price_plan=None, quantity=None)
    assert "unknown" in text_of(as_(administrator()).get(PROPOSALS))


def test_only_the_newest_revision_is_listed_and_the_older_one_has_its_page():
    mia, omar = rep(), finance()
    old = submitted(by=mia)
    services.decline(
        proposal_id=old.pk,
        by=omar,
        at=NOON,
        content_hash=old.content_hash,
        reason_code=ReasonCode.objects.filter(for_decline=True).first().pk,
        reason=WHY,
    )
    new = services.revise(proposal_id=old.pk, by=mia, at=NOON)
    client = as_(omar)
    assert [row.pk for row in client.get(PROPOSALS).context["cl"].result_list] == [new.pk]
    assert WHY in text_of(client.get(change_url(old)))


def test_a_search_finds_by_number_and_by_a_fragment_of_the_account():
    mia = rep()
    one, two = submitted(by=mia, account=AccountFactory(name="Lumen Foods", owner=mia)), submitted()
    client = as_(administrator())

    def found(url, text):
        return [row.pk for row in client.get(url, {"q": text}).context["cl"].result_list]

    assert found(PROPOSALS, "umen") == [one.pk]
    assert found(PROPOSALS, two.reference) == [two.pk]
    assert found(PROPOSALS, "100%_") == []
    assert found(ACCOUNTS, "umen") == [one.account_id]
    assert found(PEOPLE, one.owner.username) == [one.owner_id]
    assert found("/admin/togai/delivery/", Delivery.objects.first().idempotency_key) == [
        Delivery.objects.first().pk
    ]


def test_the_record_is_narrowed_to_a_row_a_batch_a_verb_and_a_person():
    proposal, other = submitted(), submitted()
    client = as_(person(Role.AUDITOR))

    def found(**query):
        page = client.get(RECORD, query)
        return [(event.verb, event.subject_id) for event in page.context["cl"].result_list]

    assert found(subject=f"proposals.Proposal:{proposal.pk}") == [
        ("submit", str(proposal.pk)),
        ("create", str(proposal.pk)),
    ]
    assert {verb for verb, _ in found(verb="submit")} == {"submit"}
    assert {key for _, key in found(q=other.owner.username)} == {str(other.pk)}
    assert found(channel="command", verb="submit")
    history = client.get(reverse("admin:proposals_proposal_history", args=[proposal.pk]))
    assert history["Location"].endswith(urlencode({"subject": f"proposals.Proposal:{proposal.pk}"}))
    assert change_url(proposal) in text_of(client.get(RECORD))


# --- A page of a deal ---


def test_no_field_of_a_deal_can_be_sent_but_its_words():
    """S-06: every column of the model and some more, sent by an administrator who is a superuser."""
    proposal, other = draft(), rep()
    before = Proposal.objects.filter(pk=proposal.pk).values().get()
    forged = {field.name: "1" for field in Proposal._meta.get_fields()} | {
        "status": "APPROVED",
        "togai_status": "SUCCESS",
        "togai_id": "forged",
        "owner": other.pk,
        "content_hash": "0" * 64,
        "number": 99,
        "author": other.pk,
        "decided_by": other.pk,
        "idempotency_key": "forged",
        "is_live": "",
        "title": "A better title",
        "internal_note": "",
        "read_version": proposal.version,
    }
    client = as_(administrator(is_superuser=True))
    assert client.post(change_url(proposal), forged).status_code == 302
    after = Proposal.objects.filter(pk=proposal.pk).values().get()
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"title", "version", "updated_at"}
    event = Event.objects.latest("pk")
    assert (event.verb, event.after["title"], event.channel) == ("edit", "A better title", "admin")


def test_a_submitted_deal_cannot_be_saved():
    """S-06: not even its words, not even by a superuser."""
    client = as_(administrator(is_superuser=True))
    for row in (submitted(), submitted_purchase()):
        page = text_of(client.get(change_url(row)))
        assert 'name="title"' not in page
        assert client.post(change_url(row), {"title": "x", "read_version": row.version}).status_code == 403


def test_a_draft_that_somebody_saved_meanwhile_is_not_overwritten():
    """G-07 list and admin form: who saved, what was, what is now, and what was typed."""
    mia = rep(first_name="Mia", last_name="Ott")
    proposal = draft(by=mia, title="First")
    ada = as_(administrator())
    read = hidden(ada.get(change_url(proposal)), "read_version")
    services.edit(proposal_id=proposal.pk, by=mia, at=NOON, fields={"title": "Hers"}, version=1)
    typed = {"title": "Mine", "internal_note": "", "read_version": read}
    page = ada.post(change_url(proposal), typed)
    proposal.refresh_from_db()
    assert proposal.title == "Hers"
    words = text_of(page)
    assert "Mia Ott saved this draft" in words
    assert "It was “First” when you opened it and is “Hers” now." in words
    assert 'value="Mine"' in words
    # Saving again is a decision now.
    typed["read_version"] = hidden(page, "read_version")
    assert ada.post(change_url(proposal), typed).status_code == 302
    proposal.refresh_from_db()
    assert proposal.title == "Mine"


def test_a_draft_is_not_saved_without_saying_what_was_read():
    proposal = draft(title="First")
    as_(administrator()).post(change_url(proposal), {"title": "Mine", "internal_note": ""})
    proposal.refresh_from_db()
    assert proposal.title == "First"


def test_a_list_edits_no_cells():
    """G-07 list edit: there is no form in the list that could overwrite anything."""
    proposal = draft(title="First")
    client = as_(administrator())
    formset = {
        "form-TOTAL_FORMS": 1,
        "form-INITIAL_FORMS": 1,
        "form-0-id": proposal.pk,
        "form-0-title": "Forged",
        "form-0-status": "APPROVED",
        "_save": "Save",
    }
    assert client.post(PROPOSALS, formset).status_code == 302
    proposal.refresh_from_db()
    assert (proposal.title, proposal.status) == ("First", "DRAFT")


def test_a_deal_links_to_its_page_and_a_draft_to_the_editor():
    proposal = draft()
    page = text_of(as_(administrator()).get(change_url(proposal)))
    assert f'href="{proposal.get_absolute_url()}"' in page
    assert f'href="{reverse("proposals:edit", args=[proposal.reference])}"' in page


# --- Bulk actions ---


def test_a_bulk_change_asks_shows_and_reports_row_by_row(one_by_one):
    """What changes from what to what, what is skipped and why; then what was done, on record as one batch."""
    ada, noah = administrator(), rep(first_name="Noah", last_name="Beck")
    mine, his = draft(by=rep(first_name="Mia", last_name="Ott")), draft(by=noah)
    client = as_(ada)
    page = preview(client, PROPOSALS, "change_owner", mine, his, to=noah.pk)
    words = text_of(page)
    assert "1 will change, 1 will be skipped" in words
    assert re.search(r"Mia Ott</td>.*<strong>Noah Beck</strong>", words)
    assert "Noah Beck owns it already." in words
    result = text_of(confirm(client, PROPOSALS, "change_owner", page))
    mine.refresh_from_db()
    assert mine.owner == noah
    assert "1 done." in result
    (batch,) = set(Event.objects.filter(verb="hand_over").values_list("batch_id", flat=True))
    assert f"batch={batch}" in result
    on_record = client.get(RECORD, {"batch": batch}).context["cl"].result_list
    assert [(event.verb, event.subject_id) for event in on_record] == [("hand_over", str(mine.pk))]


def test_nothing_changes_before_the_plan_is_confirmed(one_by_one):
    noah, proposal = rep(), draft()
    preview(as_(administrator()), PROPOSALS, "change_owner", proposal, to=noah.pk)
    proposal.refresh_from_db()
    assert proposal.owner != noah


def test_a_mixed_set_is_decided_row_by_row_and_own_rows_are_refused(one_by_one):
    """G-22 bulk: through the page of finance, which only reads everything else there."""
    omar = finance()
    waiting, own, unsent = submitted(), submitted(by=omar), draft()
    client = as_(omar)
    page = preview(client, PROPOSALS, "approve", waiting, own, unsent)
    assert "somebody else has to decide it" in text_of(page)
    confirm(client, PROPOSALS, "approve", page)
    statuses = dict(Proposal.objects.values_list("pk", "status"))
    assert statuses == {waiting.pk: "APPROVED", own.pk: "SUBMITTED", unsent.pk: "DRAFT"}
    assert Decision.objects.get().by == omar


@pytest.mark.parametrize("action", ["approve", "decline"])
@pytest.mark.parametrize(
    "user",
    [administrator, lambda: administrator(is_superuser=True, is_staff=True)],
    ids=["administrator", "superuser"],
)
def test_who_is_not_finance_decides_nothing_at_any_step(action, user):
    """S-04: 403 for the action as a whole, superuser or not."""
    proposal, client = submitted(), as_(user())
    assert choose(client, PROPOSALS, action, proposal).status_code == 403
    for step in ("chosen", "plan"):
        assert client.post(PROPOSALS, {"action": action, step: "forged"}).status_code == 403
    assert action not in text_of(client.get(PROPOSALS)).partition("</select>")[0]
    proposal.refresh_from_db()
    assert proposal.status == "SUBMITTED"


def test_a_bulk_decline_needs_a_code_and_ten_characters(one_by_one):
    """G-27 bulk: at the fields, before anything is planned."""
    omar, proposal = finance(), submitted()
    client = as_(omar)
    code = ReasonCode.objects.filter(for_decline=True).first().pk
    for answers in ({"reason": WHY}, {"reason_code": code, "reason": "too short"}, {"reason": ""}):
        page = preview(client, PROPOSALS, "decline", proposal, **answers)
        assert page.status_code == 422
        assert "Nothing was saved yet" in text_of(page)
    page = preview(client, PROPOSALS, "decline", proposal, reason_code=code, reason=WHY)
    confirm(client, PROPOSALS, "decline", page)
    assert Decision.objects.values_list("reason_code", "reason").get() == (code, WHY)


def test_a_row_that_moved_between_plan_and_confirmation_is_left_alone(one_by_one):
    """G-07 bulk: through the page."""
    mia = rep()
    proposal = draft(by=mia)
    client = as_(administrator())
    page = preview(client, PROPOSALS, "set_payment_mode", proposal, payment_mode="POSTPAID")
    services.edit(proposal_id=proposal.pk, by=mia, at=NOON, fields={"title": "Hers"}, version=1)
    result = text_of(confirm(client, PROPOSALS, "set_payment_mode", page))
    proposal.refresh_from_db()
    assert (proposal.payment_mode, proposal.title) == ("PREPAID", "Hers")
    assert "0 done, 1 left alone" in result
    assert "Somebody changed it after you looked" in result


def test_a_plan_that_is_sent_twice_is_carried_out_once(one_by_one):
    noah, proposal = rep(), draft()
    client = as_(administrator())
    page = preview(client, PROPOSALS, "change_owner", proposal, to=noah.pk)
    confirm(client, PROPOSALS, "change_owner", page)
    again = confirm(client, PROPOSALS, "change_owner", page)
    assert again.status_code == 302
    assert again["Location"].startswith(RECORD)
    assert Event.objects.filter(verb="hand_over").count() == 1


def test_above_fifty_rows_their_number_is_typed(one_by_one):
    """G-41: a plan of 51 rows is not carried out by one press."""
    noah = rep()
    accounts = AccountFactory.create_batch(51)
    client = as_(administrator())
    page = preview(client, ACCOUNTS, "change_owner", *accounts, to=noah.pk)
    for typed in ("", "50", "all"):
        refused = confirm(client, ACCOUNTS, "change_owner", page, count=typed)
        assert refused.status_code == 422
        assert "Type the number of rows" in text_of(refused)
    assert not Account.objects.filter(owner=noah).exists()
    confirm(client, ACCOUNTS, "change_owner", refused, count="51")
    assert Account.objects.filter(owner=noah).count() == 51


def test_everything_that_matches_is_frozen_when_it_is_chosen(one_by_one):
    """G-42: the second, explicit step acts on what matched then, on all pages, and on nothing later."""
    noah = rep()
    AccountFactory.create_batch(60, currency="EUR")
    other = AccountFactory(currency="USD")
    client, url = as_(administrator()), f"{ACCOUNTS}?currency=EUR"
    page = client.post(url, {"action": "change_owner", "select_across": "1"})
    assert "60 accounts chosen" in text_of(page)
    late = AccountFactory(currency="EUR")
    page = client.post(url, {"action": "change_owner", "chosen": hidden(page, "chosen"), "to": noah.pk})
    confirm(client, url, "change_owner", page, count="60")
    assert Account.objects.filter(owner=noah).count() == 60
    assert not Account.objects.filter(owner=noah, pk__in=[other.pk, late.pk]).exists()


def test_ten_thousand_rows_are_chosen_planned_and_changed_in_slices(one_by_one, monkeypatch):
    """B3: no limit of fields is met, and the count is the count that is acted on."""
    monkeypatch.setattr(admin_pages, "SLICE", 25)
    Account.objects.bulk_create(
        Account(togai_id=f"many-{n}", name=f"Many {n:05}", currency="EUR") for n in range(10_050)
    )
    noah, client = rep(), as_(administrator())
    page = client.post(ACCOUNTS, {"action": "change_owner", "select_across": "1"})
    assert "10,050 accounts chosen" in text_of(page)
    page = client.post(ACCOUNTS, {"action": "change_owner", "chosen": hidden(page, "chosen"), "to": noah.pk})
    assert "10,050 will change" in text_of(page)
    page = confirm(client, ACCOUNTS, "change_owner", page, count="10050")
    assert "25 of 10050" in text_of(page)
    page = confirm(client, ACCOUNTS, "change_owner", page)
    assert "50 of 10050" in text_of(page)
    assert Account.objects.filter(owner=noah).count() == 50


def test_a_change_in_slices_ends_with_one_report(one_by_one, monkeypatch):
    monkeypatch.setattr(admin_pages, "SLICE", 2)
    noah, accounts = rep(), AccountFactory.create_batch(3)
    client = as_(administrator())
    page = preview(client, ACCOUNTS, "change_owner", *accounts, to=noah.pk)
    page = confirm(client, ACCOUNTS, "change_owner", page)
    assert "2 of 3" in text_of(page)
    assert "3 done." in text_of(confirm(client, ACCOUNTS, "change_owner", page))
    assert Event.objects.filter(verb="hand_over").values("batch_id").distinct().count() == 1


def test_more_rows_than_one_bulk_change_takes_are_refused_in_words(monkeypatch):
    monkeypatch.setattr(admin_pages, "MOST_ROWS", 3)
    AccountFactory.create_batch(4)
    page = as_(administrator()).post(ACCOUNTS, {"action": "change_owner", "select_across": "1"}, follow=True)
    assert "More than 3 rows match" in text_of(page)


def test_accounts_change_tags_and_net_terms_through_deliveries(one_by_one):
    accounts = AccountFactory.create_batch(2, tags=["smb"])
    client = as_(administrator())
    page = preview(client, ACCOUNTS, "set_net_terms", *accounts, net_term_days=30)
    assert "On its way to Togai" in text_of(confirm(client, ACCOUNTS, "set_net_terms", page))
    page = preview(client, ACCOUNTS, "change_tags", *accounts, how="add", tags="Key, emea ,,KEY")
    assert "smb, key, emea" in text_of(page)
    confirm(client, ACCOUNTS, "change_tags", page)
    waiting = Delivery.objects.filter(kind="EDIT_ACCOUNT", state="NOT_SENT")
    assert {bytes(one.body) for one in waiting} == {b'{"netTermDays":30,"tags":["smb","key","emea"]}'}


def test_a_plan_is_of_use_to_nobody_else_and_for_nothing_else():
    noah, proposal, purchase = rep(), draft(), purchase_draft()
    ada, ruth = as_(administrator()), as_(administrator())
    page = preview(ada, PROPOSALS, "change_owner", proposal, to=noah.pk)
    plan = hidden(page, "plan")
    url = list_url(Purchase)
    for client, where, given in (
        (ruth, PROPOSALS, {"action": "change_owner", "plan": plan}),
        (ada, PROPOSALS, {"action": "extend_validity", "plan": plan}),
        (ada, PROPOSALS, {"action": "change_owner", "chosen": plan}),
        (ada, url, {"action": "change_owner", "plan": plan}),
        (ada, PROPOSALS, {"action": "change_owner", "plan": plan[:-2] + "xx"}),
        (ada, PROPOSALS, {"action": "change_owner", "plan": ""}),
    ):
        assert client.post(where, given).status_code == 400
    assert not Event.objects.filter(verb="hand_over").exists()
    assert Purchase.objects.get(pk=purchase.pk).owner != noah


def test_a_plan_that_lay_around_is_refused(time_machine):
    noah, proposal = rep(), draft()
    time_machine.move_to(NOON)
    client = as_(administrator())
    page = preview(client, PROPOSALS, "change_owner", proposal, to=noah.pk)
    time_machine.move_to(NOON + timedelta(hours=2))
    late = client.post(PROPOSALS, {"action": "change_owner", "plan": hidden(page, "plan")}, follow=True)
    assert "open for too long" in text_of(late)
    assert not Event.objects.filter(verb="hand_over").exists()


def test_an_owner_who_was_disabled_meanwhile_is_asked_for_again():
    noah, proposal = rep(), draft()
    client = as_(administrator())
    page = preview(client, PROPOSALS, "change_owner", proposal, to=noah.pk)
    User.objects.filter(pk=noah.pk).update(is_active=False)
    again = confirm(client, PROPOSALS, "change_owner", page)
    assert again.status_code == 422
    assert "Choose somebody who works on deals." in text_of(again)


def test_the_owner_field_offers_people_who_draft_and_counts_nothing():
    rep(first_name="Noah", last_name="Beck", username="noah")
    person(Role.AUDITOR, first_name="Nora", username="nora")
    rep(first_name="Nob", username="nob", is_active=False)
    ask = {"app_label": "accounts", "model_name": "account", "field_name": "owner", "term": "no"}
    client = as_(administrator())
    with CaptureQueriesContext(connection) as queries:
        found = client.get("/admin/autocomplete/", ask).json()
    assert [one["text"] for one in found["results"]] == ["Noah Beck (noah)"]
    assert not [one for one in queries if re.search(r"COUNT\(|OFFSET|LIKE '%", one["sql"])]
    assert as_(rep()).get("/admin/autocomplete/", ask, follow=True).status_code == 403


# --- People ---


def test_an_administrator_invites_somebody_with_roles_and_shows_a_password_once():
    client = as_(signed(administrator()))
    given = {
        "username": "zoe",
        "first_name": "Zoe",
        "last_name": "Lang",
        "email": "zoe@desk.example",
        "roles": [Role.REP.value, Role.FINANCE.value],
        "own_password": PASSWORD,
    }
    page = client.post(f"{PEOPLE}add/", given)
    zoe = User.objects.get(username="zoe")
    assert {group.name for group in zoe.groups.all()} == {"Sales reps", "Finance"}
    password = re.search(r"<code>([^<]+)</code>", text_of(page))[1]
    assert zoe.check_password(password)
    event = Event.objects.get(verb="invite")
    assert event.after["roles"] == ["Sales rep", "Finance"]
    assert password not in str(event.after)
    assert (zoe.is_staff, zoe.is_superuser) == (False, False)


def signed(user):
    """With a real password, for pages that ask for it."""
    user.set_password(PASSWORD)
    user.save()
    return user


def given_of(user, **changes):
    """What the form about somebody sends, as it was shown."""
    roles = [group.name for group in user.groups.all()]
    shown = {"first_name": user.first_name, "last_name": user.last_name, "email": user.email, "roles": roles}
    if user.is_active:
        shown["is_active"] = "on"
    shown = shown | {"own_password": PASSWORD} | changes
    return {name: value for name, value in shown.items() if value is not None}


def test_taking_a_role_away_ends_sessions_and_tokens_and_is_on_record():
    """S-05: effective with the person's very next request, through pages and API alike."""
    omar = finance()
    his = as_(omar)
    _, token = AuthToken.objects.create(omar)
    api = {"Authorization": f"Bearer {token}"}
    assert his.get("/").status_code == 200
    assert Client().get("/api/v1/proposals/", headers=api).status_code == 200
    ada = as_(signed(administrator()))
    page = ada.get(change_url(omar))
    given = given_of(omar, roles=[Role.REP.value], seen=hidden(page, "seen"))
    assert ada.post(change_url(omar), given).status_code == 302
    assert his.get("/").status_code == 302
    assert Client().get("/api/v1/proposals/", headers=api).status_code == 401
    event = Event.objects.get(verb="change_roles")
    assert (event.before, event.after) == ({"roles": ["Finance"]}, {"roles": ["Sales rep"]})
    assert Event.objects.filter(verb="revoke_token").count() == 1


def test_somebody_who_is_disabled_is_out_with_their_next_request():
    """S-05: and may come back, with the roles they had."""
    mia = rep()
    hers = as_(mia)
    ada = as_(signed(administrator()))
    given = given_of(mia, is_active=None, seen=hidden(ada.get(change_url(mia)), "seen"))
    assert ada.post(change_url(mia), given).status_code == 302
    assert hers.get("/").status_code == 302
    assert Event.objects.filter(verb="disable", subject_id=str(mia.pk)).exists()
    assert not Session.objects.filter(session_key=hers.session.session_key).exists()
    mia.refresh_from_db()
    given = given_of(mia, is_active="on", seen=hidden(ada.get(change_url(mia)), "seen"))
    assert ada.post(change_url(mia), given).status_code == 302
    assert Event.objects.filter(verb="enable").exists()


def test_nobody_changes_their_own_roles_or_way_in():
    """S-01: 403, whatever is sent; one's name may be corrected."""
    ada = signed(administrator())
    client = as_(ada)
    page = client.get(change_url(ada))
    assert 'name="roles"' not in text_of(page)
    seen = hidden(page, "seen")
    for forged in ({"roles": [Role.FINANCE.value]}, {"is_active": "on"}, {"roles": ["x"]}):
        given = given_of(ada, roles=None, is_active=None, seen=seen) | forged
        assert client.post(change_url(ada), given).status_code == 403
    padded = f"{PEOPLE}0{ada.pk}/change/"
    assert client.post(padded, given_of(ada, roles=[Role.FINANCE.value], seen=seen)).status_code == 403
    given = given_of(ada, roles=None, is_active=None, first_name="Ada", seen=seen)
    assert client.post(change_url(ada), given).status_code == 302
    assert client.post(f"{PEOPLE}{ada.pk}/password/", {"own_password": PASSWORD}).status_code == 403
    ada.refresh_from_db()
    assert (ada.first_name, [group.name for group in ada.groups.all()]) == ("Ada", ["Administrators"])


def test_roles_do_not_change_without_ones_own_password():
    """A session left open makes no administrator."""
    mia, ada = rep(), as_(signed(administrator()))
    seen = hidden(ada.get(change_url(mia)), "seen")
    for wrong in ("", "wrong"):
        given = given_of(mia, roles=[Role.ADMINISTRATOR.value], own_password=wrong, seen=seen)
        assert "password" in text_of(ada.post(change_url(mia), given)).lower()
    assert [group.name for group in mia.groups.all()] == ["Sales reps"]


def test_nothing_but_names_roles_and_access_can_be_sent_about_somebody():
    """S-06: no superuser, no staff, no permission, no password, no other sign-in name."""
    mia, ada = rep(), as_(signed(administrator()))
    before = User.objects.filter(pk=mia.pk).values().get()
    forged = given_of(mia, seen=hidden(ada.get(change_url(mia)), "seen")) | {
        "is_superuser": "on",
        "is_staff": "on",
        "username": "root",
        "password": "x",
        "user_permissions": [1, 2],
        "groups": [Group.objects.get(name="Administrators").pk],
        "date_joined_0": "2000-01-01",
        "first_name": "Mia",
    }
    assert ada.post(change_url(mia), forged).status_code == 302
    after = User.objects.filter(pk=mia.pk).values().get()
    assert {name for name in after if after[name] != before[name]} == {"first_name"}
    assert [group.name for group in mia.groups.all()] == ["Sales reps"]


def test_two_administrators_do_not_overwrite_each_other_about_somebody():
    """G-07: the second one sees what it says now, and saves again or not."""
    mia = rep(first_name="Mia")
    one, two = as_(signed(administrator())), as_(signed(administrator()))
    seen = hidden(one.get(change_url(mia)), "seen")
    assert one.post(change_url(mia), given_of(mia, first_name="Maria", seen=seen)).status_code == 302
    refused = two.post(change_url(mia), given_of(mia, last_name="Otto", seen=seen))
    assert "It now says: First name: Maria" in text_of(refused)
    mia.refresh_from_db()
    assert mia.first_name == "Maria"
    again = given_of(mia, last_name="Otto", seen=hidden(refused, "seen"))
    assert two.post(change_url(mia), again).status_code == 302


def test_a_new_password_is_shown_once_and_ends_the_old_sessions():
    mia = signed(rep())
    hers = as_(mia)
    page = as_(signed(administrator())).post(f"{PEOPLE}{mia.pk}/password/", {"own_password": PASSWORD})
    password = re.search(r"<code>([^<]+)</code>", text_of(page))[1]
    mia.refresh_from_db()
    assert mia.check_password(password)
    assert hers.get("/").status_code == 302
    assert Event.objects.filter(verb="new_password", subject_id=str(mia.pk)).exists()


def test_roles_are_the_six_groups_and_cannot_be_edited():
    client, group = as_(administrator(is_superuser=True)), Group.objects.get(name="Finance")
    assert client.get(list_url(Group)).status_code == 200
    assert client.post(change_url(group), {"name": "Everybody"}).status_code == 403
    assert client.post("/admin/auth/group/add/", {"name": "x"}).status_code == 403


def test_an_administrator_ends_anybodys_token_and_sees_only_how_it_starts():
    mia = rep()
    token, text = AuthToken.objects.create(mia)
    client, url = as_(administrator()), f"/admin/knox/authtoken/{token.digest}/delete/"
    page = text_of(client.get(list_url(AuthToken)))
    assert token.token_key in page
    assert text not in page
    assert as_(finance()).post(url).status_code == 403
    assert client.post(url).status_code == 302
    assert not AuthToken.objects.exists()
    assert Event.objects.get(verb="revoke_token").subject_id == str(mia.pk)
    assert client.post("/admin/knox/authtoken/add/", {"user": mia.pk}).status_code == 403


# --- Teams and reasons ---


def test_a_team_is_edited_on_record_and_not_over_somebody_else():
    """G-07: members that somebody added meanwhile are not dropped unseen."""
    team, mia, lena = TeamFactory(name="North"), rep(), person(Role.MANAGER)
    client = as_(administrator())
    seen = hidden(client.get(change_url(team)), "seen")
    given = {"name": "North", "managers": [lena.pk], "members": [mia.pk], "seen": seen}
    assert client.post(change_url(team), given).status_code == 302
    event = Event.objects.latest("pk")
    assert (event.verb, event.before["members"], event.after["members"]) == ("edit", [], [mia.username])
    stale = {"name": "South", "managers": [], "members": [], "seen": seen}
    assert "Somebody saved this after you opened it" in text_of(client.post(change_url(team), stale))
    team.refresh_from_db()
    assert (team.name, list(team.members.all())) == ("North", [mia])


def test_the_words_of_a_reason_change_and_its_code_never():
    """G-27: reports count by the code."""
    reason, codes = ReasonCode.objects.filter(for_decline=True).first(), ReasonCode.objects.count()
    client = as_(administrator())
    seen = hidden(client.get(change_url(reason)), "seen")
    given = {"code": "forged", "label": "Far too cheap", "for_decline": "on", "position": 1, "seen": seen}
    assert client.post(change_url(reason), given).status_code == 302
    reason.refresh_from_db()
    assert (reason.label, ReasonCode.objects.count()) == ("Far too cheap", codes)
    assert Event.objects.get(subject_type="proposals.ReasonCode").after["label"] == "Far too cheap"


def test_a_reason_that_a_decision_names_is_never_deleted(one_by_one):
    """G-27: unused ones go, used ones stay."""
    used, unused = ReasonCode.objects.filter(for_decline=True)[:2]
    proposal = submitted()
    services.decline(
        proposal_id=proposal.pk,
        by=finance(),
        at=NOON,
        content_hash=proposal.content_hash,
        reason_code=used.pk,
        reason=WHY,
    )
    client = as_(administrator())
    url = "/admin/proposals/reasoncode/{}/delete/"
    assert client.post(url.format(used.pk), {"post": "yes"}).status_code == 403
    assert client.post(url.format(unused.pk), {"post": "yes"}).status_code == 302
    assert set(ReasonCode.objects.filter(pk__in=[used.pk, unused.pk])) == {used}
    assert Event.objects.filter(verb="delete", subject_id=unused.pk).exists()


# --- Hostile input ---


@pytest.mark.parametrize(
    "query",
    [
        "when__year=9999",
        "at__year=9999",
        "created_at__gte=9999-99-99",
        "password__startswith=a",
        "owner__password__startswith=a",
        "owner=abc",
        "owner=" + "9" * 5000,
        "status=FORGED",
        "status=SUBMITTED&status__in=DRAFT",
        "_connector=OR",
        "account__name__regex=(a%2B)%2B",
        "id__in=1,2",
        "e=1&status=FORGED",
        "q=" + "x" * 10_000,
        "_to_field=password",
        "q=%00",
        "status=%00",
        "after=%ff",
    ],
)
def test_an_unknown_filter_is_refused(query):
    """4.2, rows 22, 23, 40, 43, 50 and 51: 400, and nothing of it reaches the database."""
    draft()
    client = as_(administrator())
    for url in (PROPOSALS, PEOPLE, RECORD):
        assert client.get(f"{url}?{query}").status_code == 400, url


@pytest.mark.parametrize(
    "query",
    [
        "after=abc",
        "after=" + "9" * 5000,
        "before=-1",
        "after[]=1",
        "o=-99.x.1",
        "p=99999999",
        "all=",
        "_popup=1",
    ],
)
def test_a_page_that_does_not_exist_is_the_first_one_or_refused(query):
    """4.2, row 52."""
    draft()
    assert as_(administrator()).get(f"{PROPOSALS}?{query}").status_code in (200, 400)


@pytest.mark.parametrize("key", ["abc", "-1", "0", "9" * 30, "9" * 5000, "1.5", "", "\x00", "1 OR 1=1"])
def test_a_forged_choice_of_rows_is_refused(key):
    """4.2, row 41: 400 instead of an error."""
    draft()
    client = as_(administrator())
    answer = client.post(PROPOSALS, {"action": "submit", "_selected_action": key})
    assert answer.status_code == 400


def test_an_action_that_is_not_there_is_refused():
    proposal, client = draft(), as_(administrator())
    assert choose(client, PROPOSALS, "forged", proposal).status_code == 400
    for nothing in ({}, {"action": ""}, {"action": "submit"}):
        assert client.post(PROPOSALS, nothing).status_code == 302


@pytest.mark.parametrize(
    "key", ["9" * 30, "9" * 4000, "-1", "abc", "1%2F..", "00000000-0000-0000-0000-000000000000"]
)
def test_a_row_that_nobody_has_is_not_found(key):
    """4.2, row 44."""
    client = as_(administrator())
    for model in (Proposal, Account, Delivery, User, Event):
        assert client.get(f"{list_url(model)}{key}/change/").status_code == 404
    assert client.get(f"{PEOPLE}{'9' * 30}/password/").status_code == 404


@pytest.mark.parametrize(
    "forged",
    [
        {"steps-TOTAL_FORMS": "abc"},
        {"steps-TOTAL_FORMS": "3", "steps-INITIAL_FORMS": "0", "steps-0-role": "CFO", "steps-0-order": "7"},
        {"rate_cards-TOTAL_FORMS": "1", "rate_cards-INITIAL_FORMS": "0", "rate_cards-0-name": "forged"},
        {"decisions-TOTAL_FORMS": "1", "decisions-INITIAL_FORMS": "0", "decisions-0-verb": "approve"},
    ],
)
def test_a_forged_set_of_rows_creates_none(forged):
    """4.2, row 42 (CVE-2026-4292): rows that are shown are never written."""
    draft_, waiting, plan = draft(), submitted(), PricePlanFactory()
    steps, cards = waiting.steps.count(), plan.rate_cards.count()
    client = as_(administrator(is_superuser=True))
    words = {"title": "x", "internal_note": "", "read_version": draft_.version}
    assert client.post(change_url(draft_), forged | words).status_code in (200, 302)
    assert client.post(change_url(waiting), forged | words).status_code == 403
    assert client.post(change_url(plan), forged).status_code == 403
    assert (draft_.steps.count(), waiting.steps.count(), plan.rate_cards.count()) == (0, steps, cards)
    assert not Decision.objects.exists()


def test_a_page_of_a_hundred_rows_can_be_posted():
    """4.2, rows 17 and 18: more fields than Django's own limit, and a human answer above ours."""
    proposals, client = [draft(), draft()], as_(administrator())
    keys = [*(row.pk for row in proposals), *range(10**6, 10**6 + 1500)]
    page = client.post(PROPOSALS, {"action": "change_owner", "_selected_action": keys})
    assert page.status_code == 200
    assert "1,502 proposals chosen" in text_of(page)
    assert client.post(PROPOSALS, {"action": "x", "_selected_action": range(3000)}).status_code == 400


def test_text_that_people_typed_is_inert():
    """4.2, row 48: in lists, pages, plans and the record."""
    evil = '<script>alert(1)</script>"><img src=x onerror=alert(1)>{{7*7}}'
    mia = rep(first_name=evil[:100], last_name="x")
    proposal = draft(by=mia, title=evil[:120], account=AccountFactory(owner=mia, name=evil, tags=[evil]))
    client = as_(administrator())
    pages = [
        client.get(url)
        for url in (PROPOSALS, ACCOUNTS, PEOPLE, RECORD, "/admin/", change_url(proposal), change_url(mia))
    ]
    pages.append(preview(client, PROPOSALS, "change_owner", proposal, to=rep().pk))
    for page in pages:
        assert page.status_code == 200
        assert b"<script>alert" not in page.content
        assert b"<img src=x" not in page.content


# --- The look ---


def test_no_page_carries_a_script_or_style_of_its_own(one_by_one):
    """S-11: the policy has no unsafe-inline, so nothing here may need it."""
    omar, ada = finance(), signed(administrator())
    waiting, unsent, team = submitted(), draft(), TeamFactory()
    client = as_(ada)
    urls = ["/admin/", "/admin/proposals/", *(list_url(model) for model in admin.site._registry)]
    urls += [change_url(row) for row in (waiting, unsent, team, waiting.account, omar, ada)]
    urls += [change_url(PricePlan.objects.first()), change_url(Event.objects.first())]
    urls += [f"{PEOPLE}add/", "/admin/proposals/reasoncode/add/", f"{PEOPLE}{omar.pk}/password/"]
    pages = [client.get(url) for url in urls]
    pages.append(choose(client, PROPOSALS, "change_owner", unsent))
    plan = preview(client, PROPOSALS, "change_owner", unsent, to=rep().pk)
    pages += [plan, confirm(client, PROPOSALS, "change_owner", plan)]
    for page in pages:
        assert page.status_code == 200
        body = page.content.decode()
        assert not re.search(r"\sstyle=|\son[a-z]+=|javascript:", body), page.request["PATH_INFO"]
        assert not re.search(r"<style|<script(?![^>]*\ssrc=)[^>]*>", body), page.request["PATH_INFO"]


def test_the_first_page_shows_what_one_did_last_from_the_record():
    ada, proposal = administrator(), draft()
    services.edit(proposal_id=proposal.pk, by=ada, at=timezone.now(), fields={"title": "T"}, version=1)
    page = text_of(as_(ada).get("/admin/"))
    assert change_url(proposal) in page
