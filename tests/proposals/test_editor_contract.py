"""G-05: whatever the form takes as complete, the vendor's own models take as well."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils.datastructures import MultiValueDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from togai_client.models import CreateProposalRequest, CreatePurchaseRequest

from proposals.forms import ProposalForm
from proposals.models import Proposal
from purchases import drafts
from purchases import terms as domain
from purchases.forms import PurchaseForm
from purchases.models import Purchase
from purchases.services import body_for
from purchases.terms import PurchaseType
from tests import factories as f
from tests.togai.oracle import judge
from togai import wire

pytestmark = pytest.mark.django_db

KEY = "bo1-test-0b9d7d5e1f9b4c5e8c2f3a1f0f2e6d77"
TODAY = drafts.business_day(f.NOON)

CREDIT = {
    "id": "addon.credit",
    "displayName": "Launch credit",
    "type": "ONE_TIME",
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
SEATS = {
    "id": "addon.seat",
    "displayName": "Seats",
    "enableProration": True,
    "config": {"maxQuantity": 200},
    "ratePlan": f.MESSAGES["ratePlan"],
    "rateValues": f.MESSAGES["rateValues"],
}
BEYOND = {
    "featureId": "feature.calls",
    "displayName": "Calls beyond",
    "maxQuantity": "5000",
    "ratePlan": f.MESSAGES["ratePlan"],
    "rateValues": f.MESSAGES["rateValues"],
}
COMMITMENT = {"displayName": "Monthly minimum", "rateValues": f.PLATFORM_FEE["rateValues"]}

# Mostly what a rep types, now and then what nobody should.
PLAIN = st.one_of(
    st.decimals(0, 10**6, places=4).map(lambda number: f"{number:f}"),
    st.integers(1, 10**9).map(str),
    st.decimals(-(10**4), 10**4, places=6).map(lambda number: f"{number:f}"),
)
ODD = ["", " 5 ", "007", "0.000000000001", "999999999999999", "1e3", "1,5", "٣", "NaN", "-0", "0", "0.1" * 9]
NUMBERS = st.one_of(PLAIN, PLAIN, PLAIN, PLAIN, st.sampled_from(ODD))
WORDS = st.sampled_from(
    ["PER_UNIT", "FLAT", "TIERED", "VOLUME", "MONTHLY", "1", "LAST", "NIL", "PACKAGE", "x"]
)
WHOLES = st.integers(1, 2**31 - 1).map(str)
QUANTITIES = st.one_of(WHOLES, WHOLES, WHOLES, st.sampled_from(["", "0", "-1", str(2**31), "1.5"]))
DAYS = st.one_of(st.none(), st.integers(401, 900), st.integers(401, 900), st.integers(-5, 400))
CENTS = st.integers(1, 10**9).map(lambda cents: str(Decimal(cents) / 100))
AMOUNTS = st.one_of(CENTS, CENTS, CENTS, st.sampled_from(ODD))
CHANGES = st.lists(st.tuples(st.integers(0, 10**6), NUMBERS, WORDS), max_size=4)
PRESSES = st.lists(
    st.tuples(st.integers(0, 10**6), st.sampled_from(["open", "open", "add_slab", "remove_slab"])), max_size=4
)


def day(offset):
    return "" if offset is None else (TODAY + timedelta(days=offset)).isoformat()


@st.composite
def typing(draw, plans):
    """What somebody types into a new form, and which buttons they press on the way."""
    kind = draw(st.sampled_from(PurchaseType))
    typed = {
        "type": kind.value,
        "payment_mode": draw(st.sampled_from(["PREPAID", "POSTPAID"] * 4 + [""])),
        "title": draw(st.sampled_from(["", "A title"])),
        "valid_until": day(draw(st.one_of(st.none(), st.integers(0, 90)))),
    }
    if kind is PurchaseType.WALLET_TOPUP:
        typed |= {
            "wallet_topup_amount": draw(AMOUNTS),
            "wallet_purchase_amount": draw(st.one_of(st.just(""), AMOUNTS)),
        }
        return typed, [], []
    typed["price_plan"] = str(plans[domain.PLAN_TYPES[kind]].pk)
    if kind is PurchaseType.ASSOCIATION:
        typed |= {"effective_from": day(draw(st.integers(85, 400))), "effective_until": day(draw(DAYS))}
    elif draw(st.booleans()):
        typed["quantity"] = draw(QUANTITIES)
    else:
        typed["q/feature.calls"] = draw(st.one_of(CENTS, CENTS, NUMBERS))
    return typed, draw(PRESSES), draw(CHANGES)


def posted(case, *, form_class, model, account, user):
    """The last request of somebody who typed and pressed all this."""
    typed, presses, changes = case

    def form_of(fields):
        return form_class(
            MultiValueDict({name: [text] for name, text in fields.items()}),
            deal=model(),
            user=user,
            at=f.NOON,
        )

    fields = typed | {"account": account.togai_id, "type_was": typed["type"]}
    if form_class is PurchaseForm:
        del fields["payment_mode"]
    form = form_of(fields | {"cards_of": typed.get("price_plan", "")})
    if not form.prices:
        return form
    for place, verb in presses:
        card = form.prices.cards[place % len(form.prices.cards)]
        card.open()
        for grid in card.page.grids if verb != "open" else ():
            form.prices.do(verb, grid.key if verb == "add_slab" else f"{grid.key}#{len(grid.rows)}")
    cells, fields["cards_of"] = {}, typed["price_plan"]
    for card in form.prices.cards:
        if card.is_open:
            fields |= {f"open/{card.key}": "1"} | {grid.name: str(len(grid.rows)) for grid in card.page.grids}
            cells |= {cell.name: cell for cell in card.cells}
    fields |= {name: cell.text for name, cell in cells.items()}
    for name, cell in cells.items():
        if not cell.text and name.endswith("startAfter"):
            fields[name] = str(10**6 + 1000 * int(name.split("/")[-2]))
    names = list(cells)
    for place, number, word in changes if names else ():
        name = names[place % len(names)]
        fields[name] = word if cells[name].leaf.kind == "choice" else number
    return form_of(fields)


@pytest.fixture
def world():
    rep = f.rep()
    cards = [*f.DEFAULT_CARDS["PURCHASE"], ("creditGrantRateCards", "addon.credit", CREDIT)]
    recurring = [
        *f.DEFAULT_CARDS["BILLING"],
        ("licenseRateCards", "addon.seat", SEATS),
        ("entitlementOverageRateCards", "feature.calls", BEYOND),
        ("minimumCommitment", "", COMMITMENT),
    ]
    plans = {
        domain.PlanType.PURCHASE: f.PricePlanFactory(cards=cards),
        domain.PlanType.BILLING: f.PricePlanFactory(recurring=True, cards=recurring),
    }
    return rep, f.AccountFactory(owner=rep), plans


KINDS = {
    "proposal": (ProposalForm, Proposal, wire.CreateProposal, CreateProposalRequest, 1000, 400),
    "purchase": (PurchaseForm, Purchase, wire.CreatePurchase, CreatePurchaseRequest, 250, 100),
}


@pytest.mark.one_database
@pytest.mark.parametrize("kind", KINDS)
def test_what_the_form_takes_as_complete_the_vendors_models_take(world, kind):
    """G-05: no complete form makes a body that the vendor's model refuses, or with a key it does not know."""
    form_class, model, sent_as, vendors, examples, enough = KINDS[kind]
    rep, account, plans = world
    complete = dict.fromkeys(PurchaseType, 0)
    changed = 0

    @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(typing(plans))
    def check(case):
        nonlocal changed
        form = posted(case, form_class=form_class, model=model, account=account, user=rep)
        if not form.is_sound():
            return
        deal = form.scratch()
        if model is Proposal and deal.valid_until is None:
            deal.valid_until = domain.default_validity(TODAY)
        if drafts.problems(deal, at=f.NOON, complete=True):
            return
        body = body_for(deal, sent_as)(KEY)
        assert judge(vendors, body) == []
        assert json.loads(body)["idempotencyKey"] == KEY
        complete[deal.terms().type] += 1
        changed += bool(deal.terms().override)

    check()
    # The claim would be hollow if few forms were complete, or few of them changed a price.
    assert sum(complete.values()) >= enough, complete
    assert min(complete.values()) >= enough / 20, complete
    assert changed >= enough / 10
