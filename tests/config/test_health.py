"""What operators and their monitors are told about the product, and when it is an alarm."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.utils import timezone
from django_q.models import Failure, Schedule, Success
from knox.models import AuthToken

from accounts.models import PullProgress
from config import checks, health
from tests.factories import (
    NOON,
    AccountFactory,
    PricePlanFactory,
    administrator,
    person,
    rep,
    submitted,
)
from togai import tasks
from togai.models import Delivery, Drift, Link, RemoteSnapshot

pytestmark = pytest.mark.django_db

State = Delivery.State


def line(name, at=NOON):
    return next(line for line in health.report(at=at).lines if line.name == name)


def worked(at=NOON, record=Success, **fields):
    """A turn of the worker that ended at this moment."""
    return record.objects.create(
        id=uuid4().hex,
        name="turn",
        func=tasks.NAME,
        started=at,
        stopped=at,
        success=record is Success,
        **fields,
    )


@pytest.fixture
def well():
    """Everything as it should be at noon: a worker, a catalogue, a line to Togai."""
    worked()
    AccountFactory()
    PricePlanFactory()
    Link.objects.create(last_reached_at=NOON)


def waiting(state=State.NOT_SENT, **fields):
    """One delivery in a state."""
    delivery = Delivery.objects.of(submitted()).get()
    Delivery.objects.filter(pk=delivery.pk).update(state=state, **fields)
    return delivery


def test_a_product_in_order_asks_for_nobody(well):
    """G-52: every line is OK and says nothing to do."""
    seen = health.report(at=NOON)
    assert [line for line in seen.lines if line.state != health.OK or line.todo] == []
    assert (seen.state, seen.http_status) == (health.OK, 200)


def test_the_report_says_which_database_and_release(client, well):
    client.force_login(administrator())
    told = client.get("/health.json").json()
    assert told["release"] == "0.1.0"
    kind = "PostgreSQL" if connection.vendor == "postgresql" else "SQLite"
    assert told["lines"][0]["what"].startswith(kind)


# --- the worker ---


def test_three_minutes_without_a_sign_of_work_is_broken(well):
    """reliability.md 2.10: nothing leaves, so a monitor hears 503."""
    assert line("worker", NOON + timedelta(minutes=3)).state == health.OK
    late = health.report(at=NOON + timedelta(minutes=3, seconds=1))
    assert (late.state, late.http_status) == (health.BROKEN, 503)


def test_a_call_that_has_begun_is_a_sign_of_work(well):
    """A turn may take minutes when Togai is slow."""
    delivery = waiting()
    at = NOON + timedelta(minutes=20)
    delivery.attempts.create(
        number=1, purpose="SEND", claim_token=uuid4(), started_at=at, worker="one", release="test"
    )
    assert line("worker", at + timedelta(minutes=2)).state == health.OK


def test_a_new_product_has_three_minutes_for_its_first_turn():
    Schedule.objects.filter(func=tasks.NAME).update(next_run=NOON)
    assert line("worker", NOON + timedelta(minutes=1)).state == health.OK
    assert line("worker", NOON + timedelta(minutes=4)).state == health.BROKEN


def test_a_turn_that_failed_asks_for_attention_until_one_succeeds(well):
    worked(NOON + timedelta(minutes=1), Failure)
    told = line("worker", NOON + timedelta(minutes=1))
    assert (told.state, told.url) == (health.ATTENTION, "/admin/django_q/failure/")
    worked(NOON + timedelta(minutes=2))
    assert line("worker", NOON + timedelta(minutes=2)).state == health.OK


# --- the line and the queue ---


def test_an_outage_says_since_when_why_and_when_it_is_tried(well):
    """G-52: the circuit in words."""
    Link.objects.update(
        unreachable_since=NOON - timedelta(minutes=7),
        closed_until=NOON + timedelta(minutes=4),
        why="Togai cannot be reached.",
    )
    told = line("togai")
    assert told.state == health.ATTENTION
    assert told.what == "Not reached for 7 minutes. Togai cannot be reached. It is tried again in 4 minutes."


def test_a_pause_names_who_and_why(well):
    """G-52."""
    by = administrator(first_name="Ada", last_name="Ott")
    Link.objects.update(paused_at=NOON - timedelta(hours=1), paused_by=by, paused_because="Month end.")
    assert line("sending").what == "Paused by Ada Ott for 1 hour. Month end."
    assert line("sending").state == health.ATTENTION


def test_looking_only_after_a_restore_is_said(well):
    """R-21."""
    Link.objects.update(look_only_since=NOON - timedelta(hours=1), look_only_because="Restored.")
    assert line("sending").what == "Only looking for 1 hour. Restored."
    assert line("sending").state == health.ATTENTION


@pytest.mark.parametrize(("minutes", "state"), [(5, health.OK), (6, health.ATTENTION)])
def test_a_delivery_that_waits_more_than_five_minutes_is_an_alarm(well, minutes, state):
    """reliability.md 2.10: oldest NOT_SENT while the line is up."""
    waiting()
    told = line("waiting", NOON + timedelta(minutes=minutes))
    assert (told.state, told.what) == (state, f"The oldest has waited for {minutes} minutes.")


@pytest.mark.parametrize("why", ["unreachable_since", "paused_at", "look_only_since"])
def test_what_waits_for_the_line_is_no_alarm_of_its_own(well, why):
    """One cause, one alarm."""
    waiting()
    Link.objects.update(**{why: NOON})
    assert line("waiting", NOON + timedelta(hours=1)).state == health.OK


def test_what_waits_for_an_earlier_delivery_is_that_ones_trouble(well):
    first = waiting(State.UNKNOWN, in_doubt_since=NOON)
    waiting(depends_on=first)
    assert line("waiting", NOON + timedelta(hours=1)).what == "Nothing waits."


@pytest.mark.parametrize(("minutes", "state"), [(25, health.OK), (26, health.ATTENTION)])
def test_a_doubt_older_than_looks_take_is_an_alarm(well, minutes, state):
    """reliability.md 2.10: UNKNOWN is resolved within 25 minutes."""
    waiting(State.UNKNOWN, in_doubt_since=NOON)
    told = line("in_doubt", NOON + timedelta(minutes=minutes))
    assert told.state == state
    assert told.what.startswith("1 delivery is looked up at Togai, the oldest for ")


@pytest.mark.parametrize(("name", "state"), [("held", State.HELD), ("needs_a_person", State.NEEDS_HUMAN)])
def test_one_that_is_stuck_is_an_alarm_with_the_way_to_it(well, name, state):
    """reliability.md 2.10: NEEDS_HUMAN > 0."""
    assert line(name).state == health.OK
    waiting(state)
    told = line(name)
    assert (told.state, told.url) == (health.ATTENTION, f"/deliveries/?state={state}")


def test_counts_end_at_a_thousand(well, monkeypatch):
    """Nobody acts differently on more, and a full table must not slow the page."""
    monkeypatch.setattr(health, "MOST_COUNTED", 1)
    waiting(State.HELD)
    waiting(State.HELD)
    assert line("held").what.startswith("1+ deliveries")


def test_a_difference_that_nobody_settled_is_an_alarm(well):
    """R-06, G-50."""
    drift = Drift.objects.create(
        subject_type="proposals.Proposal",
        subject_id="1",
        field="quantity",
        ours="1",
        theirs="2",
        first_seen_at=NOON,
        last_seen_at=NOON,
    )
    assert line("differences").state == health.ATTENTION
    drift.settled_at = NOON
    drift.save()
    assert line("differences").state == health.OK


@pytest.mark.parametrize(("minutes", "state"), [(15, health.OK), (16, health.ATTENTION)])
def test_records_that_nobody_reads_in_time_are_an_alarm(well, minutes, state):
    RemoteSnapshot.objects.create(
        remote_id="purchase.1",
        kind=Delivery.Kind.CREATE_PROPOSAL,
        subject_type="proposals.Proposal",
        subject_id="1",
        status="PROPOSAL_ACTIVE",
        raw="{}",
        fetched_at=NOON,
        next_poll_at=NOON,
    )
    assert line("followed", NOON + timedelta(minutes=minutes)).state == state


def test_a_catalogue_that_was_read_by_halves_is_an_alarm(well):
    assert line("catalogue", NOON + timedelta(hours=2)).what == (
        "Accounts were read 2 hours ago, plans 2 hours ago."
    )
    PullProgress.objects.create(name="accounts", next_token="x", read=7, saved_at=NOON)
    assert line("catalogue").state == health.ATTENTION


def test_a_catalogue_that_was_never_read_is_an_alarm():
    assert line("catalogue").state == health.ATTENTION


# --- the database ---


def test_code_ahead_of_its_tables_is_an_alarm(well):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'togai' AND name LIKE '0002%%'")
    told = line("migrations")
    assert told.state == health.ATTENTION
    assert "not applied" in told.what


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="A setting of PostgreSQL; SQLite's is below.")
def test_a_database_that_forgets_is_an_alarm_and_a_warning(well):
    """R-28: synchronous_commit=off would let a sent row become unsent again."""
    assert checks.what_is_written_down_survives_a_power_cut(None, databases=["default"]) == []
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
    [said] = checks.what_is_written_down_survives_a_power_cut(None, databases=["default"])
    assert said.id == "config.W001"
    assert line("database").state == health.ATTENTION


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="A setting of SQLite; PostgreSQL's is above.")
def test_sqlite_waits_for_the_disk_as_it_ships():
    """R-28: synchronous=FULL; SQLite takes no change inside a transaction."""
    assert checks.what_is_written_down_survives_a_power_cut(None, databases=["default"]) == []
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous=NORMAL")
        try:
            [said] = checks.what_is_written_down_survives_a_power_cut(None, databases=["default"])
            assert health.report(at=NOON).lines[0].state == health.ATTENTION
        finally:
            cursor.execute("PRAGMA synchronous=FULL")
    assert said.id == "config.W001"


def test_the_warning_is_given_by_the_command_of_every_release(capsys):
    """R-28: `check --database default` asks the database; nothing to say here."""
    call_command("check", databases=["default"])
    assert "W001" not in capsys.readouterr().err


def test_clocks_that_differ_are_an_alarm(well, monkeypatch):
    """Claims and waits are times that several machines read."""
    if connection.vendor != "postgresql":
        assert line("clocks").what == "One machine, one clock."
        return
    assert line("clocks").state == health.OK
    now = timezone.now
    monkeypatch.setattr(health.timezone, "now", lambda: now() + timedelta(seconds=40))
    assert line("clocks").state == health.ATTENTION


@pytest.mark.parametrize(
    ("seconds", "words"), [(40, "40 seconds ahead of ours"), (-31, "31 seconds behind ours")]
)
def test_togais_clock_is_compared_with_ours(well, seconds, words):
    """Reliability.md 2.7: looks compare moments that Togai wrote down with moments of ours."""
    Link.objects.update_or_create(pk=1, defaults={"skew_seconds": 30})
    assert line("clocks").state == health.OK
    Link.objects.update(skew_seconds=seconds)
    assert line("clocks").state == health.ATTENTION
    assert words in line("clocks").what


# --- who is told, and how ---


def test_only_administrators_are_told(client):
    """S-01: a stranger is sent to the sign-in page, everybody else is refused."""
    assert client.get("/health/")["Location"].startswith("/login/?next=")
    client.force_login(rep())
    assert client.get("/health/").status_code == 403


def bearing(user, **lifetime):
    return {"Authorization": f"Bearer {AuthToken.objects.create(user, **lifetime)[1]}"}


def test_a_monitor_asks_with_a_token_of_an_administrator(client):
    """S-18: no session, no page to sign in at; it hears the state and its code."""
    Schedule.objects.filter(func=tasks.NAME).update(next_run=timezone.now() - timedelta(hours=1))
    with_token = bearing(administrator())
    answer = client.get("/health.json", headers=with_token)
    assert (answer.status_code, answer["Content-Type"]) == (503, "application/json")
    assert answer.json()["state"] == health.BROKEN
    worked(timezone.now())
    assert client.get("/health.json", headers=with_token).status_code == 200


def test_a_monitor_without_the_right_hears_so_in_json(client):
    """S-01, S-18: 401 for a stranger, a guess, and a token that has ended; 403 for anybody else's."""
    ended = bearing(administrator(), expiry=timedelta(seconds=-1))
    strangers = [{}, {"Authorization": "Bearer desk_guessed"}, ended]
    answers = [client.get("/health.json", headers=headers) for headers in strangers]
    answers.append(client.get("/health.json", headers=bearing(rep())))
    assert [answer.status_code for answer in answers] == [401, 401, 401, 403]
    assert {answer["Content-Type"] for answer in answers} == {"application/json"}
    assert all(set(answer.json()) == {"detail"} for answer in answers)


def test_monitors_get_json_by_address_or_by_asking(client, well):
    client.force_login(administrator())
    by_address = client.get("/health.json")
    by_asking = client.get("/health/", headers={"Accept": "application/json"})
    page = client.get("/health/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert by_address["Content-Type"] == by_asking["Content-Type"] == "application/json"
    assert [one["name"] for one in by_address.json()["lines"]] == [
        one["name"] for one in by_asking.json()["lines"]
    ]
    assert page["Content-Type"].startswith("text/html")


def test_the_page_says_what_to_do_and_where(client, well):
    """Plain words and a way to the place."""
    waiting(State.NEEDS_HUMAN)
    client.force_login(administrator())
    worked(timezone.now())
    answer = client.get("/health/")
    assert answer.status_code == 200
    assert "Needs attention" in answer.text
    assert "1 delivery cannot be settled without you." in answer.text
    assert 'href="/deliveries/?state=NEEDS_HUMAN"' in answer.text


def test_a_broken_product_answers_503_on_page_and_json(client):
    """A monitor needs to read no words."""
    Schedule.objects.filter(func=tasks.NAME).update(next_run=timezone.now() - timedelta(hours=1))
    client.force_login(administrator())
    assert [client.get(path).status_code for path in health.PATHS] == [503, 503]


@pytest.mark.parametrize("path", health.PATHS)
def test_without_a_database_anybody_learns_that_and_nothing_else(client, monkeypatch, path):
    """Nobody can be known then; signing in would fail as well."""

    def away(*args, **kwargs):
        raise OperationalError("connection to server at 10.1.2.3 failed: password wrong")

    monkeypatch.setattr(connection, "cursor", away)
    answer = client.get(path)
    told = answer.json()
    assert (answer.status_code, told["state"]) == (503, "broken")
    assert [one["what"] for one in told["lines"]] == ["The database does not answer."]
    assert "10.1.2.3" not in answer.text


def test_the_page_costs_the_same_whatever_the_tables_hold(client, well, django_assert_max_num_queries):
    """No line asks once per row."""
    for _ in range(3):
        waiting(State.UNKNOWN, in_doubt_since=NOON)
    client.force_login(person(is_superuser=True))
    client.get("/health/")
    with django_assert_max_num_queries(32):
        client.get("/health/")


def test_a_balancer_hands_out_work_where_it_can_be_done(client, monkeypatch):
    """Design 6: /readyz is for anybody, and 503 without the database or with migrations to apply."""
    answer = client.get("/readyz")
    assert (answer.status_code, answer.content) == (200, b"ready")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'togai' AND name LIKE '0002%%'")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.content) == (503, b"not ready")
    monkeypatch.setattr(health, "_database_answers", lambda: False)
    monkeypatch.setattr(health, "_pending", lambda: pytest.fail("nobody asks a database that is away"))
    assert client.get("/readyz").status_code == 503
