"""
The people and deals that a first start shows: one sign-in per role, accounts with owners, deals in every
state.

Everything is made through the services, as if the people had done it over the last weeks.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import transaction

from accounts import services as account_services
from accounts.models import Account, Team
from audit.roles import Role
from proposals import services
from proposals.models import ApprovalStep, Notice, Proposal
from purchases import services as purchase_services
from purchases.models import PricePlan, Purchase, RateCard

User = get_user_model()
Type = Proposal.Type


@dataclass(frozen=True)
class Person:
    """Somebody of the demo; the password is for a product on this machine alone and stands in the README."""

    username: str
    first_name: str
    last_name: str
    role: Role
    password: str


PEOPLE = (
    Person("mia", "Mia", "Ott", Role.REP, "quartz-harbour-2917"),
    Person("lena", "Lena", "Berg", Role.MANAGER, "copper-lantern-5308"),
    Person("omar", "Omar", "Silva", Role.FINANCE, "willow-ledger-7461"),
    Person("ines", "Inès", "Laurent", Role.CFO, "marble-compass-1183"),
    Person("ada", "Ada", "Novak", Role.ADMINISTRATOR, "velvet-anchor-6625"),
    Person("theo", "Theo", "Lind", Role.AUDITOR, "amber-archive-3940"),
    # A second rep: what one rep owns, the other does not see.
    Person("noah", "Noah", "Frei", Role.REP, "cedar-beacon-8052"),
    # A second administrator: two people may edit one draft at the same time.
    Person("ruth", "Ruth", "Amsel", Role.ADMINISTRATOR, "saffron-bridge-4471"),
)
# Whose sign-in a start prints: the first of each role.
SHOWN = PEOPLE[:6]


class NotHere(RuntimeError):
    """People with known passwords are only for a product on this machine alone."""


@transaction.atomic
def people(*, known_passwords):
    """
    Make whoever of the demo is missing, with roles and the team; nobody's password is ever changed.

    :param known_passwords: use the passwords above; else everybody new gets a random one
    :returns: {username: password} of the people made now
    :raises NotHere: known passwords were asked for where strangers can reach the product
    """
    if known_passwords and settings.HTTPS and not settings.DEBUG:
        raise NotHere("People with known passwords are only made for a product on this machine alone.")
    made = {}
    for person in PEOPLE:
        if User.objects.filter(username=person.username).exists():
            continue
        made[person.username] = person.password if known_passwords else secrets.token_urlsafe(12)
        user = User.objects.create_user(
            person.username,
            email=f"{person.username}@tidemark.example",
            password=made[person.username],
            first_name=person.first_name,
            last_name=person.last_name,
            is_staff=person.role == Role.ADMINISTRATOR,
        )
        user.groups.add(Group.objects.get(name=person.role.value))
    team, new = Team.objects.get_or_create(name="Field sales")
    if new:
        team.managers.set(User.objects.filter(username="lena"))
        team.members.set(User.objects.filter(username__in=["mia", "noah"]))
    return made


@transaction.atomic
def owners(*, at):
    """Give every account that nobody looks after to one of the reps, in turns; returns how many."""
    by = User.objects.get(username="ada")
    reps = [User.objects.get(username=name) for name in ("mia", "mia", "noah")]
    free = Account.objects.filter(owner=None).order_by("togai_id")
    for turn, account in enumerate(free):
        account_services.hand_over(account_id=account.pk, to=reps[turn % len(reps)], by=by, at=at)
    return len(free)


@transaction.atomic
def deals(*, at):
    """
    Proposals and purchases in every state, when there are none yet; needs the sandbox's own catalogue.

    :returns: how many deals were made
    """
    if Proposal.objects.exists() or Purchase.objects.exists():
        return 0
    story = Story(at)
    told = sum(bool(tell(story)) for tell in TALES)
    # These people are invented: they read their notices in the product, and nobody is mailed about the past.
    Notice.objects.update(mail_due=False)
    return told


class Story:
    """Tells deals of the past: who did what, how many days ago."""

    def __init__(self, now):
        self.now = now
        self.users = {user.username: user for user in User.objects.all()}

    def ago(self, days):
        """The moment that many days (or parts of days) ago."""
        return self.now - timedelta(days=days)

    def day(self, days):
        """The day that many days ahead."""
        return (self.now + timedelta(days=days)).date()

    def draft(self, account_id, plan_name, *, ago, kind=None, changes=None, **fields):
        """
        A proposal drafted by the account's owner, or None when the account or the plan is not there.

        :param changes: makes the override of the plan's terms, as `fee` and `slab` do
        :param expects: (in `fields`) the expected volumes by the names of their cards
        """
        given = self._given(account_id, plan_name, kind, changes, fields)
        return given and services.create(by=given["account"].owner, at=self.ago(ago), fields=given)

    def submitted(self, account_id, plan_name, *, ago, **fields):
        """A proposal that its author submitted a quarter of an hour after drafting it."""
        proposal = self.draft(account_id, plan_name, ago=ago, **{"payment_mode": "POSTPAID"} | fields)
        at = self.ago(ago) + timedelta(minutes=15)
        return proposal and services.submit(proposal_id=proposal.pk, by=proposal.owner, at=at)

    def approved(self, account_id, plan_name, *, ago, decided, **fields):
        """A proposal with every yes that it needs, given by whoever gives it."""
        proposal = self.submitted(account_id, plan_name, ago=ago, **fields)
        if proposal is None:
            return None
        gives = {Role.FINANCE: "omar", Role.CFO: "ines", Role.MANAGER: "lena"}
        steps = proposal.steps.filter(state=ApprovalStep.State.WAITING).order_by("order")
        for hours, step in enumerate(list(steps)):
            services.approve(
                proposal_id=proposal.pk,
                by=self.users[gives[Role(step.role)]],
                at=self.ago(decided) + timedelta(hours=hours),
                content_hash=proposal.content_hash,
                signed_in_at=self.ago(decided) + timedelta(hours=hours),
            )
        return proposal

    def purchase(self, account_id, plan_name, *, ago, kind=None, changes=None, **fields):
        """A direct purchase drafted by the account's owner, or None."""
        given = self._given(account_id, plan_name, kind, changes, fields)
        return given and purchase_services.create(by=given["account"].owner, at=self.ago(ago), fields=given)

    def waiting_purchase(self, account_id, plan_name, *, ago, **fields):
        """A direct purchase that waits for finance."""
        purchase = self.purchase(account_id, plan_name, ago=ago, **fields)
        return purchase and purchase_services.submit(
            purchase_id=purchase.pk, by=purchase.owner, at=self.ago(ago) + timedelta(minutes=10)
        )

    def _given(self, account_id, plan_name, kind, changes, fields):
        account = Account.objects.filter(togai_id=account_id).select_related("owner").first()
        plan = PricePlan.objects.offered().with_cards().filter(name=plan_name).first() if plan_name else None
        if account is None or account.owner is None or (plan_name and plan is None):
            return None
        if kind is None and plan:
            kind = Type.ASSOCIATION if plan.type == PricePlan.Type.BILLING else Type.ENTITLEMENT_GRANT
        given = {"account": account, "price_plan": plan, "type": kind} | fields
        if expected := given.pop("expects", None):
            names = {card.name: card.billable_id for card in plan.rate_cards.all()}
            given["expected_volumes"] = {names[name]: str(amount) for name, amount in expected.items()}
        if changes:
            key = "association_override" if kind == Type.ASSOCIATION else "purchase_plan_override"
            given[key] = changes(plan, account.currency)
        return {name: value for name, value in given.items() if value is not None}


def fee(name, rate):
    """Another rate for one fixed fee, in the account's currency."""

    def changes(plan, currency):
        card = plan.rate_cards.get(kind=RateCard.Kind.FIXED_FEE, name=name)
        return {"fixedFeeRateCards": {card.billable_id: {"rateValues": {currency: {"rate": rate}}}}}

    return changes


def slab(kind, name, order, rate):
    """Another rate for one slab of a card, in the account's currency."""

    def changes(plan, currency):
        card = plan.rate_cards.get(kind=kind, name=name)
        rates = {currency: {"slabRates": {str(order): {"rate": rate}}}}
        return {kind.value: {card.billable_id: {"rateValues": rates}}}

    return changes


# --- What the customers expect to use, per cycle ---

SCALE = {
    "API calls beyond the allowance": 20_000,
    "Messages sent": 60_000,
    "Compute minutes": 9_000,
    "Editor seat": 40,
    "Viewer seat": 120,
}
ENTERPRISE = {
    "Pipeline runs beyond the allowance": 40_000,
    "Gigabytes processed": 6_000,
    "Events ingested": 12_000_000,
    "Editor seat": 80,
    "Named administrator": 4,
    "Test environment": 3,
}

# --- The tales, oldest first where it matters ---


def _growing_fleet(story):
    """Approved and running: devices by the half-year, a friendlier support fee."""
    return story.approved(
        "fjordline-wind",
        "Fleet Half-yearly",
        ago=26,
        decided=24,
        valid_until=story.day(4),
        effective_from=story.day(9),
        effective_until=story.day(9 + 2 * 365),
        changes=fee("Premium support", "750"),
        expects={"Active devices": 640},
        title="Turbine fleet, two years",
        internal_note="Renewal of a two-year-old contract; support was the sticking point.",
    )


def _paid_credit(story):
    """Approved, to be paid first."""
    return story.approved(
        "brightfold-us",
        "Committed Credit",
        ago=19,
        decided=18,
        payment_mode="PREPAID",
        quantity=8,
        title="Credit for the Americas roll-out",
    )


def _tokyo_calls(story):
    """Approved in a currency without minor units."""
    return story.approved(
        "doraku-jp",
        "API Call Pack",
        ago=15,
        decided=14,
        payment_mode="PREPAID",
        quantity=6,
        title="API calls for the Osaka line",
    )


def _kuwait_storage(story):
    """Approved in a currency with three minor digits."""
    return story.approved(
        "gulfstone-kw", "Storage Block", ago=12, decided=11, quantity=12, title="Archive of trade documents"
    )


def _scale_for_europe(story):
    """Approved last week: the usual plan at a usual discount."""
    return story.approved(
        "lumenar-fr",
        "Scale Monthly",
        ago=9,
        decided=7,
        effective_from=story.day(40),
        effective_until=story.day(40 + 365),
        changes=fee("Platform fee", "449"),
        expects=SCALE,
        title="Scale for the Lyon office",
    )


def _too_generous(story):
    """Declined, and revised into a draft that asks for less."""
    proposal = story.submitted(
        "canopy-main",
        "Enterprise Annual",
        ago=8,
        effective_from=story.day(45),
        effective_until=story.day(45 + 365),
        changes=fee("Platform fee", "14000"),
        expects=ENTERPRISE,
        title="Enterprise for clinics",
    )
    if proposal is None:
        return None
    services.decline(
        proposal_id=proposal.pk,
        by=story.users["omar"],
        at=story.ago(6),
        content_hash=proposal.content_hash,
        reason_code="price-too-low",
        reason="The platform fee is below what this plan costs us to run. Please stay above 20 000.",
    )
    return services.revise(proposal_id=proposal.pk, by=proposal.owner, at=story.ago(5.5))


def _wrong_term(story):
    """Given back with notes."""
    proposal = story.submitted(
        "fjordline-grid",
        "Growth Quarterly",
        ago=6,
        effective_from=story.day(50),
        effective_until=story.day(50 + 3 * 365),
        expects={"Compute minutes": 45_000, "Storage (GB) beyond the allowance": 1_500},
        title="Three years of grid analytics",
    )
    if proposal is None:
        return None
    services.request_changes(
        proposal_id=proposal.pk,
        by=story.users["omar"],
        at=story.ago(4),
        content_hash=proposal.content_hash,
        reason_code="term",
        reason="Three years without a price review is too long; two would do.",
        line_notes=[("effective_until", "End", "End it after two years at the latest.")],
    )
    return proposal


def _customer_waits(story):
    """Taken back by its author."""
    proposal = story.submitted(
        "ember-oak-uk", "Launch Bundle", ago=5, quantity=1, title="Launch of the new shop"
    )
    if proposal is None:
        return None
    services.recall(
        proposal_id=proposal.pk,
        by=proposal.owner,
        at=story.ago(4.5),
        reason_code="customer-changed-mind",
        reason="They want to start after the sale season.",
    )
    return proposal


def _waiting(story):
    """What finance finds in the morning: the usual, the large, the foreign and the small."""
    usual = story.submitted(
        "halcyon-news",
        "Scale Monthly",
        ago=3,
        effective_from=story.day(35),
        effective_until=story.day(35 + 365),
        changes=fee("Platform fee", "429"),
        expects=SCALE | {"Messages sent": 140_000, "Editor seat": 30, "Viewer seat": 15},
        title="Newsroom, one year",
        internal_note="They compare us with two others; the fee decides.",
    )
    story.submitted(
        "brightfold-eu",
        "Enterprise Annual",
        ago=2,
        effective_from=story.day(60),
        effective_until=story.day(60 + 2 * 365),
        changes=fee("Platform fee", "19500"),
        expects=ENTERPRISE | {"Gigabytes processed": 24_000, "Editor seat": 220},
        title="Brightfold Europe, enterprise",
        internal_note="Board meeting on Thursday; they sign when we do.",
    )
    story.submitted(
        "kaito-jp",
        "API Call Pack",
        ago=1.5,
        payment_mode="PREPAID",
        quantity=20,
        valid_until=story.day(4),
        changes=slab(RateCard.Kind.BILLING_ENTITLEMENT, "API calls", 1, "1.4"),
        title="Calls for the ride planner",
    )
    story.submitted(
        "gulfstone-us",
        None,
        kind=Type.WALLET_TOPUP,
        ago=0.3,
        payment_mode="PREPAID",
        wallet_topup_amount=Decimal(5000),
        wallet_purchase_amount=Decimal(4750),
        title="Wallet for the Houston desk",
    )
    return usual


def _drafts(story):
    """What is still being written."""
    draft = story.draft(
        "canopy-labs",
        "Starter Monthly",
        ago=2,
        payment_mode="POSTPAID",
        effective_from=story.day(38),
        expects={"Messages sent": 4_000, "Editor seat": 6},
        title="Labs pilot",
    )
    story.draft("ivorymill-at", "AI Credits Year", ago=1, quantity=2, title="Credits for the recipe engine")
    story.draft("halcyon-studios", None, ago=0.1, title="Season three, to be discussed")
    return draft


def _bought_at_once(story):
    """Direct purchases: one sent, one that waits for finance, one draft."""
    sent = story.waiting_purchase("ivorymill-at", "API Call Pack", ago=7, quantity=3)
    if sent:
        purchase_services.release(
            purchase_id=sent.pk,
            by=story.users["omar"],
            at=story.ago(6.5),
            content_hash=sent.content_hash,
            signed_in_at=story.ago(6.5),
        )
    story.waiting_purchase("fjordline-grid", "Storage Block", ago=1, quantity=4)
    story.purchase("doraku-jp", "Launch Bundle", ago=0.5, quantity=1)
    return sent


TALES = (
    _growing_fleet,
    _paid_credit,
    _tokyo_calls,
    _kuwait_storage,
    _scale_for_europe,
    _too_generous,
    _wrong_term,
    _customer_waits,
    _waiting,
    _drafts,
    _bought_at_once,
)
