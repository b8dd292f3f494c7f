"""Pulls as people ask for them: who may, one at a time, resumed after a kill, told on a page."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import responses

from accounts.models import Account, PullProgress, PullRun
from audit.models import Event
from audit.refusals import NotAllowed, WrongStatus
from audit.roles import Role
from purchases import pulling, tasks
from tests.factories import NOON, administrator, person
from tests.purchases.test_catalogue import ACME, BASE, PLAN, lists
from togai import errors
from togai.gateway import Gateway
from togai.models import Link
from togai.secret import Secret

pytestmark = pytest.mark.django_db

PAGE, NOW, ANEW = "/deliveries/pull/", "/deliveries/pull/now/", "/deliveries/pull/start-over/"
ACCOUNTS = PullRun.Name.ACCOUNTS
READERS = [Role.ADMINISTRATOR, Role.FINANCE, Role.CFO, Role.AUDITOR]
NOT_ADMINISTRATORS = [role for role in Role if role != Role.ADMINISTRATOR]


@pytest.fixture
def togai():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


class Clock:
    """The time, moved by hand; it also counts the seconds that a worker may pull in one go."""

    def __init__(self):
        self.now, self.ticks = NOON, 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def work(clock):
    """One turn of a worker."""

    def turn(sleep=lambda seconds: None):
        gateway = Gateway(base_url=BASE, token=Secret("canary"))
        return pulling.work(gateway=gateway, clock=clock, sleep=sleep, ticks=lambda: clock.ticks)

    return turn


def ask(*names, by=None, anew=False, at=NOON):
    return pulling.ask(by=by or administrator(), at=at, names=names or [ACCOUNTS], anew=anew)


class Killed(BaseException):
    """Stands for the end of the process: nobody catches it."""


def pages(togai, *pages, killed_at=None):
    """Have Togai list accounts in pages of one; in the call for page `killed_at` our process is killed."""

    def kill(request):
        raise Killed

    lists(togai, "/customers")
    for number, name in enumerate(pages):
        token = str(number + 1) if number + 1 < len(pages) else None
        if number == killed_at:
            togai.add_callback("GET", f"{BASE}/accounts", kill, match=[_asks_for(number)])
        else:
            row = ACME | {"id": name}
            togai.get(f"{BASE}/accounts", json={"data": [row], "nextToken": token}, match=[_asks_for(number)])


def _asks_for(number):
    """Whether a request is for this page: the first has no token."""

    def match(request):
        token = parse_qs(urlsplit(request.url).query).get("nextToken", [None])[0]
        return token == (str(number) if number else None), "another page"

    return match


def asked_for(togai):
    """The tokens of the pages of accounts that were read."""
    wanted = [call.request.url for call in togai.calls if "/accounts" in call.request.url]
    return [parse_qs(urlsplit(url).query).get("nextToken", [None])[0] for url in wanted]


# Who


@pytest.mark.parametrize("role", NOT_ADMINISTRATORS)
def test_only_administrators_ask_for_a_pull(client, role):
    with pytest.raises(NotAllowed):
        ask(by=person(role))
    client.force_login(person(role))
    assert [client.post(url).status_code for url in (NOW, ANEW)] == [403, 403]
    assert not PullRun.objects.exists()


@pytest.mark.parametrize("role", Role)
def test_who_reads_deliveries_reads_how_far_a_pull_is(client, role):
    client.force_login(person(role))
    answer = client.get(PAGE)
    assert answer.status_code == (200 if role in READERS else 403)
    assert ("Pull now" in answer.content.decode()) == (role == Role.ADMINISTRATOR)


def test_asking_is_on_record_and_calls_nobody(client, togai):
    admin = administrator()
    client.force_login(admin)
    answer = client.post(NOW, {"list": "plans"}, follow=True)
    assert answer.redirect_chain == [(PAGE, 303)]
    run = PullRun.objects.get()
    assert (run.name, run.state, run.asked_by, run.anew) == ("plans", "WAITING", admin, False)
    event = Event.objects.about(run).get()
    assert (event.verb, event.actor, event.after["list"]) == ("ask_pull", admin, "Price plans")
    assert not togai.calls


def test_without_a_list_all_are_asked_for(client):
    client.force_login(administrator())
    client.post(ANEW)
    assert {run.name for run in PullRun.objects.filter(anew=True)} == {"accounts", "plans", "features"}


def test_a_list_that_does_not_exist_is_not_asked_for(client):
    client.force_login(administrator())
    assert client.post(NOW, {"list": "invoices"}).status_code == 409
    assert not PullRun.objects.exists()


def test_a_list_is_asked_for_once():
    ask()
    with pytest.raises(WrongStatus):
        ask()
    assert PullRun.objects.count() == 1


# How far


def test_a_worker_pulls_what_was_asked_for(work, togai):
    ask()
    pages(togai, "one", "two")
    assert work() is False
    run = PullRun.objects.get()
    assert (run.state, run.pages, run.read, run.new, run.skipped) == ("DONE", 2, 2, 2, 0)
    assert (run.started_at, run.ended_at, run.claim_token) == (NOON, NOON, None)
    assert not PullProgress.objects.exists()


def test_nothing_asked_for_calls_nobody(work, togai):
    assert work() is False
    assert not togai.calls


def test_a_long_pull_makes_room_for_deliveries_and_goes_on(work, clock, togai):
    """A worker with a long list in hands would send nothing meanwhile."""
    ask()
    pages(togai, "one", "two", "three")
    ends = pulling.SLICE_SECONDS + 1
    # Every look at the clock is later than a slice: each turn ends after its first page.
    ticking = iter(range(0, 1000 * ends, ends))
    gateway = Gateway(base_url=BASE, token=Secret("canary"))

    def turn():
        return pulling.work(gateway=gateway, clock=clock, ticks=lambda: next(ticking))

    assert turn() is True
    run = PullRun.objects.get()
    assert (run.state, run.read, PullProgress.objects.get().next_token) == ("RUNNING", 1, "1")
    assert turn() is True
    assert turn() is False
    run.refresh_from_db()
    assert (run.state, run.read, run.new, run.pages) == ("DONE", 3, 3, 3)
    assert asked_for(togai) == [None, "1", "2"]


def test_customers_are_read_page_by_page_and_no_page_twice(clock, togai):
    """A hundred thousand customers are many turns; each goes on behind the one before."""
    ask()
    for after, token in ((None, "c1"), ("c1", "c2"), ("c2", None)):
        customer = {"id": f"customer-{after}", "name": f"Acme {after}"}
        lists(togai, "/customers", customer, token=token, after=after)
    lists(togai, "/accounts", ACME | {"customerId": "customer-c1"}, token="1")
    lists(togai, "/accounts", ACME | {"id": "second", "customerId": "customer-c2"}, after="1")
    ends = pulling.SLICE_SECONDS + 1
    ticking = iter(range(0, 1000 * ends, ends))
    gateway = Gateway(base_url=BASE, token=Secret("canary"))
    turns = 1
    while pulling.work(gateway=gateway, clock=clock, ticks=lambda: next(ticking)):
        turns += 1
        assert PullRun.objects.get().state == "RUNNING"
    asked = [urlsplit(call.request.url) for call in togai.calls]
    told = [(url.path, parse_qs(url.query).get("nextToken", [None])[0]) for url in asked]
    customers = [("/customers", None), ("/customers", "c1"), ("/customers", "c2")]
    assert (turns, told) == (4, [*customers, ("/accounts", None), ("/accounts", "1")])
    named = dict(Account.objects.values_list("togai_id", "customer_name"))
    assert named == {"acme-eu": "Acme c1", "second": "Acme c2"}
    run = PullRun.objects.get()
    assert (run.state, run.read, run.pages, PullProgress.objects.exists()) == ("DONE", 2, 2, False)


@pytest.mark.parametrize("place", ["customers", "accounts"])
def test_a_pull_that_begins_anew_forgets_both_of_its_places(work, togai, place):
    """Whoever starts over reads customers from the first on, too."""
    PullProgress.objects.create(name=place, next_token="9", read=900, saved_at=NOON)
    ask(anew=True)
    pages(togai, "one")
    work()
    assert all("nextToken" not in call.request.url for call in togai.calls)
    assert (PullRun.objects.get().read, PullProgress.objects.exists()) == (1, False)


def test_a_pull_that_was_killed_goes_on_where_it_stopped(work, clock, togai):
    """A process that is killed writes nothing: its row is taken up when it has been silent for a while."""
    ask()
    pages(togai, "one", "two", "three", killed_at=1)
    with pytest.raises(Killed):
        work()
    # A kill leaves the row as it was at the last commit.
    PullRun.objects.update(
        state="RUNNING", ended_at=None, why="", claim_token="1" * 32, claim_until=NOON + pulling.LEASE
    )
    assert Account.objects.count() == 1
    assert work() is False
    assert Account.objects.count() == 1

    togai.reset()
    pages(togai, "one", "two", "three")
    clock.now = NOON + pulling.LEASE
    work()
    run = PullRun.objects.get()
    assert (run.state, run.read, Account.objects.count()) == ("DONE", 3, 3)
    assert asked_for(togai) == ["1", "2"]


def test_a_pull_in_which_worker_after_worker_dies_is_left_to_a_person(work, clock, togai):
    """R-07: every automatic path is bounded."""
    ask()
    for death in range(pulling.MOST_DEATHS):
        PullRun.objects.update(
            state="RUNNING", deaths=death, moved_at=clock.now, claim_until=clock.now + pulling.LEASE
        )
        clock.now += pulling.LEASE
        if death + 1 < pulling.MOST_DEATHS:
            pulling._claim(PullRun.objects.get(), at=clock.now)
    assert work() is False
    run = PullRun.objects.get()
    assert (run.state, run.why) == (
        "STOPPED",
        "3 workers in a row ended in the middle of it; the log says why.",
    )
    assert not togai.calls


def test_a_pull_that_togai_does_not_answer_says_so_and_goes_on_when_asked(work, togai):
    ask()
    lists(togai, "/customers")
    togai.get(f"{BASE}/accounts", json={"data": [ACME], "nextToken": "1"}, match=[_asks_for(0)])
    togai.get(f"{BASE}/accounts", status=503, match=[_asks_for(1)])
    slept = []
    assert work(sleep=slept.append) is False
    run = PullRun.objects.get()
    assert (run.state, run.read) == ("STOPPED", 1)
    assert run.why
    # It waits for others no longer than this.
    assert slept == [2, 4]

    togai.reset()
    pages(togai, "acme-eu", "two")
    ask()
    work()
    again = PullRun.objects.latest("pk")
    assert (again.state, again.read, asked_for(togai)) == ("DONE", 2, ["1"])


def test_plans_go_on_with_the_page_in_which_they_stopped(work, togai):
    second = PLAN | {"id": "pp.two", "referenceId": "pp.two", "name": "Two"}
    for plan in (PLAN, second):
        lists(togai, f"/v2/price_plans/{plan['id']}/versions", plan)
        lists(togai, f"/v2/price_plans/{plan['id']}/rate_cards")
    togai.get(f"{BASE}/v2/price_plans", json={"data": [PLAN], "nextToken": "1"}, match=[_asks_for(0)])
    failing = togai.get(f"{BASE}/v2/price_plans", status=503, match=[_asks_for(1)])
    ask(PullRun.Name.PLANS)
    work()
    assert PullRun.objects.get().state == "STOPPED"
    assert PullProgress.objects.get(name="plans").next_token == "1"

    togai.remove(failing)
    togai.get(f"{BASE}/v2/price_plans", json={"data": [second], "nextToken": None}, match=[_asks_for(1)])
    seen = len(togai.calls)
    ask(PullRun.Name.PLANS)
    work()
    run = PullRun.objects.latest("pk")
    assert (run.state, run.read) == ("DONE", 2)
    assert not any(PLAN["id"] in call.request.url for call in list(togai.calls)[seen:])


def test_starting_over_begins_with_the_first_page(work, togai):
    PullProgress.objects.create(name="accounts", next_token="1", read=7, saved_at=NOON)
    ask(anew=True)
    pages(togai, "one", "two")
    work()
    assert (PullRun.objects.get().read, asked_for(togai)) == (2, [None, "1"])


def test_starting_over_ends_the_pull_that_is_under_way(togai):
    """The older one notices when it next writes, and leaves the list to the newer one."""
    (old,) = ask()
    pulling._claim(old, at=NOON)
    (new,) = ask(anew=True)
    old_row = PullRun.objects.get(pk=old.pk)
    assert (old_row.state, old_row.why) == ("STOPPED", "Somebody started over.")
    assert new.anew
    with pytest.raises(pulling.TakenOver):
        pulling._put(old, read=99)
    assert PullRun.objects.get(pk=old.pk).read == 0


def test_of_two_workers_one_pulls():
    """R-10"""
    (run,) = ask()
    same = PullRun.objects.get(pk=run.pk)
    assert pulling._claim(run, at=NOON) is True
    assert pulling._claim(same, at=NOON) is False


def test_a_refused_token_rests_all_calls(work, clock, togai):
    """Five refused tokens lock the office out for half an hour (togai.md 2)."""
    ask()
    togai.get(f"{BASE}/customers", status=401)
    work()
    assert PullRun.objects.get().state == "STOPPED"
    assert Link.load().closed_until > NOON
    ask()
    work()
    assert len(togai.calls) == 1
    assert PullRun.objects.latest("pk").state == "WAITING"


def test_the_command_takes_over_from_a_worker(togai):
    (run,) = ask()
    pulling._claim(run, at=NOON)
    pages(togai, "one")
    gateway = Gateway(base_url=BASE, token=Secret("canary"))
    tally = pulling.pull_now(ACCOUNTS, gateway=gateway, clock=lambda: NOON)
    assert tally.read == 1
    assert [one.state for one in PullRun.objects.order_by("pk")] == ["STOPPED", "DONE"]


def test_the_command_says_why_it_stopped(togai):
    togai.get(f"{BASE}/customers", status=401)
    gateway = Gateway(base_url=BASE, token=Secret("canary"))
    with pytest.raises(errors.SignInRefused):
        pulling.pull_now(ACCOUNTS, gateway=gateway, clock=lambda: NOON)
    assert PullRun.objects.get().state == "STOPPED"


def test_a_turn_of_the_clock_without_a_wish_does_nothing(togai):
    """R-08: the schedule calls this every few minutes."""
    tasks.pull()
    assert not togai.calls


# What the page says


def shown(client, by=None):
    client.force_login(by or administrator())
    return " ".join(client.get(PAGE).content.decode().split())


def test_a_list_that_was_never_pulled_says_so(client):
    assert shown(client).count("Never pulled") == 3


def test_a_pull_under_way_shows_how_far_it_is(client, time_machine):
    time_machine.move_to(NOON + timedelta(minutes=1), tick=False)
    done = {"asked_at": NOON, "started_at": NOON, "moved_at": NOON, "ended_at": NOON}
    PullRun.objects.create(name="accounts", state="DONE", read=1200, pages=12, **done)
    PullRun.objects.create(
        name="accounts",
        state="RUNNING",
        asked_by=administrator(first_name="Ada", last_name="Lang"),
        asked_at=NOON,
        started_at=NOON,
        moved_at=NOON + timedelta(seconds=50),
        claim_until=NOON + timedelta(minutes=5),
        read=300,
        pages=3,
        new=4,
    )
    page = shown(client)
    assert "300 rows in 3 pages: 4 new, 0 changed" in page
    assert '<progress value="300" max="1200"' in page
    assert "Ada Lang" in page
    assert "1,200 rows" in page
    # It asks again by itself, and only while something is under way.
    assert 'hx-trigger="every 2s"' in page
    PullRun.objects.filter(state="RUNNING").update(state="DONE", ended_at=NOON)
    assert "hx-trigger" not in shown(client)


def test_a_pull_that_stopped_says_why_and_where_it_goes_on(client, time_machine):
    time_machine.move_to(NOON + timedelta(minutes=1), tick=False)
    PullProgress.objects.create(name="accounts", next_token="1", read=300, saved_at=NOON)
    ended = {"asked_at": NOON, "started_at": NOON, "moved_at": NOON, "ended_at": NOON}
    PullRun.objects.create(name="accounts", state="STOPPED", read=300, why="Togai did not answer.", **ended)
    page = shown(client)
    assert "Togai did not answer." in page
    assert "goes on after row 300" in page
    assert "Go on" in page


def test_a_pull_without_a_sign_of_life_says_so(client, time_machine):
    time_machine.move_to(NOON + timedelta(minutes=10), tick=False)
    PullRun.objects.create(
        name="accounts", state="RUNNING", asked_at=NOON, started_at=NOON, moved_at=NOON, claim_until=NOON
    )
    assert "No sign of life since" in shown(client)
    assert ask(at=NOON + timedelta(minutes=10))[0].state == "WAITING"


def test_what_was_skipped_is_told_as_text(client):
    ended = {"asked_at": NOON, "started_at": NOON, "moved_at": NOON, "ended_at": NOON}
    PullRun.objects.create(
        name="plans", state="DONE", skipped=30, problems=["Price plan <b>: It has no version."], **ended
    )
    page = shown(client)
    assert "Price plan &lt;b&gt;: It has no version." in page
    assert "The first 1 of them." in page


def test_the_list_of_deliveries_leads_to_the_pull(client):
    client.force_login(administrator())
    assert f'href="{PAGE}"' in client.get("/deliveries/").content.decode()
