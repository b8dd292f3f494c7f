"""
How the product is, for operators and their monitors: one line for each thing that can go wrong, with what to
do about it. docs/operations.md says the same at length.

Everything is read from the database when it is asked for, a few index entries a line; nothing is counted
beyond a thousand, and nobody is called.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Max, Min, Q
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.timesince import timesince
from django.views.decorators.http import require_safe
from django_q.models import Schedule, Task
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Account, PullProgress
from audit.roles import Role, has_role
from config.checks import forgets_after_a_power_cut
from purchases.models import PricePlan
from togai.models import Delivery, DeliveryAttempt, Drift, Link, RemoteSnapshot
from togai.tasks import NAME as WORK

State = Delivery.State

# The alarms of reliability.md 2.10.
LONGEST_WAIT = timedelta(minutes=5)
LONGEST_DOUBT = timedelta(minutes=25)
LONGEST_SILENCE = timedelta(minutes=3)
LATEST_FOLLOW = timedelta(minutes=15)
# Claims and waits are told by each machine's own clock, and last a minute and more.
MOST_SKEW = timedelta(seconds=10)
MOST_SKEW_OF_TOGAI = timedelta(seconds=30)
MOST_COUNTED = 1000

OK, ATTENTION, BROKEN = "ok", "attention", "broken"
WORDS = {OK: "All is well", ATTENTION: "Needs attention", BROKEN: "Broken"}
PATHS = ("/health/", "/health.json")


@dataclass(frozen=True)
class Line:
    """
    One thing that is well or not.

    :ivar what: how it is, in a sentence
    :ivar todo: what to do about it, "" while it is well
    :ivar url: the page on which that is done, "" where there is none
    """

    name: str
    title: str
    state: str
    what: str
    todo: str = ""
    url: str = ""

    @property
    def words(self):
        return {OK: "OK", ATTENTION: "Attention", BROKEN: "Broken"}[self.state]


@dataclass(frozen=True)
class Report:
    """Everything at one moment."""

    at: datetime
    lines: tuple

    @property
    def state(self):
        """The worst of its lines."""
        states = {line.state for line in self.lines}
        return next((state for state in (BROKEN, ATTENTION) if state in states), OK)

    @property
    def words(self):
        return WORDS[self.state]

    @property
    def http_status(self):
        """503 when nothing can go out, 200 while a person can put it right in time."""
        return 503 if self.state == BROKEN else 200

    def plain(self):
        """The same for programs."""
        return {
            "state": self.state,
            "at": self.at.isoformat(),
            "release": settings.RELEASE,
            "lines": [
                {"name": line.name, "state": line.state, "what": line.what, "todo": line.todo}
                for line in self.lines
            ],
        }


def report(*, at):
    """How everything is at this moment."""
    link = Link.load()
    # What waits for Togai or for a person who stopped sending is told once, by that line.
    flows = link.may_send and not (link.unreachable_since or (link.closed_until and link.closed_until > at))
    return Report(
        at=at,
        lines=(
            _database(),
            _migrations(),
            _worker(at),
            _clocks(link),
            _togai(link, at),
            _sending(link, at),
            _waiting(at, flows=flows),
            _in_doubt(at),
            _held(),
            _needs_a_person(),
            _differences(),
            _followed(at, flows=link.unreachable_since is None),
            _pulled(at),
        ),
    )


@require_safe
def health(request):
    """The page of operators; JSON where that is preferred. 503 when something is broken."""
    seen = _report_for(request.user)
    if request.get_preferred_type(["text/html", "application/json"]) == "application/json":
        return JsonResponse(seen.plain(), status=seen.http_status)
    context = {"report": seen, "release": settings.RELEASE}
    return render(request, "health.html", context, status=seen.http_status)


class HealthForPrograms(APIView):
    """The same for monitors, with an administrator's API token; a stranger gets 401 in JSON."""

    http_method_names = ("get", "head")
    # It is no part of the API of deals.
    schema = None

    def get(self, request):
        """How everything is now; 503 when something is broken."""
        seen = _report_for(request.user)
        return Response(seen.plain(), status=seen.http_status)


def _report_for(user):
    if not has_role(user, Role.ADMINISTRATOR):
        raise PermissionDenied("How the product is, is for administrators.")
    return report(at=timezone.now())


def health_without_a_database(get_response):
    """
    Answer 503 for the health page while the database is away: who asks cannot be known then, and is told
    nothing else.
    """

    def middleware(request):
        if request.path in PATHS and not _database_answers():
            line = Line("database", "Database", BROKEN, "The database does not answer.")
            return JsonResponse(Report(timezone.now(), (line,)).plain(), status=503)
        return get_response(request)

    return middleware


@require_safe
@login_not_required
def readyz(request):
    """Ready for work: the database answers and has every migration; 503 while it does not. Nothing else."""
    ready = _database_answers() and not _pending()
    return HttpResponse(
        "ready" if ready else "not ready", content_type="text/plain", status=200 if ready else 503
    )


def _database_answers():
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError):
        return False
    return True


def _pending():
    """How many migrations are not applied."""
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _database():
    line = partial(Line, "database", "Database")
    if connection.vendor == "postgresql":
        kind = f"PostgreSQL {connection.pg_version // 10000}"
    else:
        kind = "SQLite, for one machine and one worker"
    if forgets_after_a_power_cut():
        return line(
            ATTENTION,
            f"{kind} answers, but may forget the last moments when the power fails.",
            "Set synchronous_commit back to on: what was sent could be sent a second time.",
        )
    return line(OK, f"{kind} answers.")


def _migrations():
    line = partial(Line, "migrations", "Migrations")
    pending = _pending()
    if pending:
        return line(
            ATTENTION,
            f"{_many(pending, 'migration is', 'migrations are')} not applied: the code is ahead of the data.",
            "Run manage.py migrate.",
        )
    return line(OK, "All are applied.")


def _worker(at):
    """
    Alive is who finished a turn of work or began a call: a turn comes every minute, and both are rows.

    The library's own statistics live in the memory of one process, so no other one sees them.
    """
    line = partial(Line, "worker", "Worker")
    newest = Task.objects.order_by("-stopped").values_list("stopped", flat=True).first()
    attempt = DeliveryAttempt.objects.order_by("-pk").values_list("started_at", "finished_at").first()
    signs = [sign for sign in (newest, *(attempt or ())) if sign]
    start = "Start manage.py qcluster, or look into its log. Nothing is lost: what waits is sent then."
    if not signs:
        planned = Schedule.objects.filter(func=WORK).values_list("next_run", flat=True).first()
        if planned is None or at - planned > LONGEST_SILENCE:
            return line(BROKEN, "No worker has ever worked here.", start)
        return line(OK, "No worker has worked yet; its first turn is due.")
    silence = at - max(signs)
    if silence > LONGEST_SILENCE:
        return line(BROKEN, f"No worker has done anything for {_span(silence)}.", start)
    last = Task.objects.filter(func=WORK).order_by("-stopped").values_list("success", flat=True).first()
    if last is False:
        return line(
            ATTENTION,
            "It works, but its last turn ended with an error.",
            "Read the error under Administration, Failed tasks. The next turn tries again.",
            reverse("admin:django_q_failure_changelist"),
        )
    return line(OK, f"Last sign of work: {_span(silence)} ago.")


def _clocks(link):
    line = partial(Line, "clocks", "Clocks")
    if abs(link.skew_seconds) > MOST_SKEW_OF_TOGAI.total_seconds():
        where = "ahead of" if link.skew_seconds > 0 else "behind"
        return line(
            ATTENTION,
            f"Togai's clock is {abs(link.skew_seconds)} seconds {where} ours.",
            "Have this machine set its clock over the network (NTP). Looks allow for the difference.",
        )
    if connection.vendor != "postgresql":
        return line(OK, "One machine, one clock.")
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        skew = abs(cursor.fetchone()[0] - timezone.now())
    if skew > MOST_SKEW:
        return line(
            ATTENTION,
            f"This machine and the database differ by {round(skew.total_seconds())} seconds.",
            "Have both set their clocks over the network (NTP).",
        )
    return line(OK, "This machine and the database agree.")


def _togai(link, at):
    line = partial(Line, "togai", "Togai")
    if link._state.adding:
        return line(OK, "Not called yet.")
    if link.unreachable_since is None:
        return line(OK, "The last call was answered.")
    closed = link.closed_until and link.closed_until > at
    tried = f" It is tried again in {_span(link.closed_until - at)}." if closed else ""
    return line(
        ATTENTION,
        f"Not reached for {_span(at - link.unreachable_since)}. {link.why}".rstrip() + tried,
        "Nothing is lost, and all that waits is sent once it is back. If it is the token, renew it.",
        reverse("togai:list"),
    )


def _sending(link, at):
    line = partial(Line, "sending", "Sending", url=reverse("togai:list"))
    if link.look_only_since:
        return line(
            ATTENTION,
            f"Only looking for {_span(at - link.look_only_since)}. {link.look_only_because}".rstrip(),
            "Read the report of the restore and sign it: sending begins after that.",
        )
    if link.paused_at:
        by = f" by {link.paused_by.get_full_name() or link.paused_by}" if link.paused_by else ""
        return line(
            ATTENTION,
            f"Paused{by} for {_span(at - link.paused_at)}. {link.paused_because}".rstrip(),
            "Resume it under Deliveries once the reason is gone.",
        )
    return Line("sending", "Sending", OK, "Nobody has stopped it.")


def _waiting(at, *, flows):
    """What could leave now: what waits for an earlier delivery is that one's trouble."""
    line = partial(Line, "waiting", "Waiting to be sent")
    ready = Q(depends_on=None) | Q(depends_on__state=State.CONFIRMED)
    oldest = (
        Delivery.objects.filter(ready, state=State.NOT_SENT)
        .order_by("created_at", "pk")
        .values_list("created_at", flat=True)
        .first()
    )
    if oldest is None:
        return line(OK, "Nothing waits.")
    what = f"The oldest has waited for {_span(at - oldest)}."
    if flows and at - oldest > LONGEST_WAIT:
        return line(
            ATTENTION,
            what,
            "Open it: it says why it did not leave. If it says nothing, look at the worker's log.",
            _listed(State.NOT_SENT),
        )
    return line(OK, what)


def _in_doubt(at):
    line = partial(Line, "in_doubt", "Being verified")
    count = _counted(State.UNKNOWN)
    if not count:
        return line(OK, "Nothing is in doubt.")
    since = Delivery.objects.filter(state=State.UNKNOWN).aggregate(since=Min("in_doubt_since"))["since"]
    what = f"{_many(count, 'delivery is', 'deliveries are')} looked up at Togai"
    if since is None:
        return line(OK, f"{what}.")
    what += f", the oldest for {_span(at - since)}."
    if at - since > LONGEST_DOUBT:
        return line(
            ATTENTION,
            what,
            "Press Look now. It is never sent again before Togai was read.",
            _listed(State.UNKNOWN),
        )
    return line(OK, what)


def _held():
    line = partial(Line, "held", "Held")
    if count := _counted(State.HELD):
        what = f"{_many(count, 'delivery was', 'deliveries were')} stopped before leaving."
        todo = "Each says why. Put the cause right, then let it go on."
        return line(ATTENTION, what, todo, _listed(State.HELD))
    return line(OK, "Nothing is held.")


def _needs_a_person():
    line = partial(Line, "needs_a_person", "Needs a person")
    if count := _counted(State.NEEDS_HUMAN):
        what = f"{_many(count, 'delivery', 'deliveries')} cannot be settled without you."
        todo = "Compare with Togai's console; then two administrators settle it."
        return line(ATTENTION, what, todo, _listed(State.NEEDS_HUMAN))
    return line(OK, "Nobody has to look at anything.")


def _differences():
    line = partial(Line, "differences", "Differences")
    if count := Drift.objects.filter(settled_at=None)[: MOST_COUNTED + 1].count():
        what = f"{_many(count, 'value differs', 'values differ')} between Togai's records and ours."
        return line(ATTENTION, what, "Open the deal: accept theirs, revise, or ignore it with a reason.")
    return line(OK, "Togai's records say what ours say.")


def _followed(at, *, flows):
    line = partial(Line, "followed", "Following Togai")
    due = (
        RemoteSnapshot.objects.filter(next_poll_at__isnull=False)
        .order_by("next_poll_at")
        .values_list("next_poll_at", flat=True)
        .first()
    )
    if due is None:
        return line(OK, "Nothing at Togai is open.")
    if due >= at:
        return line(OK, "Every open record is read in time.")
    what = f"The latest reading of an open record is {_span(at - due)} late."
    if flows and at - due > LATEST_FOLLOW:
        todo = "Look at the worker's log: it reads what is due each minute. More workers read more."
        return line(ATTENTION, what, todo)
    return line(OK, what)


def _pulled(at):
    line = partial(Line, "catalogue", "Accounts and plans")
    accounts = Account.objects.aggregate(at=Max("pulled_at"))["at"]
    plans = PricePlan.objects.aggregate(at=Max("pulled_at"))["at"]
    pull, page = "Press “Pull now” under Deliveries, Pull.", reverse("purchases:pull")
    if accounts is None or plans is None:
        return line(ATTENTION, "Accounts or plans were never read from Togai.", pull, page)
    what = f"Accounts were read {_span(at - accounts)} ago, plans {_span(at - plans)} ago."
    if PullProgress.objects.exists():
        return line(ATTENTION, f"{what} The last reading stopped halfway.", f"{pull} It goes on there.", page)
    return line(OK, what, url=page)


def _counted(state):
    return Delivery.objects.filter(state=state)[: MOST_COUNTED + 1].count()


def _many(count, one, more):
    shown = f"{MOST_COUNTED:,}+" if count > MOST_COUNTED else f"{count:,}"
    return f"{shown} {one if count == 1 else more}"


def _listed(state):
    return f"{reverse('togai:list')}?state={state}"


def _span(span):
    """A length of time in words."""
    if span < timedelta(minutes=1):
        return "less than a minute"
    now = timezone.now()
    return timesince(now - span, now, depth=1).replace("\xa0", " ")
