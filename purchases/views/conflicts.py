"""
Two people saved one draft (G-07): what it was, what the other made of it and what this one typed.

Nothing is merged silently. What only one side changed is preselected, what both changed has to be chosen.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from accounts.models import Account
from audit.models import Event
from purchases import changes, drafts, figures
from purchases.models import PricePlan
from purchases.money import number
from purchases.overrides import cards as cards_of
from purchases.price_form.cells import name_of
from purchases.terms import OVERRIDE_KINDS, RULES, PurchaseType

# Fields that are maps: each entry is chosen by itself.
QUANTITIES = ("rate_card_quantities", "expected_volumes")
# What stands or falls with the type and the plan.
OF_THE_PLAN = ("type", *RULES[PurchaseType.PREPAID], "expected_volumes")

LABELS = {
    "account": "Account",
    "type": "What is bought",
    "price_plan": "Price plan",
    "payment_mode": "Payment",
    "quantity": "Quantity",
    "rate_card_quantities": "Quantity",
    "expected_volumes": "Expected volume",
    "wallet_topup_amount": "Top-up",
    "wallet_purchase_amount": "Amount paid",
    "effective_from": "Starts on",
    "effective_until": "Ends on",
    "valid_until": "Valid until",
    "title": "Title",
    "internal_note": "Internal note",
}


@dataclass(frozen=True)
class Says:
    """One value in the three versions, in words."""

    words: str
    base: str
    theirs: str
    mine: str


@dataclass
class Choice:
    """
    Something that is taken whole, from them or from me.

    :ivar places: the fields, or the entries of fields, that go with it
    :ivar taken: "mine", "theirs", or "" while nobody has chosen
    """

    key: str
    label: str
    places: list[tuple[str, ...]]
    says: list[Says]
    both: bool
    taken: str

    @property
    def name(self):
        """The name of its radio buttons."""
        return f"choice/{self.key}"


class Conflict:
    """
    The choices that a person has to make before a stale form can be saved.

    :param form: a sound form over `base`
    :param base: the deal as it was when the form was made
    :param theirs: the deal as it is now
    :param choices: posted choices by name
    :param read: the version of `base`
    """

    def __init__(self, form, base, theirs, *, choices, read):
        self.form, self.theirs, self.read = form, theirs, read
        self.mine = form.scratch()
        self.plain = [drafts.plain(deal) for deal in (base, theirs, self.mine)]
        self.deals = [base, theirs, self.mine]
        self.events = since(theirs, read)
        self.choices = self._choices()
        for choice in self.choices:
            chosen = choices.get(choice.name, "")
            if chosen in ("mine", "theirs"):
                choice.taken = chosen

    @property
    def undecided(self):
        """The choices that nobody has made."""
        return [choice for choice in self.choices if not choice.taken]

    @property
    def hidden(self):
        """What was typed, as hidden inputs, so that nothing of it is lost."""
        left_out = ("csrfmiddlewaretoken", "do", "version", "read", "form_token")
        typed = {
            name: text
            for name, text in self.form.typed.items()
            if name not in left_out and not name.startswith("choice/")
        }
        return list((typed | self.form.kept).items())

    def settled(self):
        """The fields for `drafts.edit`: everything that differs from what is stored now, as chosen."""
        _, theirs, mine = self.deals
        values = {name: copy.deepcopy(getattr(mine, name)) for name in self.plain[0] if name not in _OBJECTS}
        values |= {name: getattr(mine, name) for name in _OBJECTS}
        for choice in self.choices:
            if choice.taken == "theirs":
                for field, *inside in choice.places:
                    if not inside:
                        values[field] = getattr(theirs, field)
                    else:
                        values[field] = _with(values[field], inside, _entry(getattr(theirs, field), inside))
        settled = copy.copy(theirs)
        for name, value in values.items():
            setattr(settled, name, None if value in ({}, []) else value)
        now, after = drafts.plain(theirs), drafts.plain(settled)
        return {name: getattr(settled, name) for name in after if after[name] != now[name]}

    # --- Inside ---

    def _choices(self):
        base, theirs, mine = self.plain
        together = [theirs[name] != mine[name] for name in ("type", "price_plan")]
        found = []
        if any(together):
            names = [name for name in OF_THE_PLAN if theirs[name] != mine[name]]
            says = [line for name in names for line in self._lines(name)]
            found.append(
                self._choice("plan", "What is bought, with its plan and prices", [(n,) for n in names], says)
            )
        for name in base:
            if theirs[name] == mine[name] or (any(together) and name in OF_THE_PLAN):
                continue
            if name in OVERRIDE_KINDS or name in QUANTITIES:
                found += self._entries(name)
            else:
                found.append(self._choice(name, LABELS[name], [(name,)], self._lines(name)))
        return found

    def _choice(self, key, label, places, says):
        def at(plain):
            return [_entry(plain[field], inside) if inside else plain[field] for field, *inside in places]

        base, theirs, mine = (at(plain) for plain in self.plain)
        taken = "theirs" if mine == base else "mine" if theirs == base else ""
        return Choice(key, label, places, says, both=not taken, taken=taken)

    def _entries(self, name):
        """One choice for every card, or every quantity, that differs."""
        base, theirs, mine = (plain[name] or {} for plain in self.plain)
        depth = 1 if name in QUANTITIES else 2
        for inside in _places(depth, base, theirs, mine):
            if _entry(theirs, inside) != _entry(mine, inside):
                label, says = self._entry_lines(name, inside)
                yield self._choice(f"{name}/{name_of(inside)}", label, [(name, *inside)], says)

    def _lines(self, name):
        if name in OVERRIDE_KINDS or name in QUANTITIES:
            for inside in _places(
                1 if name in QUANTITIES else 2, *(plain[name] or {} for plain in self.plain)
            ):
                label, says = self._entry_lines(name, inside)
                for line in says:
                    yield Says(f"{label}: {line.words}", line.base, line.theirs, line.mine)
        else:
            yield Says(LABELS[name], *(_says(deal, name) for deal in self.deals))

    def _entry_lines(self, name, inside):
        if name in QUANTITIES:
            label = self._card_name(inside[0])
            words = [_count((plain[name] or {}).get(inside[0])) for plain in self.plain]
            return f"{LABELS[name]} of {label}", [Says(LABELS[name], *words)]
        cards = [_change_at(deal, name, inside) for deal in self.deals]
        shown = next(card for card in cards if card)
        cells = [{(cell.words, cell.currency): cell for cell in card.cells} if card else {} for card in cards]
        places = dict.fromkeys(place for found in cells for place in found)
        says = []
        for place in places:
            plan = next(found[place].plan for found in cells if place in found)
            words = [_cell_says(found.get(place), plan) for found in cells]
            if len(set(words)) > 1:
                words_of_place, currency = place
                says.append(Says(f"{words_of_place} ({currency})" if currency else words_of_place, *words))
        return f"{shown.label} ({shown.kind_name.lower()})", says

    def _card_name(self, billable_id):
        for deal in self.deals:
            if deal.price_plan:
                for card in cards_of(deal.price_plan.details):
                    if card.billable_id == billable_id:
                        return card.label
        return billable_id


def as_of(deal, version):
    """The deal as it was at an earlier version, unsaved; see `drafts.plain_at`."""
    fields, _ = drafts.plain_at(deal, version)
    then = copy.copy(deal)
    for name, value in fields.items():
        setattr(then, name, _value(name, value))
    return then


def is_own(deal, version, *, by, page="", turn=0):
    """
    Whether everything that moved a draft on from a version was saved by one person on one page, and earlier.

    So a save whose answer got lost is no conflict, and one that arrives late overwrites nothing.

    :param page: the token of the page that asks, and `turn` how many times it has been sent
    """
    events = [event for event, _ in since(deal, version)]
    return bool(page and events) and all(
        event.verb == "edit"
        and event.actor_id == by.pk
        and event.after.get("page") == page
        and event.after.get("turn", 0) < turn
        for event in events
    )


def since(deal, version):
    """Who moved the draft on from a version, and how: (event, words), the newest first."""
    found = []
    for event in Event.objects.about(deal).order_by("-seq").select_related("actor"):
        if event.after.get("version", 0) <= version:
            break
        found.append((event, _VERBS.get(event.verb, event.verb.replace("_", " "))))
    return found


def whole(text):
    """A version number as posted, or None."""
    if text and text.isascii() and text.isdecimal() and len(text) <= 9:
        return int(text)
    return None


_OBJECTS = ("account", "price_plan")
_VERBS = {
    "edit": "saved it",
    "hand_over": "gave it to another owner",
    "submit": "submitted it",
    "recall": "took it back",
    "send_back": "sent it back",
}


def _value(name, value):
    if value is None:
        return None
    if name == "account":
        return Account.objects.filter(togai_id=value).first()
    if name == "price_plan":
        togai_id, _, version = value.rpartition(" v")
        return PricePlan.objects.filter(togai_id=togai_id, version=version).first()
    if name in ("effective_from", "effective_until", "valid_until"):
        return date.fromisoformat(value)
    if name in ("wallet_topup_amount", "wallet_purchase_amount"):
        return Decimal(value)
    return value


def _places(depth, *maps):
    """Where things stand in the maps: (key,), or (kind, billable id), or (kind,) for what has no id."""
    found = {}
    for entries in maps:
        for key, value in entries.items():
            if depth == 1 or key in _WHOLE or not isinstance(value, Mapping):
                found[(key,)] = None
            else:
                found |= {(key, inner): None for inner in value}
    return list(found)


_WHOLE = ("minimumCommitment", "pricingCycleConfig", "supportedCurrencies")
_NOTHING = object()


def _entry(entries, inside):
    """What stands at a place; a marker of its own where nothing does, since None means "removed"."""
    for key in inside:
        if not isinstance(entries, Mapping) or key not in entries:
            return _NOTHING
        entries = entries[key]
    return entries


def _with(entries, inside, value):
    """A copy of the map with the value at a place, or without it."""
    whole_map = copy.deepcopy(entries) if entries else {}
    holder = whole_map
    for key in inside[:-1]:
        holder = holder.setdefault(key, {})
    if value is _NOTHING:
        holder.pop(inside[-1], None)
    else:
        holder[inside[-1]] = copy.deepcopy(value)
    return {key: inner for key, inner in whole_map.items() if inner != {} or key in _WHOLE}


def _says(deal, name):
    """A plain field in words."""
    value = getattr(deal, name)
    if value in (None, ""):
        return "—"
    if name in ("type", "payment_mode"):
        return getattr(deal, f"get_{name}_display")()
    if name == "account":
        return f"{value.name} ({value.togai_id})"
    if isinstance(value, date):
        return f"{value:%-d %b %Y}"
    if isinstance(value, Decimal | int):
        return figures.count(value)
    return str(value)


def _count(value):
    return "—" if value is None else figures.count(number(value))


def _change_at(deal, name, inside):
    """What a deal's override does to one card, in words, or None when nothing."""
    entry = _entry(getattr(deal, name) or {}, inside)
    if entry is _NOTHING or deal.price_plan is None:
        return None
    override = {inside[0]: entry} if len(inside) == 1 else {inside[0]: {inside[1]: entry}}
    return next(iter(changes.changes(deal.price_plan.details, override)), None)


def _cell_says(cell, plan):
    if cell is None:
        return f"{plan} (as in the plan)" if plan is not None else "—"
    if cell.state == "same":
        return f"{cell.ours} (as in the plan)"
    return "none" if cell.ours is None else cell.ours
