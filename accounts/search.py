"""
Finding accounts by any fragment of their id, name, customer or alias, without reading the table.

SQLite and PostgreSQL each have a trigram index over `Account.search_text` (made by a migration). A fragment
shorter than three characters has no trigram: alone it only matches an exact id (performance.md 2).
"""

import re

from django.db import connection
from django.db.models import Q
from django.db.models.expressions import RawSQL

from accounts.models import Account

SHORTEST = 3


def matching(text, accounts=None):
    """
    The accounts in which every word of `text` occurs.

    :param text: what was typed; blank matches nothing
    :param accounts: the queryset to narrow, e.g. what somebody may see; all accounts by default
    """
    accounts = Account.objects.all() if accounts is None else accounts
    # PostgreSQL cannot even be asked for a NUL.
    text = text.replace("\x00", "").strip()
    words = text.lower().split()
    indexed = [word for word in words if len(word) >= SHORTEST]
    if not indexed:
        return accounts.filter(togai_id__in=[text, text.lower()] if words else [])
    accounts = accounts.filter(_by_trigram(indexed))
    for word in words:
        if word not in indexed:
            accounts = accounts.filter(search_text__regex=re.escape(word))
    return accounts


def _by_trigram(words):
    if connection.vendor == "sqlite":
        # A quoted phrase is taken literally by FTS5; only the quote itself needs doubling.
        phrase = " AND ".join('"' + word.replace('"', '""') + '"' for word in words)
        found = "SELECT rowid FROM accounts_search WHERE accounts_search MATCH %s"
        return Q(pk__in=RawSQL(found, [phrase]))  # noqa: S611  the text is a parameter
    found = Q()
    for word in words:
        # The trigram index serves an expression that starts anywhere.
        found &= Q(search_text__regex=re.escape(word))
    return found
