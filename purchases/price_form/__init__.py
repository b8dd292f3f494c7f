"""
The prices of a plan as a form: cards of cells, each with the plan's own value beside it.

`form` holds the cards, `card` one of them; `cells` says how a place is called, read and written, `leaves` and
`tables` which places a card has. `rows` and `spreadsheet` are what buttons do to slabs and windows, `value`
makes the card that the texts say, `page` and `summary` are what the templates draw.
"""

from purchases.price_form.form import PREFIXES, OverrideForm

__all__ = ["PREFIXES", "OverrideForm"]
