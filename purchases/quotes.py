"""The money of a deal: the plan's price, ours, and the difference, as `pricing` computes them."""


def refresh(deal):
    """Keep the figures that lists show in step with the terms; unsaved. Unknown stays NULL, never zero."""
    deal.currency = deal.account.currency if deal.account else ""
