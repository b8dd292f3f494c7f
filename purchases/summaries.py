"""
A deal as a page tells it: its money beside the plan's, line by line, and its terms in words.

Read-only; the figures are `quotes` and `pricing`, here they only get their words.
"""

from dataclasses import dataclass

from purchases import figures
from purchases import terms as domain
from purchases.cards import CYCLES, KIND_NAMES
from purchases.changes import line_name
from purchases.money import number
from purchases.overrides import cards


@dataclass(frozen=True)
class Beside:
    """One figure of plan and deal with what lies between; amounts are `Money`'s Decimals, None is unknown."""

    words: str
    plan: object
    ours: object
    difference: object
    kind: str
    text: str

    @classmethod
    def of(cls, words, plan, ours):
        """From two `Money` or None."""
        plan, ours = plan and plan.amount, ours and ours.amount
        difference = None if plan is None or ours is None else ours - plan
        return cls(words, plan, ours, difference, *figures.change(plan, ours))


@dataclass(frozen=True)
class Line:
    """One card: what it costs in plan and deal, and how often it is due."""

    label: str
    due: str
    quantity: object
    money: Beside


@dataclass(frozen=True)
class MoneyPage:
    """Everything a page says about the money of a deal; `headline` fills partials/money_block.html."""

    currency: str
    headline: dict
    lines: tuple
    highest_discount: object
    blended_discount: object
    reasons: tuple

    @property
    def discounts(self):
        """What is given away in all and on one line (G-16), in words; a surcharge says so."""
        if self.blended_discount is None:
            return "Discount unknown"
        given = self.blended_discount
        words = (
            f"{figures.share(given)} below the list in all"
            if given > 0
            else f"{figures.share(-given)} above the list in all"
            if given
            else "As listed"
        )
        if self.highest_discount is not None and self.highest_discount > 0:
            words += f", at most {figures.share(self.highest_discount)} off one line"
        return words


def money_page(deal, quote):
    """
    The money of a deal in words.

    :param quote: what `quotes.quote` said of it; None while too little is known
    """
    if quote is None:
        currency = deal.account.currency if deal.account else ""
        headline = _headline(currency, None, None, "", ()) | _at_togai(deal, None)
        return MoneyPage(currency, headline, (), None, None, (why_not(deal),))
    ours, listed = quote.headline, quote.list_headline
    agreed = quote.proposal
    headline = _headline(
        agreed.currency, ours, listed, _span(ours, agreed), agreed.reasons if ours is None else ()
    ) | _at_togai(deal, ours)
    return MoneyPage(
        currency=agreed.currency,
        headline=headline,
        lines=tuple(_line(line, agreed) for line in quote.comparison.lines),
        highest_discount=quote.comparison.highest_discount,
        blended_discount=quote.comparison.blended_discount,
        reasons=tuple(dict.fromkeys((*agreed.reasons, *quote.comparison.unknown_because))),
    )


def per_words(deal):
    """What the estimate of a listed deal spans, for a small word below the figure."""
    return {"term": "over the term", "cycle": "per cycle"}.get(deal.estimate_per, "")


def facts_of(deal):
    """The terms of a deal as (label, words) pairs, in the order people ask for them; empty ones left out."""
    names = _card_names(deal)
    facts = [
        ("Type", deal.get_type_display() if deal.type else None),
        ("Payment", deal.get_payment_mode_display() if getattr(deal, "payment_mode", "") else None),
        ("Quantity", figures.count(deal.quantity)),
        *(
            (f"Quantity of {names.get(key, key)}", _count(value))
            for key, value in _pairs(deal, "rate_card_quantities")
        ),
        *(
            (f"Expected {names.get(key, key)}", _count(value))
            for key, value in _pairs(deal, "expected_volumes")
        ),
        ("Top-up", _in_currency(deal.wallet_topup_amount, deal)),
        ("Paid for it", _in_currency(deal.wallet_purchase_amount, deal)),
        ("Starts on", deal.effective_from),
        ("Ends on", deal.effective_until),
        ("Valid until", deal.valid_until),
    ]
    return [(label, value) for label, value in facts if value is not None]


def sentence_of(deal):
    """What is agreed, in a sentence or two; what a draft lacks is left out."""
    kind = domain.PurchaseType(deal.type) if deal.type else None
    plan = f"{deal.price_plan.name} (version {deal.price_plan.version})" if deal.price_plan else "a plan"
    match kind:
        case None:
            what = "What is bought is not chosen yet."
        case domain.PurchaseType.ASSOCIATION:
            what = f"Puts the account on {plan}{_window(deal)}."
        case domain.PurchaseType.WALLET_TOPUP:
            topup = _in_currency(deal.wallet_topup_amount, deal) or "an amount that is not said yet"
            paid = _in_currency(deal.wallet_purchase_amount, deal)
            what = f"Tops up the account's wallet by {topup}" + (f" for {paid}." if paid else ".")
        case _:
            times = f"{figures.count(deal.quantity)} × " if deal.quantity else ""
            what = f"Grants {times}what {plan} holds."
    mode = getattr(deal, "payment_mode", "")
    if mode == domain.PaymentMode.PREPAID:
        what += " Prepaid: Togai raises an order first, and it takes effect once that is paid."
    elif mode == domain.PaymentMode.POSTPAID:
        what += " Postpaid: it takes effect when it is approved and is invoiced later."
    return what


def labels_of_lines(deal):
    """The lines of the terms that a note can be pinned to, as (name, label) pairs."""
    lines = [("terms", "The terms as a whole")]
    if deal.price_plan:
        lines += [
            (line_name(card.kind, card.billable_id), f"{card.label} ({KIND_NAMES[card.kind].lower()})")
            for card in cards(deal.price_plan.details)
        ]
    return lines


def _headline(currency, ours, listed, span, reasons):
    same_span = ours and ours.compares_with(listed)
    kind, text = figures.change(listed.amount.amount, ours.amount.amount) if same_span else ("", "")
    return {
        "currency": currency,
        "estimate": figures.amount(ours.amount.amount, currency) if ours else None,
        "estimate_note": span if ours else " ".join(reasons[:2]),
        "list_price": figures.amount(listed.amount.amount, currency) if listed else None,
        "list_note": "" if same_span or not (ours and listed) else "for another span of time",
        "difference": figures.signed(ours.amount.amount - listed.amount.amount, currency)
        if same_span
        else None,
        "change_kind": kind,
        "change_text": text,
    }


def _at_togai(deal, ours):
    """Togai's own price beside our estimate; any difference is flagged, never hidden (design.md 5)."""
    if deal.togai_price is None:
        return {"togai_note": "Togai names it later"} if deal.togai_id else {}
    currency = deal.togai_currency or deal.currency
    if ours is None:
        differs, note = False, "we had no estimate"
    else:
        differs = (currency, deal.togai_price) != (ours.amount.currency, ours.amount.amount)
        note = _against_estimate(deal.togai_price, currency, ours) if differs else "equals our estimate"
    return {
        "togai_price": figures.amount(deal.togai_price, currency),
        "togai_currency": currency,
        "togai_differs": differs,
        "togai_note": note,
    }


def _against_estimate(price, currency, ours):
    if currency != ours.amount.currency:
        return f"in another currency than our estimate ({ours.amount.currency})"
    return f"{figures.signed(price - ours.amount.amount, currency)} against our estimate"


def why_not(deal):
    """Why a deal has no price at all yet."""
    if deal.account is None:
        return "No account is chosen yet."
    if not deal.account.currency:
        return "Togai knows no invoice currency for this account."
    if deal.type == domain.PurchaseType.WALLET_TOPUP:
        return "The top-up amount is not said yet."
    return "No price plan is chosen yet."


def _span(headline, estimate):
    if headline is None:
        return ""
    if headline.per == "cycle":
        return f"each {_cycle(estimate)}, without an end"
    return _term(estimate) if headline.per == "term" else "once"


def _term(estimate):
    one, many = CYCLES.get(estimate.interval, ("cycle", "cycles"))
    return f"over {estimate.cycles} {one if estimate.cycles == 1 else many}"


def _cycle(estimate):
    return CYCLES.get(estimate.interval, ("cycle", ""))[0]


def _line(compared, estimate):
    shown = compared.proposal or compared.plan
    if shown.per == "once":
        due = "once"
    elif shown.every == 1:
        due = f"each {_cycle(estimate)}"
    else:
        due = f"every {shown.every} {CYCLES.get(estimate.interval, ('', 'cycles'))[1]}"
    side = compared.amounts
    plan = None if side.apart else side.plan
    return Line(
        label=compared.label,
        due=due,
        quantity=shown.quantity,
        money=_with_state(Beside.of("", plan, side.proposal), compared.change),
    )


def _with_state(beside, state):
    """A card that only one side has says so instead of a share."""
    if state not in ("added", "removed"):
        return beside
    return Beside(beside.words, beside.plan, beside.ours, beside.difference, state, "")


def _window(deal):
    if deal.effective_from is None:
        return ""
    start = f" from {deal.effective_from:%-d %b %Y}"
    return f"{start} until {deal.effective_until:%-d %b %Y}" if deal.effective_until else f"{start} on"


def _card_names(deal):
    if deal.price_plan is None:
        return {}
    return {card.billable_id: card.label for card in cards(deal.price_plan.details)}


def _pairs(deal, name):
    return (getattr(deal, name) or {}).items()


def _count(value):
    try:
        return figures.count(number(value))
    except ValueError:
        return str(value)


def _in_currency(amount, deal):
    if amount is None:
        return None
    currency = deal.account.currency if deal.account else ""
    return f"{figures.amount(amount, currency)} {currency}".strip()
