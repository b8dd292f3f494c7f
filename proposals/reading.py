"""
Everything the page of a proposal shows, read in a dozen queries however long its history is.

Nothing here decides or changes; the words come from `summaries`, `changes`, `timeline` and `togai.wording`.
"""

from dataclasses import dataclass

from django.db.models import F

from proposals import drift
from proposals.models import ApprovalStep, Decision, Proposal
from purchases import changes, money_diff, overrides, quotes, summaries
from purchases.following import Following
from purchases.money import CurrencyMismatch

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


def said_before(draft):
    """What finance said about the revision that a draft follows, as a `No`; None for nothing (G-35)."""
    if draft.previous_id is None:
        return None
    no = last_no(noes_of([draft.previous]), draft)
    return no if no and no.verb != Decision.Verb.RECALL else None


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


PLAN = "plan"


@dataclass(frozen=True)
class Compared:
    """
    Two sides of a deal beside each other: two revisions, or a revision and the plan it is made of (G-35).

    :ivar names: what the sides are called, left and right
    :ivar facts: terms that differ, as (label, values on the left, values on the right)
    :ivar cards: the cells of the prices that differ
    :ivar money: None when `why_not` says why the two have no money to compare
    """

    names: tuple
    facts: tuple
    cards: tuple
    money: money_diff.MoneyDiff | None
    why_not: str

    @property
    def is_same(self):
        return not self.facts and not self.cards and self.money is not None and self.money.is_same


def sides_of(revisions):
    """What can be compared, for a choice: each revision, newest first, and the plan."""
    named = [(str(one.revision), f"Revision {one.revision}") for one in revisions]
    return [*named, (PLAN, "The plan")]


def usual_sides(revisions):
    """What one wants to see first: the newest revision beside the one before it, or beside its plan."""
    before = str(revisions[1].revision) if len(revisions) > 1 else PLAN
    return before, str(revisions[0].revision)


def compared(revisions, left, right):
    """
    Put two different sides of a deal beside each other.

    :param revisions: loaded revisions of the deal
    :param left: the number of one of them, or `PLAN` for the plan that the other side is made of
    """
    by_name = {str(one.revision): one for one in revisions}
    names = dict(sides_of(revisions))
    old, new = by_name.get(left) or by_name[right], by_name.get(right) or by_name[left]
    money, why_not = _money(old, new, left, right)
    return Compared(
        names=(names[left], names[right]),
        facts=() if PLAN in (left, right) else tuple(_facts(old, new)),
        cards=_cells(old, new, left, right),
        money=money,
        why_not=why_not,
    )


def _money(old, new, left, right):
    before, after = quotes.quote(old), quotes.quote(new)
    for one, quote in ((old, before), (new, after)):
        if quote is None:
            return None, f"Revision {one.revision} has no price yet. {summaries.why_not(one)}"
    try:
        return money_diff.between(
            before.plan if left == PLAN else before.proposal,
            after.plan if right == PLAN else after.proposal,
        ), ""
    except CurrencyMismatch:
        return None, (
            f"Revision {old.revision} is in {before.proposal.currency}, revision {new.revision} in "
            f"{after.proposal.currency}: amounts in two currencies are not compared."
        )


def _facts(old, new):
    before, after = _terms(old), _terms(new)
    for label in dict.fromkeys((*before, *after)):
        if before.get(label) != after.get(label):
            yield label, before.get(label, ()), after.get(label, ())


def _terms(deal):
    """Every term of a deal in words but its prices; two of the same name stay two."""
    plan = deal.price_plan
    facts = [
        ("Title", deal.title),
        ("Account", deal.account and f"{deal.account.name} ({deal.account.togai_id})"),
        ("Plan", plan and f"{plan.name}, version {plan.version}"),
        *summaries.facts_of(deal),
        ("Internal note", deal.internal_note),
    ]
    terms = {}
    for label, value in facts:
        if value:
            terms[label] = (*terms.get(label, ()), value)
    return terms


def _cells(old, new, left, right):
    """The cells of the prices that differ; none where a side has no plan."""
    if old.price_plan is None or new.price_plan is None:
        return ()
    before, after = _prices(old, left), _prices(new, right)
    return changes.changes(before, overrides.difference(before, after))


def _prices(deal, side):
    details = deal.price_plan.details
    return details if side == PLAN else overrides.effective(details, deal.terms().override)


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
