"""Generated plans, overrides and terms: everything that Togai can express, and nothing that it refuses."""

from datetime import date, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from purchases import overrides
from purchases.terms import AccountFacts, PaymentMode, PlanFacts, PlanType, PurchaseType, Terms
from togai.strict_json import plain

TODAY = date(2030, 2, 1)
ZONES = [ZoneInfo(name) for name in ("Europe/Berlin", "America/St_Johns", "Pacific/Apia", "UTC")]
CURRENCIES = ["EUR", "USD"]
INTERVALS = ["WEEKLY", "MONTHLY", "QUARTERLY", "HALF_YEARLY", "ANNUALLY"]


def numbers(least=-(10**6), most=10**6, places=6):
    """Canonical texts of decimals."""
    return st.decimals(least, most, allow_nan=False, allow_infinity=False, places=places).map(plain)


def counts(most=10**6):
    return numbers(0, most, places=3)


def texts(most, least=1):
    letters = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"])
    return st.text(letters, min_size=least, max_size=most)


def some(**optional):
    """An object with any of these fields."""
    return st.fixed_dictionaries({}, optional=optional)


DURATIONS = st.sampled_from(["P30D", "P1M", "P2W", "P1Y", "P1Y2M3DT4H5M6S", "PT720H", "P20D"])
NAMES = {"displayName": texts(20), "name": texts(20), "tag": texts(20, least=0)}
RECURRENCE = some(interval=st.integers(1, 12), offset=st.integers(0, 3))


@st.composite
def limits(draw):
    low, high = sorted([draw(counts()), draw(counts())], key=Decimal)
    return draw(
        st.sampled_from(
            [{}, {"minimumRate": low}, {"maximumRate": high}, {"minimumRate": low, "maximumRate": high}]
        )
    )


@st.composite
def slab_starts(draw):
    steps = draw(st.lists(st.integers(1, 10**5), max_size=4))
    starts = [Decimal(0)]
    for step in steps:
        starts.append(starts[-1] + Decimal(step) / 4)
    return [plain(start) for start in starts]


@st.composite
def priced_slab(draw, start):
    slab = {"startAfter": start, "priceType": draw(st.sampled_from(["FLAT", "PER_UNIT", "PACKAGE"]))}
    if slab["priceType"] == "PACKAGE":
        slab["slabConfig"] = {"packageSize": str(draw(st.integers(1, 1000)))}
    elif draw(st.booleans()):
        slab["slabConfig"] = {}
    return slab


@st.composite
def slabbed(draw):
    """A rate plan and its rates: one for each slab in each currency."""
    starts = draw(slab_starts())
    slabs = [{"order": place, **draw(priced_slab(start))} for place, start in enumerate(starts, start=1)]
    values = []
    for currency in CURRENCIES:
        rates = [{"order": slab["order"], "rate": draw(numbers())} for slab in slabs]
        for rate in rates:
            if draw(st.booleans()):
                rate["slabRateConfig"] = draw(limits())
        value = {"currency": currency, "slabRates": rates}
        if draw(st.booleans()):
            value["rateConfig"] = draw(limits())
        values.append(value)
    plan = {"pricingModel": draw(st.sampled_from(["TIERED", "VOLUME"])), "slabs": slabs}
    return {"ratePlan": plan, "rateValues": values}


@st.composite
def flat_rates(draw):
    return {"rateValues": [{"currency": name, "rate": draw(numbers())} for name in CURRENCIES]}


@st.composite
def credit_rates(draw):
    details = []
    for currency in CURRENCIES:
        slabs = [{**draw(priced_slab(start)), "rate": draw(numbers())} for start in draw(slab_starts())]
        details.append({"currency": currency, "creditAmount": draw(counts()), "slabDetails": slabs})
    model = draw(st.sampled_from(["TIERED", "VOLUME"]))
    return {"rateDetails": {"pricingModel": model, "currencySlabRateDetails": details}}


GRANT_DETAILS = st.one_of(
    st.fixed_dictionaries(
        {"priority": st.integers(0, 100), "expiryType": st.sampled_from(["NO_EXPIRY", "PRICING_CYCLE"])},
        optional={"applicableEntityIds": st.lists(texts(20), unique=True, max_size=3)},
    ),
    st.fixed_dictionaries(
        {"priority": st.integers(0, 100), "expiryType": st.just("CUSTOM"), "expiryDuration": DURATIONS}
    ),
)
FEATURE_CONFIGS = st.lists(
    st.fixed_dictionaries(
        {"featureCreditLimit": counts(), "effectiveUntil": DURATIONS},
        optional={"effectiveFrom": st.sampled_from(["PT0S", "P1D"])},
    ),
    min_size=1,
    max_size=3,
)
ONCE = {"type": st.just("ONE_TIME")}
ADVANCE_OR_ARREARS = st.sampled_from(["IN_ADVANCE", "IN_ARREARS"])
ANY_TIMING = st.sampled_from(["IN_ADVANCE", "IN_ARREARS", "PREPAID"])


@st.composite
def card(draw, key, pool, required, optional, *priced):
    whole = draw(
        st.fixed_dictionaries({key: st.sampled_from(pool), **required}, optional={**NAMES, **optional})
    )
    for part in priced:
        whole |= draw(part())
    return whole


FEATURES = ["feature.a", "feature.b", "feature.c"]
ADD_ONS = ["addon.a", "addon.b", "addon.c"]
CARDS = {
    "fixedFeeRateCards": (
        "id",
        card(
            "id",
            ADD_ONS,
            {"enableProration": st.booleans()},
            {**ONCE, "invoiceTiming": ADVANCE_OR_ARREARS, "recurrenceConfig": RECURRENCE},
            flat_rates,
        ),
    ),
    "billingEntitlementRateCards": (
        "featureId",
        card(
            "featureId",
            FEATURES,
            {"featureConfigs": FEATURE_CONFIGS, "invoiceTiming": ANY_TIMING},
            {"recurrenceConfig": RECURRENCE},
            slabbed,
        ),
    ),
    "creditGrantRateCards": (
        "id",
        card(
            "id",
            ADD_ONS,
            {"grantDetails": GRANT_DETAILS},
            {**ONCE, "invoiceTiming": ANY_TIMING, "recurrenceConfig": RECURRENCE},
            credit_rates,
        ),
    ),
    "usageRateCards": ("usageMeterId", card("usageMeterId", ["um.a", "um.b"], {}, {}, slabbed)),
    "licenseRateCards": (
        "id",
        card(
            "id",
            ["addon.seat", "addon.desk"],
            {"enableProration": st.booleans()},
            {
                "type": st.sampled_from(["LICENSE", "NAMED_LICENSE"]),
                "invoiceTiming": ADVANCE_OR_ARREARS,
                "usageCycle": st.sampled_from(INTERVALS),
                "config": some(
                    maxQuantity=st.integers(0, 10**6), maxQuantityBreachAction=st.just("DO_NOTHING")
                ),
                "proratedRefundMode": st.sampled_from(["NONE", "CREDITS", "PAYMENT", "WALLET"]),
            },
            slabbed,
        ),
    ),
    "entitlementOverageRateCards": (
        "featureId",
        card(
            "featureId",
            FEATURES,
            {},
            {
                "maxQuantity": counts(),
                "billingConfig": some(interval=st.integers(1, 12), startOffset=st.integers(0, 3)),
            },
            slabbed,
        ),
    ),
}
PURCHASE_KINDS = ["fixedFeeRateCards", "billingEntitlementRateCards", "creditGrantRateCards"]


def card_list(kind, least=0):
    key, one = CARDS[kind]
    return st.lists(one, unique_by=lambda drawn: drawn[key], min_size=least, max_size=2)


@st.composite
def cycle(draw):
    interval = draw(st.sampled_from(INTERVALS))
    config = {"interval": interval, "gracePeriod": draw(st.integers(0, 30))}
    anniversary = draw(st.sampled_from([None, True, False]))
    if anniversary is not None:
        config["anniversaryCycle"] = anniversary
    if not anniversary and draw(st.booleans()):
        weekly = interval == "WEEKLY"
        day = draw(st.sampled_from(["1", "7"] if weekly else ["1", "28", "31", "LAST"]))
        short = interval in ("WEEKLY", "MONTHLY")
        month = draw(st.sampled_from(["NIL"] if short else ["1", "3", "FIRST", "LAST"]))
        config["startOffset"] = {"dayOffset": day, "monthOffset": month}
    return config


@st.composite
def commitment(draw):
    return {"displayName": draw(texts(20)), **draw(flat_rates())}


@st.composite
def details(draw, plan_type):
    """A plan's details in stored form."""
    kinds = PURCHASE_KINDS if plan_type is PlanType.PURCHASE else list(CARDS)
    plan = {kind: draw(card_list(kind)) for kind in kinds}
    plan = {kind: cards for kind, cards in plan.items() if cards}
    if plan_type is PlanType.BILLING:
        plan["pricingCycleConfig"] = draw(cycle())
        if draw(st.booleans()):
            plan["minimumCommitment"] = draw(commitment())
    plan["supportedCurrencies"] = ["EUR"] if draw(st.booleans()) else CURRENCIES
    return with_names_of_their_own(plan)


def with_names_of_their_own(plan):
    """The same cards, without names that another one has: they are unique in a plan (togai.md 4.3)."""
    seen, whole = set(), dict(plan)
    for kind in CARDS:
        rows = []
        for one in plan.get(kind, ()):
            taken = one.get("name") in seen
            seen.add(one.get("name"))
            rows.append({key: value for key, value in one.items() if key != "name"} if taken else one)
        if rows:
            whole[kind] = rows
    return whole


@st.composite
def changed_details(draw, plan_type, plan):
    """Other details for the same plan: some kinds as they are, some edited, with cards added and removed."""
    changed = dict(plan)
    for kind in PURCHASE_KINDS if plan_type is PlanType.PURCHASE else CARDS:
        if draw(st.booleans()):
            cards = draw(card_list(kind, least=1 if kind in plan else 0))
            # Edits of cards that stay are more telling than strangers under the same id.
            kept = [old for old in plan.get(kind, []) if draw(st.booleans())]
            key = CARDS[kind][0]
            merged = {old[key]: old for old in kept} | {new[key]: new for new in cards}
            if merged:
                changed[kind] = list(merged.values())
    if plan_type is PlanType.BILLING:
        if draw(st.booleans()):
            changed["pricingCycleConfig"] = draw(cycle())
        if draw(st.booleans()):
            changed["minimumCommitment"] = draw(commitment())
        if draw(st.booleans()):
            changed["supportedCurrencies"] = draw(st.sampled_from([["EUR"], ["USD", "EUR"]]))
    return with_names_of_their_own(changed)


@st.composite
def plans_and_overrides(draw):
    """(details, stored override) of either type of plan."""
    plan_type = draw(st.sampled_from(PlanType))
    plan = draw(details(plan_type))
    return plan, overrides.difference(plan, draw(changed_details(plan_type, plan)))


ACCOUNT = AccountFacts("acme-eu", "EUR", "ACTIVE")


def plan_facts(plan_type, plan_details):
    return PlanFacts(
        "pp.21mB3kVwTqS.e9JzL",
        "Scale",
        3,
        plan_type,
        "ACTIVE",
        tuple(plan_details["supportedCurrencies"]),
        plan_details,
    )


@st.composite
def deals(draw, proposal=True):
    """(terms, plan facts or None) that may be submitted: without a problem."""
    kind = draw(st.sampled_from(PurchaseType))
    fields = {"type": kind, "payment_mode": draw(st.sampled_from(PaymentMode)) if proposal else None}
    if draw(st.booleans()):
        fields["valid_until"] = TODAY + timedelta(days=draw(st.integers(0, 90)))
    if kind is PurchaseType.WALLET_TOPUP:
        fields["wallet_topup_amount"] = Decimal(draw(st.integers(1, 10**9))) / 100
        if draw(st.booleans()):
            fields["wallet_purchase_amount"] = Decimal(draw(st.integers(0, 10**9))) / 100
        return Terms(**fields), None
    plan_type = PlanType.BILLING if kind is PurchaseType.ASSOCIATION else PlanType.PURCHASE
    plan = draw(details(plan_type))
    changed = draw(changed_details(plan_type, plan))
    fields |= {"price_plan_id": "pp.21mB3kVwTqS.e9JzL", "price_plan_version": 3}
    override = overrides.difference(plan, changed)
    if kind is PurchaseType.ASSOCIATION:
        fields["association_override"] = override
        start = fields.get("valid_until", TODAY) + timedelta(days=draw(st.integers(1, 400)))
        fields["effective_from"] = start
        if draw(st.booleans()):
            fields["effective_until"] = start + timedelta(days=draw(st.integers(1, 2000)))
    else:
        fields["purchase_plan_override"] = override
        billables = [billable_id for _, billable_id, _, _ in overrides.cards(changed)]
        if billables and draw(st.booleans()):
            fields["rate_card_quantities"] = {
                name: Decimal(draw(st.integers(1, 10**9))) / 1000
                for name in draw(st.lists(st.sampled_from(billables), unique=True, min_size=1))
            }
        else:
            fields["quantity"] = draw(st.integers(1, 2**31 - 1))
    return Terms(**fields), plan_facts(plan_type, plan)
