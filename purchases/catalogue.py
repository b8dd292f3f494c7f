"""
Pulling what Togai knows: accounts with their customers, price plans with their rate cards, features.

Reads page by page, writes each page in a transaction of its own, never deletes. A record that cannot be read
or stored is reported and left as it is; the rest goes on. A second pull of the same data changes nothing but
the moment of the pull.
"""

import time
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from django.db import transaction
from django.utils import timezone

from accounts.models import Account, Customer, PullProgress, search_text_of
from accounts.outcome import facts_of, take_over
from purchases.models import Feature, PricePlan, RateCard
from togai import errors
from togai.line import reached

# Togai's tokens say nothing about how long they hold; after a day the list has moved on anyway.
TOKEN_HOLDS = timedelta(days=1)
TRIES = 5
# A page of plans costs two calls and more per plan: small, so that little is read twice after a stop.
PLANS_A_PAGE = 10
# Somebody hears of a list that is read in one go every so many rows.
TOLD_EVERY = 200
# A pull that keeps its place in more than one list.
PLACES = {"accounts": ("customers", "accounts")}
# Where a stored card keeps the id of what it bills; the commitment bills nothing.
_BILLABLE_KEYS = ("id", "featureId", "usageMeterId")


@dataclass
class Tally:
    """What one pull of one list did; `pages` of a list that is read in one go stays 0."""

    pages: int = 0
    read: int = 0
    new: int = 0
    changed: int = 0
    skipped: list[str] = field(default_factory=list)

    def __str__(self):
        words = f"{self.read} read, {self.new} new, {self.changed} changed"
        return words + (f", {len(self.skipped)} skipped" if self.skipped else "")


class HalfWay(Exception):
    """The pull was asked to end early; the next one goes on there."""


class Pull:
    """
    One pull: a gateway, a clock and somebody who is told how far it came.

    :param gateway: a `togai.gateway.Gateway`
    :param tell: called with the name of a list and its `Tally` after every commit
    :param sleep: waits that many seconds before a read is tried again
    :param longest_wait: gives up instead of waiting for longer than so many seconds; None: waits
    :param enough: asked after every page that is not the last; a true answer ends the pull with `HalfWay`
    :raises TogaiError: from every method, when Togai does not answer after several tries or refuses our
        token; what was committed stays, and the next pull goes on from there
    """

    def __init__(
        self,
        gateway,
        *,
        tell=lambda name, tally: None,
        clock=timezone.now,
        sleep=time.sleep,
        longest_wait=None,
        enough=lambda: False,
    ):
        self.gateway = gateway
        self.tell = tell
        self.clock = clock
        self.sleep = sleep
        self.longest_wait = longest_wait
        self.enough = enough
        self.batch_id = uuid.uuid4()

    def _page_by_page(self, name, label, read, store, tally, *, restart, told=None):
        """
        Read a list page by page, going on where an interrupted pull stopped.

        :param read: reads the page behind a token
        :param store: keeps a page and, with `_keep_place`, where the next pull goes on
        :param restart: begin with the first page all the same
        :param told: the tally that is told of after each page, where it is not `tally`
        """
        if restart:
            PullProgress.objects.filter(name=name).delete()
        token = self._saved_token(name, tally)
        resumed, seen = token is not None, set()
        while True:
            asked_at = self.clock()
            try:
                page = self._patiently(read, token)
            except (errors.Refused, errors.Missing):
                if not resumed:
                    raise
                # Togai does not take the old token any more.
                token, resumed, tally.read = None, False, 0
                continue
            resumed = False
            tally.pages += 1
            over = page.next_token is None or not (page.rows or page.unreadable)
            store(page, asked_at=asked_at, over=over)
            self.tell(label, told or tally)
            if over:
                return tally
            if page.next_token in seen:
                raise errors.Unconfirmed(
                    f"Togai's list of {label.lower()} goes round in circles.", reason="walk"
                )
            seen.add(page.next_token)
            token = page.next_token
            if self.enough():
                raise HalfWay

    def _saved_token(self, name, tally):
        progress = self._place(name)
        if progress is None:
            tally.read = 0
            return None
        tally.read = progress.read
        return progress.next_token

    def _place(self, name):
        """Where a pull was interrupted, if that is not too long ago."""
        return PullProgress.objects.filter(name=name, saved_at__gte=self.clock() - TOKEN_HOLDS).first()

    def _keep_place(self, name, page, tally, *, over):
        if over:
            PullProgress.objects.filter(name=name).delete()
        else:
            PullProgress.objects.update_or_create(
                name=name,
                defaults={"next_token": page.next_token, "read": tally.read, "saved_at": self.clock()},
            )

    # --- accounts ---

    def accounts(self, *, restart=False, tally=None):
        """
        Every customer and then every account, page by page, going on where an interrupted pull stopped.

        :param restart: begin with the first page all the same
        :param tally: counts on in it
        """
        tally = tally or Tally()
        # An account shows its customer's name: who is among the accounts has read all customers.
        if restart or self._place("accounts") is None:
            self._customers(tally, restart=restart)

        def store(page, *, asked_at, over):
            tally.skipped += [f"An account: {error}" for error in page.unreadable]
            self._store_accounts(page, tally, asked_at=asked_at, over=over)

        read = self.gateway.page_of_accounts
        return self._page_by_page("accounts", "Accounts", read, store, tally, restart=restart)

    def _customers(self, tally, *, restart):
        """Every customer; told of, and its problems kept, as part of the accounts."""
        own = Tally()

        def store(page, *, asked_at, over):
            tally.skipped += [f"A customer: {error}" for error in page.unreadable]
            self._store_customers(page, own, tally, over=over)

        read = self.gateway.page_of_customers
        self._page_by_page("customers", "Accounts", read, store, own, restart=restart, told=tally)

    @transaction.atomic
    def _store_customers(self, page, own, tally, *, over):
        longest, now, rows = Customer._meta.get_field("togai_id").max_length, self.clock(), {}
        for row in page.rows:
            if len(row.id) > longest:
                tally.skipped.append(f"Customer {row.id[:50]}: Its id is longer than {longest} characters.")
                continue
            rows[row.id] = Customer(togai_id=row.id, name=(row.name or "")[:255], pulled_at=now)
        Customer.objects.bulk_create(
            rows.values(),
            update_conflicts=True,
            unique_fields=["togai_id"],
            update_fields=["name", "pulled_at"],
        )
        own.read += len(page.rows)
        self._keep_place("customers", page, own, over=over)

    @transaction.atomic
    def _store_accounts(self, page, tally, *, asked_at, over):
        rows = {row.id: row for row in page.rows}
        customers = dict(
            Customer.objects.filter(pk__in={row.customer_id or "" for row in page.rows}).values_list(
                "pk", "name"
            )
        )
        tally.read += len(rows)
        known = {
            account.togai_id: account
            for account in Account.objects.select_for_update().filter(togai_id__in=rows)
        }
        now = self.clock()
        fresh, unchanged = [], []
        for togai_id, row in rows.items():
            account = known.get(togai_id)
            if account and account.pulled_at and account.pulled_at > asked_at:
                # Confirmed by an edit while this page was on its way: the page is older.
                continue
            try:
                facts = self._account_facts(row, customers)
            except errors.ContractChanged as error:
                tally.skipped.append(f"Account {togai_id}: {error}")
                continue
            if account is None:
                account = Account(togai_id=togai_id, pulled_at=now, **{"name": togai_id, **facts})
                account.search_text = search_text_of(account)
                fresh.append(account)
            elif moved := take_over(account, facts, at=now, verb="pull", batch_id=self.batch_id):
                account.save(update_fields=[*moved, "pulled_at"])
                tally.changed += 1
            else:
                unchanged.append(account.pk)
        Account.objects.bulk_create(fresh)
        tally.new += len(fresh)
        Account.objects.filter(pk__in=unchanged).update(pulled_at=now)
        self._keep_place("accounts", page, tally, over=over)

    def _account_facts(self, row, customers):
        longest = Account._meta.get_field("togai_id").max_length
        if len(row.id) > longest:
            raise errors.ContractChanged(f"Its id is longer than {longest} characters.", reason="id")
        facts = facts_of(row)
        name = customers.get(facts.get("customer_id"))
        # A customer that could not be read keeps the name that the account already shows.
        return facts if name is None else facts | {"customer_name": name}

    # --- catalogue ---

    def plans(self, *, restart=False, tally=None):
        """
        Every price plan in its newest and its active version, with the rate cards that Togai lists; goes on
        with the page in which an interrupted pull stopped.

        :param restart: begin with the first page all the same
        :param tally: counts on in it
        """
        tally = tally or Tally()

        def store(page, *, asked_at, over):
            tally.skipped += [f"A price plan: {error}" for error in page.unreadable]
            for row in page.rows:
                tally.read += 1
                try:
                    self._pull_plan(row, tally)
                except (errors.ContractChanged, errors.Missing, errors.Refused) as error:
                    tally.skipped.append(f"Price plan {row.name or row.id}: {error}")
                self.tell("Price plans", tally)
            self._keep_place("plans", page, tally, over=over)

        read = partial(self.gateway.page_of_price_plans, page_size=PLANS_A_PAGE)
        return self._page_by_page("plans", "Price plans", read, store, tally, restart=restart)

    def _pull_plan(self, row, tally):
        facts = {row.version: _plan_facts(row)}
        read = partial(self._read_all, "Price plans", tally)
        versions, unreadable = self._patiently(read, self.gateway.list_price_plan_versions, row.id)
        tally.skipped += [f"A version of price plan {row.name or row.id}: {error}" for error in unreadable]
        for version in versions:
            try:
                facts.setdefault(version.version, _plan_facts(version))
            except errors.ContractChanged as error:
                tally.skipped.append(f"Price plan {row.name or row.id}, version {version.version}: {error}")
        # One card that we cannot read would be missing from prices and from every override we send, so the
        # whole plan stays as it was (fail closed).
        cards = self._patiently(lambda: list(self.gateway.list_rate_cards(row.id)))
        self._store_plan(row.id, row.version, facts, _stored_cards(cards), tally)

    @transaction.atomic
    def _store_plan(self, togai_id, listed, facts, cards, tally):
        """
        :param listed: the version that the list of plans shows; Togai's rate cards carry no version, and are
            taken as this one's [assume]
        """
        known = {
            plan.version: plan for plan in PricePlan.objects.select_for_update().filter(togai_id=togai_id)
        }
        active = [number for number in facts if facts[number]["status"] == PricePlan.Status.ACTIVE]
        # What may be sold now; without an active version the newest stands for the plan.
        current = max(active or facts)
        now = self.clock()
        new = changed = False
        for number in sorted(facts):
            if number not in known and number not in {listed, current, max(facts)}:
                continue
            plan = known.get(number)
            if plan is None:
                known[number] = PricePlan.objects.create(
                    togai_id=togai_id, version=number, is_latest=False, pulled_at=now, **facts[number]
                )
                new = True
            else:
                changed |= _set(plan, facts[number], now=now)
        changed |= _replace_cards(known[listed], cards)
        if current != listed and not known[current].rate_cards.exists():
            tally.skipped.append(
                f"Price plan {facts[current]['name']}: version {current} is the active one, but Togai lists "
                f"the rate cards of version {listed} only."
            )
            current = listed
        if not known[current].is_latest:
            PricePlan.objects.filter(togai_id=togai_id, is_latest=True).update(is_latest=False)
            PricePlan.objects.filter(pk=known[current].pk).update(is_latest=True)
            changed = True
        tally.new += new
        tally.changed += changed and not new

    def features(self, *, restart=False, tally=None):
        """
        Every feature that entitlements are counted in: read in one go and stored at once, so nothing of it is
        ever half there and every pull begins with the first.
        """
        tally = tally or Tally()
        read = partial(self._read_all, "Features", tally)
        rows, unreadable = self._patiently(read, self.gateway.list_features)
        tally.skipped += [f"A feature: {error}" for error in unreadable]
        tally.read = len(rows)
        with transaction.atomic():
            self._store_features(rows, tally)
        self.tell("Features", tally)
        return tally

    def _store_features(self, rows, tally):
        now = self.clock()
        known = {feature.togai_id: feature for feature in Feature.objects.all()}
        fresh, unchanged = {}, []
        for row in rows:
            facts = {"name": row.name or row.id, "display_name": row.display_name or ""}
            if len(row.id) > 50 or any(len(text) > 255 for text in facts.values()):
                tally.skipped.append(f"Feature {row.id[:50]}: its id or name is too long.")
                continue
            feature = known.get(row.id)
            if feature is None:
                fresh[row.id] = Feature(togai_id=row.id, pulled_at=now, **facts)
            elif any(getattr(feature, name) != value for name, value in facts.items()):
                _set(feature, facts, now=now)
                tally.changed += 1
            else:
                unchanged.append(feature.pk)
        Feature.objects.bulk_create(fresh.values())
        Feature.objects.filter(pk__in=unchanged).update(pulled_at=now)
        tally.new = len(fresh)

    # --- reading ---

    def _patiently(self, read, *arguments):
        """
        Read, and read again after a pause when Togai does not answer or asks for one; a read harms nothing.

        :raises TogaiError: the last one, or at once where another try cannot help
        """
        for tried in range(1, TRIES + 1):
            try:
                result = read(*arguments)
            except (errors.SignInRefused, errors.Forbidden, errors.ContractChanged):
                raise
            except (errors.NotSent, errors.Unconfirmed) as error:
                if tried == TRIES or error.reason in ("local", "walk"):
                    raise
                wait = getattr(error, "retry_after", None) or 2**tried
                if self.longest_wait is not None and wait > self.longest_wait:
                    raise
                self.sleep(wait)
            else:
                reached(at=self.clock())
                return result
        raise AssertionError("unreachable")

    def _read_all(self, label, tally, walk, *arguments):
        """Every readable record of a walk, and what it says about the others at its end."""
        rows = []
        try:
            for row in walk(*arguments):
                rows.append(row)
                if len(rows) % TOLD_EVERY == 0:
                    self.tell(label, tally)
        except errors.ContractChanged as error:
            if error.reason != "rows":
                raise
            return rows, error.unreadable
        return rows, ()


def _plan_facts(remote):
    """
    The columns that a version of a plan fills.

    :raises ContractChanged: without a version, a known type or a status; or for a value no column holds
    """
    if remote.version is None or remote.version < 1:
        raise errors.ContractChanged("It has no version.", reason="version")
    if remote.type not in PricePlan.Type.values:
        raise errors.ContractChanged(f"We do not know its type {remote.type}.", reason="type")
    facts = {
        "name": remote.name or remote.id,
        "description": remote.description or "",
        "type": remote.type,
        "status": remote.status or "",
        "currencies": list(remote.supported_currencies or remote.active_currencies or ()),
        "cycle": remote.pricing_cycle_config,
    }
    for name in ("name", "description", "status"):
        longest = PricePlan._meta.get_field(name).max_length
        if len(facts[name]) > longest:
            raise errors.ContractChanged(f"Its {name} is longer than {longest} characters.", reason=name)
    if len(remote.id) > PricePlan._meta.get_field("togai_id").max_length:
        raise errors.ContractChanged("Its id is too long.", reason="id")
    return facts


def _stored_cards(cards):
    """
    Rate cards as (kind, billable id, name, details) in Togai's order.

    :raises ContractChanged: when two cards bill the same thing, as no override could tell them apart
    """
    stored = {}
    for card in cards:
        key = next((key for key in _BILLABLE_KEYS if key in card.details), None)
        billable = card.details[key] if key else ""
        if (card.kind, billable) in stored:
            raise errors.ContractChanged(
                f"Two of its rate cards bill {billable or 'the same'}.", reason="twice"
            )
        name = card.details.get("displayName") or card.display_name or card.name or billable
        stored[card.kind, billable] = (name[:255], card.details)
    return [(kind, billable, *rest) for (kind, billable), rest in stored.items()]


def _replace_cards(plan, cards):
    """Put these rate cards in the place of a version's cards, if they differ. Returns whether they did."""
    have = list(plan.rate_cards.values_list("kind", "billable_id", "name", "details"))
    if have == cards:
        return False
    plan.rate_cards.all().delete()
    RateCard.objects.bulk_create(
        RateCard(
            price_plan=plan, kind=kind, billable_id=billable, name=name, details=details, position=position
        )
        for position, (kind, billable, name, details) in enumerate(cards)
    )
    return True


def _set(row, facts, *, now):
    """Save what differs, and the moment of the pull. Returns whether anything differed."""
    moved = [name for name, value in facts.items() if getattr(row, name) != value]
    for name in moved:
        setattr(row, name, facts[name])
    row.pulled_at = now
    row.save(update_fields=[*moved, "pulled_at"])
    return bool(moved)
