"""What Togai sells, as it shows it: price plans and their rate cards, features, add-ons and usage meters."""

from collections.abc import Mapping
from typing import ClassVar, Self

from pydantic.alias_generators import to_camel

from togai.errors import ContractChanged
from togai.wire.cards import MinimumCommitment
from togai.wire.overrides import CARDS, read_details
from togai.wire.reading import (
    MaybeCycle,
    MaybeFlag,
    MaybeMoment,
    MaybeText,
    MaybeTexts,
    MaybeWhole,
    Remote,
    RemoteId,
    or_none,
    read_whole,
)
from togai.wire.values import Json
from togai.wire.writing import Wire, read_part


class RemotePlan(Remote):
    """
    A version of a price plan, in the v2 shape or one of the two v1 shapes.

    ``details`` (stored form) is known in the v1 shapes only; v2 lists the rate cards apart.
    """

    id: RemoteId
    reference_id: MaybeText = None
    version: MaybeWhole = None
    status: MaybeText = None
    name: MaybeText = None
    description: MaybeText = None
    type: MaybeText = None
    supported_currencies: MaybeTexts = None
    active_currencies: MaybeTexts = None
    pricing_cycle_config: MaybeCycle = None
    deferred_revenue: MaybeFlag = None
    allow_ongoing_cycle_updates: MaybeFlag = None
    created_at: MaybeMoment = None
    updated_at: MaybeMoment = None
    details: Json | None = None

    @classmethod
    def _read(cls, record: Json) -> Self:
        found: Json = {key: value for key, value in record.items() if key != "details"}
        held = record
        schedule = record.get("pricingSchedule")
        if isinstance(schedule, list):
            entries = [entry for entry in schedule if isinstance(entry, dict)]
            held = max(entries, key=lambda entry: or_none(read_whole)(entry.get("version")) or 0, default={})
            found.setdefault("version", held.get("version"))
        inner = held.get("pricePlanDetails")
        if isinstance(inner, dict):
            found["details"] = read_details(inner)
            ours = ("supportedCurrencies", "activeCurrencies", "pricingCycleConfig", "deferredRevenue")
            found = {key: inner[key] for key in ours if key in inner} | found
            # v1 writes this one key in snake case (togai.md 6, row 19).
            found.setdefault("allowOngoingCycleUpdates", inner.get("allow_ongoing_cycle_updates"))
        return cls.model_validate(found)


class RemoteRateCard(Remote):
    """
    A rate card of a plan (v2).

    ``kind`` is the key of its kind in a plan's details ("fixedFeeRateCards", "minimumCommitment") and
    ``details`` the card itself in stored form. Where the inner card leaves out its display name, tag or
    invoice timing, they are taken from around it, so that sending it back in an override does not lose them.
    """

    KINDS: ClassVar[Mapping[str, tuple[str, type[Wire]]]] = {
        **{kind.removesuffix("s"): (kind, card) for kind, card in CARDS.items()},
        "minimumCommitmentRateCard": ("minimumCommitment", MinimumCommitment),
    }

    billable_id: MaybeText = None
    type: MaybeText = None
    display_name: MaybeText = None
    name: MaybeText = None
    tag: MaybeText = None
    invoice_timing: MaybeText = None
    currencies: MaybeTexts = None
    price_plan_id: MaybeText = None
    account_id: MaybeText = None
    kind: str
    details: Json

    @classmethod
    def _read(cls, record: Json) -> Self:
        around = record.get("rateCardDetails")
        inner = {
            key: value
            for key, value in (around if isinstance(around, dict) else {}).items()
            if value is not None
        }
        known = [key for key in inner if key in cls.KINDS]
        if len(known) != 1:
            raise ContractChanged(
                "A rate card of Togai's has no details of a known kind.", reason="no_details"
            )
        kind, card = cls.KINDS[known[0]]
        details = inner[known[0]]
        if isinstance(details, dict):
            names = {to_camel(name) for name in card.model_fields}
            outer = {
                key: record[key]
                for key in ("displayName", "tag", "invoiceTiming")
                if key in names and record.get(key) is not None
            }
            details = outer | {key: value for key, value in details.items() if value is not None}
        return cls.model_validate(record | {"kind": kind, "details": read_part(card, details)})


class RemoteFeature(Remote):
    """A feature that entitlements are counted in."""

    id: RemoteId
    name: MaybeText = None
    display_name: MaybeText = None
    billable_name: MaybeText = None
    created_at: MaybeMoment = None
    updated_at: MaybeMoment = None


class RemoteAddOn(Remote):
    """What fixed fees, licences and credit grants bill."""

    id: RemoteId
    name: MaybeText = None
    type: MaybeText = None
    status: MaybeText = None
    display_name: MaybeText = None
    billable_name: MaybeText = None
    created_at: MaybeMoment = None


class RemoteUsageMeter(Remote):
    """What usage rate cards bill."""

    id: RemoteId
    name: MaybeText = None
    display_name: MaybeText = None
    billable_name: MaybeText = None
    type: MaybeText = None
    aggregation: MaybeText = None
    status: MaybeText = None
