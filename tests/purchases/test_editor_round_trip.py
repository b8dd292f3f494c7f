"""What Togai can be sent passes through the editor unharmed, and what the editor lets pass Togai takes."""

import json
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from togai_client.models import CreateProposalRequest

from purchases import overrides, terms
from purchases.price_form import OverrideForm
from purchases.terms import OVERRIDE_KINDS, PlanType, PurchaseType, Terms
from tests.factories import API_CALLS, MESSAGES, ONBOARDING, PLATFORM_FEE
from tests.purchases.deals import ACCOUNT, TODAY, ZONES, plan_facts
from tests.purchases.editor_pages import posted
from tests.togai import strategies
from tests.togai.oracle import judge
from togai import wire

KEY = "0b9d7d5e-1f9b-4c5e-8c2f-3a1f0f2e6d77"
QUIET = list(HealthCheck)


def through_the_editor(details, stored, field):
    """The override that a page posts when every card is opened and nothing is typed."""
    form = OverrideForm(details, stored, kinds=OVERRIDE_KINDS[field], currency="EUR")
    for card in form.cards:
        card.open()
    assert form.patch == stored
    again = OverrideForm(details, stored, kinds=OVERRIDE_KINDS[field], currency="EUR")
    again.take(posted(form))
    assert not again.has_errors
    return again.patch


def passes_through(sent, plan, field):
    """Assert that the payload of a deal is the same after somebody opened and saved it."""
    details = overrides.canonical(plan)
    before, wanted = overrides.keyed(details), overrides.keyed(sent)
    wanted = {kind: value for kind, value in wanted.items() if value != before.get(kind)}
    stored = overrides.from_sent(details, sent)
    assert overrides.keyed(overrides.touched(details, through_the_editor(details, stored, field))) == wanted


PAYLOADS = {
    "association_override": strategies.association_overrides(),
    "purchase_plan_override": strategies.purchase_plan_overrides(),
}


@pytest.mark.parametrize("field", PAYLOADS)
def test_every_change_passes_through_the_editor(field):
    """
    G-02: payload → editor → payload is identical, all nine kinds: over a plan that has nothing of the kind,
    other cards of it, or the same ones with other values (half of 2,000 cases).
    """
    cases = 0

    @settings(max_examples=110, deadline=None, suppress_health_check=QUIET)
    @given(PAYLOADS[field], PAYLOADS[field])
    def check(one, other):
        nonlocal cases
        both = one | other
        pairs = [(one, {}), (other, {}), (other, one), (one, other), (one, both), (both, one)]
        # One draw is costly, and each of its kinds is a payload of its own.
        pairs += [({kind: one[kind]}, other) for kind in one] + [
            ({kind: other[kind]}, both) for kind in other
        ]
        for sent, plan in pairs:
            passes_through(sent, plan, field)
            cases += 1

    check()
    assert cases >= 1000


# --- What may be submitted ---

GRANT = {
    "fixedFeeRateCards": [ONBOARDING],
    "billingEntitlementRateCards": [API_CALLS],
    "supportedCurrencies": ["EUR", "USD"],
}
RECURRING = {
    "fixedFeeRateCards": [PLATFORM_FEE],
    "usageRateCards": [MESSAGES],
    "pricingCycleConfig": {
        "interval": "MONTHLY",
        "gracePeriod": 3,
        "startOffset": {"dayOffset": "1", "monthOffset": "NIL"},
    },
    "supportedCurrencies": ["EUR", "USD"],
}
PLANS = {
    "purchase_plan_override": (PlanType.PURCHASE, PurchaseType.ENTITLEMENT_GRANT, GRANT),
    "association_override": (PlanType.BILLING, PurchaseType.ASSOCIATION, RECURRING),
}
GOOD = {
    "number": ["0", "1", "12.5", "1000", "-3", "0.0001"],
    "whole": ["1", "2", "30"],
    "text": ["Plan B", "x"],
    "duration": ["30 days", "P1M", "1 year", "PT0S"],
    "list": ["", "All usage", "um.messages"],
    "currencies": ["EUR, USD", "EUR", "EUR USD INR"],
}
BAD = ["", "1,5", "x" * 60, "soon", "-1", "1e9", "EUR EUR"]
VERBS = [
    "remove_card",
    "add_slab",
    "remove_slab",
    "raise_slab",
    "lower_slab",
    "reset",
    "limits",
    "currencies",
]


def press(form, verb, place):
    """Press a button somewhere on the page."""
    card = form.cards[place % len(form.cards)]
    card.open()
    lines = card.lines[place % len(card.lines)] if card.lines else None
    if verb in ("remove_card", "reset", "limits", "currencies"):
        form.do(verb, card.key)
    elif lines:
        form.do(verb, f"{card.lines_key(lines)}#{place % card.counts[lines.path] + 1}")


@st.composite
def pages(draw):
    """A page after somebody has added cards, pressed buttons and typed; mostly what makes sense."""
    field = draw(st.sampled_from(sorted(PLANS)))
    details = PLANS[field][2]
    form = OverrideForm(details, {}, kinds=OVERRIDE_KINDS[field], currency="EUR")
    for kind in draw(st.lists(st.sampled_from(OVERRIDE_KINDS[field]), max_size=2)):
        form.adding = kind, draw(st.sampled_from(["addon.new", "feature.calls", "um.new"]))
        form.do("add_card", "here")
    for verb, place in draw(st.lists(st.tuples(st.sampled_from(VERBS), st.integers(0, 99)), max_size=3)):
        press(form, verb, place)
    typed = posted(form)
    cells = [cell for card in form.cards if card.is_open for cell in card.cells if cell.name in typed]
    steps = iter(range(1, 10**6))
    for cell in cells:
        if cell.text or cell.leaf.optional:
            continue
        # What a new card and a new slab ask for.
        if cell.path[-1] == "startAfter":
            typed[cell.name] = str(10**5 + next(steps))
        elif cell.path[-1] in ("rate", "creditAmount"):
            typed[cell.name] = draw(st.sampled_from(["5", "0.2", ""])) if draw(st.booleans()) else "7"
    for place in draw(st.lists(st.integers(0, 10**6), max_size=4)) if cells else ():
        cell = cells[place % len(cells)]
        choices = [value for value, _ in cell.leaf.choices] or GOOD[cell.leaf.kind]
        typed[cell.name] = draw(st.sampled_from(choices * 4 + BAD))
    again = OverrideForm(details, {}, kinds=OVERRIDE_KINDS[field], currency="EUR")
    again.take(typed)
    assert set(typed) <= again.names()
    return field, again


def test_what_the_editor_lets_pass_the_vendors_models_take():
    """
    G-05, G-09, G-13: what no cell complains about and no rule refuses is a payload that Togai knows; and
    what a rule refuses stands at a card of the page.
    """
    passed = dict.fromkeys(PLANS, 0)
    added = refused = 0

    @settings(max_examples=600, deadline=None, derandomize=True, suppress_health_check=QUIET)
    @given(pages())
    def check(case):
        nonlocal added, refused
        field, form = case
        plan_type, kind, details = PLANS[field]
        how = {"type": kind, "payment_mode": "PREPAID", "price_plan_id": "pp.x", field: form.patch}
        how |= {"effective_from": TODAY.replace(year=2031)} if field.startswith("a") else {"quantity": 2}
        deal, plan = Terms(**how), plan_facts(plan_type, details)
        problems = terms.problems(
            deal, plan=plan, account=ACCOUNT, today=TODAY, zone=ZONES[0], complete=True, proposal=True
        )
        if form.has_errors or problems:
            refused += 1
            for problem in problems:
                assert problem.field == field
                assert form.blame(problem.path, problem.message)
            assert form.has_errors
            assert all(place for place, _, _ in form.problems)
            return
        body = terms.payload(deal, details=details, zone=ZONES[0])
        sent = wire.to_bytes(wire.CreateProposal.model_validate(body | {"idempotencyKey": KEY}))
        assert judge(CreateProposalRequest, sent) == []
        passed[field] += 1
        added += any(card.is_added and not card.is_removed for card in form.cards)
        assert json.loads(sent, parse_float=Decimal)["pricePlanId"] == "pp.x"

    check()
    # The claim would be hollow if few pages passed, or few of them had a card of the deal's own.
    assert min(passed.values()) >= 60, passed
    assert added >= 60
    assert refused >= 60
