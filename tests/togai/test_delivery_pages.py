"""Pages of deliveries: who reads them, what they show, and the two things a person may do."""

from datetime import date, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import services as accounts
from audit.models import Event
from audit.refusals import NotAllowed, WrongStatus
from audit.roles import Role
from proposals.models import Proposal
from tests.factories import NOON, AccountFactory, administrator, finance, person, rep, submitted
from tests.tampering import triggers_off
from togai import services
from togai.models import Delivery, DeliveryAttempt, Link

pytestmark = pytest.mark.django_db

LIST = "/deliveries/"
READERS = [Role.ADMINISTRATOR, Role.FINANCE, Role.CFO, Role.AUDITOR]
OTHERS = [Role.REP, Role.MANAGER]


@pytest.fixture
def delivery():
    """The create of a proposal that a rep submitted."""
    submitted(by=rep(first_name="Mia"))
    return Delivery.objects.get()


def put(delivery, **fields):
    Delivery.objects.filter(pk=delivery.pk).update(**fields)
    delivery.refresh_from_db()
    return delivery


def in_doubt(delivery):
    return put(
        delivery,
        state="UNKNOWN",
        sends=1,
        ambiguous_attempts=1,
        in_doubt_since=NOON,
        next_at=NOON + timedelta(days=1000),
    )


def attempt(delivery, **fields):
    return DeliveryAttempt.objects.create(
        **{
            "delivery": delivery,
            "number": delivery.attempts.count() + 1,
            "purpose": "SEND",
            "claim_token": uuid4(),
            "started_at": NOON,
            "finished_at": NOON,
            "worker": "test",
            "release": "1",
        }
        | fields
    )


def at(delivery, verb=""):
    return f"{LIST}{delivery.pk}/{verb}"


def shown(response):
    return [row["delivery"] for row in response.context["rows"]]


# Who


@pytest.mark.parametrize("role", READERS)
def test_some_roles_read_all_deliveries(client, delivery, role):
    client.force_login(person(role))
    assert shown(client.get(LIST)) == [delivery]
    assert client.get(at(delivery)).status_code == 200


@pytest.mark.parametrize("role", OTHERS)
def test_the_others_do_not(client, delivery, role):
    """S-01: a function one lacks is 403."""
    client.force_login(person(role))
    assert client.get(LIST).status_code == 403
    assert client.get(at(delivery)).status_code == 403


def test_a_delivery_that_is_none_is_not_found(client):
    client.force_login(finance())
    missing = f"{LIST}{uuid4()}/"
    assert client.get(missing).status_code == 404
    assert client.post(f"{missing}look-now/").status_code == 404
    assert client.get(f"{LIST}nonsense/").status_code == 404


# What they show


def test_a_row_says_what_about_what_and_how_it_stands(client, delivery):
    client.force_login(finance())
    text = client.get(LIST).content.decode()
    assert "Create the proposal" in text
    assert 'href="/proposals/P-' in text
    assert "Waits to be sent" in text
    assert f"by {delivery.created_by.get_full_name()}" in text


def test_deliveries_are_filtered_by_state_and_kind(client, delivery):
    admin = administrator()
    account = AccountFactory()
    accounts.edit(account_id=account.pk, by=admin, at=NOON, fields={"name": "Other"}, version=1)
    edit = Delivery.objects.get(kind="EDIT_ACCOUNT")
    put(edit, state="HELD", held_because="The scope is missing.")
    client.force_login(admin)
    assert shown(client.get(LIST, {"state": "HELD"})) == [edit]
    assert shown(client.get(LIST, {"kind": "CREATE_PROPOSAL"})) == [delivery]
    assert shown(client.get(LIST, {"kind": "CREATE_PROPOSAL", "state": "HELD"})) == []
    assert len(shown(client.get(LIST, {"kind": "x", "state": "y", "after": "z"}))) == 2
    text = client.get(LIST).content.decode()
    assert "The scope is missing." in text
    assert f'href="{account.get_absolute_url()}"' in text


def test_the_page_tells_the_story_from_intent_to_outcome(client, delivery):
    put(delivery, state="CONFIRMED", closed_at=NOON)
    attempt(delivery, outcome="not sent", learned="Togai cannot be reached.")
    attempt(
        delivery,
        outcome="done",
        learned="Togai answered.",
        http_status=200,
        response='{"id": "purchase.1", "price": 0.10}',
        started_at=NOON + timedelta(minutes=1),
    )
    attempt(delivery, purpose="LOOK", finished_at=None, started_at=NOON + timedelta(minutes=2))
    client.force_login(finance())
    page = client.get(at(delivery))
    assert [event["title"] for event in page.context["events"]] == [
        "Looked at Togai: no answer on record",
        "Sent: Togai has it (HTTP 200)",
        "To be sent: It did not leave",
        "asked for it",
    ]
    text = page.content.decode()
    assert f"POST /accounts/{delivery.account_id}/purchase_proposals" in text
    assert "Authorization: Bearer ***" in text
    assert delivery.idempotency_key in text
    assert delivery.body_sha256 in text
    # Digit for digit as it came.
    assert "0.10" in page.context["answer"]["text"]


def test_what_a_stranger_sent_is_text_and_the_token_is_nowhere(client, delivery, settings):
    """S-20"""
    settings.TOGAI_API_TOKEN = "canary-of-the-delivery-pages"
    put(delivery, state="REJECTED", last_error="Refused", last_message="<b>No</b>")
    attempt(
        delivery,
        outcome="refused",
        learned="<i>No</i>",
        http_status=400,
        response="<script>alert(1)</script>",
    )
    client.force_login(finance())
    text = client.get(at(delivery)).content.decode() + client.get(LIST).content.decode()
    assert "&lt;script&gt;alert(1)" in text
    for mark in ("<b>No", "<i>No", "<script>alert", "canary"):
        assert mark not in text


def test_a_withdrawn_delivery_was_not_refused_by_togai(client, delivery):
    put(
        delivery,
        state="REJECTED",
        last_error="withdrawn",
        last_message="The validity ended.",
        closed_at=NOON + timedelta(days=1),
    )
    client.force_login(finance())
    page = client.get(at(delivery))
    assert page.context["events"][0]["title"] == "Taken back before it was sent"
    assert "Taken back before it was sent" in page.context["words"]


# What a person may do


@pytest.mark.parametrize("role", [Role.FINANCE, Role.CFO, Role.ADMINISTRATOR])
def test_a_delivery_in_doubt_is_looked_up_at_once_and_never_sent(client, delivery, role):
    """R-05: look now is a look, and on record with who asked."""
    in_doubt(delivery)
    somebody = person(role)
    client.force_login(somebody)
    assert "Look now" in client.get(at(delivery)).content.decode()
    answer = client.post(at(delivery, "look-now/"))
    assert (answer.status_code, answer.url) == (303, at(delivery))
    before = delivery.next_at
    delivery.refresh_from_db()
    assert (delivery.state, delivery.sends) == ("UNKNOWN", 1)
    assert delivery.next_at < before
    event = Event.objects.about(delivery).get()
    assert (event.verb, event.actor) == ("look_now", somebody)
    assert "had Togai asked at once" in client.get(at(delivery)).content.decode()


def test_the_rep_whose_deal_waits_may_have_togai_asked(client, delivery):
    in_doubt(delivery)
    client.force_login(delivery.created_by)
    answer = client.post(at(delivery, "look-now/"))
    assert answer.status_code == 303
    assert answer.url.startswith("/proposals/P-")


def test_a_stranger_learns_nothing_of_a_delivery(client, delivery):
    """G-62"""
    in_doubt(delivery)
    client.force_login(rep())
    for verb in ("look-now/", "release/"):
        assert client.post(at(delivery, verb)).status_code == 404
    assert not Event.objects.about(delivery).exists()


def test_an_auditor_only_reads(client, delivery):
    in_doubt(delivery)
    client.force_login(person(Role.AUDITOR))
    assert "Look now" not in client.get(at(delivery)).content.decode()
    assert client.post(at(delivery, "look-now/")).status_code == 403
    put(delivery, state="HELD")
    assert client.post(at(delivery, "release/")).status_code == 403
    delivery.refresh_from_db()
    assert delivery.state == "HELD"


@pytest.mark.parametrize("state", ["NOT_SENT", "HELD", "CONFIRMED", "REJECTED", "NEEDS_HUMAN"])
def test_only_what_is_in_doubt_is_looked_up(client, delivery, state):
    put(delivery, state=state)
    client.force_login(finance())
    assert client.post(at(delivery, "look-now/")).status_code == 409
    with pytest.raises(WrongStatus):
        services.look_now(delivery_id=delivery.pk, by=finance(), at=NOON)
    assert not Event.objects.about(delivery).exists()


def ask(delivery, by, seconds=0):
    return services.look_now(delivery_id=delivery.pk, by=by, at=NOON + timedelta(seconds=seconds))


def test_a_person_has_togai_asked_six_times_a_minute_about_one_deal(delivery):
    """S-37: counted in the record, which all processes share; others and other deals are not in the way."""
    in_doubt(delivery)
    somebody, colleague = finance(), finance()
    for second in (0, 10, 20, 30, 40, 50):
        ask(delivery, somebody, second)
    with pytest.raises(services.TooOften, match=r"6 times within a minute; wait 1 second\.") as refused:
        ask(delivery, somebody, 59)
    assert refused.value.retry_after == 1
    with pytest.raises(services.TooOften) as refused:
        ask(delivery, somebody, 51)
    assert refused.value.retry_after == 9
    ask(delivery, colleague, 59)
    submitted()
    ask(in_doubt(Delivery.objects.exclude(pk=delivery.pk).get()), somebody, 59)
    # The first of the six is a minute old: there is room for one.
    ask(delivery, somebody, 60)
    with pytest.raises(services.TooOften):
        ask(delivery, somebody, 61)
    assert Event.objects.about(delivery).filter(verb="look_now").count() == 8


def test_all_deliveries_of_a_deal_count_together(delivery):
    """S-37: the limit is per deal, not per row."""
    in_doubt(delivery)
    fields = {name: getattr(delivery, name) for name in ("subject_type", "subject_id", "account_id", "body")}
    other = Delivery.objects.create(
        kind="DECIDE",
        state="UNKNOWN",
        revision=1,
        idempotency_key="another",
        next_at=NOON,
        created_at=NOON,
        **fields,
    )
    somebody = finance()
    for _ in range(3):
        ask(delivery, somebody)
        ask(other, somebody)
    with pytest.raises(services.TooOften):
        ask(other, somebody)


def test_who_asks_too_often_reads_when_to_come_back(client, delivery):
    """S-37: 429, Retry-After and one plain sentence; nothing is put on record."""
    in_doubt(delivery)
    client.force_login(finance())
    for _ in range(services.MOST_LOOKS):
        assert client.post(at(delivery, "look-now/")).status_code == 303
    answer = client.post(at(delivery, "look-now/"))
    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 60
    assert f"wait {answer['Retry-After']} second" in answer.content.decode()
    assert Event.objects.about(delivery).filter(verb="look_now").count() == services.MOST_LOOKS


def test_a_held_delivery_goes_on_when_an_administrator_lets_it(client, delivery):
    put(delivery, state="HELD", held_because="The scope is missing.")
    admin = administrator()
    client.force_login(admin)
    assert "Let it go on" in client.get(at(delivery)).content.decode()
    assert client.post(at(delivery, "release/")).status_code == 303
    delivery.refresh_from_db()
    assert (delivery.state, delivery.held_because) == ("NOT_SENT", "")
    event = Event.objects.about(delivery).get()
    assert (event.verb, event.actor, event.before["held_because"]) == (
        "let_go_on",
        admin,
        "The scope is missing.",
    )
    assert client.post(at(delivery, "release/")).status_code == 409


def test_what_would_be_held_again_has_no_button_and_says_why(client, delivery):
    """Reliability 2.7: time does not come back; whoever owns the deal ends it or writes another revision."""
    why = "Its validity ended on 20 Jan 2025."
    put(delivery, state="HELD", held_because=why)
    with triggers_off():
        Proposal.objects.filter(pk=delivery.subject_id).update(valid_until=date(2025, 1, 20))
    client.force_login(administrator())
    page = client.get(at(delivery)).content.decode()
    assert why in page
    assert "Let it go on" not in page
    answer = client.post(at(delivery, "release/"))
    assert answer.status_code == 409
    assert f"It would be held again. {why}" in answer.content.decode()
    delivery.refresh_from_db()
    assert delivery.state == "HELD"


@pytest.mark.parametrize("role", [Role.FINANCE, Role.CFO, Role.REP])
def test_nobody_else_lets_a_held_delivery_go_on(client, delivery, role):
    put(delivery, state="HELD")
    somebody = delivery.created_by if role == Role.REP else person(role)
    client.force_login(somebody)
    assert client.post(at(delivery, "release/")).status_code == 403
    with pytest.raises(NotAllowed):
        services.release(delivery_id=delivery.pk, by=somebody, at=NOON)
    delivery.refresh_from_db()
    assert delivery.state == "HELD"


@pytest.mark.parametrize(
    ("wanted", "arrives"),
    [
        ("/proposals/", "/proposals/"),
        ("https://elsewhere.test/", None),
        ("//elsewhere.test", None),
        ("", None),
    ],
)
def test_the_way_back_stays_on_this_site(client, delivery, wanted, arrives):
    in_doubt(delivery)
    client.force_login(finance())
    answer = client.post(at(delivery, "look-now/"), {"next": wanted})
    assert answer.url == (arrives or at(delivery))


def test_a_verb_is_asked_by_post(client, delivery):
    client.force_login(administrator())
    for verb in ("look-now/", "release/"):
        assert client.get(at(delivery, verb)).status_code == 405


# What it costs


def test_the_list_costs_the_same_queries_for_5_and_50_rows(client, delivery, django_assert_num_queries):
    """L4"""
    admin = administrator()

    def edits(count):
        for _ in range(count):
            account = AccountFactory()
            accounts.edit(account_id=account.pk, by=admin, at=NOON, fields={"name": "Other"}, version=1)

    edits(4)
    # As it is once a worker has called Togai.
    Link.objects.create()
    client.force_login(finance())
    client.get(LIST)
    with CaptureQueriesContext(connection) as few:
        client.get(LIST)
    assert len(few) <= 8
    edits(44)
    with django_assert_num_queries(len(few)):
        assert len(shown(client.get(LIST))) == 49


def test_the_page_costs_the_same_queries_however_often_it_was_tried(
    client, delivery, django_assert_num_queries
):
    """L4"""
    attempt(delivery)
    client.force_login(finance())
    client.get(at(delivery))
    with CaptureQueriesContext(connection) as few:
        client.get(at(delivery))
    assert len(few) <= 12
    for _ in range(60):
        attempt(delivery)
    with django_assert_num_queries(len(few)):
        client.get(at(delivery))


@pytest.mark.parametrize("query", ["", "?state=NOT_SENT", "?kind=CREATE_PROPOSAL"])
def test_the_list_reads_what_it_shows_and_no_more(client, delivery, query):
    """L1"""
    if connection.vendor != "sqlite":
        pytest.skip("The plan is read on SQLite.")
    for number in range(55):
        delivery.pk, delivery.id = uuid4(), uuid4()
        delivery._state.adding = True
        delivery.idempotency_key, delivery.revision = f"key-{number}", number + 2
        delivery.id = delivery.pk
        delivery.save(force_insert=True)
    client.force_login(finance())
    following = client.get(LIST + query).context["pager"]["next"]
    for address in (LIST + query, LIST + following):
        with CaptureQueriesContext(connection) as asked:
            client.get(address)
        pages = [
            row["sql"]
            for row in asked.captured_queries
            if "ORDER BY" in row["sql"] and "togai_delivery" in row["sql"] and "capped" not in row["sql"]
        ]
        assert pages
        for sql in pages:
            assert "COUNT(" not in sql.upper()
            assert "OFFSET" not in sql.upper()
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
                plan = [row[3] for row in cursor.fetchall()]
            assert plan[0].startswith(("SEARCH", "SCAN togai_delivery USING INDEX"))
            assert not any("TEMP B-TREE" in step for step in plan), plan


@pytest.mark.parametrize("known", [False, True])
def test_the_head_counts_a_few_index_entries_and_nothing_that_is_settled(client, delivery, known):
    """L1: performance.md 10; each figure is a search in an index that ends after a thousand entries."""
    if connection.vendor != "sqlite":
        pytest.skip("The plan is read on SQLite.")
    if known:
        Link.objects.create()
    attempt(delivery, outcome="unknown", learned="Nobody knows.")
    client.force_login(finance())
    with CaptureQueriesContext(connection) as asked:
        page = client.get(LIST)
    assert page.context["figures"].trouble.words == "Nobody knows."
    *_, sql = [row["sql"] for row in asked.captured_queries if "capped" in row["sql"]]
    assert "'CONFIRMED'" not in sql
    assert sql.count("LIMIT 1001") == sql.count("COUNT(*)") == 5
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        plan = [row[3] for row in cursor.fetchall()]
    assert plan.count("SEARCH U0 USING COVERING INDEX delivery_state (state=?)") == 9, plan
    assert not any("TEMP B-TREE" in step for step in plan), plan
