"""How two administrators close a delivery that no automatic path is left for (reliability.md 2.3)."""

import json
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from accounts import services as accounts
from audit import services as audit
from audit.models import Event
from audit.refusals import Invalid, NotAllowed, OwnWork, WrongStatus
from audit.roles import Role
from proposals import services as proposals
from proposals.models import Proposal
from purchases import services as purchases
from tests.factories import (
    NOON,
    AccountFactory,
    administrator,
    finance,
    person,
    submitted,
    submitted_purchase,
)
from tests.togai.fake_togai import URL
from togai import resolutions
from togai.models import Delivery, Link, RemoteSnapshot, Resolution
from togai.worker import Worker

pytestmark = pytest.mark.django_db

State, Kind, Verb = Delivery.State, Delivery.Kind, Resolution.Verb
WHY = "Seen in Togai's own console this morning."
LATER = NOON + timedelta(hours=1)
OTHERS = [role for role in Role if role != Role.ADMINISTRATOR]


@pytest.fixture
def ada(db):
    return administrator(first_name="Ada", last_name="Byron")


@pytest.fixture
def ruth(db):
    return administrator(first_name="Ruth", last_name="Gold")


@pytest.fixture
def ours(settings):
    """The product's own gateway speaks to the fake."""
    settings.TOGAI_BASE_URL = URL


def put(delivery, **fields):
    Delivery.objects.filter(pk=delivery.pk).update(**fields)
    delivery.refresh_from_db()
    return delivery


def stuck(delivery):
    """As a worker leaves what it cannot settle."""
    return put(
        delivery,
        state=State.NEEDS_HUMAN,
        sends=1,
        ambiguous_attempts=1,
        in_doubt_since=NOON,
        closed_at=NOON,
        last_message="Two checks do not find it at Togai.",
    )


@pytest.fixture
def create(db):
    """The create of a submitted proposal, which needs a person."""
    return stuck(Delivery.objects.of(submitted()).get())


def ask(delivery, verb, by, **given):
    return resolutions.ask(delivery_id=delivery.pk, verb=verb, by=by, at=NOON, **({"reason": WHY} | given))


def confirm(asked, by, **given):
    return resolutions.confirm(resolution_id=asked.pk, by=by, at=LATER, **given)


def both(delivery, verb, ada, ruth, **given):
    """Asked by one, confirmed by the other."""
    more = {"gateway": given["gateway"]} if "gateway" in given else {}
    confirm(ask(delivery, verb, ada, **given), ruth, **more)
    delivery.refresh_from_db()
    return delivery


def at_togai(togai, delivery, **fields):
    """A record that Togai holds for a create, as it would show it. Returns its id."""
    record = json.loads(bytes(delivery.body)) | {
        "id": f"purchase.by-hand-{len(togai.records)}",
        "accountId": delivery.account_id,
        "status": "PROPOSAL_ACTIVE",
        "createdAt": "2030-01-10T12:00:00Z",
    }
    record |= fields
    togai.records[record["id"]] = record
    return record["id"]


def deal_of(delivery):
    return Proposal.objects.get(pk=delivery.subject_id)


def verbs(delivery):
    return list(Event.objects.about(delivery).order_by("seq").values_list("verb", flat=True))


# Four eyes


@pytest.mark.parametrize("verb", [Verb.DECLARE_ABSENT, Verb.ABANDON])
def test_asking_changes_nothing_and_is_on_record(create, ada, verb):
    """R-07: a person proposes, with a reason; the delivery stays parked."""
    asked = ask(create, verb, ada, remote_id="ignored")
    create.refresh_from_db()
    assert create.state == State.NEEDS_HUMAN
    assert (asked.asked_by, asked.reason, asked.remote_id) == (ada, WHY, "")
    event = Event.objects.about(create).get()
    assert (event.verb, event.actor, event.reason) == (f"ask_{verb.lower()}", ada, WHY)
    assert Delivery.objects.count() == 1


@pytest.mark.parametrize("verb", [Verb.DECLARE_ABSENT, Verb.ABANDON])
def test_nobody_confirms_what_they_asked_for(create, ada, verb):
    """2.3: a second person; the service refuses it and so does the database."""
    asked = ask(create, verb, ada)
    with pytest.raises(OwnWork):
        confirm(asked, ada)
    with pytest.raises(IntegrityError), transaction.atomic():
        Resolution.objects.filter(pk=asked.pk).update(confirmed_by=ada, confirmed_at=LATER)
    create.refresh_from_db()
    assert create.state == State.NEEDS_HUMAN


@pytest.mark.parametrize("role", OTHERS)
def test_only_administrators_ask_confirm_and_drop(create, ada, role):
    """S-04: refused by the service itself."""
    somebody = person(role)
    for verb in Verb:
        with pytest.raises(NotAllowed):
            ask(create, verb, somebody, remote_id="purchase.1")
    asked = ask(create, Verb.ABANDON, ada)
    with pytest.raises(NotAllowed):
        confirm(asked, somebody)
    with pytest.raises(NotAllowed):
        resolutions.drop(resolution_id=asked.pk, by=somebody, at=LATER)
    assert resolutions.open_for(create) == asked


@pytest.mark.parametrize("reason", ["", "too short", "x" * 301])
def test_asking_needs_a_reason(create, ada, reason):
    """S-27"""
    with pytest.raises(Invalid):
        ask(create, Verb.ABANDON, ada, reason=reason)
    assert not Resolution.objects.exists()


@pytest.mark.parametrize("state", [state for state in State if state != State.NEEDS_HUMAN])
@pytest.mark.parametrize("verb", Verb)
def test_only_what_needs_a_person_is_closed_by_people(create, ada, state, verb):
    """2.3: there is no such button on what a worker still settles."""
    claim = {"claim_token": create.pk, "claim_until": LATER} if state == State.SENDING else {}
    put(create, state=state, **claim)
    with pytest.raises(WrongStatus, match="needs no person"):
        ask(create, verb, ada, remote_id="purchase.1")


def test_one_proposal_waits_at_a_time(create, ada, ruth):
    asked = ask(create, Verb.ABANDON, ada)
    with pytest.raises(WrongStatus, match="Ada Byron has asked already: abandon"):
        ask(create, Verb.DECLARE_ABSENT, ruth)
    resolutions.drop(resolution_id=asked.pk, by=ruth, at=LATER)
    assert ask(create, Verb.DECLARE_ABSENT, ruth).pk != asked.pk
    assert verbs(create) == ["ask_abandon", "drop_resolution", "ask_declare_absent"]


def test_what_is_dropped_or_confirmed_is_over(create, ada, ruth):
    asked = ask(create, Verb.ABANDON, ada)
    resolutions.drop(resolution_id=asked.pk, by=ada, at=LATER)
    for again in (
        lambda: confirm(asked, ruth),
        lambda: resolutions.drop(resolution_id=asked.pk, by=ruth, at=LATER),
    ):
        with pytest.raises(WrongStatus):
            again()
    create.refresh_from_db()
    assert create.state == State.NEEDS_HUMAN


def test_of_two_confirmers_one_wins(create, ada, ruth, monkeypatch):
    """R-10: compare-and-swap; the second finds the proposal ended, though it read it as open."""
    third = administrator()
    asked = ask(create, Verb.DECLARE_ABSENT, ada)
    original = resolutions._refuse_unless_open

    def slower(resolution):
        original(resolution)
        monkeypatch.setattr(resolutions, "_refuse_unless_open", original)
        confirm(asked, third)

    monkeypatch.setattr(resolutions, "_refuse_unless_open", slower)
    with pytest.raises(WrongStatus, match="meanwhile"):
        confirm(asked, ruth)
    assert Delivery.objects.count() == 2
    assert Resolution.objects.get().confirmed_by == third
    assert verbs(create) == ["ask_declare_absent", "declare_absent"]


def test_a_delivery_that_moved_meanwhile_is_left_alone(create, ada, ruth):
    """R-10: the state is compared in the UPDATE; the proposal stays open, because nothing was done."""
    asked = ask(create, Verb.ABANDON, ada)
    put(create, state=State.CONFIRMED)
    with pytest.raises(WrongStatus, match="no person any more"):
        confirm(asked, ruth)
    create.refresh_from_db()
    asked.refresh_from_db()
    assert (create.state, asked.confirmed_at) == (State.CONFIRMED, None)


# Link


def test_a_link_binds_togais_record_as_a_look_would(create, ada, ruth, togai):
    """2.3: verified by GET when asked and when confirmed; subject told, record followed, all on record."""
    remote_id = at_togai(togai, create)
    both(create, Verb.LINK, ada, ruth, remote_id=f" {remote_id} ", gateway=togai.gateway())
    assert togai.reads == [f"purchase_proposals/{remote_id}"] * 2
    assert togai.writes == []
    assert (create.state, create.remote_id, create.remote_status) == (
        State.CONFIRMED,
        remote_id,
        "PROPOSAL_ACTIVE",
    )
    assert create.closed_at == LATER
    deal = deal_of(create)
    assert (deal.togai_id, deal.togai_status, deal.togai_problem) == (remote_id, "PROPOSAL_ACTIVE", "")
    assert RemoteSnapshot.objects.get(remote_id=remote_id).next_poll_at > LATER
    evidence = create.attempts.get()
    assert (evidence.purpose, evidence.outcome, evidence.http_status) == ("LOOK", "done", 200)
    assert len(evidence.response_sha256) == 64
    assert verbs(create) == ["ask_link", "link"]
    event = Event.objects.about(create).latest("seq")
    assert (event.actor, event.after["remote_id"]) == (ruth, remote_id)
    assert audit.verify() is None


def test_what_waited_behind_a_linked_create_goes_on(create, ada, ruth, togai, clock):
    """R-24: the decision finds the record that was bound by hand."""
    deal = deal_of(create)
    proposals.approve(proposal_id=deal.pk, by=finance(), at=NOON, content_hash=deal.content_hash)
    remote_id = at_togai(togai, create)
    both(create, Verb.LINK, ada, ruth, remote_id=remote_id, gateway=togai.gateway())
    clock.forward(hours=2)
    Worker(togai.gateway(), clock=clock, monotonic=clock.monotonic, name="test").work()
    assert togai.records[remote_id]["status"] == "PROPOSAL_APPROVED"
    assert togai.created() == []


def test_a_purchase_is_linked_under_its_own_address(ada, ruth, togai):
    waiting = submitted_purchase()
    purchases.release(purchase_id=waiting.pk, by=finance(), at=NOON, content_hash=waiting.content_hash)
    create = stuck(Delivery.objects.get(kind=Kind.CREATE_PURCHASE))
    remote_id = at_togai(togai, create, status="PENDING")
    both(create, Verb.LINK, ada, ruth, remote_id=remote_id, gateway=togai.gateway())
    assert togai.reads == [f"purchases/{remote_id}"] * 2
    assert create.state == State.CONFIRMED


def test_an_approved_proposal_may_be_there_as_a_purchase(create, ada, ruth, togai, monkeypatch):
    """togai.md 5.1: the same id under the other address."""
    remote_id = at_togai(togai, create, status="PENDING")
    read = togai._read
    monkeypatch.setattr(
        togai, "_read", lambda parts: read(parts if parts[0] == "purchases" else ["purchases", "gone"])
    )
    both(create, Verb.LINK, ada, ruth, remote_id=remote_id, gateway=togai.gateway())
    assert create.remote_status == "PENDING"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"accountId": "somebody-else"}, "belongs to the account somebody-else"),
        ({"status": "ON_ICE"}, "which we do not know"),
    ],
)
def test_a_record_that_cannot_be_meant_is_not_linked(create, ada, togai, fields, why):
    """2.3: same account, and a status that we can read (T1)."""
    remote_id = at_togai(togai, create, **fields)
    with pytest.raises(resolutions.Unverified, match=why):
        ask(create, Verb.LINK, ada, remote_id=remote_id, gateway=togai.gateway())
    assert not Resolution.objects.exists()
    assert not Event.objects.about(create).exists()


def test_a_record_of_something_else_is_not_linked(create, ada, ruth, togai):
    """R-09: one record, one create; asked about another delivery, another key of ours, another deal."""
    remote_id = at_togai(togai, create)
    asked = ask(create, Verb.LINK, ada, remote_id=remote_id, gateway=togai.gateway())
    other = Delivery.objects.of(submitted()).get()
    put(other, state=State.CONFIRMED, remote_id=remote_id)
    with pytest.raises(resolutions.Unverified, match="another delivery"):
        confirm(asked, ruth, gateway=togai.gateway())
    put(other, remote_id="")
    togai.records[remote_id]["idempotencyKey"] = other.idempotency_key
    with pytest.raises(resolutions.Unverified, match="another delivery"):
        confirm(asked, ruth, gateway=togai.gateway())
    togai.records[remote_id]["idempotencyKey"] = None
    RemoteSnapshot.objects.create(
        remote_id=remote_id,
        kind=Kind.CREATE_PROPOSAL,
        subject_type=other.subject_type,
        subject_id=other.subject_id,
        status="PROPOSAL_ACTIVE",
        raw="{}",
        fetched_at=NOON,
    )
    with pytest.raises(resolutions.Unverified, match="Another deal follows"):
        confirm(asked, ruth, gateway=togai.gateway())
    create.refresh_from_db()
    assert create.state == State.NEEDS_HUMAN
    assert resolutions.open_for(create) == asked


def test_a_record_bound_in_the_very_moment_is_refused(create, ada, ruth, togai, monkeypatch):
    """R-09: the database has the last word."""
    remote_id = at_togai(togai, create)
    asked = ask(create, Verb.LINK, ada, remote_id=remote_id, gateway=togai.gateway())
    other = Delivery.objects.of(submitted()).get()
    checked = resolutions._refuse_what_is_not_ours

    def bound_right_after(delivery, remote):
        checked(delivery, remote)
        put(other, state=State.CONFIRMED, remote_id=remote_id)

    monkeypatch.setattr(resolutions, "_refuse_what_is_not_ours", bound_right_after)
    with pytest.raises(WrongStatus, match="something else meanwhile"):
        confirm(asked, ruth, gateway=togai.gateway())
    create.refresh_from_db()
    assert (create.state, create.remote_id) == (State.NEEDS_HUMAN, "")
    assert resolutions.open_for(create) == asked


@pytest.mark.parametrize(
    ("trouble", "why"),
    [("down", "cannot be read now"), (500, "cannot be read now"), (None, "no such record")],
)
def test_without_togais_word_nothing_is_linked(create, ada, togai, trouble, why):
    """R-05: what cannot be read proves nothing."""
    togai.reads_fail_with = trouble
    with pytest.raises(resolutions.Unverified, match=why):
        ask(create, Verb.LINK, ada, remote_id="purchase.none", gateway=togai.gateway())


def test_a_refused_token_closes_the_line_for_everybody(create, ada, togai):
    """T6: five of them lock the office out, so a click must not be one of many."""
    togai.reads_fail_with = 401
    with pytest.raises(resolutions.Unverified, match="refuses our token"):
        ask(create, Verb.LINK, ada, remote_id="purchase.1", gateway=togai.gateway())
    assert Link.load().closed_until > NOON
    reads = len(togai.reads)
    with pytest.raises(resolutions.Unverified, match="rest for now"):
        ask(create, Verb.LINK, ada, remote_id="purchase.1", gateway=togai.gateway())
    assert len(togai.reads) == reads


def test_what_creates_nothing_is_not_linked(create, ada):
    """2.3: a decision and an edit have no record of their own at Togai."""
    deal = deal_of(create)
    proposals.approve(proposal_id=deal.pk, by=finance(), at=NOON, content_hash=deal.content_hash)
    account = AccountFactory()
    accounts.edit(account_id=account.pk, by=ada, at=NOON, fields={"name": "Other"}, version=1)
    for kind in (Kind.DECIDE, Kind.EDIT_ACCOUNT):
        with pytest.raises(WrongStatus, match="Only what creates"):
            ask(stuck(Delivery.objects.get(kind=kind)), Verb.LINK, ada, remote_id="purchase.1")


# Declare absent


def test_what_is_declared_absent_is_sent_anew_under_a_new_key(create, ada, ruth, togai, clock):
    """R-13, R-14: the new bytes differ from the old ones in the key alone; the old ones stay as they were."""
    before = bytes(create.body)
    both(create, Verb.DECLARE_ABSENT, ada, ruth)
    assert (create.state, create.last_error, create.closed_at) == (
        State.REJECTED,
        Delivery.DECLARED_ABSENT,
        LATER,
    )
    assert bytes(create.body) == before
    assert not create.is_settled
    assert "Ada Byron and Ruth Gold" in create.last_message
    assert WHY in create.last_message
    anew = Delivery.objects.exclude(pk=create.pk).get()
    assert anew.idempotency_key != create.idempotency_key
    assert anew.idempotency_key.encode() in bytes(anew.body)
    assert bytes(anew.body) == before.replace(create.idempotency_key.encode(), anew.idempotency_key.encode())
    old, new = json.loads(before), json.loads(bytes(anew.body))
    assert [name for name in old if old[name] != new[name]] == ["idempotencyKey"]
    assert old.keys() == new.keys()
    same = (
        "kind",
        "subject_type",
        "subject_id",
        "revision",
        "account_id",
        "direction",
        "depends_on_id",
        "fingerprint",
        "created_by_id",
    )
    assert [getattr(anew, name) for name in same] == [getattr(create, name) for name in same]
    assert (anew.generation, anew.state, anew.sends, anew.ambiguous_attempts) == (2, State.NOT_SENT, 0, 0)
    assert anew.body_sha256 != create.body_sha256
    assert verbs(create) == ["ask_declare_absent", "declare_absent"]
    assert verbs(anew) == ["send_anew"]
    clock.forward(hours=2)
    Worker(togai.gateway(), clock=clock, monotonic=clock.monotonic, name="test").work()
    assert togai.created() == [bytes(anew.body)]
    assert deal_of(create).togai_status == "PROPOSAL_ACTIVE"


def test_a_third_generation_follows_the_second(create, ada, ruth):
    """R-09: one row per generation."""
    both(create, Verb.DECLARE_ABSENT, ada, ruth)
    second = stuck(Delivery.objects.get(generation=2))
    both(second, Verb.DECLARE_ABSENT, ruth, ada)
    assert Delivery.objects.get(generation=3).idempotency_key not in (
        create.idempotency_key,
        second.idempotency_key,
    )


def test_what_waited_for_it_waits_for_the_new_one(create, ada, ruth, togai, clock):
    """R-24: the decision follows the row that can still be confirmed."""
    deal = deal_of(create)
    proposals.approve(proposal_id=deal.pk, by=finance(), at=NOON, content_hash=deal.content_hash)
    decide = Delivery.objects.get(kind=Kind.DECIDE)
    both(create, Verb.DECLARE_ABSENT, ada, ruth)
    decide.refresh_from_db()
    assert decide.depends_on == Delivery.objects.get(generation=2)
    clock.forward(hours=2)
    Worker(togai.gateway(), clock=clock, monotonic=clock.monotonic, name="test").work()
    assert deal_of(create).togai_status == "PROPOSAL_APPROVED"


def test_a_later_decision_is_about_the_newest_create(create, ada, ruth):
    """R-24: two generations of one create, and the decision finds the living one."""
    both(create, Verb.DECLARE_ABSENT, ada, ruth)
    deal = deal_of(create)
    proposals.approve(proposal_id=deal.pk, by=finance(), at=LATER, content_hash=deal.content_hash)
    assert Delivery.objects.get(kind=Kind.DECIDE).depends_on.generation == 2


def test_the_next_revision_follows_the_newest_decline(ada, ruth):
    """R-14: the create of a revision waits for the decline of the one before, whichever generation it is."""
    deal = submitted()
    create = Delivery.objects.of(deal).get()
    put(create, state=State.CONFIRMED, remote_id="purchase.1")
    why = {"reason_code": "other", "reason": "Not at this price."}
    proposals.decline(proposal_id=deal.pk, by=finance(), at=NOON, content_hash=deal.content_hash, **why)
    decline = stuck(Delivery.objects.get(kind=Kind.DECIDE))
    both(decline, Verb.DECLARE_ABSENT, ada, ruth)
    anew = Delivery.objects.get(kind=Kind.DECIDE, generation=2)
    assert (bytes(anew.body), anew.depends_on) == (bytes(decline.body), create)
    draft = proposals.revise(proposal_id=deal.pk, by=deal.created_by, at=LATER)
    proposals.submit(proposal_id=draft.pk, by=deal.created_by, at=LATER)
    assert Delivery.objects.of(draft).get().depends_on == anew


# Abandon


def test_an_abandoned_create_ends_and_its_owner_reads_why(create, ada, ruth):
    """2.3: nothing is sent; the subject says who abandoned it and why."""
    both(create, Verb.ABANDON, ada, ruth)
    assert (create.state, create.last_error, create.closed_at) == (
        State.REJECTED,
        Delivery.ABANDONED,
        LATER,
    )
    assert create.is_settled
    message = f"Abandoned by Ada Byron and Ruth Gold: {WHY}"
    assert (create.last_message, deal_of(create).togai_refusal) == (message, message)
    assert verbs(create) == ["ask_abandon", "abandon"]
    assert Delivery.objects.count() == 1


def test_the_page_of_an_abandoned_deal_does_not_say_that_togai_refused_it(create, ada, ruth, client):
    """R-06: Togai may have it; who comes next has to look there first, and nobody is asked to any more."""
    both(create, Verb.ABANDON, ada, ruth)
    deal = deal_of(create)
    client.force_login(deal.owner)
    page = client.get(deal.get_absolute_url()).content.decode()
    assert "Sending this was abandoned" in page
    assert "Togai may have it all the same" in page
    assert "Togai refused" not in page
    assert not deal.togai_problem


def test_what_would_have_decided_an_abandoned_create_ends_with_it(create, ada, ruth, togai, clock):
    """R-24: there is nothing left to decide, and nothing is sent without an id."""
    deal = deal_of(create)
    proposals.approve(proposal_id=deal.pk, by=finance(), at=NOON, content_hash=deal.content_hash)
    both(create, Verb.ABANDON, ada, ruth)
    decide = Delivery.objects.get(kind=Kind.DECIDE)
    assert (decide.state, decide.last_error) == (State.REJECTED, Delivery.WITHDRAWN)
    clock.forward(hours=2)
    Worker(togai.gateway(), clock=clock, monotonic=clock.monotonic, name="test").work()
    assert togai.writes == []


def test_an_abandoned_decision_leaves_a_deal_that_somebody_has_to_look_at(create, ada, ruth):
    """R-06: Togai holds the proposal and not our decision; the deal says what to do about it."""
    deal = deal_of(create)
    proposals.approve(proposal_id=deal.pk, by=finance(), at=NOON, content_hash=deal.content_hash)
    put(create, state=State.CONFIRMED, remote_id="purchase.1")
    decide = stuck(Delivery.objects.get(kind=Kind.DECIDE))
    both(decide, Verb.ABANDON, ada, ruth)
    deal = deal_of(create)
    assert deal.status == Proposal.Status.APPROVED
    assert deal.togai_refusal == ""
    assert "Our decision did not reach Togai." in deal.togai_problem
    assert "Togai's own console" in deal.togai_problem


def test_an_abandoned_edit_leaves_the_account_as_togai_has_it(ada, ruth):
    account = AccountFactory(name="Harbor")
    accounts.edit(account_id=account.pk, by=ada, at=NOON, fields={"name": "Other"}, version=1)
    edit = stuck(Delivery.objects.get())
    both(edit, Verb.ABANDON, ada, ruth)
    account.refresh_from_db()
    assert account.name == "Harbor"
    assert WHY in Event.objects.about(account).latest("seq").after["message"]


# The pages


def at(delivery, verb=""):
    return f"/deliveries/{delivery.pk}/{verb}"


def test_two_administrators_declare_it_absent_on_the_pages(client, create, ada, ruth):
    """G-52: asked on one page, read and confirmed on another, told in the timeline of both rows."""
    client.force_login(ada)
    page = client.get(at(create)).content.decode()
    for words in ("Link to a Togai id", "Declare absent", "Abandon"):
        assert words in page
    assert client.get(at(create, "declare-absent/")).status_code == 200
    answer = client.post(at(create, "declare-absent/"), {"reason": WHY})
    assert (answer.status_code, answer.url) == (303, at(create))
    mine = client.get(at(create, "resolution/")).content.decode()
    assert "Another administrator has to confirm" in mine
    assert "/resolution/confirm/" not in mine
    asked = {"resolution": resolutions.open_for(create).pk}
    assert client.post(at(create, "resolution/confirm/"), asked).status_code == 403
    client.force_login(ruth)
    assert "Look at it and decide" in client.get(at(create)).content.decode()
    assert "/resolution/confirm/" in client.get(at(create, "resolution/")).content.decode()
    answer = client.post(at(create, "resolution/confirm/"), asked)
    assert (answer.status_code, answer.url) == (303, at(create))
    page = client.get(at(create))
    titles = [event["title"] for event in page.context["events"]]
    assert "asked to declare it absent at Togai" in titles
    assert "confirmed that it is absent, and had it sent anew" in titles
    anew = Delivery.objects.get(generation=2)
    assert at(anew) in page.content.decode()
    assert "number 2" in client.get(at(anew)).content.decode()
    assert client.post(at(create, "resolution/confirm/"), asked).status_code == 409


@pytest.mark.usefixtures("ours")
def test_both_sides_are_shown_before_a_link_is_confirmed(client, create, ada, ruth, togai):
    """2.8: ours and Togai's, side by side, as read at that moment."""
    remote_id = at_togai(togai, create, quantity=7)
    client.force_login(ada)
    answer = client.post(at(create, "link/"), {"remote_id": "purchase.none", "reason": WHY})
    assert answer.status_code == 422
    assert "Togai knows no such record." in answer.content.decode()
    assert client.post(at(create, "link/"), {"remote_id": remote_id, "reason": WHY}).status_code == 303
    client.force_login(ruth)
    page = client.get(at(create, "resolution/"))
    rows = {row.label: row for row in page.context["compared"]}
    assert (rows["Quantity"].ours, rows["Quantity"].theirs, rows["Quantity"].same) == ("2", "7", False)
    assert rows["Idempotency key"].same
    assert remote_id in page.context["theirs"]
    asked = {"resolution": resolutions.open_for(create).pk}
    togai.reads_fail_with = 500
    page = client.get(at(create, "resolution/"))
    assert page.status_code == 200
    assert "It cannot be linked as it stands." in page.content.decode()
    assert client.post(at(create, "resolution/confirm/"), asked).status_code == 409
    togai.reads_fail_with = None
    assert client.post(at(create, "resolution/confirm/"), asked).status_code == 303
    create.refresh_from_db()
    assert create.state == State.CONFIRMED


def test_what_lies_deep_in_a_request_is_compared_value_by_value(create, togai):
    """2.8: a person sees which rate of which card it is, not two lines of JSON."""
    cards = [{"id": "um.calls", "slabs": [{"order": 1, "rate": 0.10}, {"order": 2, "rate": 0.05}]}]
    theirs = json.loads(json.dumps({"usageRateCards": cards}))
    theirs["usageRateCards"][0]["slabs"][1] |= {"rate": 0.07, "flat": True}
    theirs["usageRateCards"].append({"id": "um.seats"})
    body = json.loads(bytes(create.body)) | {"purchasePlanOverride": {"usageRateCards": cards}, "tags": ["a"]}
    meant = Delivery(kind=create.kind, body=json.dumps(body).encode())
    remote = togai.gateway().get_proposal(at_togai(togai, create, purchasePlanOverride=theirs))
    rows = {row.label: (row.ours, row.theirs, row.same) for row in resolutions.compared(meant, remote)}
    card = "purchasePlanOverride.usageRateCards[0]"
    assert rows[f"{card}.id"] == ("um.calls", "um.calls", True)
    assert rows[f"{card}.slabs[0].rate"] == ("0.1", "0.1", True)
    assert rows[f"{card}.slabs[1].rate"] == ("0.05", "0.07", False)
    assert rows[f"{card}.slabs[1].flat"] == ("not sent", "True", False)
    assert rows["purchasePlanOverride.usageRateCards[1]"] == ("not sent", '{"id": "um.seats"}', False)
    assert rows["tags[0]"] == ("a", "not shown", None)
    assert "purchasePlanOverride" not in rows


def test_what_was_not_read_is_not_confirmed(client, create, ada, ruth):
    """R-23: the button speaks of what its page showed."""
    first = ask(create, Verb.ABANDON, ada)
    resolutions.drop(resolution_id=first.pk, by=ada, at=NOON)
    second = ask(create, Verb.DECLARE_ABSENT, ada)
    client.force_login(ruth)
    for given in ({"resolution": first.pk}, {}, {"resolution": "x"}, {"resolution": "9" * 40}):
        for verb in ("confirm", "drop"):
            assert client.post(at(create, f"resolution/{verb}/"), given).status_code == 409
    assert resolutions.open_for(create) == second
    answer = client.post(at(create, "resolution/drop/"), {"resolution": second.pk})
    assert answer.status_code == 303
    assert client.get(at(create, "resolution/")).status_code == 409


@pytest.mark.parametrize("role", OTHERS)
def test_the_others_read_at_most_that_it_waits(client, create, ada, role):
    """S-01: 403 for a function one lacks, 404 for a deal of somebody else."""
    asked = {"resolution": ask(create, Verb.ABANDON, ada).pk}
    client.force_login(person(role))
    sees = role not in (Role.REP, Role.MANAGER)
    if sees:
        page = client.get(at(create)).content.decode()
        assert "Another administrator has to confirm it." in page
        assert "Look at it" not in page
    expected = 403 if sees else 404
    for verb in ("link/", "declare-absent/", "abandon/"):
        assert client.get(at(create, verb)).status_code == expected
        assert client.post(at(create, verb), {"reason": WHY}).status_code == expected
    assert client.get(at(create, "resolution/")).status_code == expected
    for verb in ("resolution/confirm/", "resolution/drop/"):
        assert client.post(at(create, verb), asked).status_code == expected


def test_the_rep_of_the_deal_does_not_close_it(client, create):
    """S-01: their own deal, not their function."""
    client.force_login(create.created_by)
    assert client.post(at(create, "abandon/"), {"reason": WHY}).status_code == 403


def test_a_reason_that_is_none_is_asked_for_again(client, create, ada):
    """S-01: bad data is 422 and changes nothing."""
    client.force_login(ada)
    for given in ({}, {"reason": "short"}, {"reason": "x" * 301}):
        assert client.post(at(create, "abandon/"), given).status_code == 422
    assert not Resolution.objects.exists()
