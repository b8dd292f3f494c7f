"""The catalogue as pulled from Togai, the terms of a deal, and purchases."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.functional import cached_property

from accounts.models import Account, owners_visible_to
from purchases import terms as domain
from togai.models import Delivery


class PricePlanQuerySet(models.QuerySet):
    def offered(self):
        """The newest version of each plan that may be sold now."""
        return self.filter(is_latest=True, status=PricePlan.Status.ACTIVE).order_by("name", "pk")

    def with_cards(self):
        return self.prefetch_related("rate_cards")

    def for_listing(self):
        return self.filter(is_latest=True).order_by("name", "pk")


class PricePlan(models.Model):
    """
    One version of a plan as pulled; a newer version is a new row, so a draft keeps what it was written on.
    """

    class Status(models.TextChoices):
        ACTIVE = "ACTIVE", "Active"
        DRAFT = "DRAFT", "Draft"
        ARCHIVED = "ARCHIVED", "Archived"

    class Type(models.TextChoices):
        BILLING = "BILLING", "Billing (recurring)"
        PURCHASE = "PURCHASE", "Purchase (one-time)"

    togai_id = models.CharField("plan id", max_length=50)
    version = models.PositiveIntegerField()
    name = models.CharField(max_length=50)
    description = models.CharField(max_length=255, blank=True)
    type = models.CharField(max_length=10, choices=Type)
    status = models.CharField(max_length=10, choices=Status)
    currencies = models.JSONField(default=list)
    cycle = models.JSONField("pricing cycle", null=True, blank=True)
    is_latest = models.BooleanField(default=True)
    pulled_at = models.DateTimeField()

    objects = PricePlanQuerySet.as_manager()

    class Meta:
        ordering = ["name", "-version"]
        constraints = [
            models.UniqueConstraint(fields=["togai_id", "version"], name="plan_version_once"),
            models.UniqueConstraint(
                fields=["togai_id"], condition=Q(is_latest=True), name="plan_latest_once"
            ),
        ]
        indexes = [
            models.Index(fields=["name", "id"], name="plan_name", condition=Q(is_latest=True)),
            models.Index(fields=["type", "name", "id"], name="plan_type", condition=Q(is_latest=True)),
            models.Index(fields=["status", "name", "id"], name="plan_status", condition=Q(is_latest=True)),
        ]

    def __str__(self):
        return f"{self.name} v{self.version}"

    def get_absolute_url(self):
        return reverse("purchases:plan", args=[self.togai_id])

    @cached_property
    def details(self):
        """
        The plan in the shape of an override: every kind of card, the cycle, the commitment, the currencies.
        """
        details = {}
        for card in self.rate_cards.all():
            if card.kind == RateCard.Kind.MINIMUM_COMMITMENT:
                details["minimumCommitment"] = card.details
            else:
                details.setdefault(card.kind, []).append(card.details)
        if self.currencies:
            details["supportedCurrencies"] = self.currencies
        if self.cycle:
            details["pricingCycleConfig"] = self.cycle
        return details

    @cached_property
    def newer(self):
        """The version that is sold now in the place of this one, with its cards, or None (G-15)."""
        if self.is_latest:
            return None
        offered = PricePlan.objects.offered().filter(togai_id=self.togai_id, version__gt=self.version)
        return offered.with_cards().first()

    def facts(self):
        """The plan as the pure rules and prices read it."""
        return domain.PlanFacts(
            togai_id=self.togai_id,
            name=self.name,
            version=self.version,
            type=self.type,
            status=self.status,
            currencies=tuple(self.currencies),
            details=self.details,
        )


class RateCard(models.Model):
    """The price of one billable item in one plan version, in the stored form of its kind."""

    class Kind(models.TextChoices):
        FIXED_FEE = "fixedFeeRateCards", "Fixed fee"
        BILLING_ENTITLEMENT = "billingEntitlementRateCards", "Entitlement"
        CREDIT_GRANT = "creditGrantRateCards", "Credit grant"
        USAGE = "usageRateCards", "Usage"
        LICENSE = "licenseRateCards", "Licence"
        ENTITLEMENT_OVERAGE = "entitlementOverageRateCards", "Entitlement overage"
        MINIMUM_COMMITMENT = "minimumCommitment", "Minimum commitment"

    price_plan = models.ForeignKey(PricePlan, on_delete=models.CASCADE, related_name="rate_cards")
    kind = models.CharField(max_length=30, choices=Kind)
    billable_id = models.CharField(max_length=50, blank=True)
    name = models.CharField(max_length=255)
    details = models.JSONField()
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["price_plan", "kind", "billable_id"], name="card_once_per_plan"),
        ]

    def __str__(self):
        return self.name


class Feature(models.Model):
    """Something an account may be entitled to."""

    togai_id = models.CharField(max_length=50, unique=True)
    name = models.CharField(max_length=255)
    display_name = models.CharField(max_length=255, blank=True)
    pulled_at = models.DateTimeField()

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.display_name or self.name


class NumberSequence(models.Model):
    """The last number given out per kind of deal; rising without gaps, never used twice."""

    name = models.CharField(max_length=20, primary_key=True)
    last = models.PositiveIntegerField(default=0)

    def __str__(self):
        return f"{self.name}: {self.last}"


def next_number(name):
    """The next number of a sequence; call inside the transaction that uses it."""
    NumberSequence.objects.get_or_create(name=name)
    sequence = NumberSequence.objects.select_for_update().get(name=name)
    sequence.last += 1
    sequence.save(update_fields=["last"])
    return sequence.last


class HasTerms(models.Model):
    """
    What purchases and proposals share, field by field as in togai.md 3.1.

    Overrides hold only what differs from the plan version; an absent value is NULL, never an empty
    container, so that the constraints below can speak about it.
    """

    TERMS_FIELDS = (
        "account",
        "type",
        "price_plan",
        "quantity",
        "rate_card_quantities",
        "purchase_plan_override",
        "association_override",
        "wallet_topup_amount",
        "wallet_purchase_amount",
        "effective_from",
        "effective_until",
        "valid_until",
    )

    Type = models.TextChoices("Type", [(kind.name, (kind.value, kind.label)) for kind in domain.PurchaseType])

    account = models.ForeignKey(
        Account, null=True, blank=True, on_delete=models.PROTECT, related_name="%(class)ss"
    )
    type = models.CharField(max_length=20, choices=Type, blank=True)
    price_plan = models.ForeignKey(
        PricePlan, null=True, blank=True, on_delete=models.PROTECT, related_name="%(class)ss"
    )
    quantity = models.IntegerField(null=True, blank=True)
    rate_card_quantities = models.JSONField(null=True, blank=True)
    purchase_plan_override = models.JSONField(null=True, blank=True)
    association_override = models.JSONField(null=True, blank=True)
    wallet_topup_amount = models.DecimalField(max_digits=15, decimal_places=3, null=True, blank=True)
    wallet_purchase_amount = models.DecimalField(max_digits=15, decimal_places=3, null=True, blank=True)
    effective_from = models.DateField("starts on", null=True, blank=True)
    effective_until = models.DateField("ends on", null=True, blank=True)
    valid_until = models.DateField(null=True, blank=True)

    class Meta:
        abstract = True

    def terms(self):
        """The frozen value that rules, prices and payloads are made from."""
        plan = self.price_plan
        return domain.Terms(
            type=self.type,
            payment_mode=getattr(self, "payment_mode", "") or None,
            price_plan_id=plan.togai_id if plan else None,
            price_plan_version=plan.version if plan else None,
            quantity=self.quantity,
            rate_card_quantities=domain.quantities(self.rate_card_quantities),
            purchase_plan_override=self.purchase_plan_override or {},
            association_override=self.association_override or {},
            wallet_topup_amount=self.wallet_topup_amount,
            wallet_purchase_amount=self.wallet_purchase_amount,
            effective_from=self.effective_from,
            effective_until=self.effective_until,
            valid_until=self.valid_until,
        )

    @property
    def expires_at(self):
        """
        The last second of the validity in the business zone, as an aware UTC moment (G-32); None when open.
        """
        if self.valid_until is None:
            return None
        return domain.expiry(self.valid_until, settings.BUSINESS_TIME_ZONE)


class Deal(HasTerms):
    """Terms with the people, numbers and outcome around them; the common part of Purchase and Proposal."""

    number = models.PositiveIntegerField(editable=False)
    revision = models.PositiveIntegerField(default=1, editable=False)
    title = models.CharField(max_length=120, blank=True)
    internal_note = models.TextField(max_length=4000, blank=True)
    expected_volumes = models.JSONField(null=True, blank=True)

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="%(class)ss")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    last_edited_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    submitted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    # Everybody who ever touched the terms of this chain of revisions; none of them decides it (P-01).
    editors = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="+", blank=True)

    # Of the page it was drafted on, so that a press that arrives twice drafts once.
    form_token = models.UUIDField(null=True, editable=False)

    version = models.PositiveIntegerField(default=1, editable=False)
    content_hash = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(editable=False)
    updated_at = models.DateTimeField(editable=False)
    submitted_at = models.DateTimeField(null=True, blank=True, editable=False)

    # Our estimate for the listing, kept with every save; NULL is unknown, never zero.
    currency = models.CharField(max_length=3, blank=True, editable=False)
    estimate = models.DecimalField(max_digits=18, decimal_places=3, null=True, editable=False)
    # Whether `estimate` is "once", over the "term", or for a "cycle" of a deal without end.
    estimate_per = models.CharField(max_length=5, blank=True, editable=False)
    list_price = models.DecimalField(max_digits=18, decimal_places=3, null=True, editable=False)

    # Togai's side, never mixed with ours.
    togai_id = models.CharField(max_length=512, blank=True, editable=False)
    togai_status = models.CharField(max_length=60, blank=True, editable=False)
    togai_price = models.DecimalField(max_digits=24, decimal_places=9, null=True, editable=False)
    togai_currency = models.CharField(max_length=10, blank=True, editable=False)
    togai_invoice_id = models.CharField(max_length=80, blank=True, editable=False)
    togai_comment = models.TextField(blank=True, editable=False)
    togai_responded_at = models.DateTimeField(null=True, blank=True, editable=False)
    togai_seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    togai_refusal = models.CharField(max_length=600, blank=True, editable=False)
    togai_problem = models.CharField(max_length=600, blank=True, editable=False)

    class Meta:
        abstract = True

    @property
    def is_abandoned(self):
        """Whether two people let it go undelivered; Togai may have it all the same (reliability.md 2.3)."""
        return self.togai_refusal.startswith(Delivery.ABANDONED_BY)


def terms_constraints():
    """
    The rules per type (`terms.RULES`) as CHECK constraints: what a type forbids is NULL in every state, what
    it requires is there once the deal has left the draft.
    """
    constraints = []
    for kind, fields in domain.RULES.items():
        forbidden = [name for name, need in fields.items() if need is domain.Need.FORBIDDEN]
        required = [name for name, need in fields.items() if need is domain.Need.REQUIRED]
        absent = Q(**{f"{name}__isnull": True for name in forbidden})
        present = Q(**{f"{name}__isnull": False for name in required})
        label = str(kind.value).lower()
        if forbidden:
            constraints.append(
                models.CheckConstraint(
                    condition=~Q(type=kind.value) | absent, name=f"%(class)s_{label}_forbids"
                )
            )
        if required:
            constraints.append(
                models.CheckConstraint(
                    condition=~Q(type=kind.value) | Q(status="DRAFT") | present,
                    name=f"%(class)s_{label}_needs",
                )
            )
    return [
        *constraints,
        models.CheckConstraint(
            condition=Q(status="DRAFT") | (~Q(type="") & Q(account__isnull=False)),
            name="%(class)s_whole_when_sent",
        ),
        models.CheckConstraint(
            condition=Q(type__in=["", *(kind.value for kind in domain.RULES)]), name="%(class)s_type_known"
        ),
        models.CheckConstraint(
            condition=Q(quantity__isnull=True) | Q(rate_card_quantities__isnull=True),
            name="%(class)s_one_kind_of_quantity",
        ),
        models.CheckConstraint(
            condition=Q(quantity__isnull=True) | Q(quantity__gte=1), name="%(class)s_quantity_positive"
        ),
        models.CheckConstraint(
            condition=Q(wallet_topup_amount__isnull=True) | Q(wallet_topup_amount__gt=0),
            name="%(class)s_topup_positive",
        ),
        models.CheckConstraint(
            condition=Q(wallet_purchase_amount__isnull=True) | Q(wallet_purchase_amount__gte=0),
            name="%(class)s_paid_not_negative",
        ),
        models.CheckConstraint(
            condition=Q(effective_until__isnull=True)
            | Q(effective_from__isnull=True)
            | Q(effective_until__gt=models.F("effective_from"))
            | Q(status="DRAFT"),
            name="%(class)s_ends_after_start",
        ),
        models.UniqueConstraint(fields=["created_by", "form_token"], name="%(class)s_drafted_once"),
    ]


class PurchaseQuerySet(models.QuerySet):
    def visible_to(self, user):
        """The purchases a person may see."""
        return self.filter(owners_visible_to(user))

    def for_listing(self):
        return self.select_related("account", "price_plan", "owner").order_by("-pk")


class Purchase(Deal):
    """
    A plan bought for an account without a proposal: drafted by sales, released by finance, sent at once.
    """

    class Status(models.TextChoices):
        DRAFT = "DRAFT", "Draft"
        SUBMITTED = "SUBMITTED", "Waiting for release"
        SENT = "SENT", "Released"

    MOVES = {
        Status.DRAFT: {Status.SUBMITTED},
        Status.SUBMITTED: {Status.DRAFT, Status.SENT},
        # Only when Togai refused it: the next attempt is a new revision with a new key.
        Status.SENT: {Status.DRAFT},
    }

    status = models.CharField(max_length=20, choices=Status, default=Status.DRAFT)
    released_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        editable=False,
    )
    released_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = PurchaseQuerySet.as_manager()

    class Meta:
        constraints = [
            *terms_constraints(),
            models.UniqueConstraint(fields=["number"], name="purchase_number_once"),
            models.UniqueConstraint(
                fields=["togai_id"], condition=~Q(togai_id=""), name="purchase_togai_id_once"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["DRAFT", "SUBMITTED", "SENT"]), name="purchase_status_known"
            ),
            models.CheckConstraint(
                condition=~Q(status="SENT") | Q(released_by__isnull=False), name="purchase_sent_was_released"
            ),
            # Four eyes even for a shell: see also services.release.
            models.CheckConstraint(
                condition=Q(released_by__isnull=True)
                | (
                    ~Q(released_by=models.F("created_by"))
                    & ~Q(released_by=models.F("last_edited_by"))
                    & (Q(submitted_by__isnull=True) | ~Q(released_by=models.F("submitted_by")))
                ),
                name="purchase_four_eyes",
            ),
        ]
        indexes = [
            models.Index(fields=["status", "-id"], name="purchase_status"),
            models.Index(fields=["owner", "-id"], name="purchase_owner"),
            models.Index(fields=["owner", "status", "-id"], name="purchase_owner_status"),
            models.Index(fields=["account", "-id"], name="purchase_account"),
            models.Index(fields=["price_plan", "-id"], name="purchase_plan"),
            models.Index(fields=["type", "-id"], name="purchase_type"),
            models.Index(fields=["togai_status", "-id"], name="purchase_togai_status"),
            models.Index(fields=["status", "togai_refusal", "id"], name="purchase_refused"),
        ]

    def __str__(self):
        return self.reference

    @property
    def reference(self):
        """The number people quote, e.g. D-000042."""
        return f"D-{self.number:06d}"

    def can_become(self, status):
        return status in self.MOVES.get(self.status, ())

    @property
    def is_draft(self):
        return self.status == self.Status.DRAFT

    @property
    def is_waiting(self):
        return self.status == self.Status.SUBMITTED

    @property
    def is_revisable(self):
        """Whether Togai refused it, so that another try is possible."""
        return self.status == self.Status.SENT and bool(self.togai_refusal)

    def get_absolute_url(self):
        return reverse("purchases:detail", args=[self.reference])


class DealTemplateQuerySet(models.QuerySet):
    def offered(self):
        """The newest version of each template that may be started from, by name."""
        return self.filter(is_latest=True, active=True).order_by("name", "pk")


class DealTemplate(models.Model):
    """
    One version of terms that administrators offer as a start; an edit is a new row, the old one stays (G-03).

    What is sold and how, never to whom and never on which days: those are of each deal.
    """

    number = models.PositiveIntegerField(editable=False)
    version = models.PositiveIntegerField(default=1, editable=False)
    is_latest = models.BooleanField(default=True, editable=False)
    active = models.BooleanField(
        "offered", default=True, help_text="Otherwise nobody starts from it any more."
    )
    name = models.CharField(max_length=80)
    description = models.CharField(max_length=255, blank=True, help_text="When to use it, in a sentence.")
    validity_days = models.PositiveSmallIntegerField(
        "valid for (days)",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(366)],
        help_text="From the day somebody starts from it. Left empty: the draft says nothing.",
    )

    type = models.CharField(max_length=20, choices=HasTerms.Type)
    price_plan = models.ForeignKey(
        PricePlan, null=True, blank=True, on_delete=models.PROTECT, related_name="templates"
    )
    payment_mode = models.CharField(
        max_length=10, blank=True, choices=[(mode.value, mode.label) for mode in domain.PaymentMode]
    )
    quantity = models.IntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(domain.MAX_QUANTITY)]
    )
    rate_card_quantities = models.JSONField(null=True, blank=True)
    purchase_plan_override = models.JSONField(null=True, blank=True)
    association_override = models.JSONField(null=True, blank=True)
    wallet_topup_amount = models.DecimalField(max_digits=15, decimal_places=3, null=True, blank=True)
    wallet_purchase_amount = models.DecimalField(max_digits=15, decimal_places=3, null=True, blank=True)
    expected_volumes = models.JSONField(null=True, blank=True)

    saved_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    saved_at = models.DateTimeField(editable=False)

    objects = DealTemplateQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["number", "version"], name="template_version_once"),
            models.UniqueConstraint(
                fields=["number"], condition=Q(is_latest=True), name="template_latest_once"
            ),
        ]
        indexes = [
            models.Index(fields=["-id"], name="template_latest", condition=Q(is_latest=True)),
            models.Index(
                fields=["name", "id"], name="template_offered", condition=Q(is_latest=True, active=True)
            ),
        ]

    def __str__(self):
        return f"{self.name} v{self.version}"

    @property
    def reference(self):
        """What all versions of a template share, e.g. T-000007."""
        return f"T-{self.number:06d}"
