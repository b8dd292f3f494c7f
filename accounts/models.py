"""Accounts as Togai bills them, and who looks after them."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse

from audit.roles import SEES_EVERYTHING, Role, has_role, roles_of


class Team(models.Model):
    """Reps and the sales managers who see and first decide their deals."""

    name = models.CharField(max_length=80, unique=True)
    managers = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="managed_teams", blank=True)
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="teams", blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name


def owners_visible_to(user, owner="owner"):
    """
    Whose work a person may see, as a filter on an `owner` column: everything, a team's, one's own, or nothing
    for somebody without a role.

    The one rule of object scope (G-62): accounts, purchases and proposals all start from it.

    :param owner: the way to that column, for rows that hang on a deal
    """
    if not roles_of(user):
        return Q(pk__in=[])
    if has_role(user, *SEES_EVERYTHING):
        return Q()
    own = Q(**{owner: user})
    if has_role(user, Role.MANAGER):
        team = Team.members.through.objects.filter(team__managers=user).values("user_id")
        return own | Q(**{f"{owner}__in": team})
    return own


class AccountQuerySet(models.QuerySet):
    def visible_to(self, user):
        """The accounts a person may see and draft for; others do not exist for them (404)."""
        return self.filter(owners_visible_to(user))

    def for_listing(self):
        return self.select_related("owner").order_by("name", "pk")


class Account(models.Model):
    """A billing account. Togai owns its fields; edits go there first and show here when confirmed."""

    class Status(models.TextChoices):
        ACTIVE = "ACTIVE", "Active"
        DRAFT = "DRAFT", "Draft"
        ARCHIVED = "ARCHIVED", "Archived"

    togai_id = models.CharField("account id", max_length=50, unique=True)
    togai_account_id = models.CharField("Togai's own id", max_length=80, blank=True)
    name = models.CharField(max_length=255)
    customer_id = models.CharField(max_length=255, blank=True)
    customer_name = models.CharField(max_length=255, blank=True)
    currency = models.CharField("invoice currency", max_length=3, blank=True)
    status = models.CharField(max_length=20, choices=Status, default=Status.ACTIVE)
    aliases = models.JSONField(default=list, blank=True)
    tags = models.JSONField(default=list, blank=True)
    net_term_days = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(0), MaxValueValidator(365)]
    )
    email = models.CharField(max_length=320, blank=True)
    address = models.JSONField(default=dict, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="accounts"
    )
    # What a search by name or id looks in: lower case, kept by `save` and the pull.
    search_text = models.TextField(editable=False, default="")
    version = models.PositiveIntegerField(default=1, editable=False)
    pulled_at = models.DateTimeField(null=True, blank=True)

    objects = AccountQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        indexes = [
            models.Index(fields=["name", "id"], name="account_name"),
            models.Index(fields=["owner", "name", "id"], name="account_owner"),
            models.Index(fields=["status", "name", "id"], name="account_status"),
            models.Index(fields=["currency", "name", "id"], name="account_currency"),
            models.Index(fields=["customer_id", "name", "id"], name="account_customer"),
        ]

    def __str__(self):
        return self.name or self.togai_id

    def save(self, *args, **kwargs):
        self.search_text = search_text_of(self)
        super().save(*args, **kwargs)

    def get_absolute_url(self):
        return reverse("accounts:detail", args=[self.togai_id])


def search_text_of(account):
    """The lower-case text in which an account is searched: id, name, customer and aliases."""
    parts = [account.togai_id, account.name, account.customer_id, account.customer_name, *account.aliases]
    return "\n".join(part for part in parts if part).lower()


class Customer(models.Model):
    """Whom accounts belong to at Togai, by the name that its accounts show; written by the pull alone."""

    togai_id = models.CharField("customer id", max_length=255, primary_key=True)
    name = models.CharField(max_length=255, blank=True)
    pulled_at = models.DateTimeField()

    def __str__(self):
        return self.name or self.togai_id


class PullProgress(models.Model):
    """How far an interrupted pull of a long list came; the row is gone once the list was read to its end."""

    name = models.CharField(max_length=20, primary_key=True)
    next_token = models.CharField(max_length=500)
    read = models.PositiveIntegerField()
    saved_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "pull progress"

    def __str__(self):
        return f"{self.name}: {self.read} read"


class PullRun(models.Model):
    """
    One pull of one list from Togai: who asked for it, how far it is, how it ended.

    Where a later one goes on is `PullProgress`; this row is for people, and keeps two pullers apart.
    """

    class Name(models.TextChoices):
        ACCOUNTS = "accounts", "Accounts"
        PLANS = "plans", "Price plans"
        FEATURES = "features", "Features"

    class State(models.TextChoices):
        WAITING = "WAITING", "Waiting"
        RUNNING = "RUNNING", "Under way"
        DONE = "DONE", "Finished"
        STOPPED = "STOPPED", "Stopped"

    OPEN = (State.WAITING, State.RUNNING)

    name = models.CharField(max_length=20, choices=Name)
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    # Begins with the first page, whatever an earlier one has read.
    anew = models.BooleanField(default=False)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    asked_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    moved_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    claim_token = models.UUIDField(null=True, blank=True)
    claim_until = models.DateTimeField(null=True, blank=True)
    # How often a worker ended in the middle of it without a word since it last moved.
    deaths = models.PositiveSmallIntegerField(default=0)
    pages = models.PositiveIntegerField(default=0)
    read = models.PositiveIntegerField(default=0)
    new = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)
    # The first of what was skipped, in words.
    problems = models.JSONField(default=list, blank=True)
    # Why it stopped.
    why = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name = "pull"
        constraints = [
            models.UniqueConstraint(
                fields=["name"], condition=Q(state__in=["WAITING", "RUNNING"]), name="pull_one_open"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["WAITING", "RUNNING", "DONE", "STOPPED"]), name="pull_state_known"
            ),
        ]
        indexes = [models.Index(fields=["name", "state", "-id"], name="pull_newest")]

    def __str__(self):
        return f"Pull of {self.get_name_display().lower()}"

    @property
    def is_open(self):
        return self.state in self.OPEN
