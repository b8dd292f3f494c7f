"""Cards that come and go in the editor, their windows, their currencies, and rows of a spreadsheet."""

from datetime import UTC, date
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purchases import overrides, terms
from purchases.price_form import OverrideForm
from purchases.price_form.cells import name_of
from purchases.price_form.leaves import SINGLES
from purchases.terms import OVERRIDE_KINDS, AccountFacts, PlanFacts, Terms
from tests.factories import API_CALLS, MESSAGES, ONBOARDING, PLATFORM_FEE
from tests.purchases.editor_pages import posted

CYCLE = {
    "interval": "MONTHLY",
    "gracePeriod": 3,
    "startOffset": {"dayOffset": "1", "monthOffset": "NIL"},
}
PLAN = {
    "fixedFeeRateCards": [PLATFORM_FEE, ONBOARDING],
    "billingEntitlementRateCards": [API_CALLS],
    "usageRateCards": [MESSAGES],
    "pricingCycleConfig": CYCLE,
    "supportedCurrencies": ["EUR", "USD"],
}
FEE = "fixedFeeRateCards/addon.platform"
CALLS = "billingEntitlementRateCards/feature.calls"
USAGE = "usageRateCards/um.messages"
WINDOWS = f"{CALLS}/windows"


def form_of(override=None, plan=PLAN):
    return OverrideForm(plan, override or {}, kinds=OVERRIDE_KINDS["association_override"], currency="EUR")


def again(form, override=None, **typed):
    """The form of the next request, after something was typed; names of cells come with their card."""
    new = form_of(override, form.details)
    new.take(posted(form) | typed)
    return new


def cell(*path):
    return name_of(tuple(part for name in path for part in str(name).split("/")))


def adding(form, kind, billable_id, names=None):
    form.adding = kind, billable_id
    form.do("add_card", "here", names)
    return form


def error_of(form, name):
    return [
        message for card in form.cards for one in card.cells if one.name == name for message in one.errors
    ]


def judged(form, currency="EUR", currencies=("EUR", "USD")):
    """Every problem of the deal before a submit, put to the page as the form of a request does."""
    deal = Terms(
        type="ASSOCIATION",
        payment_mode="PREPAID",
        price_plan_id="pp.x",
        effective_from=date(2031, 1, 1),
        association_override=form.patch,
    )
    plan = PlanFacts("pp.x", "Plan", 1, "BILLING", "ACTIVE", currencies, form.details)
    account = AccountFacts("a", currency, "ACTIVE")
    found = terms.problems(
        deal, plan=plan, account=account, today=date(2030, 1, 1), zone=UTC, complete=True, proposal=True
    )
    for problem in found:
        assert form.blame(problem.path, problem.message), problem
    return found


# --- Cards of the deal's own ---

NEW = [
    ("fixedFeeRateCards", "addon.new", ["rateValues/EUR/rate"]),
    ("billingEntitlementRateCards", "feature.new", ["rateValues/EUR/slabRates/1/rate"]),
    (
        "creditGrantRateCards",
        "addon.credit",
        [
            "rateDetails/currencySlabRateDetails/EUR/creditAmount",
            "rateDetails/currencySlabRateDetails/EUR/slabDetails/1/rate",
        ],
    ),
    ("usageRateCards", "um.new", ["rateValues/EUR/slabRates/1/rate"]),
    ("licenseRateCards", "addon.seat", ["rateValues/EUR/slabRates/1/rate"]),
    ("entitlementOverageRateCards", "feature.calls", ["rateValues/EUR/slabRates/1/rate"]),
    ("minimumCommitment", "", ["rateValues/EUR/rate"]),
]


@pytest.mark.parametrize(("kind", "billable_id", "asked"), NEW)
def test_a_card_of_every_kind_is_added_and_asks_for_its_prices_alone(kind, billable_id, asked):
    """G-08, G-13: a new card is whole but for its prices; without them nothing can be submitted."""
    form = again(adding(form_of(), kind, billable_id))
    card = form.card(f"{kind}/{billable_id}".rstrip("/"))
    assert card.is_added
    assert not form.has_errors
    assert {problem.path[0] for problem in judged(form)} == {kind}
    places = [cell(card.key, path) for path in asked]
    assert error_of(form, places[0])
    form = again(form, **dict.fromkeys(places, "5"))
    assert judged(form) == []
    saved = form_of(form.patch)
    assert saved.card(card.key).is_open
    assert again(saved, form.patch).patch == form.patch


def test_a_new_card_is_called_as_the_catalogue_calls_it():
    form = adding(form_of(), "usageRateCards", " um.sms ", {"um.sms": "Text messages"})
    assert form.card("usageRateCards/um.sms").label == "Text messages"
    assert again(form).card("usageRateCards/um.sms").label == "Text messages"


def test_a_card_of_the_deals_own_is_taken_out_again_without_a_trace():
    """G-02: added and removed is as if never added, also when it was saved in between."""
    form = adding(form_of(), "usageRateCards", "um.sms")
    saved = again(form).patch
    form = again(form)
    form.do("remove_card", "usageRateCards/um.sms")
    assert again(form).patch == {}
    assert again(form, saved).patch == {}


@pytest.mark.parametrize(
    ("kind", "billable_id", "why"),
    [
        ("", "x", "Choose"),
        ("minimumCommitments", "x", "Choose"),
        ("usageRateCards", " ", "what it bills"),
        ("usageRateCards", "x" * 51, "At most 50"),
        ("usageRateCards", "a\x00b", "control characters"),
        ("usageRateCards", "um.messages", "change that one"),
        ("pricingCycleConfig", "", "one already"),
    ],
)
def test_a_card_that_cannot_be_is_refused_where_it_is_added(kind, billable_id, why):
    form = adding(form_of(), kind, billable_id)
    assert why in form.add_error
    assert len(form.cards) == len(form_of().cards)


def test_a_forged_card_is_not_made():
    """S-06: a page may only bring cards that its button would have made."""
    form = form_of()
    form.take({"open/nothing/x": "1", "open/usageRateCards/": "1", f"open/usageRateCards/{'x' * 60}": "1"})
    assert len(form.cards) == len(form_of().cards)


def test_a_grant_cannot_be_given_a_card_that_only_recurs():
    """G-04: what may be added is what the type may change."""
    form = OverrideForm({}, {}, kinds=OVERRIDE_KINDS["purchase_plan_override"], currency="EUR")
    assert {kind for kind, _ in form.addable} == set(OVERRIDE_KINDS["purchase_plan_override"])
    assert "Choose" in adding(form, "usageRateCards", "um.x").add_error


# --- Cards of the plan that go ---


def test_a_card_of_the_plan_is_left_out_and_put_back():
    """G-02, G-08: left out is one None; put back is nothing at all."""
    form = form_of()
    form.do("remove_card", FEE)
    form = again(form)
    assert form.card(FEE).is_removed
    assert form.patch == {"fixedFeeRateCards": {"addon.platform": None}}
    sent = overrides.touched(PLAN, form.patch)["fixedFeeRateCards"]
    assert [card["id"] for card in sent] == ["addon.onboarding"]
    form.do("reset", FEE)
    assert again(form, form.patch).patch == {}


def test_the_last_card_of_a_kind_stays_and_says_why():
    """Togai 4.1: an empty list must not say that the last card is gone."""
    form = form_of()
    form.do("remove_card", FEE)
    assert not form.may_remove(form.card("fixedFeeRateCards/addon.onboarding"))
    form.do("remove_card", "fixedFeeRateCards/addon.onboarding")
    assert not form.card("fixedFeeRateCards/addon.onboarding").is_removed
    assert "no words" in form.card("fixedFeeRateCards/addon.onboarding").why_stays


def test_the_last_card_may_go_once_another_one_is_there():
    form = adding(form_of(), "usageRateCards", "um.sms")
    form.do("remove_card", USAGE)
    form = again(form, **{cell("usageRateCards/um.sms", "rateValues/EUR/slabRates/1/rate"): "1"})
    assert judged(form) == []


def test_an_override_that_empties_a_kind_is_named_at_its_card_and_stays_removed():
    """Stored by a program: the editor says what is wrong without putting the card back by itself."""
    form = form_of({"usageRateCards": {"um.messages": None}})
    assert judged(form)
    assert form.card(USAGE).is_removed
    assert "last card" in form.card(USAGE).errors[0]


@pytest.mark.parametrize("kind", SINGLES)
def test_what_togai_cannot_be_told_to_remove_stays(kind):
    plan = PLAN | {"minimumCommitment": {"displayName": "Floor", "rateValues": PLATFORM_FEE["rateValues"]}}
    form = form_of(plan=plan)
    form.do("remove_card", kind)
    assert not form.card(kind).is_removed


# --- Windows ---


def test_a_window_is_added_after_the_last_one_and_as_long():
    """G-08: twelve monthly allowances are eleven presses."""
    form = form_of()
    form.do("open", CALLS)
    for _ in range(2):
        form.do("add_slab", WINDOWS)
        form = again(form)
    configs = form.patch["billingEntitlementRateCards"]["feature.calls"]["featureConfigs"]
    assert [(one["effectiveFrom"], one["effectiveUntil"]) for one in configs] == [
        ("PT0S", "P30D"),
        ("P30D", "P60D"),
        ("P60D", "P90D"),
    ]
    form.do("remove_slab", f"{WINDOWS}#3")
    form.do("remove_slab", f"{WINDOWS}#2")
    assert again(form, form.patch).patch == {}


def test_a_window_is_typed_in_words_and_shown_both_ways():
    """G-08: durations in words and ISO."""
    form = form_of()
    form.do("open", CALLS)
    closes = cell(CALLS, "featureConfigs/1/effectiveUntil")
    form = again(form, **{closes: "1 month"})
    assert form.patch["billingEntitlementRateCards"]["feature.calls"]["featureConfigs"][0][
        "effectiveUntil"
    ] == ("P1M")
    shown = next(one for one in form.card(CALLS).cells if one.name == closes)
    assert (shown.aside, shown.plan, shown.changed) == ("P1M", "30 days", True)
    shown = next(one for one in again(form, **{closes: "P30D"}).card(CALLS).cells if one.name == closes)
    assert (shown.aside, shown.changed) == ("30 days", False)
    assert error_of(again(form, **{closes: "soon"}), closes)


def test_a_window_that_ends_before_it_opens_is_refused_at_its_row():
    form = form_of()
    form.do("open", CALLS)
    form.do("add_slab", WINDOWS)
    form = again(form, **{cell(CALLS, "featureConfigs/2/effectiveUntil"): "P10D"})
    judged(form)
    assert error_of(form, cell(CALLS, "featureConfigs/2/effectiveUntil"))


# --- Every other field of a card ---

SEATS = {
    "id": "addon.seat",
    "displayName": "Seats",
    "enableProration": True,
    "ratePlan": MESSAGES["ratePlan"],
    "rateValues": MESSAGES["rateValues"],
}
BEYOND = {
    "featureId": "feature.calls",
    "ratePlan": MESSAGES["ratePlan"],
    "rateValues": MESSAGES["rateValues"],
}
CREDIT = {
    "id": "addon.credit",
    "grantDetails": {"priority": 1, "expiryType": "CUSTOM", "expiryDuration": "P90D"},
    "rateDetails": {
        "pricingModel": "TIERED",
        "currencySlabRateDetails": [
            {
                "currency": currency,
                "creditAmount": "200",
                "slabDetails": [{"startAfter": "0", "priceType": "FLAT", "rate": "0"}],
            }
            for currency in ("EUR", "USD")
        ],
    },
}
ALL_KINDS = PLAN | {
    "licenseRateCards": [SEATS],
    "entitlementOverageRateCards": [BEYOND],
    "creditGrantRateCards": [CREDIT],
    "minimumCommitment": {"displayName": "Floor", "rateValues": PLATFORM_FEE["rateValues"]},
}
SEAT, GRANT = "licenseRateCards/addon.seat", "creditGrantRateCards/addon.credit"
OVERAGE = "entitlementOverageRateCards/feature.calls"
FIELDS = [
    (SEAT, "config/maxQuantity", "50", 50),
    (SEAT, "usageCycle", "MONTHLY", "MONTHLY"),
    (SEAT, "proratedRefundMode", "WALLET", "WALLET"),
    (SEAT, "type", "NAMED_LICENSE", "NAMED_LICENSE"),
    (SEAT, "enableProration", "false", False),
    (OVERAGE, "maxQuantity", "500.5", "500.5"),
    (OVERAGE, "billingConfig/interval", "3", 3),
    (OVERAGE, "billingConfig/startOffset", "1", 1),
    (GRANT, "grantDetails/priority", "7", 7),
    (GRANT, "grantDetails/expiryType", "NO_EXPIRY", "NO_EXPIRY"),
    (GRANT, "grantDetails/expiryDuration", "1 year", "P1Y"),
    (
        GRANT,
        "grantDetails/applicableEntityIds",
        "all usage\r\num.messages",
        ["ALL_USAGE_METER_RATE_CARDS", "um.messages"],
    ),
    (GRANT, "rateDetails/currencySlabRateDetails/USD/creditAmount", "250", "250"),
    (GRANT, "rateDetails/currencySlabRateDetails/USD/slabDetails/1/rate", "99", "99"),
    ("minimumCommitment", "rateValues/EUR/rate", "100", "100"),
    ("minimumCommitment", "displayName", "Least", "Least"),
    (FEE, "invoiceTiming", "IN_ARREARS", "IN_ARREARS"),
    (FEE, "enableProration", "false", False),
    (FEE, "type", "ONE_TIME", "ONE_TIME"),
    (FEE, "displayName", "Platform", "Platform"),
    (FEE, "name", "platform_fee", "platform_fee"),
    (FEE, "recurrenceConfig/interval", "3", 3),
    (FEE, "recurrenceConfig/offset", "1", 1),
    (CALLS, "invoiceTiming", "PREPAID", "PREPAID"),
    (USAGE, "ratePlan/pricingModel", "TIERED", "TIERED"),
    (USAGE, "tag", "core", "core"),
    ("pricingCycleConfig", "interval", "WEEKLY", "WEEKLY"),
    ("pricingCycleConfig", "gracePeriod", "9", 9),
    ("pricingCycleConfig", "startOffset/dayOffset", "LAST", "LAST"),
]


@pytest.mark.parametrize(("key", "path", "text", "stored"), FIELDS)
def test_every_field_is_a_cell_with_a_reset(key, path, text, stored):
    """G-02, G-08: plan value, new value, and the way back to nothing."""
    form = form_of(plan=ALL_KINDS)
    form.do("open", key)
    name = cell(key, path)
    form = again(form, **{name: text})
    assert judged(form) == []
    at = form.patch
    for part in (*key.split("/"), *path.split("/")):
        at = at[part]
    assert at == stored
    shown = next(one for one in form.card(key).cells if one.name == name)
    assert shown.changed
    form.do("reset", name)
    assert again(form, form.patch).patch == {}


def test_two_cards_of_a_plan_are_not_called_the_same():
    """Togai's names are unique in a plan; the second one is refused at its cell."""
    form = form_of({"fixedFeeRateCards": {"addon.platform": {"name": "fee"}}})
    form.do("open", USAGE)
    form = again(form, form.patch, **{cell(USAGE, "name"): "fee"})
    judged(form)
    assert error_of(form, cell(USAGE, "name"))
    form = again(form, form.patch, **{cell(USAGE, "name"): "messages"})
    assert judged(form) == []


def test_an_anniversary_cycle_has_no_day_to_start_on():
    """Togai derives it; toggled back, the plan's day is there again."""
    form = form_of()
    form.do("open", "pricingCycleConfig")
    flag, day = cell("pricingCycleConfig/anniversaryCycle"), cell("pricingCycleConfig/startOffset/dayOffset")
    form = again(form, **{flag: "true"})
    assert day not in {one.name for one in form.card("pricingCycleConfig").cells}
    assert form.patch == {"pricingCycleConfig": {"anniversaryCycle": True, "startOffset": None}}
    assert judged(form) == []
    back = again(form, form.patch, **{flag: ""})
    assert back.patch == {}


# --- Currencies ---


def test_a_currency_that_the_deal_adds_is_asked_for_on_every_card():
    """G-13: a missing currency blocks the submit, at its cell on every card."""
    form = form_of()
    form.do("open", "supportedCurrencies")
    form = again(form, **{cell("supportedCurrencies"): "eur, usd inr"})
    assert form.card(FEE).lacks == ["INR"]
    form.do("currencies", "here")
    asked = {
        cell(FEE, "rateValues/INR/rate"),
        cell("fixedFeeRateCards/addon.onboarding", "rateValues/INR/rate"),
        cell(CALLS, "rateValues/INR/slabRates/1/rate"),
        cell(USAGE, "rateValues/INR/slabRates/1/rate"),
    }
    form = again(form)
    assert judged(form)
    assert {name for card in form.cards for one in card.cells if one.errors for name in [one.name]} == asked
    asked |= {cell(CALLS, "rateValues/INR/slabRates/2/rate"), cell(USAGE, "rateValues/INR/slabRates/2/rate")}
    form = again(form, **dict.fromkeys(asked, "90"))
    assert form.patch["supportedCurrencies"] == ["EUR", "USD", "INR"]
    assert judged(form) == []


def test_a_currency_that_the_deal_takes_back_takes_its_prices_along():
    form = form_of()
    form.do("open", "supportedCurrencies")
    form = again(form, **{cell("supportedCurrencies"): "EUR, USD, INR"})
    form.do("currencies", "here")
    form = again(form, **{cell(FEE, "rateValues/INR/rate"): "90"})
    saved = form.patch
    assert again(form, saved, **{cell("supportedCurrencies"): "EUR, USD"}).patch == {}
    form.do("reset", cell("supportedCurrencies"))
    assert again(form, saved).patch == {}


@pytest.mark.parametrize("text", ["", "EURO", "EUR EUR", "E", "12 EUR"])
def test_a_list_of_currencies_that_cannot_be_read_is_refused_at_its_cell(text):
    form = form_of()
    form.do("open", "supportedCurrencies")
    form = again(form, **{cell("supportedCurrencies"): text})
    assert error_of(form, cell("supportedCurrencies"))


# --- Slabs: moving and pasting ---


def table_of(form, key=USAGE):
    return [
        [row.after.text, row.type.text, *(one.text for one in row.rates)]
        for row in form.card(key).page.grids[0].rows
    ]


def test_prices_change_places_and_the_slabs_still_rise():
    """G-09: a table in order stays one, whichever row is moved."""
    form = form_of()
    form.do("open", USAGE)
    before = table_of(form)
    form.do("raise_slab", f"{USAGE}#2")
    assert table_of(form) == [["0", "PER_UNIT", "0.015", "0.017"], ["10000", "PER_UNIT", "0.02", "0.022"]]
    form.do("lower_slab", f"{USAGE}#1")
    assert table_of(form) == before
    for nowhere in (f"raise_slab:{USAGE}#1", f"lower_slab:{USAGE}#2", f"raise_slab:{USAGE}#x"):
        form.do(*nowhere.split(":"))
    assert table_of(form) == before


def test_slabs_out_of_order_are_put_in_order_by_moving_them():
    form = form_of()
    form.do("open", USAGE)
    form.do("add_slab", USAGE)
    form = again(form, **{cell(USAGE, "ratePlan/slabs/3/startAfter"): "5000"})
    form.do("raise_slab", f"{USAGE}#3")
    assert [row[0] for row in table_of(form)] == ["0", "5000", "10000"]


def pasted(text, *, anchor="", key=USAGE):
    form = form_of()
    form.do("open", key)
    form = again(form, **{f"paste/{key}": text})
    form.do("paste_slabs", key, anchor=anchor)
    return form


PASTED = [["0", "PER_UNIT", "0.03", "0.04"], ["100", "PER_UNIT", "0.02", "0.03"]]


@pytest.mark.parametrize(
    "text",
    [
        "0\t0.03\t0.04\n100\t0.02\t0.03",
        "0;0.03;0.04\r\n100;0.02;0.03\r\n",
        "0 0.03 0.04\n\n100 0.02 0.03",
        "0\tper unit\t0.03\t0.04\n100\tPER_UNIT\t0.02\t0.03",
        "After\tRate EUR\tRate USD\n0\t0.03\t0.04\n100\t0.02\t0.03",
        "USD;EUR;above\n0.04;0.03;0\n0.03;0.02;100",
    ],
)
def test_rows_of_a_spreadsheet_become_the_table(text):
    """G-09: tabs, semicolons or spaces; headings say which column is which."""
    form = pasted(text)
    assert table_of(form) == PASTED
    assert not form.has_errors
    assert judged(again(form)) == []


def test_a_price_by_the_package_is_pasted_with_its_size():
    form = pasted("0\tpackage\t100\t3\t4")
    assert table_of(form) == [["0", "PACKAGE", "3", "4"]]
    assert form.card(USAGE).page.grids[0].rows[0].package.text == "100"
    assert judged(again(form)) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0\t1\t2\n100\t1,5\t2", "Row 2: “1,5” cannot be read"),
        ("0\t1\t2\n\n50\t1\t2\n50\t1\t2", "Row 4: it starts at 50"),
        ("5\t1\t2", "Row 1: the first slab starts at 0"),
        ("0\t1\t2\n9\t1", "Row 2: expected one rate in each of EUR, USD, found 1"),
        ("0\tweekly\t1\t2", "Row 1: “weekly” cannot be read"),
        ("0\tpackage\t\t1\t2", "Row 1: say how many units"),
        ("after\tEUR\tcolour\n0\t1\tred", "Row 1: “colour” is no column"),
        ("\n".join(f"{n}\t1\t2" for n in range(11)), "Row 11: Togai takes at most 10 slabs"),
        (" \n ", "no row"),
        ("x" * 30_000, "too much text"),
    ],
)
def test_a_row_that_is_wrong_is_named_and_nothing_is_taken(text, why):
    """G-09: the message names the row; the table stays as it was and so does the text."""
    form = pasted(text)
    grid = form.card(USAGE).page.grids[0]
    assert any(why in message for message in grid.paste_errors), grid.paste_errors
    assert table_of(form) == table_of(pasted(""))
    assert again(form).patch == {}


def test_a_column_goes_where_it_is_pasted():
    """G-09: with JavaScript a block lands at the cell that has the focus, and rows are added for it."""
    form = pasted("0.5\n0.4\n0.3", anchor=cell(USAGE, "rateValues/USD/slabRates/2/rate"))
    assert [row[3] for row in table_of(form)] == ["0.022", "0.5", "0.4", "0.3"]
    assert [row[0] for row in table_of(form)] == ["0", "10000", "", ""]
    wide = pasted("1\t2\t3", anchor=cell(USAGE, "rateValues/EUR/slabRates/1/rate"))
    assert "Row 1" in wide.card(USAGE).page.grids[0].paste_errors[0]
    long = pasted("1\n" * 10, anchor=cell(USAGE, "rateValues/EUR/slabRates/2/rate"))
    assert "Row 10" in long.card(USAGE).page.grids[0].paste_errors[0]


def test_rows_that_nobody_has_taken_are_not_saved_over():
    form = form_of()
    form.do("open", USAGE)
    form = again(form, **{f"paste/{USAGE}": "0\t1\t2"})
    assert form.has_errors
    assert [place for place, _, _ in form.problems] == [f"id_paste/{USAGE}"]


SHUFFLED = st.lists(
    st.tuples(
        st.sampled_from(["0", "1", "5", "10", "-1", "x", ""]), st.sampled_from(["1", "0.5", "1,5", ""])
    ),
    min_size=1,
    max_size=12,
)


@given(SHUFFLED)
@settings(max_examples=300, deadline=None)
def test_a_bad_table_is_refused_at_its_row_and_a_good_one_can_be_submitted(rows):
    """G-09: generated tables: what is taken over is fit to be sent, what is not names its first bad row."""
    text = "\n".join(f"{after};{rate};{rate}" for after, rate in rows)
    form = pasted(text)
    errors = form.card(USAGE).page.grids[0].paste_errors
    rows = [row for row in rows if any(row)]
    starts = [after for after, _ in rows]
    good = (
        1 <= len(rows) <= 10
        and all(after in ("0", "1", "5", "10") for after in starts)
        and all(rate in ("1", "0.5") for _, rate in rows)
        and starts[0] == "0"
        and all(int(one) < int(other) for one, other in pairwise(starts))
    )
    assert bool(errors) == (not good)
    if good:
        assert judged(again(form)) == []
    elif rows:
        assert all(message.startswith("Row ") for message in errors)


WILD = st.sampled_from(
    ["", "0", "-1", "99", "x", "\x00", "٣", "1e9", "null", "true", "P1M", "EUR", "9" * 40, "a\nb"]
)
KEYS = st.sampled_from(
    [FEE, CALLS, USAGE, WINDOWS, GRANT, SEAT, OVERAGE, *SINGLES, "", "x", "usageRateCards/%00"]
)
PLACES = st.sampled_from(
    [
        "",
        "#1",
        "#2",
        "#x",
        "#99",
        "/EUR",
        "/EUR#1",
        "/windows#1",
        "/rateValues/INR/rate",
        "/ratePlan/slabs/7/rate",
    ]
)
BUTTONS = st.sampled_from(
    [
        *("open", "reset", "limits", "add_card", "remove_card", "currencies", "nonsense"),
        *("add_slab", "remove_slab", "raise_slab", "lower_slab", "paste_slabs"),
    ]
)
WORDS = st.sampled_from(["open", "gone", "plan", "limits", "rows", "paste", "paste_at", "o"])


@given(
    st.lists(st.tuples(WORDS, KEYS, PLACES, WILD), max_size=8),
    st.lists(st.tuples(KEYS, WILD), max_size=8),
    st.lists(st.tuples(BUTTONS, KEYS, PLACES), min_size=1, max_size=4),
    st.tuples(st.sampled_from([*ALL_KINDS, "", "x", "\x00"]), WILD),
)
@settings(max_examples=300, deadline=None)
def test_whatever_is_posted_the_page_can_be_drawn_again(forged, cells, buttons, adding):
    """Hostile input: no name, count, target or text makes the editor fail."""
    form = form_of(plan=ALL_KINDS)
    for key in (FEE, CALLS, USAGE, GRANT, "supportedCurrencies", "pricingCycleConfig"):
        form.do("open", key)
    typed = posted(form) | {f"{word}/{key}{place}": text for word, key, place, text in forged}
    names = [name for name in typed if name.startswith("o/")]
    typed |= {name: text for key, text in cells for name in names if name.startswith(f"o/{key}/")}
    typed |= {"add/kind": adding[0], "add/id": adding[1]}
    form = form_of(plan=ALL_KINDS)
    form.take(typed)
    for verb, key, place in buttons:
        form.do(verb, f"{key}{place}", {}, anchor=f"o/{key}{place}")
        form.first_of(verb, f"{key}{place}")
    assert form.names()
    for card in form.cards:
        assert card.page.size
        assert [*card.problems] or not card.has_errors
    assert isinstance(form.patch, dict)


def test_cards_that_came_and_went_move_to_a_newer_version_of_the_plan():
    """G-15: the deal's own card and the one it leaves out stay so; what the newer version lacks is let go."""
    form = adding(form_of(), "usageRateCards", "um.sms")
    form.do("remove_card", FEE)
    form = again(form, **{cell("usageRateCards/um.sms", "rateValues/EUR/slabRates/1/rate"): "1"})
    newer = PLAN | {"fixedFeeRateCards": [PLATFORM_FEE, ONBOARDING | {"id": "addon.setup"}]}
    kinds = OVERRIDE_KINDS["association_override"]
    moved = form.carried_to(newer, kinds=kinds, currency="EUR")
    assert moved.card(FEE).is_removed
    assert moved.card("usageRateCards/um.sms").is_added
    older = form.carried_to(PLAN | {"fixedFeeRateCards": [ONBOARDING]}, kinds=kinds, currency="EUR")
    assert list(older.patch) == ["usageRateCards"]


def test_a_closed_card_says_what_it_says_in_one_line():
    """G-08: the list of currencies too, so that nobody has to open it to read it."""
    plan = {
        "supportedCurrencies": ["EUR", "USD"],
        "pricingCycleConfig": {"interval": "HALF_YEARLY", "gracePeriod": 3},
        "fixedFeeRateCards": [
            {"id": "addon.fee", "enableProration": False, "rateValues": [{"currency": "EUR", "rate": "99.5"}]}
        ],
    }
    form = OverrideForm(
        plan, {}, kinds=["fixedFeeRateCards", "pricingCycleConfig", "supportedCurrencies"], currency="EUR"
    )
    assert [card.summary for card in form.cards] == ["99.50 EUR", "Half-yearly, 3 days of grace", "EUR, USD"]
