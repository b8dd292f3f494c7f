"""What a request may hold, what it may not, and how tolerantly an answer is read."""

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal as D

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.togai import strategies
from tests.togai.oracle import judge
from togai import strict_json, wire
from togai.errors import ContractChanged

MANY = settings(max_examples=1_000, deadline=None, suppress_health_check=list(HealthCheck))

PER_UNIT = {"order": 1, "startAfter": "0", "priceType": "PER_UNIT"}
PRICES = {
    "ratePlan": {"pricingModel": "TIERED", "slabs": [PER_UNIT]},
    "rateValues": [{"currency": "EUR", "slabRates": [{"order": 1, "rate": "0.5"}]}],
}
FEE = {"id": "addon.1", "enableProration": False, "rateValues": [{"currency": "EUR", "rate": "750"}]}
USAGE = {"usageMeterId": "um.1"} | PRICES
LICENSE = {"id": "addon.2", "enableProration": True} | PRICES
OVERAGE = {"featureId": "feature.1"} | PRICES
ENTITLEMENT = {
    "featureId": "feature.1",
    "featureConfigs": [{"featureCreditLimit": 100, "effectiveUntil": "P30D"}],
    "invoiceTiming": "IN_ADVANCE",
} | PRICES
CREDIT = {
    "id": "addon.3",
    "grantDetails": {"priority": 1, "expiryType": "NO_EXPIRY"},
    "rateDetails": {
        "pricingModel": "TIERED",
        "currencySlabRateDetails": [
            {
                "currency": "EUR",
                "creditAmount": 200,
                "slabDetails": [{"startAfter": 0, "priceType": "FLAT", "rate": 0}],
            }
        ],
    },
}
CYCLE = {"interval": "MONTHLY", "gracePeriod": 2}
PROPOSAL = {
    "type": "ENTITLEMENT_GRANT",
    "paymentMode": "PREPAID",
    "idempotencyKey": "k-1",
    "pricePlanId": "pp.1",
}


def changed(whole, path, value):
    """`whole` with the value at a dotted path replaced or added, or removed where the value is `...`."""
    step, _, rest = path.partition(".")
    key = int(step) if isinstance(whole, list) else step
    copy = whole.copy()
    if rest:
        copy[key] = changed(whole[key], rest, value)
    elif value is ...:
        del copy[key]
    else:
        copy[key] = value
    return copy


def faults(model, value):
    """Where a writer finds fault, as dotted paths with their sentences."""
    with pytest.raises(ValidationError) as refusal:
        model.model_validate(value)
    return {".".join(map(str, path)): sentence for path, sentence in wire.problems(refusal.value)}


def test_every_example_of_a_part_is_taken():
    for model, value in [
        (wire.FixedFeeRateCard, FEE),
        (wire.UsageRateCard, USAGE),
        (wire.LicenseRateCard, LICENSE),
        (wire.EntitlementOverageRateCard, OVERAGE),
        (wire.BillingEntitlementRateCard, ENTITLEMENT),
        (wire.CreditGrantRateCard, CREDIT),
        (wire.PricingCycleConfig, CYCLE),
        (wire.CreateProposal, PROPOSAL),
    ]:
        assert model.model_validate(value).model_dump(exclude_none=True)


@pytest.mark.parametrize(
    ("model", "whole", "path", "value", "sentence"),
    [
        # types: an int is an int, a number never a float, a flag never a word
        (wire.FixedFeeRateCard, FEE, "rateValues.0.rate", 0.5, "Enter a number."),
        (wire.FixedFeeRateCard, FEE, "rateValues.0.rate", True, "Enter a number."),
        (wire.FixedFeeRateCard, FEE, "rateValues.0.rate", None, "Enter a number."),
        (wire.FixedFeeRateCard, FEE, "rateValues.0.rate", "1e3", "Enter a number, for example 0.05."),
        (wire.FixedFeeRateCard, FEE, "rateValues.0.rate", "1,5", "Enter a number, for example 0.05."),
        (wire.FixedFeeRateCard, FEE, "rateValues.0.rate", " 1", "Enter a number, for example 0.05."),
        (wire.FixedFeeRateCard, FEE, "rateValues.0.rate", "", "Enter a number, for example 0.05."),
        (wire.FixedFeeRateCard, FEE, "rateValues.0.rate", "NaN", "Enter a number, for example 0.05."),
        (wire.FixedFeeRateCard, FEE, "rateValues.0.rate", "٣", "Enter a number, for example 0.05."),
        (wire.FixedFeeRateCard, FEE, "rateValues.0.rate", "007", "Enter a number, for example 0.05."),
        (
            wire.FixedFeeRateCard,
            FEE,
            "rateValues.0.rate",
            "1234567890123456",
            "At most 15 digits reach Togai exactly.",
        ),
        (wire.FixedFeeRateCard, FEE, "rateValues.0.rate", "1" + "0" * 15, "This number is too large."),
        (wire.FixedFeeRateCard, FEE, "rateValues.0.rate", "0.0000000000001", "At most 12 decimal places."),
        (wire.FixedFeeRateCard, FEE, "enableProration", "false", "Choose yes or no."),
        (wire.FixedFeeRateCard, FEE, "enableProration", 0, "Choose yes or no."),
        (wire.FixedFeeRateCard, FEE, "enableProration", ..., "This is required."),
        (wire.FixedFeeRateCard, FEE, "recurrenceConfig", {"interval": 0}, "At least 1."),
        (wire.FixedFeeRateCard, FEE, "recurrenceConfig", {"interval": True}, "Enter a whole number."),
        (wire.UsageRateCard, USAGE, "ratePlan.slabs.0.order", D("1.0"), "Enter a whole number."),
        (wire.UsageRateCard, USAGE, "ratePlan.slabs.0.order", "1", "Enter a whole number."),
        (wire.UsageRateCard, USAGE, "ratePlan.slabs.0.order", 0, "At least 1."),
        (wire.UsageRateCard, USAGE, "ratePlan.slabs.0.order", 11, "At most 10."),
        # closed objects, known words
        (wire.FixedFeeRateCard, FEE, "rateValue", [], "Togai does not know this here."),
        (wire.FixedFeeRateCard, FEE, "enable_proration", True, "Togai does not know this here."),
        (wire.FixedFeeRateCard, FEE, "rateValues.0.slabRates", [], "Togai does not know this here."),
        (wire.FixedFeeRateCard, FEE, "invoiceTiming", "PREPAID", "One of IN_ADVANCE, IN_ARREARS."),
        (wire.FixedFeeRateCard, FEE, "type", "one_time", "One of ONE_TIME, RECURRING."),
        (
            wire.LicenseRateCard,
            LICENSE,
            "proratedRefundMode",
            "GIFT",
            "One of NONE, CREDITS, PAYMENT, WALLET.",
        ),
        (wire.UsageRateCard, USAGE, "ratePlan.pricingModel", "STAIRS", "One of TIERED, VOLUME."),
        # ids, currencies, texts
        (wire.FixedFeeRateCard, FEE, "id", "", "This is required."),
        (wire.FixedFeeRateCard, FEE, "id", "a" * 51, "At most 50 characters."),
        (wire.FixedFeeRateCard, FEE, "displayName", "a\nb", "Control characters cannot be sent."),
        (wire.FixedFeeRateCard, FEE, "displayName", "a\ud800", "Control characters cannot be sent."),
        (wire.FixedFeeRateCard, FEE, "displayName", 7, "Enter text."),
        *[
            (
                wire.FixedFeeRateCard,
                FEE,
                "rateValues.0.currency",
                word,
                "A currency is three capital letters, such as EUR.",
            )
            for word in ("eur", "EU", "EURO", "E1R", "ÉUR", "EUR\n", 978)
        ],
        # lists
        (
            wire.FixedFeeRateCard,
            FEE,
            "rateValues",
            [],
            "An empty list cannot be sent; leave it out to keep the plan's own.",
        ),
        (
            wire.FixedFeeRateCard,
            FEE,
            "rateValues",
            FEE["rateValues"] * 2,
            "EUR appears twice; one rate for each.",
        ),
        (
            wire.BillingEntitlementRateCard,
            ENTITLEMENT,
            "featureConfigs",
            [],
            "An empty list cannot be sent; leave it out to keep the plan's own.",
        ),
        # durations
        *[
            (
                wire.BillingEntitlementRateCard,
                ENTITLEMENT,
                "featureConfigs.0.effectiveUntil",
                text,
                "Enter a duration such as P30D, P1M or PT0S (ISO 8601).",
            )
            for text in (
                "20 days",
                "P",
                "PT",
                "P1DT",
                "P1S",
                "P-1D",
                "-P1D",
                "1D",
                "P1.5D",
                "P1W2D",
                "p1d",
                "P1D\n",
                "P1234567D",
                30,
                "",
            )
        ],
        (
            wire.BillingEntitlementRateCard,
            ENTITLEMENT,
            "featureConfigs.0.featureCreditLimit",
            -1,
            "At least 0.",
        ),
        # slabs
        (
            wire.UsageRateCard,
            USAGE,
            "ratePlan.slabs.0.order",
            2,
            "Slabs are numbered 1, 2, 3 and so on without gaps.",
        ),
        (wire.UsageRateCard, USAGE, "ratePlan.slabs.0.startAfter", 1, "The first slab starts after 0."),
        (wire.UsageRateCard, USAGE, "ratePlan.slabs", [], "At least one slab is needed."),
        (
            wire.UsageRateCard,
            USAGE,
            "ratePlan.slabs",
            [PER_UNIT, PER_UNIT | {"order": 2}],
            "Each slab starts after the one before it.",
        ),
        (
            wire.UsageRateCard,
            USAGE,
            "rateValues.0.slabRates",
            [{"order": 2, "rate": 1}],
            "EUR needs exactly one rate for each slab.",
        ),
        (
            wire.UsageRateCard,
            USAGE,
            "ratePlan.slabs@rateValues",
            [PER_UNIT, {"order": 2, "startAfter": 5, "priceType": "FLAT"}],
            "EUR needs exactly one rate for each slab.",
        ),
        (
            wire.UsageRateCard,
            USAGE,
            "rateValues.0.slabRates",
            [{"order": 1, "rate": 1}] * 2,
            "1 appears twice; one rate for each.",
        ),
        (
            wire.UsageRateCard,
            USAGE,
            "ratePlan.slabs.0.priceType@ratePlan.slabs.0.slabConfig",
            "PACKAGE",
            "A package needs its size.",
        ),
        (
            wire.UsageRateCard,
            USAGE,
            "ratePlan.slabs.0.slabConfig",
            {"packageSize": "0"},
            "The package size must be more than 0.",
        ),
        (
            wire.UsageRateCard,
            USAGE,
            "ratePlan.slabs.0.slabConfig",
            {"packagesize": "5"},
            "Togai documents no “packagesize” here, only packageSize.",
        ),
        (
            wire.UsageRateCard,
            USAGE,
            "ratePlan.slabs.0.slabConfig",
            {"packageSize": "ten"},
            "Enter a number, for example 0.05.",
        ),
        (wire.UsageRateCard, USAGE, "ratePlan.slabs.0.slabConfig", [], "Enter names and values."),
        (
            wire.UsageRateCard,
            USAGE,
            "rateValues.0.rateConfig",
            {"minimumRate": "9", "maximumRate": "8.99"},
            "The minimum is above the maximum.",
        ),
        (
            wire.CreditGrantRateCard,
            CREDIT,
            "rateDetails.currencySlabRateDetails.0.slabDetails.0.startAfter",
            1,
            "The first slab starts after 0.",
        ),
        (
            wire.CreditGrantRateCard,
            CREDIT,
            "rateDetails.currencySlabRateDetails.0.slabDetails.0.priceType@rateDetails.currencySlabRateDetails.0.slabDetails.0.slabConfig",
            "PACKAGE",
            "A package needs its size.",
        ),
        (
            wire.CreditGrantRateCard,
            CREDIT,
            "rateDetails.currencySlabRateDetails.0.slabDetails.0.order",
            1,
            "Togai does not know this here.",
        ),
        (
            wire.CreditGrantRateCard,
            CREDIT,
            "rateDetails.currencySlabRateDetails",
            [],
            "An empty list cannot be sent; leave it out to keep the plan's own.",
        ),
        (
            wire.CreditGrantRateCard,
            CREDIT,
            "grantDetails.expiryType@grantDetails.expiryDuration",
            "CUSTOM",
            "A custom expiry needs a duration.",
        ),
        (wire.CreditGrantRateCard, CREDIT, "grantDetails.priority", -1, "At least 0."),
        # cycles
        (
            wire.PricingCycleConfig,
            CYCLE,
            "interval",
            "DAILY",
            "One of WEEKLY, MONTHLY, QUARTERLY, HALF_YEARLY, ANNUALLY.",
        ),
        (wire.PricingCycleConfig, CYCLE, "gracePeriod", -1, "At least 0."),
        (
            wire.PricingCycleConfig,
            CYCLE,
            "startOffset",
            {"dayOffset": 1, "monthOffset": "NIL"},
            "Enter text.",
        ),
        (
            wire.PricingCycleConfig,
            CYCLE,
            "startOffset",
            {"dayOffset": "99", "monthOffset": "NIL"},
            "The start day is 1 to 7 for weeks, else 1 to 31 or LAST.",
        ),
        (
            wire.PricingCycleConfig,
            CYCLE,
            "startOffset",
            {"dayOffset": "1", "monthOffset": "1"},
            "For weeks and months the start month is NIL.",
        ),
        (
            wire.PricingCycleConfig,
            CYCLE | {"interval": "WEEKLY"},
            "startOffset",
            {"dayOffset": "8", "monthOffset": "NIL"},
            "The start day is 1 to 7 for weeks, else 1 to 31 or LAST.",
        ),
        (
            wire.PricingCycleConfig,
            CYCLE | {"interval": "QUARTERLY"},
            "startOffset",
            {"dayOffset": "1", "monthOffset": "4"},
            "The start month is 1 to 3, FIRST or LAST.",
        ),
        (
            wire.PricingCycleConfig,
            CYCLE | {"interval": "ANNUALLY"},
            "startOffset",
            {"dayOffset": "1", "monthOffset": "NIL"},
            "The start month is 1 to 12, FIRST or LAST.",
        ),
        (
            wire.PricingCycleConfig,
            CYCLE | {"anniversaryCycle": True},
            "startOffset",
            {"dayOffset": "1", "monthOffset": "NIL"},
            "An anniversary cycle starts with the association; leave the start out.",
        ),
        # requests
        (wire.CreateProposal, PROPOSAL, "idempotencyKey", ..., "This is required."),
        (
            wire.CreateProposal,
            PROPOSAL,
            "idempotencyKey",
            "a b",
            "A key is up to 64 letters, digits and hyphens.",
        ),
        (
            wire.CreateProposal,
            PROPOSAL,
            "idempotencyKey",
            "a" * 65,
            "A key is up to 64 letters, digits and hyphens.",
        ),
        (wire.CreateProposal, PROPOSAL, "paymentMode", ..., "This is required."),
        (wire.CreateProposal, PROPOSAL, "paymentMode", "LATER", "One of PREPAID, POSTPAID."),
        (wire.CreateProposal, PROPOSAL, "type", ..., "This is required."),
        (
            wire.CreateProposal,
            PROPOSAL,
            "type",
            "GIFT",
            "One of ENTITLEMENT_GRANT, ASSOCIATION, WALLET_TOPUP, PREPAID.",
        ),
        (wire.CreateProposal, PROPOSAL, "quantity", 0, "At least 1."),
        (wire.CreateProposal, PROPOSAL, "quantity", 2**31, "At most 2147483647."),
        (wire.CreateProposal, PROPOSAL, "quantity", "2", "Enter a whole number."),
        (wire.CreateProposal, PROPOSAL, "rateCardQuantities", {"f.1": 0}, "More than 0."),
        (wire.CreateProposal, PROPOSAL, "rateCardQuantities", {"f.1": -1}, "More than 0."),
        (wire.CreateProposal, PROPOSAL, "walletTopupDetails", {"topupAmount": 0}, "More than 0."),
        (
            wire.CreateProposal,
            PROPOSAL,
            "walletTopupDetails",
            {"topupAmount": 5, "purchaseAmount": -1},
            "At least 0.",
        ),
        (
            wire.CreateProposal,
            PROPOSAL,
            "purchasePlanOverride",
            {"usageRateCards": [USAGE]},
            "Togai does not know this here.",
        ),
        (
            wire.CreateProposal,
            PROPOSAL,
            "purchasePlanOverride",
            {"fixedFeeRateCards": []},
            "An empty list cannot be sent; leave it out to keep the plan's own.",
        ),
        (
            wire.CreateProposal,
            PROPOSAL,
            "purchasePlanOverride",
            {"fixedFeeRateCards": [FEE, FEE]},
            "addon.1 appears twice; one fixed fee for each.",
        ),
        (
            wire.CreateProposal,
            PROPOSAL,
            "purchasePlanOverride",
            {"fixedFeeRateCards": [FEE | {"id": f"a.{n}"} for n in range(51)]},
            "At most 50 entries.",
        ),
        (
            wire.CreateProposal,
            PROPOSAL,
            "associationOverride",
            {"supportedCurrencies": ["EUR", "EUR"]},
            "EUR appears twice; one entry for each.",
        ),
        *[
            (wire.CreateProposal, PROPOSAL, "effectiveFrom", text, "Enter a date as YYYY-MM-DD.")
            for text in ("2030-02-30", "2030-2-1", "20300201", "2030-02-01T00:00:00Z", 1, "")
        ],
        *[
            (
                wire.CreateProposal,
                PROPOSAL,
                "expiryDate",
                text,
                "Enter a date and time with a zone, for example 2030-02-15T17:00:00Z.",
            )
            for text in (
                "2030-02-15",
                "2030-02-15T17:00:00",
                "2030-02-15T25:00:00Z",
                "2030-02-15T17:00:00+24:00",
                1900000000,
                "",
            )
        ],
        (wire.UpdateProposalStatus, {"status": "APPROVE"}, "status", "APPROVED", "One of APPROVE, DECLINE."),
        (
            wire.UpdateProposalStatus,
            {"status": "APPROVE"},
            "comment",
            "fine",
            "Togai does not know this here.",
        ),
        (wire.UpdateAccount, {"name": "Acme"}, "name", "Ac", "At least 3 characters."),
        (wire.UpdateAccount, {"name": "Acme"}, "status", "ARCHIVED", "One of ACTIVE, DRAFT."),
        (wire.UpdateAccount, {"name": "Acme"}, "invoiceCurrency", "EUR", "Togai does not know this here."),
        (wire.UpdateAccount, {"name": "Acme"}, "netTermDays", -1, "At least 0."),
        (wire.UpdateAccount, {"name": "Acme"}, "tags", ["EU", "eu"], "eu appears twice; one entry for each."),
        (
            wire.UpdateAccount,
            {"name": "Acme"},
            "address",
            {"country": "DEU"},
            "A country is two capital letters.",
        ),
    ],
)
def test_what_breaks_the_contract_is_refused_at_its_field(model, whole, path, value, sentence):
    """G-05: every refusal is a sentence at a named field, never a blank error."""
    place, _, blamed = path.partition("@")
    found = faults(model, changed(whole, place, value))
    at = next(where for where, said in found.items() if said == sentence)
    assert at == blamed or at.startswith(blamed or place) or (not blamed and place.startswith(at))


def test_an_edit_that_changes_nothing_is_refused():
    assert faults(wire.UpdateAccount, {}) == {"": "Nothing to change."}


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("1.50", "1.5"),
        (D("1E+2"), "100"),
        (7, "7"),
        ("-0", "0"),
        (D("-12.340"), "-12.34"),
        ("0.000000000001", "0.000000000001"),
        ("999999999999999", "999999999999999"),
        (D("0.10"), "0.1"),
    ],
)
def test_a_number_has_one_stored_form_and_leaves_as_a_number(given, stored):
    """R-16"""
    fee = wire.FixedFeeRateCard.model_validate(changed(FEE, "rateValues.0.rate", given))
    assert wire.stored(fee)["rateValues"] == [{"currency": "EUR", "rate": stored}]
    assert f'"rate":{stored}}}'.encode() in wire.to_bytes(fee)


def test_nothing_absent_is_ever_written_as_null():
    request = wire.CreateProposal.model_validate(PROPOSAL | {"quantity": None, "associationOverride": None})
    assert json.loads(wire.to_bytes(request)) == PROPOSAL
    assert wire.stored(request) == PROPOSAL


def test_times_leave_with_a_zone():
    deadline = datetime(2030, 2, 15, 18, tzinfo=timezone(timedelta(hours=1)))
    request = wire.CreateProposal.model_validate(
        PROPOSAL | {"expiryDate": deadline, "effectiveFrom": date(2030, 3, 1), "effectiveUntil": "9999-01-01"}
    )
    sent = json.loads(wire.to_bytes(request))
    assert (sent["expiryDate"], sent["effectiveFrom"], sent["effectiveUntil"]) == (
        "2030-02-15T17:00:00Z",
        "2030-03-01",
        "9999-01-01",
    )
    assert faults(wire.CreateProposal, PROPOSAL | {"expiryDate": datetime(2030, 2, 15)})
    assert faults(wire.CreateProposal, PROPOSAL | {"effectiveFrom": deadline})


def test_equal_terms_have_equal_bytes():
    """R-14"""
    one = wire.CreateProposal.model_validate(PROPOSAL | {"rateCardQuantities": {"b": "1.0", "a": 2}})
    other = wire.CreateProposal.model_validate(
        dict(reversed(PROPOSAL.items())) | {"rateCardQuantities": {"a": D("2.00"), "b": D(1)}}
    )
    assert wire.to_bytes(one) == wire.to_bytes(other)


# The vendor's own models, 1,000 requests each


@pytest.fixture(scope="module")
def vendor():
    return pytest.importorskip("togai_client.models")


def binary(number):
    """What a server that counts in binary doubles makes of a number, written out again."""
    return D(repr(float(number)))


@MANY
@given(body=strategies.create_bodies())
def test_every_create_we_can_send_is_taken_by_the_vendors_model(vendor, body):
    """G-05, R-16: with no unknown key, and every number survives a server that counts in doubles."""
    proposal = "paymentMode" in body
    request = (wire.CreateProposal if proposal else wire.CreatePurchase).model_validate(body)
    sent = wire.to_bytes(request)
    assert judge(vendor.CreateProposalRequest if proposal else vendor.CreatePurchaseRequest, sent) == []
    assert json.loads(sent, parse_float=binary) == json.loads(sent, parse_float=D)


@settings(MANY, max_examples=100)
@given(override=st.one_of(strategies.purchase_plan_overrides(), strategies.association_overrides()))
def test_every_override_survives_our_columns_and_an_echo_by_togai(override):
    """What Togai shows of an override reads as what we stored, so a difference is a difference."""
    value = wire.AssociationOverride.model_validate(override)
    stored = wire.stored(value)
    assert wire.AssociationOverride.model_validate(json.loads(json.dumps(stored))) == value
    assert wire.read_details(strict_json.loads(wire.to_bytes(value))) == stored


@settings(MANY, max_examples=200)
@given(body=strategies.account_changes())
def test_every_account_edit_we_can_send_is_taken_by_the_vendors_model(vendor, body):
    """G-05"""
    request = wire.UpdateAccount.model_validate(body)
    assert judge(vendor.UpdateAccountRequest, wire.to_bytes(request)) == []


@pytest.mark.parametrize("verdict", ["APPROVE", "DECLINE"])
def test_both_verdicts_are_taken_by_the_vendors_model(vendor, verdict):
    body = wire.to_bytes(wire.UpdateProposalStatus.model_validate({"status": verdict}))
    assert judge(vendor.UpdateProposalStatus, body) == []


def test_the_judge_sees_what_the_vendors_model_drops(vendor):
    """togai.md 7.2"""
    topup = b'{"type":"WALLET_TOPUP","paymentMode":"PREPAID","walletTopupDetails":{"topupAmount":50}}'
    plural = b'{"type":"ASSOCIATION","paymentMode":"PREPAID","purchasePlanOverrides":{}}'
    assert judge(vendor.CreateProposalRequest, topup) == []
    assert judge(vendor.CreateProposalRequest, plural) == ["/purchasePlanOverrides"]
    assert judge(vendor.CreateProposalRequest, topup.replace(b"50", b'"50"')) != []


# Answers


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2023-07-26T12:36:56.58015Z", datetime(2023, 7, 26, 12, 36, 56, 580150, UTC)),
        ("2030-02-03T10:59:58.1Z", datetime(2030, 2, 3, 10, 59, 58, 100000, UTC)),
        ("2030-02-03T10:59:58Z", datetime(2030, 2, 3, 10, 59, 58, tzinfo=UTC)),
        ("2030-02-03t10:59:58z", datetime(2030, 2, 3, 10, 59, 58, tzinfo=UTC)),
        ("2030-02-03T10:59:58.123456789+05:30", datetime(2030, 2, 3, 5, 29, 58, 123456, UTC)),
        ("2030-02-03T10:59:58-0800", datetime(2030, 2, 3, 18, 59, 58, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("9999-01-01T00:00:00Z", datetime(9999, 1, 1, tzinfo=UTC)),
        (
            "9999-12-31T23:59:59-01:00",
            datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(-timedelta(hours=1))),
        ),
    ],
)
def test_moments_are_read_with_any_fraction(text, instant):
    """togai.md 2.1"""
    assert wire.moment(text) == instant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2030-02-03",
        "2030-02-03T10:59:58",
        "2030-02-30T10:59:58Z",
        "2030-02-03T10:59Z",
        "1900000000",
        "now",
    ],
)
def test_a_moment_without_a_zone_is_no_moment(text):
    with pytest.raises(ValueError, match=r".+"):
        wire.moment(text)


NEEDED = {"id": "purchase.1", "accountId": "acme", "status": "SUCCESS"}


@pytest.mark.parametrize(
    ("key", "name", "values"),
    [
        ("createdAt", "created_at", [{}, "yesterday", "2030-02-03T10:59:58", 1900000000, None, "2030-02-03"]),
        ("effectiveFrom", "effective_from", [{}, "2030-02-30", 20300201, None]),
        ("price", "price", ["many", True, {}, [], None, "NaN"]),
        ("quantity", "quantity", [D("1.5"), "2", True, None]),
        ("rateCardQuantities", "rate_card_quantities", [[], {"a": "x"}, {"a": None}, None]),
        ("walletTopupDetails", "wallet_topup_details", [[], "x", None]),
        (
            "associationOverride",
            "association_override",
            ["x", {"usageRateCards": [{"usageMeterId": 1}]}, None],
        ),
        ("features", "features", [{}, [{"name": "no id"}], None]),
        ("type", "type", [7, None]),
        ("idempotencyKey", "idempotency_key", [7, None]),
    ],
)
def test_an_odd_field_counts_as_missing_and_hides_no_record(key, name, values):
    """T1; togai.md 6, row 6"""
    for value in values:
        purchase = wire.RemotePurchase.read(NEEDED | {key: value, "somethingNew": {"deep": [1]}})
        assert (purchase.id, getattr(purchase, name)) == ("purchase.1", None)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "price",
                "quantity",
                "createdAt",
                "effectiveFrom",
                "features",
                "purchasePlan",
                "associationOverride",
                "raw",
            ]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers(-5, 5) | st.decimals() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
            ),
            max_leaves=5,
        ),
    )
)
def test_no_field_whatever_stops_a_record_with_id_account_and_status(fields):
    """T1"""
    assert wire.RemotePurchase.read(NEEDED | fields, "{}").status == "SUCCESS"


def test_numbers_are_read_digit_by_digit():
    """R-16"""
    record = strict_json.loads(
        '{"id":"p","accountId":"a","status":"SUCCESS","price":881.940,"rateCardQuantities":{"f":1.2},'
        '"walletTopupDetails":{"topupAmount":500,"purchaseAmount":"450.10"}}'
    )
    purchase = wire.RemotePurchase.read(record)
    assert str(purchase.price) == "881.940"
    assert purchase.rate_card_quantities == {"f": D("1.2")}
    assert purchase.wallet_topup_details.topup_amount == 500
    assert purchase.wallet_topup_details.purchase_amount == D("450.10")


def test_what_a_purchase_granted_is_read():
    record = NEEDED | {
        "features": [
            {"id": "f.1", "name": "API", "creditsGranted": D("2.5"), "effectiveUntil": "2030-03-31T09:02:11Z"}
        ]
    }
    [feature] = wire.RemotePurchase.read(record).features
    assert (feature.credits_granted, feature.effective_until.day) == (D("2.5"), 31)


def test_old_shapes_of_an_override_are_read():
    """togai.md 6, rows 5, 8, 10 and 11"""
    slabs = [{"order": order, "startAfter": order - 1, "priceType": "PER_UNIT"} for order in range(1, 13)]
    rates = [{"order": order, "rate": order} for order in range(1, 13)]
    rates[0]["slabRateConfig"] = {"minimumRate": D("1.50"), "maximumRate": 9, "other": None}
    read = wire.read_details(
        {
            "pricingCycleConfig": CYCLE | {"startOffset": {"dayOffset": 2, "monthOffset": "NIL"}},
            "usageRateCards": [
                {
                    "usageMeterId": "um.1",
                    "displayName": None,
                    "somethingNew": 1,
                    "ratePlan": {"pricingModel": "NEW_MODEL", "slabs": slabs},
                    "rateValues": [{"currency": "eur", "slabRates": rates}],
                }
            ],
            "fixedFeeRateCards": [FEE | {"recurrenceConfig": {"interval": None, "offset": None}}] * 2,
            "supportedCurrencies": [],
        }
    )
    assert read["pricingCycleConfig"]["startOffset"] == {"dayOffset": "2", "monthOffset": "NIL"}
    [card] = read["usageRateCards"]
    assert "somethingNew" not in card
    assert card["ratePlan"]["pricingModel"] == "NEW_MODEL"
    assert len(card["ratePlan"]["slabs"]) == 12
    assert card["rateValues"][0]["slabRates"][0] == {
        "order": 1,
        "rate": "1",
        "slabRateConfig": {"minimumRate": "1.5", "maximumRate": "9"},
    }
    assert read["fixedFeeRateCards"] == [FEE | {"recurrenceConfig": {}}] * 2
    assert read["supportedCurrencies"] == []


def test_details_of_another_shape_say_where():
    with pytest.raises(ContractChanged, match=r"usageRateCards\.0\.ratePlan"):
        wire.read_details({"usageRateCards": [{"usageMeterId": "um.1", "rateValues": []}]})


CARD = {
    "billableId": "addon.1",
    "type": "FIXED_FEE",
    "displayName": "Platform fee",
    "name": "platform_fee",
    "tag": "fees",
    "invoiceTiming": "IN_ADVANCE",
}


def test_a_rate_card_is_read_into_the_stored_form():
    inner = {
        "id": "addon.1",
        "enableProration": True,
        "rateValues": [{"currency": "EUR", "rate": 499}, {"currency": "USD", "rate": D("549.50")}],
        "tag": None,
        "displayName": "Own name",
        "somethingNew": 1,
    }
    card = wire.RemoteRateCard.read(
        CARD | {"rateCardDetails": {"fixedFeeRateCard": inner, "usageRateCard": None}}
    )
    assert card.kind == "fixedFeeRateCards"
    assert card.details == {
        "id": "addon.1",
        "displayName": "Own name",
        "tag": "fees",
        "invoiceTiming": "IN_ADVANCE",
        "enableProration": True,
        "rateValues": [{"currency": "EUR", "rate": "499"}, {"currency": "USD", "rate": "549.5"}],
    }
    assert card.billable_id == "addon.1"


@pytest.mark.parametrize(
    ("key", "inner", "kind"),
    [
        ("fixedFeeRateCard", FEE, "fixedFeeRateCards"),
        ("billingEntitlementRateCard", ENTITLEMENT, "billingEntitlementRateCards"),
        ("creditGrantRateCard", CREDIT, "creditGrantRateCards"),
        ("usageRateCard", USAGE, "usageRateCards"),
        ("licenseRateCard", LICENSE, "licenseRateCards"),
        ("entitlementOverageRateCard", OVERAGE, "entitlementOverageRateCards"),
        (
            "minimumCommitmentRateCard",
            {"displayName": "Least", "rateValues": [{"currency": "EUR", "rate": "5"}]},
            "minimumCommitment",
        ),
    ],
)
def test_each_kind_of_rate_card_can_be_sent_back_as_it_was_read(key, inner, kind):
    card = wire.RemoteRateCard.read(CARD | {"rateCardDetails": {key: inner}})
    assert card.kind == kind
    whole = {kind: card.details if kind == "minimumCommitment" else [card.details]}
    assert wire.stored(wire.AssociationOverride.model_validate(whole)) == whole
    if kind in wire.CARDS:
        assert card.details[wire.BILLABLE[kind]] == inner[wire.BILLABLE[kind]]


@pytest.mark.parametrize(
    "details",
    [
        None,
        {},
        [],
        {"brandNewRateCard": {}},
        {"fixedFeeRateCard": None},
        {"fixedFeeRateCard": FEE, "usageRateCard": USAGE},
    ],
)
def test_a_rate_card_without_one_known_kind_is_a_changed_contract(details):
    with pytest.raises(ContractChanged) as refusal:
        wire.RemoteRateCard.read(CARD | {"rateCardDetails": details})
    assert refusal.value.reason == "no_details"
    assert json.loads(refusal.value.raw)["billableId"] == "addon.1"


DETAILS = {
    "supportedCurrencies": ["EUR"],
    "activeCurrencies": ["EUR"],
    "pricingCycleConfig": CYCLE,
    "fixedFeeRateCards": [FEE],
}
KNOWN = {"supportedCurrencies": ["EUR"], "pricingCycleConfig": CYCLE, "fixedFeeRateCards": [FEE]}


def test_a_plan_is_read_in_its_v2_and_both_v1_shapes():
    """togai.md 3.5; 6, row 19"""
    v2 = wire.RemotePlan.read(
        {
            "id": "pp.1",
            "version": 3,
            "type": "BILLING",
            "supportedCurrencies": ["EUR"],
            "pricingCycleConfig": CYCLE,
        }
    )
    assert (v2.version, v2.supported_currencies, v2.pricing_cycle_config, v2.details) == (
        3,
        ("EUR",),
        CYCLE,
        None,
    )
    listed = wire.RemotePlan.read(
        {"id": "pp.1", "version": 3, "pricePlanDetails": DETAILS | {"allow_ongoing_cycle_updates": True}}
    )
    assert (listed.details, listed.active_currencies, listed.allow_ongoing_cycle_updates) == (
        KNOWN,
        ("EUR",),
        True,
    )
    older = {"version": 1, "pricePlanDetails": {}}
    newer = {"version": 2, "pricePlanDetails": DETAILS}
    single = wire.RemotePlan.read({"id": "pp.1", "name": "Scale", "pricingSchedule": [newer, older]})
    assert (single.version, single.details, single.name) == (2, KNOWN, "Scale")


def test_a_plan_whose_cards_cannot_be_read_is_a_changed_contract():
    with pytest.raises(ContractChanged, match="fixedFeeRateCards"):
        wire.RemotePlan.read({"id": "pp.1", "pricePlanDetails": {"fixedFeeRateCards": [{"id": "a"}]}})


def test_schedules_are_read_in_both_versions():
    """togai.md 6, row 14"""
    v2 = wire.RemoteSchedule.read(
        {
            "id": "sch.1",
            "pricePlanInfo": {"name": "Scale"},
            "accountScheduleInfo": {
                "supportedCurrencies": ["EUR"],
                "pricingCycleConfig": CYCLE,
                "id": "inner",
            },
            "endDate": "9999-01-01T00:00:00Z",
            "isOverridden": True,
        }
    )
    v1 = wire.RemoteSchedule.read({"id": "sch.1", "pricePlanName": "Scale", "isOverriden": False})
    assert (v2.id, v2.price_plan_name, v2.is_overridden, v2.end_date.year) == ("sch.1", "Scale", True, 9999)
    assert (v2.supported_currencies, v2.pricing_cycle_config) == (("EUR",), CYCLE)
    assert (v1.price_plan_name, v1.is_overridden) == ("Scale", False)
    assert wire.RemoteSchedule.read({"id": "sch.1"}).is_overridden is None


ACCOUNT = {
    "id": "acme-eu",
    "name": "Acme",
    "aliases": [{"alias": "one"}, "two", {"odd": 1}],
    "tags": ["eu", "enterprise"],
    "metadata": {"vat": "DE1", "gone": None},
    "netTermDays": 30,
    "address": {"line1": "1 Main St", "city": "Berlin"},
    "primaryEmail": None,
}


def test_an_account_is_read():
    account = wire.RemoteAccount.read(ACCOUNT)
    assert (account.aliases, account.tags, account.net_term_days) == (
        ("one", "two"),
        ("eu", "enterprise"),
        30,
    )
    assert (account.metadata, account.primary_email) == ({"vat": "DE1"}, None)


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ({"name": "Acme"}, True),
        ({"name": "Acme 2"}, False),
        ({"netTermDays": 30, "tags": ["Enterprise", "EU"]}, True),
        ({"tags": ["eu"]}, False),
        ({"tags": []}, False),
        ({"address": {"city": "Berlin"}}, True),
        ({"address": {"city": "Bonn"}}, False),
        ({"metadata": {"vat": "DE1"}}, True),
        ({"metadata": {}}, False),
        ({"primaryEmail": "a@b.example"}, False),
        ({"billingInformation": {"emailRecipients": ["a@b.example"]}}, False),
    ],
)
def test_an_account_tells_whether_an_edit_has_arrived(asked, shown):
    assert wire.RemoteAccount.read(ACCOUNT).shows(json.dumps(asked).encode()) is shown


def test_every_other_record_is_read_with_its_own_names():
    wallet = wire.RemoteWallet.read({"id": "w", "balance": D("750.25"), "creditUnit": "EUR"})
    entry = wire.RemoteWalletEntry.read({"id": "e", "amount": 500, "closingBalance": D("750.25")})
    invoice = wire.RemoteInvoice.read(
        {"id": "i", "invoiceClass": "ORDER", "totalAmount": 250, "dueDate": "2030-03-12T00:00:00Z"}
    )
    credits_left = wire.RemoteFeatureCredits.read({"featureId": "f", "granted": 5, "usedOverage": 0})
    value = wire.RemoteEntitlementValue.read({"featureId": "f", "value": "true"})
    customer = wire.RemoteCustomer.read({"id": "c", "billingAddress": "1 Main St"})
    feature = wire.RemoteFeature.read({"id": "f", "displayName": "API calls"})
    add_on = wire.RemoteAddOn.read({"id": "a", "type": "LICENSE", "status": "ACTIVE"})
    meter = wire.RemoteUsageMeter.read({"id": "m", "aggregation": "SUM"})
    assert (wallet.balance, wallet.credit_unit) == (D("750.25"), "EUR")
    assert (entry.amount, entry.closing_balance) == (500, D("750.25"))
    assert (invoice.invoice_class, invoice.total_amount, invoice.due_date.month) == ("ORDER", 250, 3)
    assert (credits_left.granted, credits_left.used_overage, credits_left.balance) == (5, 0, None)
    assert (value.value, customer.billing_address, feature.display_name) == ("true", "1 Main St", "API calls")
    assert (add_on.type, add_on.status, meter.aggregation) == ("LICENSE", "ACTIVE", "SUM")


def test_a_record_is_frozen_and_keeps_its_text():
    purchase = wire.RemotePurchase.read(NEEDED | {"raw": "not this"}, '{"as": "received"}')
    assert purchase.raw == '{"as": "received"}'
    with pytest.raises(ValidationError):
        purchase.status = "FAILURE"
