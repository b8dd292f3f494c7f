"""Real rows for tests; traits are states that people talk about."""

from datetime import UTC, datetime, timedelta

import factory
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from factory.django import DjangoModelFactory

from accounts.models import Account, Team
from audit.roles import Role
from proposals import services
from purchases import services as purchase_services
from purchases.models import PricePlan, RateCard

NOON = datetime(2030, 1, 10, 12, 0, tzinfo=UTC)
PASSWORD = "correct horse battery staple"


class UserFactory(DjangoModelFactory):
    class Meta:
        model = get_user_model()
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"person{n}")
    first_name = "Kim"
    last_name = factory.Sequence(lambda n: f"Person {n}")
    email = factory.LazyAttribute(lambda user: f"{user.username}@desk.example")

    @factory.post_generation
    def roles(self, create, extracted, **kwargs):
        for role in extracted or ():
            self.groups.add(Group.objects.get(name=role.value))


def person(*roles, **fields):
    """A signed-up person who holds these roles."""
    return UserFactory(roles=roles, **fields)


def rep(**fields):
    return person(Role.REP, **fields)


def finance(**fields):
    return person(Role.FINANCE, **fields)


def administrator(**fields):
    return person(Role.ADMINISTRATOR, **fields)


class TeamFactory(DjangoModelFactory):
    class Meta:
        model = Team

    name = factory.Sequence(lambda n: f"Team {n}")


class AccountFactory(DjangoModelFactory):
    class Meta:
        model = Account

    togai_id = factory.Sequence(lambda n: f"account-{n}")
    name = factory.Sequence(lambda n: f"Harbor Robotics {n}")
    customer_id = "harbor"
    customer_name = "Harbor"
    currency = "EUR"
    pulled_at = NOON


class PricePlanFactory(DjangoModelFactory):
    """
    A one-time plan: 1000 API calls in two slabs, and an onboarding fee. `recurring` makes it a billing
    plan.
    """

    class Meta:
        model = PricePlan
        skip_postgeneration_save = True

    class Params:
        recurring = factory.Trait(
            type="BILLING",
            cycle={
                "interval": "MONTHLY",
                "gracePeriod": 2,
                "anniversaryCycle": False,
                "startOffset": {"dayOffset": "1", "monthOffset": "NIL"},
            },
        )

    togai_id = factory.Sequence(lambda n: f"pp.plan{n}")
    version = 1
    name = factory.Sequence(lambda n: f"Plan {n}")
    type = "PURCHASE"
    status = "ACTIVE"
    currencies = ["EUR", "USD"]
    pulled_at = NOON

    @factory.post_generation
    def cards(self, create, extracted, **kwargs):
        cards = extracted if extracted is not None else DEFAULT_CARDS[self.type]
        for position, (kind, billable_id, details) in enumerate(cards):
            RateCard.objects.create(
                price_plan=self,
                kind=kind,
                billable_id=billable_id,
                name=details.get("displayName", billable_id),
                details=details,
                position=position,
            )


def slab_rates(*rates):
    return [{"order": order, "rate": rate} for order, rate in enumerate(rates, start=1)]


API_CALLS = {
    "featureId": "feature.calls",
    "displayName": "API calls",
    "featureConfigs": [{"effectiveFrom": "PT0S", "effectiveUntil": "P30D", "featureCreditLimit": "1000"}],
    "invoiceTiming": "IN_ADVANCE",
    "ratePlan": {
        "pricingModel": "TIERED",
        "slabs": [
            {"order": 1, "startAfter": "0", "priceType": "PER_UNIT"},
            {"order": 2, "startAfter": "1000", "priceType": "PER_UNIT"},
        ],
    },
    "rateValues": [
        {"currency": "EUR", "slabRates": slab_rates("0.20", "0.15")},
        {"currency": "USD", "slabRates": slab_rates("0.22", "0.17")},
    ],
}
ONBOARDING = {
    "id": "addon.onboarding",
    "displayName": "Onboarding",
    "type": "ONE_TIME",
    "enableProration": False,
    "invoiceTiming": "IN_ADVANCE",
    "rateValues": [{"currency": "EUR", "rate": "750"}, {"currency": "USD", "rate": "800"}],
}
MESSAGES = {
    "usageMeterId": "um.messages",
    "displayName": "Messages",
    "ratePlan": {
        "pricingModel": "VOLUME",
        "slabs": [
            {"order": 1, "startAfter": "0", "priceType": "PER_UNIT"},
            {"order": 2, "startAfter": "10000", "priceType": "PER_UNIT"},
        ],
    },
    "rateValues": [
        {"currency": "EUR", "slabRates": slab_rates("0.02", "0.015")},
        {"currency": "USD", "slabRates": slab_rates("0.022", "0.017")},
    ],
}
PLATFORM_FEE = {
    "id": "addon.platform",
    "displayName": "Platform fee",
    "type": "RECURRING",
    "enableProration": True,
    "invoiceTiming": "IN_ADVANCE",
    "rateValues": [{"currency": "EUR", "rate": "499"}, {"currency": "USD", "rate": "549"}],
}
DEFAULT_CARDS = {
    "PURCHASE": [
        ("billingEntitlementRateCards", "feature.calls", API_CALLS),
        ("fixedFeeRateCards", "addon.onboarding", ONBOARDING),
    ],
    "BILLING": [
        ("usageRateCards", "um.messages", MESSAGES),
        ("fixedFeeRateCards", "addon.platform", PLATFORM_FEE),
    ],
}


def draft(*, by=None, at=NOON, **fields):
    """A proposal draft that could be submitted as it stands; pass fields to differ, None to leave one out."""
    by = by or rep()
    return services.create(by=by, at=at, fields=_grant(by, {"payment_mode": "PREPAID"} | fields))


def submitted(*, by=None, at=NOON, **fields):
    """A submitted proposal, its create queued."""
    proposal = draft(by=by, at=at, **fields)
    return services.submit(proposal_id=proposal.pk, by=proposal.created_by, at=at)


def purchase_draft(*, by=None, at=NOON, **fields):
    """A purchase draft that could be submitted as it stands."""
    by = by or rep()
    return purchase_services.create(by=by, at=at, fields=_grant(by, fields))


def submitted_purchase(*, by=None, at=NOON, **fields):
    """A purchase that waits for finance to release it."""
    purchase = purchase_draft(by=by, at=at, **fields)
    return purchase_services.submit(purchase_id=purchase.pk, by=purchase.created_by, at=at)


def yearly(at, **fields):
    """The fields of a contract of a year: a monthly fee of 499 and 18,000 messages, from twenty days on."""
    day = at.date()
    return {
        "type": "ASSOCIATION",
        "quantity": None,
        "price_plan": PricePlanFactory(recurring=True, name="Scale"),
        "payment_mode": "POSTPAID",
        "valid_until": day + timedelta(days=10),
        "effective_from": day + timedelta(days=20),
        "effective_until": day + timedelta(days=384),
        "expected_volumes": {"um.messages": "18000"},
    } | fields


def _grant(by, fields):
    given = {"type": "ENTITLEMENT_GRANT", "quantity": 2} | fields
    if "account" not in given:
        given["account"] = AccountFactory(owner=by)
    if "price_plan" not in given:
        given["price_plan"] = PricePlanFactory()
    return {name: value for name, value in given.items() if value is not None}
