"""
What an override changes in its plan, cell by cell and in words: the plan's value beside ours.

Pure: plain values in, frozen values out. The money of it is `pricing.compare`'s.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

from purchases import figures
from purchases.cards import CARDS, KIND_NAMES
from purchases.money import number
from purchases.overrides import effective, keyed

Path = tuple[str, ...]

# What people call the fields of togai.md 4.2 and 4.3.
_NAMES = {
    "rate": "Rate",
    "minimumRate": "Minimum",
    "maximumRate": "Maximum",
    "startAfter": "Starts after",
    "priceType": "Priced",
    "packageSize": "Package size",
    "pricingModel": "Pricing model",
    "featureCreditLimit": "Credits",
    "effectiveFrom": "Opens after",
    "effectiveUntil": "Ends after",
    "creditAmount": "Credit",
    "priority": "Priority",
    "expiryType": "Expiry",
    "expiryDuration": "Lasts",
    "applicableEntityIds": "Applies to",
    "invoiceTiming": "Invoiced",
    "enableProration": "Prorated",
    "type": "Charged",
    "interval": "Every (cycles)",
    "offset": "First after (cycles)",
    "startOffset": "First after (cycles)",
    "usageCycle": "Usage cycle",
    "maxQuantity": "Most units",
    "maxQuantityBreachAction": "Beyond the most units",
    "proratedRefundMode": "Refund when prorated",
    "displayName": "Shown name",
    "name": "Name",
    "tag": "Tag",
    "gracePeriod": "Grace period (days)",
    "dayOffset": "Starts on day",
    "monthOffset": "Starts in month",
    "anniversaryCycle": "From the anniversary",
}
_CYCLE_NAMES = {"interval": "Billing cycle"}
_AMOUNTS = frozenset({"rate", "minimumRate", "maximumRate", "creditAmount"})
_NUMBERS = _AMOUNTS | {"startAfter", "featureCreditLimit", "packageSize", "maxQuantity"}
_BY_CURRENCY = ("rateValues", "currencySlabRateDetails")
_BY_SLAB = ("slabs", "slabRates", "slabDetails")


@dataclass(frozen=True)
class Cell:
    """
    One value of a card in plan and deal.

    :ivar state: "changed", "added", "removed" or "same"
    :ivar plan: in words, None where the plan has no such value; `ours` likewise
    :ivar kind: for partials/change.html, with `text`
    """

    words: str
    currency: str
    plan: str | None
    ours: str | None
    state: str
    kind: str
    text: str


@dataclass(frozen=True)
class CardChange:
    """A card that differs, with its rates (changed or not) and what else changed."""

    kind: str
    billable_id: str
    label: str
    note: str
    state: str
    cells: tuple[Cell, ...]

    @property
    def kind_name(self) -> str:
        """What people call this kind of card."""
        return KIND_NAMES[self.kind]

    @property
    def line(self) -> str:
        """The name of this line of the terms, for notes that are pinned to it."""
        return line_name(self.kind, self.billable_id)


def line_name(kind: str, billable_id: str) -> str:
    """How notes name a line of the terms: "fixedFeeRateCards:addon.platform"."""
    return f"{kind}:{billable_id}" if billable_id else kind


def changes(details: Mapping[str, Any], override: Mapping[str, Any]) -> tuple[CardChange, ...]:
    """
    Everything an override changes, in the order of the plan's kinds and cards.

    :param details: of the plan, in stored form
    :param override: in stored form and of sound shape, as `terms.problems` judges; `{}` changes nothing
    """
    before, after = keyed(details), keyed(effective(details, override))
    return tuple(_changes(before, after))


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[CardChange]:
    for kind in KIND_NAMES:
        old, new = before.get(kind), after.get(kind)
        if old == new:
            continue
        if kind not in CARDS:
            yield _card(kind, "", old, new)
            continue
        rows, others = old or {}, new or {}
        for billable_id in [*rows, *(name for name in others if name not in rows)]:
            if rows.get(billable_id) != others.get(billable_id):
                yield _card(kind, billable_id, rows.get(billable_id), others.get(billable_id))


def _card(kind: str, billable_id: str, old: Any, new: Any) -> CardChange:
    shown = new if new is not None else old
    named = shown if isinstance(shown, Mapping) else {}
    return CardChange(
        kind=kind,
        billable_id=billable_id,
        label=named.get("displayName") or named.get("name") or billable_id or KIND_NAMES[kind],
        note=_note(named),
        state="added" if old is None else "removed" if new is None else "changed",
        cells=tuple(_cells(kind, old, new)),
    )


def _note(card: Mapping[str, Any]) -> str:
    model = (card.get("ratePlan") or card.get("rateDetails") or {}).get("pricingModel")
    return _word(model) if model else ""


def _cells(kind: str, old: Any, new: Any) -> Iterator[Cell]:
    before, after = dict(_leaves(old)), dict(_leaves(new))
    bands = _bands(old) | _bands(new)
    paths = [*before, *(path for path in after if path not in before)]
    rates = [path for path in paths if path and path[-1] == "rate"]
    for path in [*sorted(rates, key=_rate_order), *(path for path in paths if path not in rates)]:
        was, now = before.get(path), after.get(path)
        if was == now and path not in rates:
            continue
        yield _cell(kind, path, was, now, bands)


def _rate_order(path: Path) -> tuple[str, int]:
    slab = _after(path, _BY_SLAB)
    return _after(path, _BY_CURRENCY), int(slab) if slab.isdecimal() else 0


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if value is None:
        return
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, str(name)))
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        for position, inner in enumerate(value, start=1):
            yield from _leaves(inner, (*path, str(position)))
    else:
        yield path, value


def _bands(card: Any) -> dict[str, str]:
    """Which units each slab of a card holds, in words, by its order."""
    if not isinstance(card, Mapping):
        return {}
    tables = [(card.get("ratePlan") or {}).get("slabs") or {}]
    priced = (card.get("rateDetails") or {}).get("currencySlabRateDetails") or {}
    tables += [inner.get("slabDetails") or {} for inner in priced.values()]
    bands = {}
    for slabs in tables:
        orders = sorted((order for order in slabs if order.isdecimal()), key=int)
        starts = [_number(slabs[order].get("startAfter")) for order in orders]
        for place, order in enumerate(orders):
            upto = starts[place + 1] if place + 1 < len(starts) else None
            bands[order] = band(starts[place], upto)
    return bands


def band(start: Decimal | None, upto: Decimal | None) -> str:
    """Which units a slab holds, in words."""
    if start is None:
        return "not said yet"
    if not start:
        return "all units" if upto is None else f"up to {figures.count(upto)}"
    if upto is None:
        return f"over {figures.count(start)}"
    return f"over {figures.count(start)} to {figures.count(upto)}"


def _cell(kind: str, path: Path, was: Any, now: Any, bands: Mapping[str, str]) -> Cell:
    currency = _after(path, _BY_CURRENCY)
    state = "added" if was is None else "removed" if now is None else "same" if was == now else "changed"
    shown, text = state, ""
    old, new = _number(was), _number(now)
    if state == "changed" and path and path[-1] in _NUMBERS and old is not None and new is not None:
        moved, text = figures.change(old, new)
        shown = moved if path[-1] in _AMOUNTS else "changed"
    return Cell(
        words=_words(kind, path, bands),
        currency=currency,
        plan=_value(path, was, currency),
        ours=_value(path, now, currency),
        state=state,
        kind=shown,
        text=text,
    )


def _words(kind: str, path: Path, bands: Mapping[str, str]) -> str:
    if not path:
        return KIND_NAMES[kind]
    names = _NAMES | _CYCLE_NAMES if kind == "pricingCycleConfig" else _NAMES
    name = names.get(path[-1], path[-1])
    slab = _after(path, _BY_SLAB)
    if slab:
        place = f"Slab {slab}, {bands[slab]}" if slab in bands else f"Slab {slab}"
        if path[-1] == "rate":
            return place
        return f"{place}: {name.lower()}"
    window = _after(path, ("featureConfigs",))
    if window and window != "1":
        return f"{name} (window {window})"
    return name


def _after(path: Path, names: tuple[str, ...]) -> str:
    """The element of a path that follows one of the names, or ""."""
    for name, following in pairwise(path):
        if name in names:
            return following
    return ""


def _value(path: Path, value: Any, currency: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(entry) for entry in value) or "none"
    read = _number(value)
    if path and path[-1] in _NUMBERS and read is not None:
        return figures.amount(read, currency) if path[-1] in _AMOUNTS else figures.count(read)
    if isinstance(value, str) and path and path[-1] not in ("displayName", "name", "tag"):
        return _word(value)
    return str(value)


def _word(value: str) -> str:
    """A word of the vendor's in small letters: PER_UNIT is "per unit"; durations and ids stay as they are."""
    plain = value.replace("_", "").isalpha() and value.isupper() and len(value) > 3
    return value.replace("_", " ").lower() if plain else value


def _number(value: Any) -> Decimal | None:
    try:
        return number(value)
    except ValueError:
        return None
