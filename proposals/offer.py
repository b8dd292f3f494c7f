"""
What the customer gets to read of a proposal: a frozen value, made from the few fields that are theirs.

Page and PDF are drawn from an `Offer` and from nothing else, so no template can show what is not in it.
`SHOWN` names every field that goes into one; a test reads the models against it and fails on a field that
nobody has thought about, and another one hands the makers a deal that refuses to give anything else (G-39,
P-30).

Left out on purpose: titles and notes (they are written for colleagues), the plan's own prices and so every
discount, expected volumes (our forecast, which is no promise), people, reasons, and whatever things are
called inside: ids, versions, keys and states.
"""

from dataclasses import dataclass, field
from datetime import date

from django.conf import settings
from django.utils import formats

from proposals import offer_prices
from proposals.models import Proposal
from proposals.offer_prices import Priced, on_one_line
from purchases import drafts, overrides
from purchases import terms as domain

# By model what of it a customer may read, or what decides about the words that they read.
SHOWN = {
    "proposals.Proposal": (
        "number",
        "revision",
        "status",
        "account",
        "type",
        "price_plan",
        "payment_mode",
        "quantity",
        "rate_card_quantities",
        "purchase_plan_override",
        "association_override",
        "wallet_topup_amount",
        "wallet_purchase_amount",
        "effective_from",
        "effective_until",
        "valid_until",
        "decided_at",
        "updated_at",
        "is_live",
        "togai_price",
        "togai_currency",
        "togai_refusal",
    ),
    "accounts.Account": ("name", "customer_name", "currency", "net_term_days", "address"),
    "purchases.PricePlan": ("name", "type", "rate_cards", "cycle"),
}
# Of an address, line by line.
ADDRESS = (("line1",), ("line2",), ("postalCode", "city"), ("state",), ("country",))


@dataclass(frozen=True)
class Seller:
    """Who offers, as the head of the page says it."""

    name: str
    address: tuple[str, ...]


@dataclass(frozen=True)
class Offer:
    """
    One revision of a proposal as its customer reads it; every text is ready to be shown.

    :ivar is_final: whether it was approved; anything else is for colleagues alone, and says so
    :ivar dated: the day of the approval, or of the last change of a draft
    :ivar facts: (label, words) pairs
    :ivar terms: sentences
    """

    seller: Seller
    reference: str
    is_final: bool
    dated: date
    customer: str
    address: tuple[str, ...]
    subject: str
    facts: tuple[tuple[str, str], ...]
    terms: tuple[str, ...]
    priced: Priced = field(default_factory=Priced)

    @property
    def has_quantities(self):
        """Whether any line has something to say about how much of it."""
        return any(line.quantity for line in self.priced.lines)


def seller():
    """Who offers, from the settings."""
    lines = (on_one_line(line) for line in settings.SELLER_ADDRESS.split(";"))
    return Seller(on_one_line(settings.SELLER_NAME), tuple(line for line in lines if line))


def is_handed_out(proposal):
    """
    Whether customers may read this revision: approved, not overtaken, and not refused by Togai afterwards.
    """
    approved = proposal.status == Proposal.Status.APPROVED
    return approved and proposal.is_live and not proposal.togai_refusal


def of(proposal):
    """
    The `Offer` of a revision in any state; what a draft lacks is left out of it.

    :param proposal: with account, plan and its rate cards loaded
    """
    account, final = proposal.account, is_handed_out(proposal)
    terms = proposal.terms()
    customer, *rest = _names(account) or ["The customer"]
    return Offer(
        seller=seller(),
        reference=f"P-{proposal.number:06d} r{proposal.revision}",
        is_final=final,
        dated=drafts.business_day(proposal.decided_at if final else proposal.updated_at),
        customer=customer,
        address=(*rest, *_address(account)),
        subject=_subject(terms, proposal.price_plan),
        facts=tuple(_facts(terms, proposal.price_plan, account)),
        terms=tuple(_terms(terms, proposal.price_plan, account)),
        priced=_priced(terms, proposal.price_plan, account, _confirmed(proposal)),
    )


def _names(account):
    """The customer's name and, where it says more, the account's."""
    if account is None:
        return []
    names = (on_one_line(account.customer_name), on_one_line(account.name))
    return [name for name in dict.fromkeys(names) if name]


def _address(account):
    known = account.address if account and isinstance(account.address, dict) else {}
    told = {key: on_one_line(value) for key, value in known.items()}
    told["country"] = offer_prices.country(told.get("country", ""))
    lines = (" ".join(told.get(key, "") for key in keys).strip() for keys in ADDRESS)
    return tuple(line for line in lines if line)


def _subject(terms, plan):
    if terms.type is domain.PurchaseType.WALLET_TOPUP:
        return "Top-up of your prepaid balance"
    return on_one_line(plan.name) if plan else ""


def _facts(terms, plan, account):
    if terms.valid_until:
        yield "Valid until", _day(terms.valid_until)
    if terms.effective_from and terms.effective_until:
        yield "Term", f"{_day(terms.effective_from)} to {_day(terms.effective_until)}"
    elif terms.effective_from:
        yield "Term", f"From {_day(terms.effective_from)}, without an end"
    if words := offer_prices.cycle_in_words(_cycle(terms, plan)):
        yield "Billed", words
    if terms.payment_mode:
        yield "Payment", "In advance" if terms.payment_mode is domain.PaymentMode.PREPAID else "On invoice"
    if account and account.currency:
        yield "Currency", account.currency


def _terms(terms, plan, account):
    is_recurring = bool(plan and plan.type == domain.PlanType.BILLING)
    if terms.payment_mode is domain.PaymentMode.PREPAID:
        yield "You pay in advance: we send an invoice first, and what you buy is yours once it is paid."
    elif terms.payment_mode is domain.PaymentMode.POSTPAID and is_recurring:
        yield "You pay on invoice: your plan begins on the agreed day, and we invoice it as listed above."
    elif terms.payment_mode is domain.PaymentMode.POSTPAID:
        yield "You pay on invoice: what you buy is yours to use at once, and we invoice it afterwards."
    if account and account.net_term_days is not None:
        days = account.net_term_days
        within = f"within {days} day{'' if days == 1 else 's'}" if days else "on receipt"
        yield f"Invoices are payable {within}."
    yield "Taxes are added where the law asks for them."


def _cycle(terms, plan):
    """The billing cycle that takes effect."""
    if plan is None or terms.type is not domain.PurchaseType.ASSOCIATION:
        return None
    return _details(terms, plan).get("pricingCycleConfig")


def _details(terms, plan):
    return overrides.effective(plan.details, terms.override)


def _confirmed(proposal):
    """The price that Togai has computed, once it has, as (amount, currency): the one that is invoiced."""
    if proposal.togai_price is None or not proposal.togai_currency:
        return None
    return proposal.togai_price, proposal.togai_currency


def _priced(terms, plan, account, confirmed):
    currency = account.currency if account else ""
    if not currency:
        return Priced()
    if terms.type is domain.PurchaseType.WALLET_TOPUP:
        priced = offer_prices.wallet(terms.wallet_topup_amount, terms.wallet_purchase_amount, currency)
    elif plan is None or terms.type is None:
        return Priced()
    else:
        priced = offer_prices.plan(
            _details(terms, plan),
            plan_type=plan.type,
            currency=currency,
            quantity=terms.quantity,
            rate_card_quantities=terms.rate_card_quantities,
            effective_from=terms.effective_from,
            effective_until=terms.effective_until,
        )
    return priced if confirmed is None else priced.with_confirmed(*confirmed)


def _day(day):
    return formats.date_format(day, "DATE_FORMAT")
