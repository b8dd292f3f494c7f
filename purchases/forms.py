"""
The form in which a deal is drafted: what is typed becomes clean fields for `drafts.create` and `drafts.edit`.

It shows only what the deal's type may have (`terms.RULES`). Nothing typed is lost: what a change of type or
plan takes off the page travels along in hidden inputs named `kept/…` and comes back with the type or plan.
"""

import copy
import re
from datetime import date
from decimal import Decimal
from urllib.parse import quote, unquote

from django import forms

from accounts import search
from accounts.models import Account
from purchases import billables, drafts, overrides
from purchases import terms as domain
from purchases.cards import METERED
from purchases.models import PricePlan, Purchase
from purchases.price_form import PREFIXES, OverrideForm
from purchases.price_form.cells import plain_problem, whole_problem
from purchases.terms import EARLIEST, LATEST, OVERRIDE_KINDS, PLAN_TYPES, RULES, Need, PurchaseType
from togai.strict_json import plain

LONGEST_SEARCH = 200
MOST_FOUND = 20

# Beyond this many hidden values the oldest are let go: a page posts at most 2,500 fields.
MOST_KEPT = 800

# What the page posts beside its fields; everything else that the form does not know is refused (S-06).
DESK_NAMES = frozenset(
    {
        "csrfmiddlewaretoken",
        "do",
        "version",
        "read",
        "form_token",
        "page",
        "turn",
        "plan_seen",
        "type_was",
        "cards_of",
        "account_pick",
        "q",
    }
)
# Names that belong to the cards of one plan.
PLAN_PREFIXES = (*PREFIXES, "q/", "v/")
# The fields that some type forbids, as `RULES` has them; overrides have cells instead of a field.
RULED = tuple(
    name for name in RULES[PurchaseType.PREPAID] if "override" not in name and name != "rate_card_quantities"
)

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class PlainNumberField(forms.CharField):
    """
    A decimal as people write it plainly: digits and a point; spaces around it do not count.

    :param column: the model's DecimalField that has to hold it, if there is one
    """

    widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})

    def __init__(self, *, column=None, **options):
        self.column = column
        super().__init__(**options)

    def to_python(self, value):
        text = super().to_python(value)
        if not text:
            return None
        message = plain_problem(text)
        if message:
            raise forms.ValidationError(message)
        amount = Decimal(plain(Decimal(text)))
        if self.column:
            # A database rounds a number that does not fit, or fails on it.
            _, digits, exponent = amount.as_tuple()
            if -exponent > self.column.decimal_places:
                raise forms.ValidationError(f"At most {self.column.decimal_places} digits after the point.")
            if len(digits) + exponent > self.column.max_digits - self.column.decimal_places:
                raise forms.ValidationError("That is more than anybody pays.")
        return amount


class WholeNumberField(forms.CharField):
    """A whole number of plain digits."""

    widget = forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"})

    def to_python(self, value):
        text = super().to_python(value)
        if not text:
            return None
        message = whole_problem(text)
        if message:
            raise forms.ValidationError(message)
        return int(text)


class DayField(forms.CharField):
    """A day as browsers post it, 2030-01-31, within the years that a deal may name."""

    widget = forms.DateInput(
        format="%Y-%m-%d", attrs={"type": "date", "min": EARLIEST.isoformat(), "max": LATEST.isoformat()}
    )

    def to_python(self, value):
        text = super().to_python(value)
        if not text:
            return None
        try:
            day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
        except ValueError:
            day = None
        if day is None:
            raise forms.ValidationError("Enter a day that exists, such as 2030-01-31.")
        if not EARLIEST <= day <= LATEST:
            raise forms.ValidationError(f"Enter a date from {EARLIEST.year} to {LATEST.year}.")
        return day


class NoteField(forms.CharField):
    """Some lines of text; a browser's line ends become the ones we store."""

    widget = forms.Textarea(attrs={"rows": 3})

    def to_python(self, value):
        return super().to_python(value).replace("\r\n", "\n").replace("\r", "\n")


class DealForm(forms.Form):
    """
    The draft of a deal; proposals add what only they have.

    :param data: what was posted, or None to show the deal as it is
    :param deal: the draft that the page was made from; a new one is unsaved
    :param user: whose accounts may be chosen
    :param at: the moment of the request
    :param for_figures: only what the deal would cost is asked, so names that nobody knows do not matter
    :ivar kind: the chosen `PurchaseType`, or None
    :ivar plan: the chosen plan with its cards, or None
    :ivar prices: the `OverrideForm` of that plan, or None
    :ivar kept: hidden name → text, what was typed for another type or plan
    """

    account = forms.CharField(required=False, max_length=50, widget=forms.HiddenInput)
    type = forms.ChoiceField(
        label="What is bought",
        required=False,
        choices=[("", "Not said yet"), *((kind.value, kind.label) for kind in PurchaseType)],
    )
    price_plan = forms.ChoiceField(label="Price plan", required=False)
    quantity = WholeNumberField(
        label="Quantity", required=False, help_text="How many times the whole plan is bought."
    )
    wallet_topup_amount = PlainNumberField(
        column=Purchase._meta.get_field("wallet_topup_amount"),
        label="Top-up",
        required=False,
        help_text="What is added to the account's wallet.",
    )
    wallet_purchase_amount = PlainNumberField(
        column=Purchase._meta.get_field("wallet_purchase_amount"),
        label="Amount paid",
        required=False,
        help_text="Left empty: as much as is topped up. Less than that is a discount.",
    )
    effective_from = DayField(label="Starts on", required=False)
    effective_until = DayField(
        label="Ends on", required=False, help_text="Left empty: it runs until somebody changes it."
    )
    valid_until = DayField(label="Valid until", required=False)
    title = forms.CharField(label="Title", required=False, max_length=120)
    internal_note = NoteField(
        label="Internal note",
        required=False,
        max_length=4000,
        help_text="For colleagues. Neither Togai nor the customer sees it.",
    )

    def __init__(self, data=None, *, deal, user, at, for_figures=False):
        self.deal, self.user, self.at = deal, user, at
        self.today = drafts.business_day(at)
        self.kept, self.refused, self.faults, self.billed = {}, [], [], {}
        self.typed = None if data is None else self._single(data)
        self.kind = self._chosen_kind()
        if self.typed is not None:
            self._sort_fields_by_type()
        self.chosen_account = self._chosen_account()
        self.plans, self.plan = self._chosen_plan()
        self.prices = self._prices()
        super().__init__(self.typed, initial=self._initial())
        self._shape()
        if self.typed is not None:
            self._set_aside_amounts()
            if not for_figures:
                self._refuse_unknown_names()

    # --- Reading what was posted ---

    def _single(self, data):
        typed = {}
        for name in data:
            values = data.getlist(name)
            if len(values) > 1 and name != "do":
                self.faults.append(f"“{name[:80]}” was sent more than once.")
            typed[name] = values[0]
        return typed

    def _text(self, name, stored):
        return stored if self.typed is None else self.typed.get(name, "").strip()

    def _chosen_kind(self):
        text = self._text("type", self.deal.type)
        return PurchaseType(text) if text in set(PurchaseType) else None

    def _sort_fields_by_type(self):
        """Set aside what the chosen type may not have, and bring back what it may have again."""
        was = self.typed.get("type_was", "").strip()
        was = PurchaseType(was) if was in set(PurchaseType) else self.kind
        other_plans = PLAN_TYPES.get(was) != PLAN_TYPES.get(self.kind)
        for name in RULED:
            if name in self.typed and (not self._may_have(name) or (name == "price_plan" and other_plans)):
                text = self.typed.pop(name)
                if text.strip():
                    self.kept[f"kept/{was or '-'}/{name}"] = text
                    self.refused.append(self._why_refused(name, text))
        for hidden in [name for name in self.typed if name.startswith("kept/")]:
            text = self.typed.pop(hidden)
            scope, name = (*hidden.split("/", 2), "")[1:3]
            same = scope == self.kind or (
                scope in PLAN_TYPES and PLAN_TYPES[scope] == PLAN_TYPES.get(self.kind)
            )
            if same and name in RULED and self._may_have(name):
                self.typed.setdefault(name, text)
            elif name in RULED or name.startswith(PLAN_PREFIXES):
                self.kept.setdefault(hidden, text)

    def _why_refused(self, name, text):
        """Where and how to say that something typed does not go with the type."""
        label = self.base_fields[name].label.lower()
        if self.kind is None:
            return "type", f"Say first what is bought; the {label} is set aside until then."
        if name == "price_plan" and self._may_have(name):
            return (
                name,
                f"{self.kind.label} needs another kind of plan than the one chosen; choose one of these.",
            )
        what = f"the {label}" if name == "price_plan" else f"the {label} {text[:40]}"
        return "type", f"{self.kind.label} has no {label}: {what} is set aside. Save again without it."

    def _may_have(self, name):
        return self.kind is not None and RULES[self.kind][name] is not Need.FORBIDDEN

    def _chosen_account(self):
        self.account_error, self.found_accounts = "", []
        current = self.deal.account
        if self.typed is None:
            return current
        picked = self.typed.pop("account_pick", "").strip()
        wanted = picked or self.typed.get("account", "").strip()
        looked_for = self.typed.get("q", "").strip()
        if picked:
            self.typed.pop("q", None)
        elif looked_for:
            self.account_error = "Choose the account from the list, or clear the search."
            self.found_accounts = found_accounts(self.user, looked_for)
        account = current if current is not None and wanted == current.togai_id else None
        if account is None and wanted:
            # PostgreSQL cannot even be asked for a NUL.
            if wanted.isprintable():
                account = Account.objects.visible_to(self.user).filter(togai_id=wanted).first()
            if account is None:
                self.account_error = "This is not one of your accounts."
        self.typed["account"] = wanted
        return account

    def _chosen_plan(self):
        if self.kind not in PLAN_TYPES:
            return [], None
        pinned = self.deal.price_plan
        plans = list(PricePlan.objects.offered().filter(type=PLAN_TYPES[self.kind]))
        if pinned and pinned.type == PLAN_TYPES[self.kind] and pinned not in plans:
            plans.insert(0, pinned)
        wanted = self._text("price_plan", str(pinned.pk) if pinned else "")
        chosen = next((plan for plan in plans if str(plan.pk) == wanted), None)
        return plans, chosen and PricePlan.objects.with_cards().get(pk=chosen.pk)

    def _prices(self):
        """The cells of the chosen plan, with what was typed into them."""
        was = None if self.typed is None else self.typed.get("cards_of", "").strip()
        here = str(self.plan.pk) if self.plan else ""
        prices = self._fresh_prices(self.plan)
        if self.typed is None:
            return prices
        if was and was != here:
            prices = self._leave_plan(was, prices)
        restored = self._bring_back_plan(here)
        if prices and (was == here or restored):
            prices.take(self.typed)
        return prices

    def _fresh_prices(self, plan):
        """The cells of a plan as the deal has them, before anything is typed."""
        if plan is None or self.override_field is None:
            return None
        pinned, stored = self.deal.price_plan, getattr(self.deal, self.override_field) or {}
        kinds = OVERRIDE_KINDS[self.override_field]
        own = OverrideForm(
            plan.details, stored if pinned == plan else {}, kinds=kinds, currency=self.currency
        )
        if stored and pinned and pinned != plan and pinned.togai_id == plan.togai_id:
            old = OverrideForm(pinned.details, stored, kinds=kinds, currency=self.currency)
            return old.carried_to(plan.details, kinds=kinds, currency=self.currency)
        return own

    def _leave_plan(self, was, prices):
        """
        The page was drawn for another plan: its cells are set aside, or carried to a new version of the plan.
        """
        names = [name for name in self.typed if name.startswith(PLAN_PREFIXES)]
        typed = {name: self.typed[name] for name in names}
        old = (
            PricePlan.objects.with_cards().filter(pk=was).first()
            if was.isascii() and was.isdecimal() and len(was) < 19
            else None
        )
        if old is None:
            return prices
        field = _override_field_of(old)
        stored = getattr(self.deal, field) if self.deal.price_plan == old else None
        before = OverrideForm(old.details, stored or {}, kinds=OVERRIDE_KINDS[field], currency=self.currency)
        before.take(typed)
        if prices is not None and self.plan.togai_id == old.togai_id:
            for name in names:
                if not name.startswith(("q/", "v/")):
                    del self.typed[name]
            return before.carried_to(
                self.plan.details, kinds=OVERRIDE_KINDS[self.override_field], currency=self.currency
            )
        for name in names:
            del self.typed[name]
            changed = before.changed or name.startswith(("q/", "v/"))
            if changed and typed[name].strip():
                self.kept[f"kept/{was}/{name}"] = typed[name]
        if before.changed:
            self.refused.append(
                (
                    "price_plan" if self._may_have("price_plan") else "type",
                    f"You changed prices of {old.name}, which is no longer chosen. They are set aside and"
                    " come back with that plan; save again without them.",
                )
            )
        return prices

    def _bring_back_plan(self, here):
        restored = False
        for hidden in [name for name in self.kept if here and name.startswith(f"kept/{here}/")]:
            self.typed.setdefault(hidden.split("/", 2)[2], self.kept.pop(hidden))
            restored = True
        while len(self.kept) > MOST_KEPT:
            del self.kept[next(iter(self.kept))]
        return restored

    def _set_aside_amounts(self):
        """What was counted on cards that the chosen version of the plan has no more goes, with a word."""
        was = self.typed.get("cards_of", "").strip()
        if not self.plan or was == str(self.plan.pk):
            return
        for name in [
            name for name in self.typed if name.startswith(("q/", "v/")) and name not in self.fields
        ]:
            text = self.typed.pop(name)
            if text.strip():
                self.kept[f"kept/{was}/{name}"] = text
                what = f"{_PREFIX_LABELS[name[:2]].format(unquote(name[2:]))} is set aside"
                message = f"{self.plan} has no such card: {what[0].lower()}{what[1:]}. Save again without it."
                self.refused.append(("price_plan", message))

    def _refuse_unknown_names(self):
        known = {*self.fields, *DESK_NAMES}
        known |= self.prices.names() if self.prices else set()
        for name in self.typed:
            if name not in known and not name.startswith("choice/"):
                self.faults.append(f"This form has no field “{name[:80]}”; reload the page.")

    # --- What the page shows ---

    @property
    def override_field(self):
        """The name of the override that the type may have, or None."""
        return domain.override_field(self.kind)

    @property
    def currency(self):
        """The account's currency; "" while it is not known."""
        return self.chosen_account.currency if self.chosen_account else ""

    @property
    def plan_seen(self):
        """The newer version of the plan that somebody on this page has decided against, or None (G-15)."""
        text = self.typed.get("plan_seen", "").strip() if self.typed else ""
        return int(text) if text and not whole_problem(text) else None

    @property
    def looked_for(self):
        """What is typed into the search for another account."""
        return self.typed.get("q", "") if self.typed else ""

    @property
    def quantity_fields(self):
        """The bound fields of quantities per rate card."""
        return [self[name] for name in self.fields if name.startswith("q/")]

    @property
    def volume_fields(self):
        """The bound fields of expected volumes."""
        return [self[name] for name in self.fields if name.startswith("v/")]

    @property
    def quantities_matter(self):
        """Whether the quantities per card should be in sight."""
        return any(field.value() or field.errors for field in self.quantity_fields)

    @property
    def inputs(self):
        """The ids of everything that can take the focus when it is wrong."""
        found = {self[name].id_for_label for name in self.fields} | {"account-search", "id_type_0"}
        return found | self.prices.inputs if self.prices else found

    def wire(self, here, *, first_error):
        """Tie the plan to the page at `here`, and give the focus to the first field that is wrong."""
        if "price_plan" in self.fields:
            self.fields["price_plan"].widget.attrs |= {
                "hx-post": here,
                "hx-trigger": "change",
                "hx-vals": '{"do": "update"}',
            }
        for name, field in self.fields.items():
            if self[name].id_for_label == first_error:
                field.widget.attrs["autofocus"] = True

    def _initial(self):
        deal = self.deal
        initial = {
            name: getattr(deal, name)
            for name in (
                "type",
                "quantity",
                "effective_from",
                "effective_until",
                "valid_until",
                "title",
                "internal_note",
            )
        }
        initial["account"] = deal.account.togai_id if deal.account else ""
        initial["price_plan"] = deal.price_plan_id or ""
        for name in ("wallet_topup_amount", "wallet_purchase_amount"):
            amount = getattr(deal, name)
            initial[name] = "" if amount is None else plain(amount)
        for prefix, stored in (("q/", deal.rate_card_quantities), ("v/", deal.expected_volumes)):
            for billable_id, amount in (stored or {}).items():
                initial[prefix + quote(billable_id, safe="")] = amount
        return initial

    def _shape(self):
        """Leave the fields that the type may have, and add those that the plan's cards need."""
        for name in RULED:
            if not self._may_have(name):
                del self.fields[name]
        if "price_plan" in self.fields:
            self.fields["price_plan"].choices = [("", "Choose a plan"), *self._plan_choices()]
            if not self.plans:
                self.fields["price_plan"].help_text = "The catalogue has no active plan of this kind."
        if self.plan:
            self._add_card_fields()
        if "valid_until" in self.fields:
            self.fields["valid_until"].help_text = self.validity_help
        if "effective_from" in self.fields:
            self.fields["effective_from"].help_text = self.start_help

    @property
    def validity_help(self):
        """What an empty validity means."""
        return "The last day on which Togai may still act on it. Left empty: no limit."

    @property
    def start_help(self):
        """From when a plan may start, and why."""
        return "Tomorrow at the earliest: Togai starts nothing in the past, nor on the day itself."

    def _plan_choices(self):
        for plan in self.plans:
            note = ""
            if self.currency and self.currency not in plan.currencies:
                note = f", no prices in {self.currency}"
            elif not plan.is_latest:
                note = ", replaced by a newer version"
            elif plan.status != PricePlan.Status.ACTIVE:
                note = f", {plan.get_status_display().lower()}"
            yield str(plan.pk), f"{plan.name}, version {plan.version}{note}"

    def _add_card_fields(self):
        cards = self._cards()
        # One feature may be granted by one card and metered by another: its overage.
        metered = [card for card in cards if card[0] in METERED]
        stored = self.deal if self.deal.price_plan == self.plan else None
        if self._may_have("rate_card_quantities"):
            self._add_fields("q/", cards, stored and stored.rate_card_quantities)
        self._add_fields("v/", metered, stored and stored.expected_volumes)

    def _cards(self):
        """(kind, billable id, label) of everything that is billed: the plan's cards, and the deal's own."""
        cards = [(card.kind, card.billable_id, card.label) for card in overrides.cards(self.plan.details)]
        if self.prices:
            cards = [card for card in cards if card[0] not in OVERRIDE_KINDS[self.override_field]]
            cards += [
                (card.kind, card.billable_id, card.label)
                for card in self.prices.cards
                if card.billable_id and not card.is_removed
            ]
        return cards

    def press(self, verb, target):
        """Do what a button at the prices says; a card that comes or goes takes its own fields along."""
        names = dict(self.billables) if verb == "add_card" else {}
        anchor = (self.typed or {}).get(f"paste_at/{target}", "")
        self.prices.do(verb, target, names, anchor)
        for name in list(self.billed):
            del self.fields[name]
        self.billed.clear()
        self._add_card_fields()

    @property
    def billables(self):
        """What the catalogue knows that a new card may bill, as (id, name) pairs."""
        return billables.known(self.prices.adding_kind) if self.prices.adds_billable else []

    def _add_fields(self, prefix, cards, stored):
        shown = {}
        for kind, billable_id, label in cards:
            shown.setdefault(billable_id, (kind, label))
        for gone in stored or {}:
            shown.setdefault(gone, ("", f"{gone} (not in the plan any more)"))
        for billable_id, (kind, label) in shown.items():
            name = prefix + quote(billable_id, safe="")
            self.billed[name] = billable_id
            self.fields[name] = PlainNumberField(
                label=label, required=False, help_text=_VOLUME_HELP.get(kind, "") if prefix == "v/" else ""
            )

    # --- What it says ---

    def clean(self):
        cleaned = super().clean()
        for name, amount in list(cleaned.items()):
            if amount is not None and name.startswith("v/") and amount < 0:
                self.add_error(name, "Enter 0 or more.")
        return cleaned

    def is_sound(self):
        """
        Whether everything typed can be read and kept in a draft; if not, each error stands at its field.
        """
        sound = self.is_valid()
        for name, message in self.refused:
            self.add_error(name, message)
        if self.account_error:
            self.add_error("account", self.account_error)
        for message in self.faults:
            self.add_error(None, message)
        self.blame(drafts.problems(self.scratch(), at=self.at, complete=False))
        return sound and not self.errors and not (self.prices and self.prices.has_errors)

    def values(self):
        """
        The fields for `drafts.create` and `drafts.edit`: those that the page showed, and None for what the
        type forbids. What could not be read is left out.
        """
        clean = self.cleaned_data
        values = {name: clean[name] for name in ("type", "title", "internal_note") if name in clean}
        if self.chosen_account != self.deal.account:
            values["account"] = self.chosen_account
        if self.kind is None:
            return values
        for name in RULED:
            if not self._may_have(name):
                values[name] = None
            elif name in clean:
                values[name] = clean[name]
        if self._may_have("price_plan"):
            values["price_plan"] = self.plan
        for name in OVERRIDE_KINDS:
            values[name] = (
                (self.prices.patch or None) if self.prices and name == self.override_field else None
            )
        if self.plan or self.deal.price_plan or self.kind not in PLAN_TYPES:
            values["expected_volumes"] = self._by_card("v/")
            values["rate_card_quantities"] = self._by_card("q/")
        elif not self._may_have("rate_card_quantities"):
            values["rate_card_quantities"] = None
        return values

    def keepable(self):
        """
        What may be saved while somebody is still typing, and the labels of what may not yet (G-06).

        What cannot be read, or what a rule refuses, stays as it was stored: a field, an entry of a map, a
        card of the prices. Nothing else than what was typed is ever stored in its place. Where the type or
        the plan itself does not hold, only the words for colleagues are kept: the other fields hang on it.

        :returns: (fields, labels); the labels are empty when everything typed is in the fields
        """
        if self.is_sound():
            return self.values(), []
        left = list(dict.fromkeys(label or message for _, label, message in self.summary))
        if self.faults:
            return {}, left
        words = {name: self.cleaned_data[name] for name in drafts.DESK_FIELDS if name in self.cleaned_data}
        if not self.account_error and self.chosen_account != self.deal.account:
            words["account"] = self.chosen_account
        if {"type", "price_plan"} & set(self.errors):
            return words, left
        values = self.values() | self._kept_as_stored()
        if self.account_error:
            values.pop("account", None)
        while found := drafts.problems(self.scratch_of(values), at=self.at, complete=False):
            stays = {problem.field for problem in found} & set(values)
            if not stays:
                return words, left
            values = {name: value for name, value in values.items() if name not in stays}
        return values, left

    def _kept_as_stored(self):
        """The maps and the prices, with what is stored wherever something typed is wrong."""
        stored_here = self.deal.price_plan == self.plan
        values = {}
        for prefix, name in (("q/", "rate_card_quantities"), ("v/", "expected_volumes")):
            stored = (getattr(self.deal, name) or {}) if stored_here else {}
            wrong = {
                self.billed[field] for field in self.errors if field[:2] == prefix and field in self.billed
            }
            if wrong:
                entries = (self._by_card(prefix) or {}) | {key: stored[key] for key in wrong & set(stored)}
                values[name] = entries or None
        if self.prices and self.prices.has_errors:
            patch, stored = self.prices.patch, self._fresh_prices(self.plan).patch
            for card in self.prices.cards:
                if card.has_errors:
                    patch = _with_entry(patch, stored, card.path)
            values[self.override_field] = patch or None
        return values

    def _by_card(self, prefix):
        amounts = {
            billable_id: self.cleaned_data.get(name)
            for name, billable_id in self.billed.items()
            if name.startswith(prefix)
        }
        return {name: plain(amount) for name, amount in amounts.items() if amount is not None} or None

    def scratch(self):
        """The deal as it would be with what can be read, for prices and rules; never saved."""
        if not hasattr(self, "cleaned_data"):
            self.full_clean()
        deal = copy.copy(self.deal)
        if self.typed is None:
            if self.plan:
                deal.price_plan = self.plan
            return deal
        # A field that cannot be read is not the old value.
        unreadable = {name: None for name in self.errors if name in RULED}
        return self.scratch_of(unreadable | self.values())

    def scratch_of(self, values):
        """The deal as it would be with these fields; never saved."""
        deal = copy.copy(self.deal)
        for name, value in values.items():
            setattr(deal, name, None if value in ({}, []) else value)
        return deal

    # --- Where errors go ---

    def blame(self, problems):
        """Put every problem of the rules at its field or its cell."""
        for problem in problems:
            if problem.field in OVERRIDE_KINDS and self.prices and problem.field == self.override_field:
                if not problem.path or not self.prices.blame(problem.path, problem.message):
                    self.add_error(None, problem.message)
            elif problem.field == "rate_card_quantities":
                cell = "q/" + quote(problem.path[0], safe="") if problem.path else "quantity"
                self.add_error(cell if cell in self.fields else None, problem.message)
            elif problem.field in self.fields:
                self.add_error(problem.field, problem.message)
            else:
                self.add_error(None, problem.message)

    def place_of(self, name):
        """The id of the first thing to type into or press of a field; "" for none."""
        return _FIRST_INPUTS.get(name, self[name].id_for_label) if name in self.fields else ""

    @property
    def summary(self):
        """Everything that is wrong, in the order of the page: (id of the place or "", label, message)."""
        if not self.is_bound and not hasattr(self, "cleaned_data"):
            return []
        found = [("", "", message) for message in self.non_field_errors()]
        for name in self.fields:
            field, place = self[name], self.place_of(name)
            label = _PREFIX_LABELS.get(name[:2], "{}").format(field.label)
            found += [(place, label, message) for message in field.errors]
        return [*found, *self.prices.problems] if self.prices else found


class PurchaseForm(DealForm):
    """The draft of a direct purchase."""


_PREFIX_LABELS = {"q/": "Quantity of {}", "v/": "Expected use of {}"}

# Fields that the page draws itself: the id of the first thing to type into or press.
_FIRST_INPUTS = {"account": "account-search", "type": "id_type_0", "payment_mode": "id_payment_mode_0"}

_VOLUME_HELP = {
    "usageRateCards": "Units in a billing cycle.",
    "licenseRateCards": "Seats in a billing cycle.",
    "entitlementOverageRateCards": "Units beyond the allowance, in a billing cycle.",
}


def found_accounts(user, text):
    """
    Accounts of a person in which every word of `text` occurs, at most `MOST_FOUND`; the first by name for
    no text.
    """
    visible = Account.objects.visible_to(user).exclude(status=Account.Status.ARCHIVED)
    if not text.strip():
        return list(visible.order_by("name", "pk")[:MOST_FOUND])
    # Without sorting what may be a great many.
    return sorted(search.matching(text, visible)[:MOST_FOUND], key=lambda account: account.name.lower())


def _with_entry(patch, other, path):
    """A copy of an override in which one card is as in another one."""
    kind, *inside = path
    whole = {name: change for name, change in patch.items() if name != kind}
    if not inside:
        return whole | ({kind: other[kind]} if kind in other else {})
    (billable_id,) = inside
    rows = {name: change for name, change in (patch.get(kind) or {}).items() if name != billable_id}
    if billable_id in (other.get(kind) or {}):
        rows[billable_id] = other[kind][billable_id]
    return whole | ({kind: rows} if rows else {})


def _override_field_of(plan):
    kind = next(kind for kind, plan_type in PLAN_TYPES.items() if plan_type == plan.type)
    return domain.override_field(kind)
