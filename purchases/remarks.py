"""What finance said when it gave a deal back, in the editor at the lines that it speaks of (G-26, G-35)."""

from dataclasses import dataclass
from datetime import datetime

from purchases import timeline
from purchases.changes import line_name


@dataclass(frozen=True)
class Answer:
    """
    A no that came with a reason.

    :ivar words: what was done: "asked for changes"
    :ivar revision: of which revision of the deal, None where it has only one
    :ivar notes: (line, label, text) triples; lines are named as by `changes.line_name`
    """

    words: str
    by: str
    at: datetime
    reason: str
    revision: int | None = None
    notes: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Remark:
    """A note as the head of the editor lists it; `place` is the id of its line, "" when that is gone."""

    label: str
    text: str
    place: str


def sent_back(purchase):
    """Why finance sent a purchase back, while nobody has submitted it again; or None."""
    events, _ = timeline.events_of(purchase)
    event = timeline.sent_back(purchase, events)
    return event and Answer(words=event["title"], by=event["by"], at=event["at"], reason=event["text"])


def pin(notes, form):
    """
    Put notes at the cards of a form that they speak of, and open those of a page that is drawn first.

    :param notes: (line, label, text) triples
    :returns: all of them as `Remark`s, in their order
    """
    cards = (
        {line_name(card.kind, card.billable_id): card for card in form.prices.cards} if form.prices else {}
    )
    remarks = []
    for line, label, text in notes:
        card = cards.get(line)
        if card is None:
            remarks.append(Remark(label, text, form.place_of(line)))
            continue
        card.remarks = [*getattr(card, "remarks", ()), text]
        # A card that the deal leaves out is not put back by looking at it.
        if not form.is_bound and not card.is_removed:
            form.prices.do("open", card.key)
        remarks.append(Remark(label, text, card.id))
    return remarks


def first_cell(form):
    """The id of the first input of the first card with a note; "" without one."""
    cards = form.prices.cards if form.prices else ()
    noted = (card for card in cards if getattr(card, "remarks", ()) and card.is_open)
    return next((card.cells[0].id for card in noted if card.cells), "")
