"""
Everything the page of a proposal shows, read in a dozen queries however long its history is.

Nothing here decides or changes; the words come from `summaries`, `changes`, `timeline` and `togai.wording`.
"""

from dataclasses import dataclass

from django.db.models import F

from proposals import drift, timeline
from proposals.models import ApprovalStep, Decision, Proposal
from purchases import changes, drafts, overrides, pricing, quotes, summaries
from purchases.following import Following

Status = Proposal.Status


def revisions_of(user, number):
    """All revisions of a deal that a person may see, newest first, with what a page shows of them."""
    return list(
        Proposal.objects.visible_to(user)
        .filter(number=number)
        .select_related(
            "account", "price_plan", "owner", "created_by", "last_edited_by", "submitted_by", "decided_by"
        )
        .prefetch_related("price_plan__rate_cards")
        .order_by("-revision")
    )


class Moving(Following):
    """
    What of a proposal can change while somebody looks at it.

    :ivar steps: its approval steps, each with the `verb`, `by` and `decided_at` of what settled it
    """

    def __init__(self, proposal, *, at):
        super().__init__(proposal, at=at)
        self.steps = steps_of(proposal)

    def offers(self, user):
        return drift.offers(self.deal, self.drift, user)

    def seen(self):
        return [*super().seen(), self.deal.is_live, *(step.state for step in self.steps)]


def steps_of(proposal):
    """The approval steps in their order, with the decision that settled each, in one query."""
    steps = list(
        ApprovalStep.objects.filter(proposal=proposal)
        .annotate(
            verb=F("decisions__verb"),
            decided_at=F("decisions__at"),
            first_name=F("decisions__by__first_name"),
            last_name=F("decisions__by__last_name"),
            username=F("decisions__by__username"),
        )
        .order_by("order")
    )
    for step in steps:
        step.by = f"{step.first_name or ''} {step.last_name or ''}".strip() or step.username
    return steps


@dataclass(frozen=True)
class No:
    """What somebody said who did not approve a revision, with their notes on single lines."""

    revision: int
    verb: str
    words: str
    by: str
    at: object
    reason: str
    notes: tuple


def noes_of(revisions):
    """
    The declines, requests for changes and recalls of a deal, newest first, in one query.

    :param revisions: its loaded revisions; a deal on its first way through has none and asks nothing
    """
    if not any(one.status in Proposal.REVISABLE for one in revisions):
        return []
    rows = (
        Decision.objects.filter(proposal__in=[one.pk for one in revisions])
        .exclude(verb=Decision.Verb.APPROVE)
        .order_by("-pk", "line_notes__pk")
        .values(
            "pk",
            "verb",
            "at",
            "reason",
            "reason_code__label",
            "by__first_name",
            "by__last_name",
            "by__username",
            "proposal__revision",
            "line_notes__line",
            "line_notes__label",
            "line_notes__text",
        )
    )
    by_decision = {}
    for row in rows:
        by_decision.setdefault(row["pk"], []).append(row)
    return [_no(rows) for rows in by_decision.values()]


def _no(rows):
    first = rows[0]
    name = f"{first['by__first_name']} {first['by__last_name']}".strip() or first["by__username"]
    return No(
        revision=first["proposal__revision"],
        verb=first["verb"],
        words=str(Decision.Verb(first["verb"]).label),
        by=name,
        at=first["at"],
        reason=f"{first['reason_code__label']}: {first['reason']}",
        notes=tuple(
            (row["line_notes__line"], row["line_notes__label"], row["line_notes__text"])
            for row in rows
            if row["line_notes__text"]
        ),
    )


def last_no(noes, proposal):
    """The no that somebody who reads this revision has to know: its own, or the one that led to it."""
    if proposal.status in (Status.DRAFT, Status.SUBMITTED):
        return next((no for no in noes if no.revision == proposal.revision - 1), None)
    return next((no for no in noes if no.revision == proposal.revision), None)


def notes_by_line(no):
    """The notes of a no by the line they are pinned to."""
    pinned = {}
    for line, _, text in no.notes if no else ():
        pinned.setdefault(line, []).append(text)
    return pinned


def changed_cards(deal):
    """What a deal changes in its plan (`changes.CardChange`s)."""
    override = deal.terms().override
    if not override or deal.price_plan is None:
        return ()
    return changes.changes(deal.price_plan.details, override)


@dataclass(frozen=True)
class Against:
    """Two revisions of a deal side by side: fields that differ, money, and cells of the prices (G-35)."""

    other: Proposal
    fields: tuple
    money: tuple
    lines: tuple
    cards: tuple


def compared(proposal, other):
    """How a revision differs from an earlier or later one, which stands on the plan's side."""
    old, new = drafts.plain(other), drafts.plain(proposal)
    fields = tuple(
        (timeline.FIELDS[name].capitalize(), _shown(old[name]), _shown(new[name]))
        for name in new
        if old[name] != new[name] and not name.endswith("_override")
    )
    before, after = quotes.quote(other), quotes.quote(proposal)
    money, lines = (), ()
    if before and after and before.proposal.currency == after.proposal.currency:
        side = pricing.compare(before.proposal, after.proposal)
        quote = quotes.Quote(before.proposal, after.proposal, side)
        page = summaries.money_page(proposal, quote)
        money, lines = page.totals, tuple(line for line in page.lines if line.money.kind != "same")
    return Against(other, fields, money, lines, _between(other, proposal))


def _between(other, proposal):
    """The cells of the effective prices that differ between two revisions."""
    if other.price_plan is None or proposal.price_plan is None:
        return ()
    before = overrides.effective(other.price_plan.details, other.terms().override)
    after = overrides.effective(proposal.price_plan.details, proposal.terms().override)
    return changes.changes(before, overrides.difference(before, after))


def _shown(value):
    if value in (None, "", {}, []):
        return "none"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {inner}" for name, inner in value.items())
    return str(value)


def stages_ahead(stages):
    """The approval strip of a draft, for partials/approval.html: who will be asked, and why."""
    return [
        {
            "name": str(stage.role.label),
            "state": "waiting",
            "words": "Will be asked" if place == 1 else "Comes after the step before",
            "note": stage.because,
        }
        for place, stage in enumerate(stages, start=1)
    ]
