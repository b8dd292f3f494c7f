"""
What a deal costs: pure arithmetic over details in stored form (togai.md 4.5).

`slabs` prices a quantity, `lines` a rate card, `estimates` a whole deal, `comparison` a deal beside its plan,
`curves` both at many volumes.
Every figure is an estimate until Togai returns a price; what cannot be computed is unknown, never zero.
"""

from purchases.pricing.comparison import Comparison, LineComparison, Side, compare
from purchases.pricing.curves import Amount, Crossover, Curve, Point, Unsettled, curve
from purchases.pricing.estimates import Estimate, cycles_between, estimate, estimate_wallet
from purchases.pricing.lines import Line, price_card, true_up
from purchases.pricing.slabs import Part, Priced, Slab, price_slabs

__all__ = [
    "Amount",
    "Comparison",
    "Crossover",
    "Curve",
    "Estimate",
    "Line",
    "LineComparison",
    "Part",
    "Point",
    "Priced",
    "Side",
    "Slab",
    "Unsettled",
    "compare",
    "curve",
    "cycles_between",
    "estimate",
    "estimate_wallet",
    "price_card",
    "price_slabs",
    "true_up",
]
