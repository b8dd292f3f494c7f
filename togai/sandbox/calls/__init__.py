"""The operations, by subject. Importing this package registers every one; ``answer`` then finds them."""

from togai.sandbox.calls import accounts, catalogue, entitlements, money, purchases, schedules
from togai.sandbox.routes import answer

__all__ = ["accounts", "answer", "catalogue", "entitlements", "money", "purchases", "schedules"]
