"""
What the console of deliveries reads: how the line is, how much waits and for how long, what went wrong last.

Every figure is a handful of index entries, whatever the table holds: counts stop at a thousand, and what is
settled is never counted.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, IntegerField, Subquery, UUIDField
from django.utils import timezone

from togai.models import Delivery, DeliveryAttempt, Link

State = Delivery.State

# Beyond this a count says "1,000+": nobody acts differently on 1,001.
MOST_COUNTED = 1000
# How far back the last trouble is looked for, in attempts of all deliveries.
RECENT_ATTEMPTS = 100
COUNTED = (*Delivery.OPEN, State.NEEDS_HUMAN)
TROUBLES = ("not sent", "held", "refused", "unknown", "inconclusive", "needs a person")


class _Capped(Subquery):
    """How many rows a query gives, which its own limit caps."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) capped)"
    output_field = IntegerField()


@dataclass(frozen=True)
class Trouble:
    """The last attempt that did not go as meant."""

    delivery_id: object
    at: datetime
    words: str


@dataclass(frozen=True)
class Figures:
    """
    How much is under way.

    :ivar counts: rows by state, for the states that are counted at all; one more than `MOST_COUNTED` is more
    :ivar oldest_at: when the longest open one was written down, or None
    """

    counts: dict
    oldest_at: datetime | None
    trouble: Trouble | None

    @property
    def waiting(self):
        """How many have not reached Togai for certain, in figures."""
        return shown(sum(self.counts[state] for state in Delivery.OPEN))

    @property
    def in_doubt(self):
        return shown(self.counts[State.UNKNOWN])

    @property
    def stuck(self):
        return shown(self.counts[State.NEEDS_HUMAN])


def line_and_figures():
    """The `Link` row, with who paused it, and the `Figures` of this moment: one query once it exists."""
    asked = _asked()
    link = Link.objects.select_related("paused_by").annotate(**asked).filter(pk=1).first()
    if link is not None:
        return link, _figures({name: getattr(link, name) for name in asked})
    # Before the first call to Togai the figures hang on any delivery; without one there is nothing to tell.
    row = Delivery.objects.order_by().values(**asked).first()
    return Link(), _figures(row or dict.fromkeys(asked))


def _asked():
    asked = {f"count_{state}": _Capped(_in(state).values("pk")[: MOST_COUNTED + 1]) for state in COUNTED}
    asked |= {
        f"oldest_{state}": Subquery(_in(state).order_by("created_at").values("created_at")[:1])
        for state in Delivery.OPEN
    }
    newest = DeliveryAttempt.objects.order_by("-pk").values(before=F("pk") - RECENT_ATTEMPTS)[:1]
    last = DeliveryAttempt.objects.filter(pk__gt=newest, outcome__in=TROUBLES).order_by("-pk")
    return asked | {
        "trouble_of": Subquery(last.values("delivery_id")[:1], output_field=UUIDField()),
        "trouble_at": Subquery(last.values("started_at")[:1]),
        "trouble_words": Subquery(last.values("learned")[:1]),
    }


def _figures(row):
    oldest = [row[f"oldest_{state}"] for state in Delivery.OPEN if row[f"oldest_{state}"]]
    trouble = Trouble(row["trouble_of"], row["trouble_at"], row["trouble_words"])
    return Figures(
        counts={state: row[f"count_{state}"] or 0 for state in COUNTED},
        oldest_at=min(oldest, default=None),
        trouble=trouble if trouble.delivery_id else None,
    )


def _in(state):
    return Delivery.objects.filter(state=state).order_by()


def shown(count):
    """A count in figures: "1,000+" where counting stopped."""
    return f"{MOST_COUNTED:,}+" if count > MOST_COUNTED else f"{count:,}"


@dataclass(frozen=True)
class Notice:
    """
    One thing that is to be known about the line.

    :ivar tone: as the note it becomes: "good", "info", "warn", "bad"
    :ivar verb: what an administrator may do about it: "resume", "sign_restore" or ""
    """

    tone: str
    title: str
    text: str = ""
    verb: str = ""


def notices(link, *, at):
    """What stands in the way of sending now, the strongest first; one good one when nothing does."""
    found = []
    if link.paused_at:
        who = name_of(link.paused_by) or "Somebody"
        found.append(
            Notice(
                "bad",
                "Sending is paused.",
                f"{who} paused it, {_moment(link.paused_at)}: {link.paused_because} "
                "Nothing is sent; what is in doubt is still looked up, and nothing is lost.",
                "resume",
            )
        )
    if link.look_only_since:
        found.append(
            Notice(
                "bad",
                "Look only: nothing is sent until an administrator signs.",
                f"Since {_moment(link.look_only_since)}. {link.look_only_because}".rstrip(),
                "sign_restore",
            )
        )
    if link.closed_until and link.closed_until > at:
        found.append(Notice("warn", f"Calls to Togai rest until {_moment(link.closed_until)}.", link.why))
    if link.unreachable_since:
        found.append(
            Notice(
                "warn",
                f"Togai has not answered since {_moment(link.unreachable_since)}.",
                "What waits is sent, once each, when it is back."
                if found
                else f"{link.why} What waits is sent, once each, when it is back.".strip(),
            )
        )
    if not found:
        heard = f"Last heard from {_moment(link.last_reached_at)}." if link.last_reached_at else ""
        found.append(Notice("good", "The line to Togai is open.", heard))
    return found


def line_in_a_word(link, *, at):
    """The state of the line for a tile: (word, tone)."""
    if link.paused_at:
        return "Paused", "bad"
    if link.look_only_since:
        return "Look only", "bad"
    if link.closed_until and link.closed_until > at:
        return "Resting", "warn"
    if link.unreachable_since:
        return "No answer", "warn"
    return "Open", "good"


def name_of(person):
    """A person's name, or the sign-in name where none is known; None for nobody."""
    return person and (person.get_full_name() or person.get_username())


def _moment(at):
    return f"{timezone.localtime(at):%-d %b %Y, %H:%M}"
