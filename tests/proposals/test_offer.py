"""What the customer reads: what is theirs, in their words, and nothing of this office's."""

import dataclasses
from datetime import date
from decimal import Decimal as D

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import models
from django.template.loader import render_to_string

from accounts.models import Account
from audit.models import Event
from audit.roles import Role
from proposals import customer_links, offer, offer_pdf, offer_prices, services
from proposals.models import ApprovalStep, CustomerLink, Decision, LineNote, Proposal, ReasonCode
from purchases import cards
from purchases import terms as domain
from purchases.models import PricePlan, RateCard
from tests.factories import (
    API_CALLS,
    MESSAGES,
    NOON,
    ONBOARDING,
    PLATFORM_FEE,
    AccountFactory,
    PricePlanFactory,
    person,
    rep,
    slab_rates,
    submitted,
)
from tests.permissions.objects import HOSTILE
from tests.permissions.pages import Page
from tests.proposals.offers import approved, drafted, loaded, pdf_text
from tests.tampering import triggers_off
from togai.models import Delivery, DeliveryAttempt, RemoteSnapshot

pytestmark = pytest.mark.django_db

# As long as the shortest reason, and cut where a column is shorter.
MARKER = "zebra-crossing"
YEAR = {"effective_from": date(2030, 3, 1), "effective_until": date(2031, 2, 28)}


def html_of(proposal, *, on_paper=False):
    return render_to_string(
        "offers/offer.html", {"offer": offer.of(proposal), "to_pdf": "" if on_paper else "pdf/"}
    )


def words_of(proposal):
    page = Page(html_of(proposal))
    assert page.faults == []
    return page.words


def association(*, account=None, plan_cards=None, **fields):
    by = rep()
    account = account or AccountFactory(owner=by)
    Account.objects.filter(pk=account.pk).update(owner=by)
    plan = PricePlanFactory(recurring=True, name="Scale Monthly", cards=plan_cards)
    return approved(
        **{"by": by, "account": account, "price_plan": plan, "type": "ASSOCIATION", "quantity": None}
        | {"payment_mode": "POSTPAID"}
        | YEAR
        | fields
    )


# --- What is theirs ---


def test_a_grant_says_what_is_bought_how_much_of_it_and_what_it_costs():
    """G-39: the lines with their quantities and prices, ranges as a table, and the sum."""
    words = words_of(approved(quantity=2, valid_until=date(2030, 2, 9)))
    for said in (
        "Prepared for Harbor",
        "Valid until 9 Feb 2030",
        "API calls 1,000 for each one bought, valid for 30 days",
        "Once 2,000 €350.00",
        "Onboarding €750.00 each Once 2 €1,500.00",
        "Total €1,850.00",
        "Each price applies to the units within its range.",
        "Up to 1,000 €0.20 per unit Over 1,000 €0.15 per unit",
        "You pay in advance",
    ):
        assert said in words, words


def test_a_recurring_plan_says_what_is_charged_in_any_case_and_what_by_use():
    """G-39: no forecast stands in a sum; what is used has a price, and the term what it comes to at least."""
    proposal = association(
        association_override={
            "fixedFeeRateCards": {"addon.platform": {"rateValues": {"EUR": {"rate": "449"}}}}
        },
        expected_volumes={"um.messages": "60000"},
    )
    words = words_of(proposal)
    for said in (
        "Scale Monthly",
        "Term 1 Mar 2030 to 28 Feb 2031",
        "Billed Monthly, from day 1 of the month",
        "Platform fee A part of a month is charged in part Each month, in advance 1 €449.00",
        "Messages Each month, afterwards as used by range, below",
        "First invoice, at the start €449.00",
        "Each month, at least €449.00",
        "Over 12 months, at least €5,388.00",
        "The price of the range that is reached applies to all units.",
        "Up to 10,000 €0.02 per unit Over 10,000 €0.015 per unit",
        "What you use is charged on top",
    ):
        assert said in words, words
    for hidden in ("499", "60,000", "60000", "1,349"):
        assert hidden not in words, hidden


def test_a_top_up_says_what_is_added_and_what_is_paid():
    """G-39: of a wallet the credit is what is bought; the price is what is paid for it."""
    words = words_of(
        approved(
            type="WALLET_TOPUP",
            price_plan=None,
            quantity=None,
            wallet_topup_amount=D(5000),
            wallet_purchase_amount=D(4750),
        )
    )
    assert "Prepaid balance Added to your prepaid balance. Once €5,000.00 €4,750.00" in words
    assert "Total €4,750.00" in words


COMMITMENT = {"displayName": "Monthly minimum", "rateValues": [{"currency": "EUR", "rate": "600"}]}


def test_a_commitment_is_the_least_of_every_month():
    """G-39: a minimum commitment is a line, and the sums begin at it."""
    words = words_of(
        association(
            plan_cards=[
                ("fixedFeeRateCards", "addon.platform", PLATFORM_FEE),
                ("minimumCommitment", "", COMMITMENT),
            ]
        )
    )
    assert (
        "Monthly minimum Where the other charges of a month come to less, the difference is charged"
        " Each month €600.00" in words
    )
    assert "Each month, at least €600.00" in words
    assert "Over 12 months, at least €7,200.00" in words


def test_a_first_invoice_over_what_is_used_has_no_end_yet():
    """G-39: what is charged afterwards comes together with what was used until then."""
    fee = PLATFORM_FEE | {"invoiceTiming": "IN_ARREARS"}
    words = words_of(
        association(
            plan_cards=[
                ("fixedFeeRateCards", "addon.platform", fee),
                ("usageRateCards", "um.messages", MESSAGES),
            ]
        )
    )
    assert "First invoice, after 1 month, at least €499.00" in words


def test_limits_packages_licences_and_grants_are_told_in_words():
    """G-39: everything that a card may hold is said in the customer's words."""
    licence = {
        "id": "license.editor",
        "displayName": "Editor seats",
        "enableProration": True,
        "proratedRefundMode": "WALLET",
        "invoiceTiming": "IN_ADVANCE",
        "usageCycle": "MONTHLY",
        "config": {"maxQuantity": 500},
        "ratePlan": {
            "pricingModel": "TIERED",
            "slabs": [{"order": 1, "startAfter": "0", "priceType": "PER_UNIT"}],
        },
        "rateValues": [{"currency": "EUR", "slabRates": slab_rates("19")}],
    }
    events = {
        "usageMeterId": "um.events",
        "displayName": "Events",
        "ratePlan": {
            "pricingModel": "VOLUME",
            "slabs": [
                {"order": 1, "startAfter": "0", "priceType": "FLAT"},
                {
                    "order": 2,
                    "startAfter": "1000",
                    "priceType": "PACKAGE",
                    "slabConfig": {"packageSize": "10000"},
                },
            ],
        },
        "rateValues": [
            {
                "currency": "EUR",
                "slabRates": [
                    {"order": 1, "rate": "0"},
                    {"order": 2, "rate": "30", "slabRateConfig": {"maximumRate": "900"}},
                ],
                "rateConfig": {"minimumRate": "20", "maximumRate": "4000"},
            }
        ],
    }
    credit = {
        "id": "grant.credit",
        "displayName": "Committed credit",
        "invoiceTiming": "IN_ADVANCE",
        "type": "RECURRING",
        "grantDetails": {
            "priority": 777,
            "expiryType": "CUSTOM",
            "expiryDuration": "P1Y",
            "applicableEntityIds": ["ALL_USAGE_METER_RATE_CARDS", "um.events", "um.gone"],
        },
        "rateDetails": {
            "pricingModel": "TIERED",
            "currencySlabRateDetails": [
                {
                    "currency": "EUR",
                    "creditAmount": "1000",
                    "slabDetails": [{"startAfter": "0", "priceType": "PER_UNIT", "rate": "0.9"}],
                }
            ],
        },
    }
    words = words_of(
        association(
            plan_cards=[
                ("licenseRateCards", "license.editor", licence),
                ("usageRateCards", "um.events", events),
                ("creditGrantRateCards", "grant.credit", credit),
            ]
        )
    )
    for said in (
        "Editor seats Counted monthly Up to 500 A part of a month is charged in part"
        " Unused time is added to your prepaid balance Each month, in advance as used €19.00 per licence",
        "Up to 1,000 included Over 1,000 €30.00 for every 10,000 begun at most €900.00",
        "In all at least €20.00 and at most €4,000.00.",
        "Committed credit Money off later invoices, for 1 year For all use, Events €0.90 for €1.00 of credit"
        " Each month, in advance €1,000.00 €900.00",
    ):
        assert said in words, words
    for hidden in ("um.", "grant.credit", "license.editor", "priority", "777"):
        assert hidden not in words, hidden


def test_many_windows_of_one_allowance_are_one_row():
    """G-39: twelve months of the same allowance are not twelve lines."""
    months = [
        {
            "featureCreditLimit": "5000",
            "effectiveFrom": f"P{month}M" if month else "PT0S",
            "effectiveUntil": f"P{month + 1}M",
        }
        for month in range(12)
    ]
    plan = PricePlanFactory(
        cards=[("billingEntitlementRateCards", "feature.calls", API_CALLS | {"featureConfigs": months})]
    )
    words = words_of(approved(price_plan=plan, quantity=1))
    assert "12 allowances of 5,000, one after the other, within 12 months of the grant" in words


@pytest.mark.parametrize(
    ("currency", "amount", "shown"),
    [
        ("EUR", D("1234.5"), "€1,234.50"),
        ("EUR", D("0.0125"), "€0.0125"),
        ("USD", D("1000000"), "US$1,000,000.00"),
        ("JPY", D("1250000"), "JP¥1,250,000"),
        ("JPY", D("1.4"), "JP¥1.4"),
        ("KWD", D("1234.5"), "KWD\N{NO-BREAK SPACE}1,234.500"),
        ("CHF", D("-3"), "−CHF\N{NO-BREAK SPACE}3.00"),
        ("EUR", D("1E+3"), "€1,000.00"),
        ("EUR", None, "to be confirmed"),
    ],
)
def test_amounts_have_the_digits_and_the_sign_of_their_currency(currency, amount, shown):
    """G-39: in the format of the account's currency, never rounded."""
    assert offer_prices.money(amount, currency) == shown


@pytest.mark.parametrize(
    ("currency", "rate", "total"), [("JPY", "1500", "JP¥3,000"), ("KWD", "12.345", "KWD 24.690")]
)
def test_a_deal_in_another_currency_is_offered_in_it_and_in_the_pdf(currency, rate, total):
    """G-39: yen without and dinar with three digits, on the page and in the PDF."""
    by = rep()
    fee = ONBOARDING | {"rateValues": [{"currency": currency, "rate": rate}]}
    plan = PricePlanFactory(currencies=[currency], cards=[("fixedFeeRateCards", "addon.onboarding", fee)])
    proposal = approved(
        by=by, account=AccountFactory(owner=by, currency=currency), price_plan=plan, quantity=2
    )
    assert f"Total {total}" in words_of(proposal)
    text = pdf_text(offer_pdf.pdf(html_of(proposal, on_paper=True)))
    assert total in text.replace("\N{NO-BREAK SPACE}", " ")


def test_the_price_that_togai_names_takes_the_place_of_ours():
    """G-39: what is invoiced stands there, and says what it is; our calculation is gone."""
    proposal = approved(quantity=2)
    assert "Your invoices state the exact amounts." in words_of(proposal)
    Proposal.objects.filter(pk=proposal.pk).update(togai_price=D("1849.500000000"), togai_currency="EUR")
    words = words_of(loaded(proposal))
    assert "Total confirmed, as it is invoiced €1,849.50" in words
    assert "1,850.00" not in words
    assert "Your invoices state" not in words


def test_the_customer_and_their_terms_stand_at_the_head(settings):
    """G-39: names, address, when invoices are due; who offers comes from the settings."""
    settings.SELLER_NAME, settings.SELLER_ADDRESS = "Tidemark GmbH", "Speicherkai 7; 20457 Hamburg"
    by = rep()
    account = AccountFactory(
        owner=by,
        name="Harbor Europe",
        customer_name="Harbor",
        net_term_days=14,
        address={
            "line1": "Kai 1",
            "postalCode": "20457",
            "city": "Hamburg",
            "country": "DE",
            "phoneNumber": "1",
        },
    )
    words = words_of(approved(by=by, account=account, payment_mode="POSTPAID"))
    assert "Tidemark GmbH Speicherkai 7 20457 Hamburg Offer P-" in words
    assert "Prepared for Harbor Harbor Europe Kai 1 20457 Hamburg Germany Date 10 Jan 2030" in words
    assert "Invoices are payable within 14 days." in words


@pytest.mark.parametrize(
    "lacks", [{"account": None}, {"price_plan": None, "quantity": None, "type": None}, {"quantity": None}]
)
def test_a_draft_that_lacks_something_still_has_a_page(lacks):
    """G-39: for colleagues, marked as an internal draft; what is missing is not made up."""
    words = words_of(drafted(**lacks))
    assert "Internal draft" in words
    assert "Nothing is chosen yet." in words or "to be confirmed" in words


def test_what_nobody_has_priced_is_to_be_confirmed():
    """G-39: a card without a quantity of its own has no amount that we would make up."""
    words = words_of(approved(quantity=None, rate_card_quantities={"feature.calls": "2"}))
    assert "Onboarding Once to be confirmed" in words
    assert "Total to be confirmed" in words


# --- What is not ---

# Everything else of the models that an offer is made from; a new field is put here or into `offer.SHOWN`.
KEPT_INSIDE = {
    "proposals.Proposal": {
        *("id", "title", "internal_note", "expected_volumes", "owner", "created_by", "last_edited_by"),
        *("submitted_by", "editors", "form_token", "version", "content_hash", "created_at", "submitted_at"),
        *("currency", "estimate", "estimate_per", "list_price", "togai_id", "togai_status"),
        *("togai_invoice_id", "togai_comment", "togai_responded_at", "togai_seen_at", "togai_problem"),
        *("previous", "decided_by"),
    },
    "accounts.Account": {
        *("id", "togai_id", "togai_account_id", "customer_id", "status", "aliases", "tags", "email"),
        *("metadata", "owner", "search_text", "version", "pulled_at"),
    },
    "purchases.PricePlan": {
        *("id", "togai_id", "version", "description", "status", "currencies", "is_latest", "pulled_at"),
    },
}
TERMS_KEPT_INSIDE = {"price_plan_id", "price_plan_version"}
# Of a rate card: what it is called inside, and what only the billing system needs.
CARD_KEPT_INSIDE = {
    *("id", "featureId", "usageMeterId", "tag", "priority", "gracePeriod", "maxQuantityBreachAction"),
    *("order", "monthOffset", "supportedCurrencies"),
}


@pytest.mark.parametrize("label", offer.SHOWN)
def test_every_field_is_the_customers_or_kept_inside(label):
    """G-39: a field that nobody has thought about fails here."""
    meta = apps.get_model(label)._meta
    fields = {field.name for field in (*meta.concrete_fields, *meta.many_to_many)} | {"rate_cards"} & set(
        offer.SHOWN[label]
    )
    assert fields == set(offer.SHOWN[label]) | KEPT_INSIDE[label]
    assert not set(offer.SHOWN[label]) & KEPT_INSIDE[label]


def test_every_field_of_the_terms_and_of_a_card_is_the_customers_or_kept_inside():
    """G-39: also of what is stored as JSON."""
    terms = {field.name for field in dataclasses.fields(domain.Terms)}
    assert terms - TERMS_KEPT_INSIDE <= set(offer.SHOWN["proposals.Proposal"])
    told = {
        *(
            "displayName",
            "name",
            "rateValues",
            "currency",
            "rate",
            "slabRates",
            "slabRateConfig",
            "rateConfig",
        ),
        *("minimumRate", "maximumRate", "ratePlan", "pricingModel", "slabs", "startAfter", "priceType"),
        *("slabConfig", "packageSize", "featureConfigs", "featureCreditLimit", "effectiveFrom"),
        *("effectiveUntil", "invoiceTiming", "type", "enableProration", "proratedRefundMode", "usageCycle"),
        *("config", "maxQuantity", "recurrenceConfig", "billingConfig", "interval", "offset", "startOffset"),
        *("dayOffset", "anniversaryCycle", "grantDetails", "expiryType", "expiryDuration"),
        *("applicableEntityIds", "rateDetails", "currencySlabRateDetails", "creditAmount", "slabDetails"),
        *("minimumCommitment", "pricingCycleConfig", *cards.CARDS),
    }
    assert set(keys_of(cards.DETAILS)) == told | CARD_KEPT_INSIDE


def keys_of(shape):
    """Every key that may stand in details."""
    if isinstance(shape, cards.Group):
        for name, inner in shape.fields.items():
            yield name
            yield from keys_of(inner)
    elif isinstance(shape, cards.Rows):
        yield from keys_of(shape.row)
    elif isinstance(shape, cards.Several):
        yield from keys_of(shape.of)
    elif isinstance(shape, cards.Settings):
        yield from shape.keys


class Only:
    """A row that gives what is named and fails the test on anything else."""

    def __init__(self, row, *names, **instead):
        self.__dict__.update(_row=row, _names=names, _instead=instead)

    def __getattr__(self, name):
        if name in self._instead:
            return self._instead[name]
        if name not in self._names:
            raise AssertionError(f"An offer reads {type(self._row).__name__}.{name}.")
        return getattr(self._row, name)


@pytest.mark.parametrize("make", [approved, association, drafted], ids=lambda make: make.__name__)
def test_an_offer_is_made_without_touching_anything_that_is_kept_inside(make):
    """G-39: the makers themselves; a template that is handed nothing can leak nothing."""
    proposal = make()
    plan = Only(proposal.price_plan, *offer.SHOWN["purchases.PricePlan"], details=proposal.price_plan.details)
    account = Only(proposal.account, *offer.SHOWN["accounts.Account"])
    watched = Only(
        proposal,
        *offer.SHOWN["proposals.Proposal"],
        terms=proposal.terms,
        price_plan=plan,
        account=account,
    )
    assert offer.of(watched) == offer.of(proposal)


def test_an_offer_is_frozen_plain_text_all_the_way_down():
    """G-39: no row, no query and no callable hides in what the template gets."""

    def leaves(value):
        if dataclasses.is_dataclass(value):
            assert type(value).__dataclass_params__.frozen
            for field in dataclasses.fields(value):
                yield from leaves(getattr(value, field.name))
        elif isinstance(value, tuple):
            for one in value:
                yield from leaves(one)
        else:
            yield value

    assert {type(leaf) for leaf in leaves(offer.of(association()))} <= {str, bool, date}


def test_nothing_internal_is_on_the_page_or_in_the_pdf():
    """
    G-39, P-30: a marker in every text, and a number in every amount, that is kept inside; of the deal, its
    earlier revision, decisions, notes, people, reasons, deliveries and the record.
    """
    proposal = a_deal_with_a_history()
    seeded = seed()
    assert seeded > 60
    html, paper = html_of(loaded(proposal)), html_of(loaded(proposal), on_paper=True)
    text = pdf_text(offer_pdf.pdf(paper))
    assert "Harbor" in text
    assert "€5,000.00" in text
    for shown in (html, paper, text):
        assert leaks(shown) == []


def test_the_search_for_leaks_finds_one_on_the_page_and_in_the_pdf():
    """A search that finds nothing anywhere would prove nothing above."""
    proposal = approved()
    made = dataclasses.replace(offer.of(proposal), subject=f"A {MARKER} and 7,654,321.00")
    html = render_to_string("offers/offer.html", {"offer": made})
    assert leaks(html) == leaks(pdf_text(offer_pdf.pdf(html))) == ["zebra", "7654321"]


def leaks(text):
    plain = text.lower().replace(",", "")
    return [found for found in ("zebra", "7654321", "feature.calls", "addon.") if found in plain]


def a_deal_with_a_history():
    """Two revisions: the first declined with a reason and notes, the second approved at a special price."""
    by, decider = rep(), person(Role.MANAGER, Role.FINANCE, Role.CFO)
    plan = PricePlanFactory(
        cards=[
            ("billingEntitlementRateCards", "feature.calls", API_CALLS | {"tag": MARKER}),
            (
                "fixedFeeRateCards",
                "addon.onboarding",
                ONBOARDING | {"rateValues": [{"currency": "EUR", "rate": "7654321"}]},
            ),
        ]
    )
    special = {"fixedFeeRateCards": {"addon.onboarding": {"rateValues": {"EUR": {"rate": "2500"}}}}}
    first = submitted(by=by, price_plan=plan, quantity=2, purchase_plan_override=special)
    services.request_changes(
        proposal_id=first.pk,
        by=decider,
        at=NOON,
        content_hash=first.content_hash,
        reason_code="other",
        reason=f"{MARKER} not like this",
        line_notes=[("quantity", "Quantity", MARKER)],
    )
    second = services.revise(proposal_id=first.pk, by=by, at=NOON)
    second = services.submit(proposal_id=second.pk, by=by, at=NOON)
    for _ in second.steps.all():
        services.approve(proposal_id=second.pk, by=decider, at=NOON, content_hash=second.content_hash)
    customer_links.make(proposal_id=second.pk, by=by, at=NOON)
    RemoteSnapshot.objects.create(
        remote_id=MARKER,
        kind=Delivery.Kind.CREATE_PROPOSAL,
        subject_type="proposals.Proposal",
        subject_id=str(second.pk),
        status=MARKER.upper(),
        raw=f'{{"id": "{MARKER}"}}',
        fetched_at=NOON,
    )
    return second


def seed():
    """Write the marker over everything that is kept inside; returns how many columns."""
    with triggers_off():
        return sum(
            seed_rows(model, kept)
            for model, kept in (
                (Proposal, KEPT_INSIDE["proposals.Proposal"]),
                (Account, KEPT_INSIDE["accounts.Account"]),
                (PricePlan, KEPT_INSIDE["purchases.PricePlan"]),
                *(
                    (model, None)
                    for model in (ApprovalStep, Decision, LineNote, ReasonCode, CustomerLink, Event)
                ),
                *((model, None) for model in (Delivery, DeliveryAttempt, get_user_model())),
                (RateCard, {"name", "billable_id"}),
            )
        )


# The states decide what is shown at all, and the code is a key that others point to.
LEFT = {"status", "state", "role", "verb", "code", "kind", "form_token", "togai_refusal", "currencies"}
LEFT |= {"estimate_per", "password"}


def seed_rows(model, kept):
    count = 0
    for field in model._meta.concrete_fields:
        if field.name in LEFT or (kept is not None and field.name not in kept):
            continue
        if field.is_relation or field.primary_key:
            continue
        if isinstance(field, models.CharField | models.TextField):
            for row in model.objects.all():
                # Many a column wants a value of its own.
                value = f"{MARKER}{row.pk}"
                value = value[: field.max_length] if field.max_length else value
                model._base_manager.filter(pk=row.pk).update(**{field.name: value})
            count += 1
        elif isinstance(field, models.DecimalField):
            models.QuerySet(model).update(**{field.name: D("7654321")})
            count += 1
        elif isinstance(field, models.JSONField):
            value = {"um.messages": "7654321"} if field.name == "expected_volumes" else [MARKER]
            models.QuerySet(model).update(**{field.name: value})
            count += 1
    return count


def test_hostile_names_are_text_on_the_page_and_in_the_pdf():
    """Reliability 4.2, 48: in the customer's name, the plan's and the cards'; nothing is fetched for them."""
    by = rep()
    account = AccountFactory(
        owner=by, name=HOSTILE, customer_name=f"Evil {HOSTILE}", address={"line1": HOSTILE, "city": ["x"]}
    )
    plan = PricePlanFactory(
        name="<img src=file:///etc/passwd>",
        cards=[("fixedFeeRateCards", "addon.onboarding", ONBOARDING | {"displayName": HOSTILE})],
    )
    proposal = approved(by=by, account=account, price_plan=plan)
    words = words_of(proposal)
    assert words.count("alert(1)") >= 3
    text = pdf_text(offer_pdf.pdf(html_of(proposal, on_paper=True)))
    assert "<script>alert(1)</script>" in text.replace("\n", "")
    assert "root:" not in text
