"""Whether anything was written while a question was answered."""

from contextlib import contextmanager

from django.db import connection

from tests.permissions.objects import contents

_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE", "TRUNCATE")
# Tables that even a refused request writes to.
_BESIDES = ("django_session", "audit_denial")


class Watch:
    """
    What a request did to the tables.

    :ivar statements: the writing statements that ran, but for sessions and refusals
    """

    def __init__(self):
        self.statements = []

    def __call__(self, execute, sql, params, many, context):
        if sql.lstrip().upper().startswith(_WRITES) and not any(table in sql for table in _BESIDES):
            self.statements.append(sql[:200])
        return execute(sql, params, many, context)

    def changes(self, before):
        """
        The tables that differ from `before` (`contents`); compared row by row only if something was written.

        A refusal may take a lock or write inside a transaction that it takes back: only what remains counts.
        """
        if not self.statements:
            return []
        now = contents()
        return sorted(table for table in now if now[table] != before[table])


@contextmanager
def watched():
    """Watch the statements of the block."""
    watch = Watch()
    with connection.execute_wrapper(watch):
        yield watch
