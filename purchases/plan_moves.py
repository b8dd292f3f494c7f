"""
A draft whose plan has a newer version: what moving there would do to its price, and the word that nobody
submits it without having seen that (G-15).

A draft keeps the version that it was written on until somebody moves it. What is sent stays what it was:
Togai is told the plan and never a version.
"""

import copy
from dataclasses import dataclass

from audit.refusals import Stale
from purchases import figures, overrides, quotes
from purchases import terms as domain
from purchases.cards import KIND_NAMES
from purchases.models import PricePlan
from purchases.price_form import OverrideForm

# So many names of lost changes stand in a sentence.
MOST_NAMED = 3


@dataclass(frozen=True)
class Move:
    """
    A deal beside itself on the newer version of its plan.

    :ivar pinned: the version that its numbers were made with
    :ivar plan: the newer version
    :ivar before: its `quotes.Headline` on the pinned version, None while unknown; `after`: on the newer one
    :ivar gone: what the deal changes or counts and the newer version does not have, by name
    """

    pinned: PricePlan
    plan: PricePlan
    before: quotes.Headline | None
    after: quotes.Headline | None
    gone: tuple[str, ...]

    @property
    def is_comparable(self):
        """Whether both prices are known and speak of the same span of time."""
        return bool(
            self.before
            and self.before.compares_with(self.after)
            and self.before.amount.currency == self.after.amount.currency
        )

    @property
    def difference(self):
        """By how much the price moves, signed, in words; None while that is not known."""
        if not self.is_comparable:
            return None
        moved = self.after.amount - self.before.amount
        return figures.signed(moved.amount, moved.currency)

    @property
    def change(self):
        """How the price moves, as `figures.change` says it: (kind, share in words)."""
        if not self.is_comparable:
            return "", ""
        return figures.change(self.before.amount.amount, self.after.amount.amount)

    @property
    def sides(self):
        """(words, amount in words, currency, span in words) of the pinned and of the newer version."""
        return [
            (f"On version {plan.version}", *_shown(headline))
            for plan, headline in ((self.pinned, self.before), (self.plan, self.after))
        ]

    def __str__(self):
        said = f"{self.plan.name} has a version {self.plan.version}; this draft is written on version "
        said += f"{self.pinned.version}."
        kind, share = self.change
        if kind == "same":
            said += " Its price stays the same."
        elif kind:
            (_, before, currency, span), (_, after, _, _) = self.sides
            said += f" It would cost {after} {currency} instead of {before} {currency}{span and f' {span}'}"
            said += f" ({share})." if share else "."
        else:
            said += " What that does to its price is not known."
        if self.gone:
            named = ", ".join(self.gone[:MOST_NAMED])
            more = len(self.gone) - MOST_NAMED
            said += f" It no longer has {named}{f' and {more} more' if more > 0 else ''}."
        return said


class PlanMoved(Stale):
    """Its plan has a newer version, and nobody has said that they have seen what that does to the price."""

    code = "plan_moved"

    def __init__(self, move):
        self.move = move
        super().__init__(f"{move} Look at it first, then submit it again.")


def move_of(deal):
    """What moving a deal, saved or not, to the newer version of its plan would do; None without one."""
    newer = deal.price_plan.newer if deal.price_plan else None
    if newer is None:
        return None
    moved, gone = _moved(deal, newer)
    return Move(deal.price_plan, newer, _headline(deal), _headline(moved), tuple(gone))


def refuse_unseen(deal, *, seen):
    """
    Let a deal be submitted on the version of its plan that it was written on, once a newer one was looked at.

    :param seen: the version whose effect on the price the person has seen, or None
    :returns: what the record of the submit says about it
    :raises PlanMoved: the catalogue has a newer version, and that is not it
    """
    newer = deal.price_plan.newer if deal.price_plan else None
    if newer is None:
        return {}
    if seen != newer.version:
        raise PlanMoved(move_of(deal))
    return {"plan_version_seen": newer.version}


def _moved(deal, newer):
    """The deal upon the newer version, unsaved, and the names of what does not come along."""
    moved, gone = copy.copy(deal), []
    moved.price_plan = newer
    field = deal.terms().override_field
    details = deal.price_plan.details
    if field and getattr(deal, field):
        kinds = domain.OVERRIDE_KINDS[field]
        old = OverrideForm(details, getattr(deal, field), kinds=kinds)
        new = old.carried_to(newer.details, kinds=kinds, currency="")
        setattr(moved, field, new.patch or None)
        gone += [
            f"{card.label} ({card.kind_name.lower()})"
            for card in old.cards
            if card.changed and new.card(card.key) is None
        ]
    names = {
        card.billable_id: f"{card.label} ({KIND_NAMES[card.kind].lower()})"
        for card in overrides.cards(details)
    }
    billed = {card.billable_id for card in overrides.cards(newer.details)}
    for counted in ("rate_card_quantities", "expected_volumes"):
        amounts = getattr(deal, counted) or {}
        setattr(moved, counted, {name: amounts[name] for name in amounts if name in billed} or None)
        gone += [names.get(name, name) for name in amounts if name not in billed]
    return moved, dict.fromkeys(gone)


def _headline(deal):
    """The one amount of a deal, or None while it is not known."""
    priced = quotes.quote(deal)
    return priced.headline if priced else None


def _shown(headline):
    if headline is None:
        return None, "", ""
    span = {"term": "over the term", "cycle": "each cycle"}.get(headline.per, "")
    return figures.amount(headline.amount.amount, headline.amount.currency), headline.amount.currency, span
