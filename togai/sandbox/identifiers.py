"""Ids in the vendor's observed format: ``prefix.<11 base-62>.<5 base-62>`` (togai.md 1.2)."""

import secrets
import string

ALPHABET = string.digits + string.ascii_letters


def new_id(prefix):
    """A fresh id, such as ``purchase.20rvWRxQcQK.0ZwPG``."""
    return f"{prefix}.{_letters(11)}.{_letters(5)}"


def _letters(count):
    return "".join(secrets.choice(ALPHABET) for _ in range(count))
