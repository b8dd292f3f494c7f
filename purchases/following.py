"""What of a deal can change while somebody looks at it: its deliveries and Togai's own record."""

import hashlib
from datetime import datetime, timedelta

from django.conf import settings
from django_q.models import OrmQ

from purchases import figures, settling
from togai import deliveries, strict_json, wording
from togai.models import Delivery, Link, RemoteSnapshot

State = Delivery.State

# How often a page that somebody looks at asks again: while something is about to move, and while only people
# or a slow look can move it.
LIVELY_SECONDS = 2
CALM_SECONDS = 15
# A look at Togai that is planned within this time counts as about to move.
SOON = timedelta(seconds=60)
# The year in which Togai's open ends lie.
_FOR_EVER = 9999

_ABOUT_TO_MOVE = (State.NOT_SENT, State.SENDING, State.UNKNOWN)
_SEEN = (
    "version",
    "status",
    "togai_id",
    "togai_status",
    "togai_price",
    "togai_invoice_id",
    "togai_comment",
    "togai_refusal",
    "togai_problem",
)


class Following:
    """
    The moving parts of one deal at one moment.

    :ivar deliveries: its deliveries, oldest first
    :ivar snapshot: Togai's record as last seen, or None
    :ivar drift: what differs there and nobody has settled, as rows
    """

    def __init__(self, deal, *, at):
        self.deal, self.at = deal, at
        self.deliveries = list(wording.with_receipts(Delivery.objects.of(deal)))
        self.snapshot = (
            RemoteSnapshot.objects.filter(remote_id=deal.togai_id).first() if deal.togai_id else None
        )
        # Whatever differs is summed up in the deal's own line, so a deal without one has no such rows.
        self.drift = list(settling.open_rows(deal)) if deal.togai_problem else []

    @property
    def seconds(self):
        """How soon the page asks again; None when nothing can change any more."""
        followed = self.snapshot.next_poll_at if self.snapshot else None
        if any(delivery.state in _ABOUT_TO_MOVE for delivery in self.deliveries):
            return LIVELY_SECONDS
        if followed and followed - self.at < SOON:
            return LIVELY_SECONDS
        if followed or self.deal.is_waiting or any(delivery.is_open for delivery in self.deliveries):
            return CALM_SECONDS
        return None

    @property
    def fingerprint(self):
        """Changes whenever the page would look different."""
        return hashlib.sha256(repr(self.seen()).encode()).hexdigest()[:16]

    def seen(self):
        """Everything of the page that moves, as plain values."""
        return [
            *(getattr(self.deal, name) for name in _SEEN),
            *((one.pk, one.state, one.last_message, one.held_because) for one in self.deliveries),
            self.snapshot and self.snapshot.raw,
            *((row.pk, row.ours, row.theirs) for row in self.drift),
            self.seconds,
        ]

    def differing(self, user):
        """What differs at Togai in words, with what a person may do about it, for partials/drift.html."""
        if not self.drift:
            return []
        offered = self.offers(user)
        return [
            {"row": row, "words": settling.words(row, self.deal), "verbs": offered[row.pk]}
            for row in self.drift
        ]

    def offers(self, user):
        """By row of `drift` the verbs that a person is offered."""
        return settling.offers(self.deal, self.drift, user)

    def nudge(self):
        """
        Wake the worker when something here is due and no wake-up is on its way: somebody is watching.

        Not during an outage: the worker finds out by itself when Togai is back.
        """
        waiting = [one.next_at for one in self.deliveries if one.state in (State.NOT_SENT, State.UNKNOWN)]
        if self.snapshot and self.snapshot.next_poll_at:
            waiting.append(self.snapshot.next_poll_at)
        due = any(moment <= self.at for moment in waiting)
        if due and Link.load().unreachable_since is None and not OrmQ.objects.exists():
            deliveries.wake()

    def sent(self):
        """The deliveries in words, newest first."""
        return wording.told(self.deliveries[::-1])

    def granted(self):
        """
        What Togai's record says it granted, as dicts of name, granted, available and until (a date or None);
        [] when it says nothing readable.
        """
        if self.snapshot is None:
            return []
        try:
            features = strict_json.loads(self.snapshot.raw, max_bytes=1_048_576).get("features") or []
        except (strict_json.JSONRefused, AttributeError):
            return []
        if not isinstance(features, list):
            return []
        return [
            {
                "name": str(feature.get("name") or feature.get("id") or ""),
                "granted": _units(feature.get("creditsGranted")),
                "available": _units(feature.get("creditsAvailable")),
                "until": _day(feature.get("effectiveUntil")),
            }
            for feature in features
            if isinstance(feature, dict)
        ]


def _units(value):
    return "unknown" if value is None else figures.grouped(str(value))


def _day(text):
    """The day of a moment of Togai's in the business zone; None for Togai's "for ever" or nonsense."""
    try:
        day = datetime.fromisoformat(str(text)).astimezone(settings.BUSINESS_TIME_ZONE).date()
    except (ValueError, OverflowError):
        return None
    return day if day.year < _FOR_EVER else None
