"""
What a person should see first: their own work, what waits for them, what is about to end, what is stuck.

Every list is bounded and points to the filtered list for the rest; nothing here counts a table. Money is
never added across currencies.
"""

from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings

from audit.roles import DECIDES, DRAFTS, SEES_EVERYTHING, has_role
from proposals import inbox, listing
from proposals.models import Proposal
from purchases.models import Purchase
from togai.models import Delivery

Status = Proposal.Status
State = Delivery.State

SHOWN = 5
# What waits is summed up to so many proposals; the page says when there are more.
MOST_SUMMED = 1000
# The months of the chart come from so many of the newest revisions.
MOST_CHARTED = 1000
MONTHS = 6
# Of the deliveries that need somebody, so many of the newest are looked through for what a person may see.
MOST_STUCK = 100

DECIDED = {
    Status.APPROVED: "Approved",
    Status.CHANGES_REQUESTED: "Changes requested",
    Status.DECLINED: "Declined",
}


@dataclass(frozen=True)
class Some:
    """The first few of a list, and whether there are more."""

    rows: tuple
    more: bool

    def __bool__(self):
        return bool(self.rows)

    def __str__(self):
        return f"{len(self.rows)}+" if self.more else str(len(self.rows))

    @classmethod
    def of(cls, queryset, size=SHOWN):
        """Asks once, for one row more than is shown."""
        rows = tuple(queryset[: size + 1])
        return cls(rows[:size], len(rows) > size)


@dataclass(frozen=True)
class Stake:
    """
    What waits for a decision in one currency, whole deals apart from those that are known per cycle only.

    :ivar unknown: how many more have no estimate; they are not in `amount`
    """

    currency: str
    per_cycle: bool
    amount: Decimal
    proposals: int
    unknown: int


@dataclass(frozen=True)
class Refused:
    """A proposal that Togai refused, or could not carry out, with Togai's words."""

    reference: str
    account: str
    words: str


@dataclass(frozen=True)
class Month:
    """Decisions of one month by what they were."""

    first: object
    counts: tuple


@dataclass(frozen=True)
class Overview:
    """
    One person's first page.

    :ivar drafts, sent_back, waiting, purchases, expiring, unpaid: `Some`, or None where their roles have none
    :ivar stuck: (delivery, proposal or purchase or None) pairs that need somebody
    :ivar refused: of what waits, what Togai refused (`Refused`)
    :ivar failed: of what was approved lately, what failed at Togai (`Refused`)
    """

    drafts: Some | None
    sent_back: Some | None
    waiting: Some | None
    purchases: Some | None
    expiring: Some
    unpaid: Some
    stuck: tuple
    refused: tuple
    failed: tuple
    stakes: tuple
    more_at_stake: bool
    months: tuple

    @property
    def needs_a_person(self):
        """How many deals do not go on by themselves, as far as they were looked through."""
        return len(self.stuck) + len(self.refused) + len(self.failed)


def overview_for(user, *, at):
    """
    Read the overview of a person: at most eleven queries, whatever they own.

    :param at: now; months and days are those of the business zone
    """
    decides = has_role(user, *DECIDES)
    drafts = has_role(user, *DRAFTS)
    visible = Proposal.objects.visible_to(user)
    live = visible.live().for_listing()
    mine = live.filter(owner=user)
    open_rows = list(
        visible.filter(status=Status.SUBMITTED)
        .order_by("-pk")
        .values_list("togai_refusal", "currency", "estimate", "estimate_per", named=True)[: MOST_SUMMED + 1]
    )
    return Overview(
        drafts=Some.of(mine.filter(status=Status.DRAFT)) if drafts else None,
        sent_back=Some.of(mine.filter(status=Status.CHANGES_REQUESTED)) if drafts and not decides else None,
        waiting=Some.of(inbox.decidable_by(user)) if decides else None,
        purchases=Some.of(inbox.purchases_for(user)) if decides else None,
        expiring=Some.of(listing.expiring(live, at=at)),
        unpaid=Some.of(live.filter(togai_status="PENDING")),
        stuck=tuple(_stuck(user)),
        refused=tuple(
            Refused(row.reference, row.account.name, row.togai_refusal)
            for row in listing.refused(live)[:SHOWN]
        ),
        failed=tuple(
            Refused(row.reference, row.account.name, row.togai_comment)
            for row in listing.failed(live, at=at)[:SHOWN]
        ),
        stakes=tuple(_stakes(open_rows[:MOST_SUMMED])),
        more_at_stake=len(open_rows) > MOST_SUMMED,
        months=tuple(_months(visible, at=at)),
    )


def _stakes(rows):
    by_currency = {}
    for row in rows:
        if row.togai_refusal:
            continue
        key = row.currency, row.estimate_per == "cycle"
        amount, known, unknown = by_currency.get(key, (Decimal(0), 0, 0))
        if row.estimate is None:
            unknown += 1
        else:
            amount, known = amount + row.estimate, known + 1
        by_currency[key] = (amount, known, unknown)
    for key in sorted(by_currency):
        yield Stake(*key, *by_currency[key])


def _months(visible, *, at):
    """The last months with their decisions; fewer when the newest revisions do not reach that far back."""
    rows = list(visible.order_by("-pk").values_list("status", "decided_at", "created_at")[:MOST_CHARTED])
    zone = settings.BUSINESS_TIME_ZONE
    this = at.astimezone(zone).date().replace(day=1)
    months = [_earlier(this, back) for back in range(MONTHS - 1, -1, -1)]
    if len(rows) == MOST_CHARTED:
        whole_from = rows[-1][2].astimezone(zone).date()
        months = [month for month in months if month > whole_from] or [this]
    counts = {month: dict.fromkeys(DECIDED, 0) for month in months}
    for status, decided_at, _ in rows:
        if decided_at is None or status not in DECIDED:
            continue
        month = decided_at.astimezone(zone).date().replace(day=1)
        if month in counts:
            counts[month][Status(status)] += 1
    for month in months:
        yield Month(month, tuple(counts[month].values()))


def _earlier(month, back):
    year, index = divmod(month.year * 12 + month.month - 1 - back, 12)
    return month.replace(year=year, month=index + 1)


def _stuck(user):
    """The newest deliveries that are held or need a person, of what this person may see."""
    found = list(
        Delivery.objects.filter(state__in=[State.NEEDS_HUMAN, State.HELD])
        .defer("body")
        .order_by("-created_at", "-pk")[:MOST_STUCK]
    )
    everything = has_role(user, *SEES_EVERYTHING)
    subjects = {}
    for model, shown in ((Proposal, ("number", "revision", "is_live")), (Purchase, ("number",))):
        label = model._meta.label
        keys = [one.subject_id for one in found if one.subject_type == label]
        if keys:
            rows = model.objects.visible_to(user).filter(pk__in=keys).only(*shown)
            subjects |= {(label, str(row.pk)): row for row in rows}
    for delivery in found:
        subject = subjects.get((delivery.subject_type, delivery.subject_id))
        if subject is not None or everything:
            yield delivery, subject
