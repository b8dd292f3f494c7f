"""The bodies that change wallets and invoices."""

from typing import Literal

from togai.sandbox.contract.values import Closed, Moment, Positive


class TopupWallet(Closed):
    topupAmount: Positive


class UpdateWallet(Closed):
    effectiveFrom: Moment | None = None
    status: Literal["ACTIVE", "INACTIVE"] | None = None


class UpdateInvoice(Closed):
    """Only the status can be changed here; the vendor's other fields serve custom invoices."""

    status: Literal["DUE", "PAID", "VOID", "UN_COLLECTIBLE", "REFUND_INITIATED"]
