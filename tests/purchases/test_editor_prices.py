"""The prices of a plan as a form: from the stored override to cells and back, without a word lost."""

from datetime import UTC, date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purchases import overrides, terms
from purchases.price_form.cells import name_of
from purchases.price_form.form import MOST_CELLS, OverrideForm
from purchases.terms import OVERRIDE_KINDS, AccountFacts, PlanFacts, Terms
from tests.factories import API_CALLS, MESSAGES, ONBOARDING, slab_rates
from tests.purchases.deals import plans_and_overrides
from tests.purchases.editor_pages import posted

GRANT = {
    "billingEntitlementRateCards": [API_CALLS],
    "fixedFeeRateCards": [ONBOARDING],
    "supportedCurrencies": ["EUR", "USD"],
}
CALLS = "billingEntitlementRateCards/feature.calls"


def form_of(plan=GRANT, override=None, field="purchase_plan_override", currency="EUR"):
    return OverrideForm(plan, override or {}, kinds=OVERRIDE_KINDS[field], currency=currency)


def again(form, override=None, typed=None, **options):
    """The form of the next request, after `typed` was changed on the page."""
    new = form_of(form.details, override, **options)
    new.take(posted(form) | (typed or {}))
    return new


def rate(order, currency="EUR"):
    return name_of((*CALLS.split("/"), "rateValues", currency, "slabRates", str(order), "rate"))


def after(order):
    return name_of((*CALLS.split("/"), "ratePlan", "slabs", str(order), "startAfter"))


def test_what_is_stored_is_only_what_was_typed_differently():
    """G-02: the stored override holds only the cell that differs."""
    form = form_of()
    form.do("open", CALLS)
    form = again(form, typed={rate(2): " 0.12 "})
    assert form.patch == {
        "billingEntitlementRateCards": {
            "feature.calls": {"rateValues": {"EUR": {"slabRates": {"2": {"rate": "0.12"}}}}}
        }
    }


def test_typing_the_plans_value_again_takes_the_change_back():
    """G-02: reverting a cell removes its key, however the number is written."""
    form = form_of()
    form.do("open", CALLS)
    changed = again(form, typed={rate(2): "0.12"})
    assert again(changed, changed.patch, {rate(2): "0.150"}).patch == {}


def test_the_reset_of_a_cell_takes_the_change_back():
    form = form_of()
    form.do("open", CALLS)
    form = again(form, typed={rate(2): "0.12", rate(1): "0.1"})
    form.do("reset", rate(2))
    assert form.patch["billingEntitlementRateCards"]["feature.calls"] == {
        "rateValues": {"EUR": {"slabRates": {"1": {"rate": "0.1"}}}}
    }


@given(plans_and_overrides())
@settings(max_examples=200, deadline=None)
def test_a_page_that_is_sent_back_untouched_changes_nothing(drawn):
    """G-02: terms → form → terms is identical, for everything that Togai can express."""
    plan, override = drawn
    for field in OVERRIDE_KINDS:
        form = form_of(plan, override, field)
        for card in form.cards:
            if not card.is_removed:
                card.open()
        assert form.patch == override
        assert again(form, override, field=field).patch == override


@given(plans_and_overrides())
@settings(max_examples=60, deadline=None)
def test_resetting_every_card_leaves_no_override(drawn):
    """G-02: back at the plan there is nothing to store, also where a program changed more than a cell."""
    plan, override = drawn
    field = "association_override" if "pricingCycleConfig" in plan else "purchase_plan_override"
    form = form_of(plan, override, field)
    for card in form.cards:
        form.do("reset", card.key)
    left = again(form, override, field=field).patch
    added = {card.path[0] for card in form.cards if card.is_added} | {"supportedCurrencies"}
    assert set(left) <= added


def test_a_new_slab_is_priced_like_the_last_one_and_asks_where_it_starts():
    form = form_of()
    form.do("open", CALLS)
    form.do("add_slab", CALLS)
    row = form.card(CALLS).page.grids[0].rows[2]
    assert (row.after.text, row.type.text, [cell.text for cell in row.rates]) == (
        "",
        "PER_UNIT",
        ["0.15", "0.17"],
    )
    form = again(form, typed={after(3): "5000", rate(3): "0.1"})
    card = overrides.keyed(overrides.effective(GRANT, form.patch))["billingEntitlementRateCards"][
        "feature.calls"
    ]
    assert card["ratePlan"]["slabs"]["3"] == {"startAfter": "5000", "priceType": "PER_UNIT"}
    assert card["rateValues"]["EUR"]["slabRates"]["3"] == {"rate": "0.1"}
    assert card["rateValues"]["USD"]["slabRates"]["3"] == {"rate": "0.17"}


def test_a_slab_that_goes_makes_the_later_ones_move_up():
    form = form_of()
    form.do("open", CALLS)
    form.do("add_slab", CALLS)
    form = again(form, typed={after(3): "5000", rate(3): "0.1"})
    form.do("remove_slab", f"{CALLS}#2")
    form = again(form, form.patch)
    card = overrides.effective(GRANT, form.patch)["billingEntitlementRateCards"][0]
    assert card["ratePlan"]["slabs"] == [
        {"order": 1, "startAfter": "0", "priceType": "PER_UNIT"},
        {"order": 2, "startAfter": "5000", "priceType": "PER_UNIT"},
    ]
    assert card["rateValues"][0]["slabRates"] == [{"order": 1, "rate": "0.2"}, {"order": 2, "rate": "0.1"}]


def test_without_its_first_slab_the_next_one_starts_at_nothing():
    form = form_of()
    form.do("open", CALLS)
    form.do("remove_slab", f"{CALLS}#1")
    card = overrides.effective(GRANT, again(form).patch)["billingEntitlementRateCards"][0]
    assert card["ratePlan"]["slabs"] == [{"order": 1, "startAfter": "0", "priceType": "PER_UNIT"}]
    assert card["rateValues"][0]["slabRates"] == [{"order": 1, "rate": "0.15"}]


def test_the_last_slab_stays():
    form = form_of()
    form.do("open", CALLS)
    form.do("remove_slab", f"{CALLS}#1")
    form.do("remove_slab", f"{CALLS}#1")
    assert len(form.card(CALLS).page.grids[0].rows) == 1


def test_togai_takes_ten_slabs_and_so_do_we():
    """G-09: at most ten slabs, by button and by a posted count alike."""
    form = form_of()
    form.do("open", CALLS)
    for _ in range(20):
        form.do("add_slab", CALLS)
    assert len(form.card(CALLS).page.grids[0].rows) == 10
    forged = again(form, typed={f"rows/{CALLS}": "999"})
    assert len(forged.card(CALLS).page.grids[0].rows) == 10


@pytest.mark.parametrize("count", ["", "0", "-1", "٣", "1e1", "nan", "9" * 30])
def test_a_forged_count_of_slabs_is_not_believed(count):
    form = form_of()
    form.do("open", CALLS)
    assert 1 <= len(again(form, typed={f"rows/{CALLS}": count}).card(CALLS).page.grids[0].rows) <= 10


def test_a_limit_appears_and_disappears_with_what_is_typed():
    form = form_of()
    form.do("open", CALLS)
    least = name_of((*CALLS.split("/"), "rateValues", "EUR", "rateConfig", "minimumRate"))
    limited = again(form, typed={least: "50"})
    assert limited.patch["billingEntitlementRateCards"]["feature.calls"] == {
        "rateValues": {"EUR": {"rateConfig": {"minimumRate": "50"}}}
    }
    assert again(limited, limited.patch, {least: ""}).patch == {}


def test_the_size_of_a_package_can_be_typed_once_a_slab_is_priced_by_it():
    form = form_of()
    form.do("open", CALLS)
    slab = (*CALLS.split("/"), "ratePlan", "slabs", "2")
    form = again(form, typed={name_of((*slab, "priceType")): "PACKAGE"})
    assert form.card(CALLS).page.grids[0].packages
    form = again(form, typed={name_of((*slab, "slabConfig", "packageSize")): "100"})
    assert form.patch["billingEntitlementRateCards"]["feature.calls"]["ratePlan"]["slabs"]["2"] == {
        "priceType": "PACKAGE",
        "slabConfig": {"packageSize": "100"},
    }


def test_the_credit_of_an_entitlement_is_a_cell():
    form = form_of()
    form.do("open", CALLS)
    limit = name_of((*CALLS.split("/"), "featureConfigs", "1", "featureCreditLimit"))
    (window,) = again(form, typed={limit: "2500"}).patch["billingEntitlementRateCards"]["feature.calls"][
        "featureConfigs"
    ]
    assert (window["featureCreditLimit"], window["effectiveUntil"]) == ("2500", "P30D")


HOSTILE = [
    *["1e3", "1E-7", "NaN", "Infinity", "0x10", "1_000", "1 000", "1,5", "+5", ".5", "5.", "-0", "--1"],
    *["٣", "१", "1٫5", "½", "9" * 41, "0." + "1" * 13],
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_number_that_is_not_plain_is_refused_at_its_cell(text):
    """Hostile inputs 32 to 35: exponents, scripts, separators and signs are refused where they stand."""
    form = form_of()
    form.do("open", CALLS)
    form = again(form, typed={rate(1): text})
    cell = next(cell for cell in form.card(CALLS).cells if cell.name == rate(1))
    assert (cell.text, len(cell.errors)) == (text, 1)
    assert form.has_errors


def test_a_problem_of_the_rules_finds_its_cell():
    form = form_of()
    assert form.blame((*CALLS.split("/"), "rateValues", "EUR", "slabRates", "2", "rate"), "Too little.")
    card = form.card(CALLS)
    assert card.is_open
    assert [cell.errors for cell in card.cells if cell.name == rate(2)] == [["Too little."]]


def test_a_problem_without_a_cell_stays_with_its_card():
    form = form_of()
    assert form.blame((*CALLS.split("/"), "somethingNew"), "Not that.")
    assert form.card(CALLS).errors == ["Not that."]
    assert not form.blame(("usageRateCards", "um.x"), "Not here.")


def test_a_price_in_the_accounts_currency_can_be_added_where_the_plan_sells_in_it():
    """G-13: a card that lacks the account's currency offers its cells; left empty they say nothing."""
    plan = {
        "fixedFeeRateCards": [ONBOARDING | {"rateValues": [{"currency": "EUR", "rate": "750"}]}],
        "supportedCurrencies": ["EUR", "USD"],
    }
    form = form_of(plan, currency="USD")
    form.do("open", "fixedFeeRateCards/addon.onboarding")
    assert again(form, currency="USD").patch == {}
    fee = name_of(("fixedFeeRateCards", "addon.onboarding", "rateValues", "USD", "rate"))
    assert again(form, typed={fee: "800"}, currency="USD").patch == {
        "fixedFeeRateCards": {"addon.onboarding": {"rateValues": {"USD": {"rate": "800"}}}}
    }


def test_slabs_that_are_numbered_oddly_stay_as_they_are():
    odd = MESSAGES | {
        "ratePlan": {
            "pricingModel": "TIERED",
            "slabs": [{"order": 2, "startAfter": "0", "priceType": "FLAT"}],
        },
        "rateValues": [{"currency": "EUR", "slabRates": [{"order": 2, "rate": "1"}]}],
    }
    form = form_of({"usageRateCards": [odd]}, field="association_override")
    form.do("open", "usageRateCards/um.messages")
    assert not form.card("usageRateCards/um.messages").is_open
    assert form.patch == {}


def test_changes_move_to_a_newer_version_of_the_plan():
    """G-15: only what was changed moves along; the rest is the newer version's own."""
    newer = GRANT | {
        "billingEntitlementRateCards": [
            API_CALLS | {"rateValues": [{"currency": "EUR", "slabRates": slab_rates("0.30", "0.25")}]}
        ]
    }
    form = form_of()
    form.do("open", CALLS)
    form = again(form, typed={rate(2): "0.12"})
    moved = form.carried_to(newer, kinds=OVERRIDE_KINDS["purchase_plan_override"], currency="EUR")
    card = overrides.effective(newer, moved.patch)["billingEntitlementRateCards"][0]
    assert card["rateValues"] == [{"currency": "EUR", "slabRates": slab_rates("0.3", "0.12")}]


def test_a_cell_that_could_not_be_read_moves_along_too():
    form = form_of()
    form.do("open", CALLS)
    form = again(form, typed={rate(2): "0,12"})
    moved = form.carried_to(GRANT, kinds=OVERRIDE_KINDS["purchase_plan_override"], currency="EUR")
    assert [cell.text for cell in moved.card(CALLS).cells if cell.errors] == ["0,12"]


def test_cells_know_the_exact_number_of_the_plan():
    form = form_of()
    form.do("open", CALLS)
    cell = next(cell for cell in form.card(CALLS).cells if cell.name == rate(1))
    assert (Decimal(cell.plan), cell.changed) == (Decimal("0.20"), False)


def test_a_plan_of_many_cards_closes_those_that_nobody_changed():
    """A browser posts at most 2,500 fields: however many cards are opened, the page can be sent."""
    slabs = [{"order": n, "startAfter": str(n - 1), "priceType": "FLAT"} for n in range(1, 11)]
    rates = [
        {"currency": name, "slabRates": slab_rates(*["1"] * 10)} for name in ("EUR", "USD", "JPY", "KWD")
    ]
    card = MESSAGES | {"ratePlan": {"pricingModel": "TIERED", "slabs": slabs}, "rateValues": rates}
    plan = {"usageRateCards": [card | {"usageMeterId": f"um.{n}"} for n in range(30)]}
    form = form_of(plan, field="association_override")
    form.do("open", "usageRateCards/um.0")
    form = again(
        form,
        typed={"o/usageRateCards/um.0/rateValues/EUR/slabRates/1/rate": "2"},
        field="association_override",
    )
    for n in range(1, 30):
        form.do("open", f"usageRateCards/um.{n}")
    assert len(posted(form)) <= MOST_CELLS
    assert form.card("usageRateCards/um.0").is_open
    assert form.card("usageRateCards/um.29").is_open
    assert list(form.patch["usageRateCards"]) == ["um.0"]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=10), st.data())
@settings(max_examples=150, deadline=None)
def test_a_table_of_slabs_that_does_not_rise_from_nothing_is_refused_at_its_row(starts, data):
    """G-09: slabs start at 0, rise strictly, and have a rate in each currency; else the row is named."""
    lacks = data.draw(st.sampled_from([None, *range(1, len(starts) + 1)]))
    form = form_of()
    form.do("open", CALLS)
    form.do("remove_slab", f"{CALLS}#2")
    for _ in starts[1:]:
        form.do("add_slab", CALLS)
    typed = {after(order): str(start) for order, start in enumerate(starts, start=1)}
    if lacks:
        typed[rate(lacks, "USD")] = ""
    form = again(form, typed=typed)
    deal = Terms(
        type="ENTITLEMENT_GRANT", price_plan_id="pp.x", quantity=1, purchase_plan_override=form.patch
    )
    plan = PlanFacts("pp.x", "Pack", 1, "PURCHASE", "ACTIVE", ("EUR", "USD"), GRANT)
    account = AccountFacts("a", "EUR", "ACTIVE")
    problems = terms.problems(
        deal, plan=plan, account=account, today=date(2030, 1, 1), zone=UTC, complete=True, proposal=False
    )
    for problem in problems:
        assert form.blame(problem.path, problem.message)
    wrong = {cell.name for cell in form.card(CALLS).cells if cell.errors}
    falls = {after(1)} if starts[0] else set()
    falls |= {after(n) for n in range(2, len(starts) + 1) if starts[n - 1] <= starts[n - 2]}
    # The plan's two rows say first that they lost a rate; the table is judged once its rows are whole.
    expected = {rate(lacks, "USD")} if lacks else set()
    assert wrong == (expected if lacks in (1, 2) else expected | falls)
    assert bool(problems) == bool(wrong)
