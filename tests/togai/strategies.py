"""
Everything that may be sent, as Hypothesis strategies of plain dicts on the wire's own terms.

Numbers come in each form that our callers use: plain text (stored form), Decimal (our API) and int. Each dict
is legal for `togai.wire`; `create_bodies` also keeps to what each purchase type may carry.
"""

from decimal import Decimal
from itertools import accumulate

from hypothesis import strategies as st

CURRENCIES = ["EUR", "USD", "JPY", "KWD", "INR"]
IDS = [
    f"{kind}.{serial:011d}.{check}" for kind in ("addon", "feature") for serial, check in enumerate("abcdefg")
]
METERS = [f"um.{serial:05d}.x" for serial in range(6)]
INTERVALS = {"WEEKLY": 0, "MONTHLY": 0, "QUARTERLY": 3, "HALF_YEARLY": 6, "ANNUALLY": 12}


def _form(number, form):
    """The same number as stored text, as Decimal or, where it is whole, as int."""
    if form is int and number != number.to_integral_value():
        return number
    return f"{number:f}" if form is str else form(number)


def _in_a_form(numbers):
    return st.builds(_form, numbers, st.sampled_from([str, Decimal, int]))


def _decimals(least, most, places=0):
    """Decimals with so many places; limits are counted in units of the last one."""
    return st.integers(least, most).map(lambda units: Decimal(units).scaleb(-places))


def numbers():
    """A number from zero to ten million, with up to four places."""
    return _in_a_form(_decimals(0, 10**11, places=4) | _decimals(0, 10_000))


def positive_numbers():
    """A number above zero."""
    return _in_a_form(_decimals(1, 10**11, places=4) | _decimals(1, 10_000))


def rates():
    """A rate: cents, a discount below zero, or a tiny price with twelve places."""
    return _in_a_form(
        _decimals(-50_000, 10**9, places=2) | _decimals(0, 10**14, places=12) | _decimals(0, 10_000)
    )


def currencies(most=3):
    """Some currencies, none twice."""
    return st.lists(st.sampled_from(CURRENCIES), min_size=1, max_size=most, unique=True)


def durations():
    """ISO 8601 durations of every kind we send."""
    return st.sampled_from(["PT0S", "P20D", "P1M", "P1Y", "P2W", "P1Y2M3DT4H5M6S", "PT1.5S", "P0D"])


def texts(most=40):
    """Text that people write: letters of any script, marks, emoji, quotes; no control characters."""
    return st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=most)


def keys():
    """Idempotency keys."""
    return st.uuids().map(str) | st.uuids().map(lambda uuid: f"bo1-test-{uuid.hex}")


def _slab_config(price_type):
    size = positive_numbers().map(lambda number: {"packageSize": number})
    return size if price_type == "PACKAGE" else st.just({})


@st.composite
def _limits(draw):
    """Minimum and maximum rate, either or neither; never crossed."""
    low, high = sorted(draw(st.tuples(*[_decimals(0, 999_900, places=2)] * 2)))
    limits = {"minimumRate": f"{low:f}", "maximumRate": f"{high:f}"}
    return {key: limits[key] for key in draw(st.sets(st.sampled_from(sorted(limits))))}


def _maybe(**parts):
    return st.fixed_dictionaries({}, optional=parts)


def _thresholds(most):
    """Where slabs start: at zero and then ever higher."""
    steps = st.lists(_decimals(1, 99_990, places=1), max_size=most - 1)
    starts = steps.map(lambda each: [Decimal(0), *accumulate(each)])
    return st.tuples(starts, st.sampled_from([str, Decimal, int])).map(
        lambda drawn: [_form(start, drawn[1]) for start in drawn[0]]
    )


@st.composite
def slab_prices(draw):
    """A rate plan and the rates that fit it: the two keys that every card with slabs shares."""
    slabs = []
    for order, start in enumerate(draw(_thresholds(4) | _thresholds(10)), start=1):
        price_type = draw(st.sampled_from(["FLAT", "PER_UNIT", "PACKAGE"]))
        slab = {"order": order, "startAfter": start, "priceType": price_type}
        if price_type == "PACKAGE" or draw(st.booleans()):
            slab["slabConfig"] = draw(_slab_config(price_type))
        slabs.append(slab)
    values = []
    for currency in draw(currencies()):
        slab_rates = [
            {"order": slab["order"], "rate": draw(rates())} | draw(_maybe(slabRateConfig=_limits()))
            for slab in slabs
        ]
        values.append({"currency": currency, "slabRates": slab_rates} | draw(_maybe(rateConfig=_limits())))
    model = draw(st.sampled_from(["TIERED", "VOLUME"]))
    return {"ratePlan": {"pricingModel": model, "slabs": slabs}, "rateValues": values}


@st.composite
def flat_prices(draw):
    """One amount per currency."""
    return [{"currency": currency, "rate": draw(rates())} for currency in draw(currencies())]


def _names():
    return {"displayName": texts(), "name": st.text("abc_", min_size=1, max_size=20), "tag": texts(20)}


def _recurrence():
    return _maybe(interval=st.integers(1, 24), offset=st.integers(0, 24))


@st.composite
def fixed_fee_cards(draw):
    """A fixed fee."""
    optional = _maybe(
        **_names(),
        invoiceTiming=st.sampled_from(["IN_ADVANCE", "IN_ARREARS"]),
        type=st.sampled_from(["ONE_TIME", "RECURRING"]),
        recurrenceConfig=_recurrence(),
    )
    needed = {
        "id": draw(st.sampled_from(IDS)),
        "enableProration": draw(st.booleans()),
        "rateValues": draw(flat_prices()),
    }
    return needed | draw(optional)


@st.composite
def entitlement_cards(draw):
    """An allowance of a feature."""
    window = st.fixed_dictionaries(
        {"featureCreditLimit": numbers(), "effectiveUntil": durations()},
        optional={"effectiveFrom": durations()},
    )
    needed = {
        "featureId": draw(st.sampled_from(IDS)),
        "featureConfigs": draw(st.lists(window, min_size=1, max_size=3)),
        "invoiceTiming": draw(st.sampled_from(["IN_ADVANCE", "IN_ARREARS", "PREPAID"])),
    }
    return needed | draw(slab_prices()) | draw(_maybe(**_names(), recurrenceConfig=_recurrence()))


@st.composite
def credit_grant_cards(draw):
    """Credit that is granted and perhaps sold."""
    expiry = draw(st.sampled_from(["PRICING_CYCLE", "NO_EXPIRY", "CUSTOM"]))
    grant = {"priority": draw(st.integers(0, 100)), "expiryType": expiry}
    if expiry == "CUSTOM":
        grant["expiryDuration"] = draw(durations())
    entities = ["ALL_USAGE_METER_RATE_CARDS", "ALL_FIXED_FEE_RATE_CARDS", *METERS]
    grant |= draw(_maybe(applicableEntityIds=st.lists(st.sampled_from(entities), max_size=3, unique=True)))
    prices = []
    for currency in draw(currencies()):
        slabs = []
        for start in draw(_thresholds(3)):
            price_type = draw(st.sampled_from(["FLAT", "PER_UNIT", "PACKAGE"]))
            slab = {"startAfter": start, "priceType": price_type, "rate": draw(rates())}
            if price_type == "PACKAGE":
                slab["slabConfig"] = draw(_slab_config(price_type))
            slabs.append(slab | draw(_maybe(slabRateConfig=_limits())))
        price = {"currency": currency, "creditAmount": draw(numbers()), "slabDetails": slabs}
        prices.append(price | draw(_maybe(rateConfig=_limits())))
    model = draw(st.sampled_from(["TIERED", "VOLUME"]))
    needed = {
        "id": draw(st.sampled_from(IDS)),
        "grantDetails": grant,
        "rateDetails": {"pricingModel": model, "currencySlabRateDetails": prices},
    }
    optional = _maybe(
        **_names(),
        invoiceTiming=st.sampled_from(["IN_ADVANCE", "IN_ARREARS", "PREPAID"]),
        type=st.sampled_from(["ONE_TIME", "RECURRING"]),
        recurrenceConfig=_recurrence(),
    )
    return needed | draw(optional)


@st.composite
def usage_cards(draw):
    """Metered usage."""
    return {"usageMeterId": draw(st.sampled_from(METERS))} | draw(slab_prices()) | draw(_maybe(**_names()))


@st.composite
def license_cards(draw):
    """Seats."""
    optional = _maybe(
        **_names(),
        type=st.sampled_from(["LICENSE", "NAMED_LICENSE"]),
        invoiceTiming=st.sampled_from(["IN_ADVANCE", "IN_ARREARS"]),
        usageCycle=st.sampled_from(sorted(INTERVALS)),
        config=_maybe(maxQuantity=st.integers(0, 2**40), maxQuantityBreachAction=st.just("DO_NOTHING")),
        proratedRefundMode=st.sampled_from(["NONE", "CREDITS", "PAYMENT", "WALLET"]),
    )
    needed = {"id": draw(st.sampled_from(IDS)), "enableProration": draw(st.booleans())}
    return needed | draw(slab_prices()) | draw(optional)


@st.composite
def overage_cards(draw):
    """Units beyond an allowance."""
    billing = _maybe(interval=st.integers(1, 24), startOffset=st.integers(0, 24))
    optional = _maybe(**_names(), maxQuantity=numbers(), billingConfig=billing)
    return {"featureId": draw(st.sampled_from(IDS))} | draw(slab_prices()) | draw(optional)


@st.composite
def minimum_commitments(draw):
    """The floor of a plan."""
    return {"displayName": draw(texts().filter(bool)), "rateValues": draw(flat_prices())}


@st.composite
def pricing_cycles(draw):
    """When a cycle starts."""
    interval = draw(st.sampled_from(sorted(INTERVALS)))
    cycle = {"interval": interval, "gracePeriod": draw(st.integers(0, 90))}
    anniversary = draw(st.sampled_from([None, True, False]))
    if anniversary is not None:
        cycle["anniversaryCycle"] = anniversary
    if anniversary is not True and draw(st.booleans()):
        weekly, months = interval == "WEEKLY", INTERVALS[interval]
        days = [str(day) for day in range(1, 8 if weekly else 32)] + ([] if weekly else ["LAST"])
        starts = [*map(str, range(1, months + 1)), "FIRST", "LAST"] if months else ["NIL"]
        cycle["startOffset"] = {
            "dayOffset": draw(st.sampled_from(days)),
            "monthOffset": draw(st.sampled_from(starts)),
        }
    return cycle


def _some(cards, key):
    return st.lists(cards, min_size=1, max_size=2, unique_by=lambda card: card[key])


PURCHASE_PARTS = {
    "fixedFeeRateCards": _some(fixed_fee_cards(), "id"),
    "billingEntitlementRateCards": _some(entitlement_cards(), "featureId"),
    "creditGrantRateCards": _some(credit_grant_cards(), "id"),
}
ASSOCIATION_PARTS = PURCHASE_PARTS | {
    "usageRateCards": _some(usage_cards(), "usageMeterId"),
    "licenseRateCards": _some(license_cards(), "id"),
    "entitlementOverageRateCards": _some(overage_cards(), "featureId"),
    "minimumCommitment": minimum_commitments(),
    "pricingCycleConfig": pricing_cycles(),
    "supportedCurrencies": currencies(),
}


@st.composite
def _parts(draw, parts):
    """One to three parts: the whole of an override at once is more than a generator should make each time."""
    chosen = draw(st.lists(st.sampled_from(sorted(parts)), min_size=1, max_size=3, unique=True))
    return {key: draw(parts[key]) for key in chosen}


def purchase_plan_overrides():
    """What may replace cards of a PURCHASE plan."""
    return _parts(PURCHASE_PARTS)


def association_overrides():
    """What may replace cycle and cards of a BILLING plan."""
    return _parts(ASSOCIATION_PARTS)


@st.composite
def create_bodies(draw):
    """A whole create of a purchase or, with a payment mode, of a proposal, by the rules of its type."""
    kind = draw(st.sampled_from(["ENTITLEMENT_GRANT", "ASSOCIATION", "WALLET_TOPUP", "PREPAID"]))
    body = {"type": kind, "idempotencyKey": draw(keys())}
    if draw(st.booleans()):
        body["paymentMode"] = draw(st.sampled_from(["PREPAID", "POSTPAID"]))
    moments = st.sampled_from(
        ["2030-02-15T17:00:00Z", "2030-02-15T23:59:59.999999+05:30", "2031-01-01t00:00:00.5-0800"]
    )
    body |= draw(_maybe(expiryDate=moments))
    if kind == "WALLET_TOPUP":
        topup = {"topupAmount": draw(positive_numbers())} | draw(_maybe(purchaseAmount=numbers()))
        return body | {"walletTopupDetails": topup}
    body["pricePlanId"] = "pp.20dINmd0lBg.05sKa"
    if kind == "ASSOCIATION":
        days = _maybe(effectiveFrom=st.just("2030-03-01"), effectiveUntil=st.just("9999-01-01"))
        return body | draw(days) | draw(_maybe(associationOverride=association_overrides()))
    quantities = st.dictionaries(st.sampled_from(IDS), positive_numbers(), min_size=1, max_size=3)
    body |= draw(
        st.one_of(
            st.integers(1, 2**31 - 1).map(lambda quantity: {"quantity": quantity}),
            quantities.map(lambda each: {"rateCardQuantities": each}),
        )
    )
    return body | draw(_maybe(purchasePlanOverride=purchase_plan_overrides()))


@st.composite
def account_changes(draw):
    """The body of an account edit: at least one thing changes."""
    emails = st.lists(st.just("billing@acme.example"), max_size=2)
    parts = {
        "name": texts().filter(lambda text: len(text) >= 3),
        "status": st.sampled_from(["ACTIVE", "DRAFT"]),
        "netTermDays": st.integers(0, 365),
        "primaryEmail": st.just("billing@acme.example"),
        "address": _maybe(line1=texts(), city=texts(), postalCode=texts(), country=st.just("DE")),
        "billingInformation": _maybe(emailRecipients=emails, additionalEmailRecipients=emails),
        "metadata": st.dictionaries(st.text("abc", min_size=1, max_size=9), texts(), max_size=3),
        "tags": st.lists(st.text("abcXYZ", min_size=1, max_size=9), max_size=4, unique_by=str.lower),
    }
    return draw(_parts(parts))
