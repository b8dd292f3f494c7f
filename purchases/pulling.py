"""
Pulls from Togai as people ask for them and follow them: who may, one at a time per list, how far, how it
ended. What a pull reads and stores stands in `purchases.catalogue`.

The rows are the truth (R-08): a message that is lost, a worker that is killed in the middle and a restart
leave a row that the next turn by the clock takes up.
"""

import logging
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.models import PullProgress, PullRun
from audit import services as audit
from audit.refusals import WrongStatus
from purchases.catalogue import PLACES, TOKEN_HOLDS, HalfWay, Pull, Tally
from togai import errors, line
from togai.models import Link
from togai.services import require_operator
from togai.worker import make_gateway

log = logging.getLogger("togai")

Name, State = PullRun.Name, PullRun.State

# Plans need the names of features, deals need both: in this order.
ORDER = (Name.FEATURES, Name.PLANS, Name.ACCOUNTS)
# After so long without a sign of life a puller counts as gone.
LEASE = timedelta(minutes=5)
# A worker pulls so long in one go; then what people sent has its turn.
SLICE_SECONDS = 10
# A worker waits at most so long before it reads again; what it then leaves goes on with the next pull.
LONGEST_WAIT = 4
# A list in whose middle so many workers ended in a row is not tried again by itself.
MOST_DEATHS = 3
# Problems that are kept in words; all of them are counted.
MOST_PROBLEMS = 20


class TakenOver(Exception):
    """Somebody else pulls this list now."""


# --- Asking ---


def ask(*, by, at, names=ORDER, anew=False):
    """
    Ask the workers for a pull of some lists; each goes on where an earlier one stopped.

    :param anew: begin with the first page all the same, also in place of what is under way
    :returns: the `PullRun` rows that were asked for
    :raises NotAllowed: only administrators ask
    :raises WrongStatus: every one of the lists is being pulled already
    """
    require_operator(by)
    try:
        with transaction.atomic():
            runs = [run for name in ORDER if name in names and (run := _asked(name, by=by, at=at, anew=anew))]
            if not runs:
                raise WrongStatus("This is being pulled already.")
            transaction.on_commit(wake)
    except IntegrityError as error:
        # Of two who press the button at once, one is first.
        raise WrongStatus("Somebody asked for this a moment ago.") from error
    return runs


def _asked(name, *, by, at, anew):
    """The run that was asked for, or None where one is under way that need not be replaced."""
    before = PullRun.objects.select_for_update().filter(name=name, state__in=PullRun.OPEN).first()
    if before and not anew and (before.state == State.WAITING or not is_silent(before, at=at)):
        return None
    if before:
        why = "Somebody started over." if anew else "The process that pulled ended in the middle."
        _end(before, State.STOPPED, at=at, why=why)
    run = PullRun.objects.create(name=name, asked_by=by, asked_at=at, anew=anew)
    audit.record(run, "ask_pull", by=by, at=at, after={"list": run.get_name_display(), "anew": anew})
    return run


def wake():
    """Tell a worker that a pull waits; losing the message loses nothing."""
    from django_q.tasks import async_task

    if not settings.Q_CLUSTER.get("testing"):
        async_task("purchases.tasks.pull")


# --- Pulling ---


def work(*, gateway=None, clock=timezone.now, sleep=time.sleep, ticks=time.monotonic):
    """
    Pull for some seconds what was asked for, or what somebody left in the middle.

    :returns: whether more is to do at once
    """
    at = clock()
    link = Link.load()
    if link.closed_until and link.closed_until > at:
        # Calls rest; the next turn by the clock sees again.
        return False
    run = next((run for run in _due(at) if _claim(run, at=at)), None)
    if run is None:
        return False
    ends = ticks() + SLICE_SECONDS
    gateway = gateway or make_gateway()
    try:
        _carry(
            run, gateway, clock=clock, sleep=sleep, longest_wait=LONGEST_WAIT, enough=lambda: ticks() > ends
        )
    except errors.TogaiError as error:
        # Why it stopped stands in its row; what it says about the line concerns everybody.
        line.note(error, at=clock())
    except TakenOver:
        pass
    return bool(_due(clock()))


def pull_now(name, *, gateway, anew=False, tell=lambda name, tally: None, clock=timezone.now):
    """
    Pull one list here and now, to its end; in place of whoever pulls it at the moment.

    :returns: the `Tally`
    :raises TogaiError: it stopped half-way; the next pull goes on there
    :raises TakenOver: somebody else began it meanwhile
    """
    at = clock()
    with transaction.atomic():
        for before in PullRun.objects.select_for_update().filter(name=name, state__in=PullRun.OPEN):
            _end(before, State.STOPPED, at=at, why="It went on from the command line.")
        run = PullRun.objects.create(name=name, asked_at=at, anew=anew)
        _claim(run, at=at)
    return _carry(run, gateway, clock=clock, tell=tell)


def _due(at):
    runs = PullRun.objects.filter(
        Q(state=State.WAITING) | Q(state=State.RUNNING, claim_until__lte=at), name__in=ORDER
    )
    return sorted(runs, key=lambda run: ORDER.index(run.name))


@transaction.atomic
def _claim(run, *, at):
    """
    Take a run that nobody works on: a compare-and-swap, so of two workers one gets it (R-10). One in whose
    middle worker after worker died is left to a person instead.
    """
    deaths = run.deaths + is_silent(run, at=at)
    if deaths >= MOST_DEATHS:
        why = f"{MOST_DEATHS} workers in a row ended in the middle of it; the log says why."
        _end(run, State.STOPPED, at=at, why=why)
        return False
    free = PullRun.objects.filter(pk=run.pk, state__in=PullRun.OPEN).filter(
        Q(claim_until__isnull=True) | Q(claim_until__lte=at)
    )
    taken = free.update(
        state=State.RUNNING,
        claim_token=uuid.uuid4(),
        deaths=deaths,
        claim_until=at + LEASE,
        started_at=Coalesce(F("started_at"), at),
        moved_at=at,
    )
    if not taken:
        return False
    if run.anew and run.state == State.WAITING:
        PullProgress.objects.filter(name__in=PLACES.get(run.name, (run.name,))).delete()
    run.refresh_from_db()
    log.info("pull.started", extra={"list": run.name})
    return True


def _carry(run, gateway, *, clock, tell=lambda name, tally: None, **limits):
    """Pull what a claimed run is about, and write down how far it came and how it ended."""
    tally = Tally(pages=run.pages, read=run.read, new=run.new, changed=run.changed)
    before = run.skipped, run.problems

    def keep(label, tally):
        at = clock()
        _put(run, moved_at=at, claim_until=at + LEASE, deaths=0, **_figures(tally, before))
        tell(label, tally)

    pull = Pull(gateway, tell=keep, clock=clock, **limits)
    try:
        {Name.ACCOUNTS: pull.accounts, Name.PLANS: pull.plans, Name.FEATURES: pull.features}[run.name](
            tally=tally
        )
    except HalfWay:
        _put(run, claim_until=clock(), **_figures(tally, before))
    except errors.TogaiError as error:
        _end(run, State.STOPPED, at=clock(), why=str(error), **_figures(tally, before))
        raise
    except TakenOver:
        raise
    except BaseException as error:
        why = "It was interrupted." if not isinstance(error, Exception) else "It failed; the log says why."
        _end(run, State.STOPPED, at=clock(), why=why, **_figures(tally, before))
        raise
    else:
        _end(run, State.DONE, at=clock(), **_figures(tally, before))
    return tally


def _figures(tally, before):
    skipped, problems = before
    told = [problem.replace("\0", "")[:300] for problem in tally.skipped]
    return {
        "pages": tally.pages,
        "read": tally.read,
        "new": tally.new,
        "changed": tally.changed,
        "skipped": skipped + len(tally.skipped),
        "problems": [*problems, *told][:MOST_PROBLEMS],
    }


def _put(run, **changes):
    """Write what a claimed run learned; TakenOver when the claim is somebody else's by now."""
    mine = PullRun.objects.filter(pk=run.pk, state=State.RUNNING, claim_token=run.claim_token)
    if not mine.update(**changes):
        raise TakenOver("Somebody else pulls this list now.")


def _end(run, state, *, at, why="", **figures):
    mine = PullRun.objects.filter(pk=run.pk, state__in=PullRun.OPEN, claim_token=run.claim_token)
    if mine.update(state=state, ended_at=at, why=why[:300], claim_token=None, claim_until=None, **figures):
        log.info("pull.finished", extra={"list": run.name, "state": state.value, "why": why[:300]})


# --- Reading ---


@dataclass(frozen=True)
class Standing:
    """
    How the pull of one list stands.

    :ivar run: the newest one, or None
    :ivar done: the newest one that came to its end, or None
    :ivar is_silent: whether the one under way has given no sign of life for a while
    :ivar goes_on_at: rows that are read already where the next one goes on; 0: at the first page
    """

    name: str
    label: str
    run: PullRun | None
    done: PullRun | None
    is_silent: bool
    goes_on_at: int

    @property
    def is_under_way(self):
        return self.run is not None and self.run.is_open

    @property
    def expected(self):
        """How many rows the one under way may come to: as many as last time; None when that says nothing."""
        return self.done.read if self.done and self.run and self.done.read > self.run.read else None


def standings(*, at):
    """How each list stands, accounts first."""
    places = {place.name: place.read for place in PullProgress.objects.filter(saved_at__gte=at - TOKEN_HOLDS)}
    return [_standing(name, places, at=at) for name in reversed(ORDER)]


def _standing(name, places, *, at):
    runs = PullRun.objects.filter(name=name).select_related("asked_by").order_by("-pk")
    run = runs.first()
    done = run if run and run.state == State.DONE else runs.filter(state=State.DONE).first()
    return Standing(
        name=name.value,
        label=name.label,
        run=run,
        done=done,
        is_silent=run is not None and is_silent(run, at=at),
        goes_on_at=places.get(name, 0),
    )


def is_silent(run, *, at):
    """Whether a run that counts as under way has given no sign of life for longer than a lease."""
    return run.state == State.RUNNING and run.moved_at + LEASE <= at
