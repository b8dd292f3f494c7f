"""
What a deal costs: pure arithmetic over details in stored form (togai.md 4.5).

`slabs` prices a quantity, `lines` a rate card (`rhythms`: when it is due), `estimates` a whole deal,
`invoices` what is asked for first, `comparison` a deal beside its plan, `curves` both at many volumes
(`stretches`: amounts as functions of a volume; `walks` over their difference; `standings`: who is cheaper).
Every figure is an estimate until Togai returns a price; what cannot be computed is unknown, never zero.
"""

from purchases.pricing.comparison import Comparison, LineComparison, Side, compare
from purchases.pricing.curves import FACTORS, Amount, Curve, Point, curve, curve_of
from purchases.pricing.estimates import (
    Estimate,
    cycles_between,
    estimate,
    estimate_wallet,
    start_of_cycle,
)
from purchases.pricing.invoices import Charge, FirstInvoice, first_invoice
from purchases.pricing.lines import Line, Table, Unpriceable, price_card, price_units, table_of, true_up
from purchases.pricing.rhythms import Rhythm
from purchases.pricing.slabs import Part, Priced, Slab, price_slabs
from purchases.pricing.standings import Crossover, Standing, Unsettled

__all__ = [
    "FACTORS",
    "Amount",
    "Charge",
    "Comparison",
    "Crossover",
    "Curve",
    "Estimate",
    "FirstInvoice",
    "Line",
    "LineComparison",
    "Part",
    "Point",
    "Priced",
    "Rhythm",
    "Side",
    "Slab",
    "Standing",
    "Table",
    "Unpriceable",
    "Unsettled",
    "compare",
    "curve",
    "curve_of",
    "cycles_between",
    "estimate",
    "estimate_wallet",
    "first_invoice",
    "price_card",
    "price_slabs",
    "price_units",
    "start_of_cycle",
    "table_of",
    "true_up",
]
