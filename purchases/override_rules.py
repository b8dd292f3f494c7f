"""What Togai, or togai.md for it, would refuse in an override as it would be sent."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from purchases.cards import (
    CARDS,
    DETAILS,
    KIND_NAMES,
    MAX_CARDS,
    Fault,
    cycle_problems,
    shape_problems,
    structure_problems,
)
from purchases.overrides import Details, Override, sides


def sent_faults(
    details: Details, override: Override, *, offered: Collection[str], currency: str, recurs: bool
) -> Iterator[Fault]:
    """
    Find what Togai would refuse in the lists that would be sent, in changed cards and unchanged ones alike.

    :param override: of sound shape, as `cards.shape_problems` judges a patch
    :param offered: the plan's currencies; one that the override adds must be priced on every card
    :param currency: the account's, which every changed card must be priced in; empty when not known
    :param recurs: whether the plan has billing cycles
    """
    whole, changes = sides(details, override)
    added = [name for name in changes.get("supportedCurrencies") or () if name not in offered]
    for kind, change in changes.items():
        if kind in CARDS:
            yield from _kind_faults(kind, change, whole.get(kind, {}), recurs=recurs)
        elif change is None:
            yield Fault((kind,), f"{KIND_NAMES[kind]}: Togai has no way to remove this; change it instead.")
        else:
            faults = list(shape_problems(DETAILS.fields[kind], whole[kind], (kind,)))
            yield from faults
            if kind == "pricingCycleConfig" and not faults:
                for fault in cycle_problems(whole[kind]):
                    yield Fault((kind, *fault.path), fault.message)
    yield from _name_faults(whole, changes)
    for kind, billable_id, card in _priced(whole):
        here = (kind, billable_id) if billable_id else (kind,)
        changed = kind in changes and (not billable_id or billable_id in changes[kind])
        for wanted in dict.fromkeys([*added, *([currency] if changed and currency else [])]):
            prices = _prices(kind, card)
            # A card without any price has been told so already.
            if isinstance(prices, Mapping) and prices and wanted not in prices:
                table = (
                    ("rateDetails", "currencySlabRateDetails")
                    if kind == "creditGrantRateCards"
                    else ("rateValues",)
                )
                yield Fault((*here, *table, wanted), f"There is no price in {wanted}.")


def _kind_faults(
    kind: str, change: Mapping[str, Any], rows: Mapping[str, Any], *, recurs: bool
) -> Iterator[Fault]:
    if not rows:
        last = list(change)[-1]
        yield Fault(
            (kind, last),
            "The last card of a kind stays: Togai has no way to remove it. Set its price instead.",
        )
        return
    if len(rows) > MAX_CARDS:
        yield Fault((kind,), f"At most {MAX_CARDS} cards of a kind.")
    faults = list(shape_problems(CARDS[kind], rows, (kind,)))
    yield from faults
    unsound = {fault.path[1] for fault in faults if len(fault.path) > 1}
    for billable_id, card in rows.items():
        if billable_id not in unsound:
            for fault in structure_problems(kind, card):
                yield Fault((kind, billable_id, *fault.path), fault.message)
        if not recurs and billable_id in change and card.get("type") == "RECURRING":
            yield Fault(
                (kind, billable_id, "type"), "A purchase plan has no cycles in which this could recur."
            )


def _name_faults(whole: Mapping[str, Any], changes: Mapping[str, Any]) -> Iterator[Fault]:
    """Names at Togai are unique in a plan (togai.md 4.3); the plan's own are not for the rep to put right."""
    named = Counter(card.get("name") for kind in CARDS for card in whole.get(kind, {}).values())
    for kind in CARDS:
        for billable_id, change in (changes.get(kind) or {}).items():
            name = change.get("name") if isinstance(change, Mapping) else None
            if name and named[name] > 1:
                yield Fault(
                    (kind, billable_id, "name"),
                    f"Another card is called {name} at Togai, too; names are unique in a plan.",
                )


def _priced(whole: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for kind in CARDS:
        for billable_id, card in whole.get(kind, {}).items():
            yield kind, billable_id, card
    if "minimumCommitment" in whole:
        yield "minimumCommitment", "", whole["minimumCommitment"]


def _prices(kind: str, card: Mapping[str, Any]) -> Any:
    if kind == "creditGrantRateCards":
        return card.get("rateDetails", {}).get("currencySlabRateDetails")
    return card.get("rateValues")
