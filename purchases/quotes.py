"""The money of a deal: the plan's price, ours, and the difference, as `pricing` computes them."""

from dataclasses import dataclass
from decimal import Decimal

from purchases import overrides, pricing
from purchases import terms as domain
from purchases.money import Money


@dataclass(frozen=True)
class Headline:
    """The one amount that stands for an estimate: over its whole term, or a cycle of one that has no end."""

    amount: Money
    per: str
    interval: str | None = None

    @classmethod
    def of(cls, estimate):
        """The headline of an estimate, or None when it is unknown."""
        if estimate.term_total is not None:
            return cls(estimate.term_total, "term" if estimate.recurs else "once")
        if estimate.recurs and estimate.cycles is None and estimate.per_cycle is not None:
            return cls(estimate.per_cycle, "cycle", estimate.interval)
        return None

    def compares_with(self, other):
        """Whether both stand for the same span: a month does not compare with a quarter, nor with a term."""
        return other is not None and (self.per, self.interval) == (other.per, other.interval)


@dataclass(frozen=True)
class Quote:
    """A deal priced twice: as the plan lists it and as agreed, with the difference line by line."""

    plan: pricing.Estimate
    proposal: pricing.Estimate
    comparison: pricing.Comparison

    @property
    def is_changed(self):
        """Whether something was agreed that the plan does not say."""
        return self.plan is not self.proposal

    @property
    def headline(self):
        return Headline.of(self.proposal)

    @property
    def list_headline(self):
        return Headline.of(self.plan)


def quote(deal):
    """
    Price a deal, saved or not.

    :returns: a `Quote`, or None while the account's currency or what is bought is not known yet
    """
    currency = deal.account.currency if deal.account else ""
    if not currency:
        return None
    terms = deal.terms()
    if terms.type is domain.PurchaseType.WALLET_TOPUP:
        if terms.wallet_topup_amount is None:
            return None
        listed = pricing.estimate_wallet(terms.wallet_topup_amount, None, currency)
        agreed = pricing.estimate_wallet(terms.wallet_topup_amount, terms.wallet_purchase_amount, currency)
        return Quote(listed, agreed, pricing.compare(listed, agreed))
    if deal.price_plan is None or terms.type is None:
        return None
    details = deal.price_plan.details

    def priced(effective):
        return pricing.estimate(
            effective,
            plan_type=deal.price_plan.type,
            currency=currency,
            quantity=terms.quantity,
            rate_card_quantities=terms.rate_card_quantities,
            volumes=domain.quantities(deal.expected_volumes),
            effective_from=terms.effective_from,
            effective_until=terms.effective_until,
        )

    listed = priced(details)
    agreed = priced(overrides.effective(details, terms.override)) if terms.override else listed
    return Quote(listed, agreed, pricing.compare(listed, agreed))


def refresh(deal):
    """Keep the figures that lists show in step with the terms; unsaved. Unknown stays NULL, never zero."""
    deal.currency = deal.account.currency if deal.account else ""
    priced = quote(deal)
    headline = priced.headline if priced else None
    listed = priced.list_headline if priced else None
    deal.estimate = _shown(headline)
    deal.estimate_per = headline.per if headline else ""
    # Two amounts of different spans do not compare; the page of the deal shows both.
    deal.list_price = _shown(listed) if headline and headline.compares_with(listed) else None


# What the listing's columns hold; a longer amount is shown on the deal's own page alone.
LARGEST = Decimal(10) ** 15


def _shown(headline):
    if headline is None or abs(headline.amount.amount) >= LARGEST:
        return None
    return headline.amount.amount
