"""What a request body may look like: the vendor's schemas plus the writer rules of togai.md 4 and 5.

The models judge and are thrown away; what is stored and echoed is the JSON as it was sent. Rules that need
to know the account or the plan are in ``rules``.

``judging`` has ``check``; ``values``, ``cards`` and ``overrides`` are the parts; the bodies are in
``purchases``, ``accounts``, ``money`` and ``calculator``. Callers import the package.
"""

from togai.sandbox.contract.accounts import CreateAccount, CreateCustomer, UpdateAccount
from togai.sandbox.contract.calculator import CalculateRevenue
from togai.sandbox.contract.judging import check
from togai.sandbox.contract.money import TopupWallet, UpdateInvoice, UpdateWallet
from togai.sandbox.contract.overrides import CARD_LISTS
from togai.sandbox.contract.purchases import CreateProposal, CreatePurchase, UpdateProposalStatus

__all__ = [
    "CARD_LISTS",
    "CalculateRevenue",
    "CreateAccount",
    "CreateCustomer",
    "CreateProposal",
    "CreatePurchase",
    "TopupWallet",
    "UpdateAccount",
    "UpdateInvoice",
    "UpdateProposalStatus",
    "UpdateWallet",
    "check",
]
