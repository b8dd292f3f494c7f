"""
What the database itself refuses to change or delete, whoever asks and however: ORM, bulk or SQL (G-36, S-28).

Every app declares its rules when it starts. `install` makes the triggers of the database equal to the rules;
it runs after every `migrate`, because SQLite loses the triggers of a table that a later migration rebuilds,
and touches nothing that is in place already. A breach is an `IntegrityError` with the words of its rule.
"""

from dataclasses import dataclass

from django.db import connections, models, transaction

PREFIX = "frozen_"


@dataclass(frozen=True)
class Rule:
    """
    One refusal by the database.

    :param model: of the rows that are kept
    :param verb: "update" or "delete"; on PostgreSQL what may not be deleted cannot be truncated either
    :param saying: what is said to whoever tries
    :param fields: only an update that changes one of these is refused; without any, every update is
    :param when: SQL over `OLD` and `NEW` that limits the rule, in the words that both databases know
    :param name: tells the rules of one table apart; the verb if nothing else is given
    """

    model: type[models.Model]
    verb: str
    saying: str
    fields: tuple[str, ...] = ()
    when: str = ""
    name: str = ""

    @property
    def trigger(self):
        return f"{PREFIX}{self.model._meta.db_table}_{self.name or self.verb}"


_rules: dict[str, Rule] = {}


def declare(*rules):
    """Have the database keep these rules from the next `install` on."""
    for rule in rules:
        _rules[rule.trigger] = rule


def declared():
    """Every `Rule` there is."""
    return tuple(_rules.values())


def install(using="default"):
    """
    Make the triggers of a database equal to the declared rules. Safe to repeat.

    Tables and columns that are not there (a migration backwards) are left out.
    """
    connection = connections[using]
    dialect = _DIALECTS[connection.vendor]
    wanted = {trigger.name: trigger for trigger in _wanted(connection, dialect)}
    with transaction.atomic(using=using), connection.cursor() as cursor:
        found = dialect.found(cursor)
        for name, trigger in found.items():
            if wanted.get(name) != trigger:
                _run(cursor, dialect.drop(connection, trigger))
        for name, trigger in wanted.items():
            if found.get(name) != trigger:
                _run(cursor, dialect.create(connection, trigger))


def remove(using="default"):
    """
    Take all triggers away: for a migration that rewrites frozen rows or drops a frozen column, and for tests
    that tamper. `install` brings them back.
    """
    connection = connections[using]
    dialect = _DIALECTS[connection.vendor]
    with transaction.atomic(using=using), connection.cursor() as cursor:
        for trigger in dialect.found(cursor).values():
            _run(cursor, dialect.drop(connection, trigger))


@dataclass(frozen=True)
class _Trigger:
    """A trigger as the database shows it: two are equal when they do the same."""

    name: str
    table: str
    verb: str
    text: str


def _wanted(connection, dialect):
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))
        for rule in _rules.values():
            table = rule.model._meta.db_table
            if table not in tables:
                continue
            known = {column.name for column in connection.introspection.get_table_description(cursor, table)}
            fields = [rule.model._meta.get_field(name) for name in rule.fields]
            present = [field for field in fields if field.column in known]
            if present or not fields:
                yield from dialect.triggers(connection, rule, present)


def _run(cursor, statements):
    for statement in statements:
        cursor.execute(statement)


def _condition(rule, differences):
    parts = [f"({part})" for part in (rule.when, " OR ".join(differences)) if part]
    return " AND ".join(parts)


def _quoted(text):
    return "'" + text.replace("'", "''") + "'"


class _SQLite:
    """A condition in the trigger, and RAISE."""

    def triggers(self, connection, rule, fields):
        differences = (self._differs(connection.ops.quote_name(field.column), field) for field in fields)
        condition = _condition(rule, differences)
        table = rule.model._meta.db_table
        text = (
            f"CREATE TRIGGER {connection.ops.quote_name(rule.trigger)} BEFORE {rule.verb.upper()} "
            f"ON {connection.ops.quote_name(table)} FOR EACH ROW {f'WHEN {condition} ' if condition else ''}"
            f"BEGIN SELECT RAISE(ABORT, {_quoted(rule.saying)}); END"
        )
        yield _Trigger(rule.trigger, table, rule.verb, text)

    @staticmethod
    def _differs(column, field):
        if isinstance(field, models.JSONField):
            # Blanks between the tokens say nothing.
            return f"json(OLD.{column}) IS NOT json(NEW.{column})"
        return f"OLD.{column} IS NOT NEW.{column}"

    def create(self, connection, trigger):
        return [trigger.text]

    def drop(self, connection, trigger):
        return [f"DROP TRIGGER {connection.ops.quote_name(trigger.name)}"]

    def found(self, cursor):
        cursor.execute("SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'")
        return {
            name: _Trigger(name, table, "delete" if " BEFORE DELETE ON " in text else "update", text)
            for name, table, text in cursor.fetchall()
            if name.startswith(PREFIX)
        }


class _PostgreSQL:
    """
    A function for each trigger that holds the condition, and RAISE. A condition in the trigger itself would
    keep later migrations from altering the type of a column in it.
    """

    VERBS = {"update": 16, "delete": 8, "truncate": 32}
    ROW, BEFORE = 1, 2

    def triggers(self, connection, rule, fields):
        columns = [connection.ops.quote_name(field.column) for field in fields]
        condition = _condition(rule, (f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in columns))
        table = rule.model._meta.db_table
        yield _Trigger(rule.trigger, table, rule.verb, self._body(rule, rule.verb, condition))
        if rule.verb == "delete":
            yield _Trigger(f"{rule.trigger}_all", table, "truncate", self._body(rule, "truncate", ""))

    @staticmethod
    def _body(rule, verb, condition):
        refuse = f"RAISE restrict_violation USING MESSAGE = {_quoted(rule.saying)}, TABLE = TG_TABLE_NAME;"
        if condition:
            refuse = f"IF {condition} THEN {refuse} END IF;"
        return f"BEGIN {refuse} RETURN {'NEW' if verb == 'update' else 'OLD'}; END"

    def create(self, connection, trigger):
        name, table = connection.ops.quote_name(trigger.name), connection.ops.quote_name(trigger.table)
        each = "STATEMENT" if trigger.verb == "truncate" else "ROW"
        return [
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql "
            f"AS $frozen${trigger.text}$frozen$",
            f"CREATE TRIGGER {name} BEFORE {trigger.verb.upper()} ON {table} "
            f"FOR EACH {each} EXECUTE FUNCTION {name}()",
        ]

    def drop(self, connection, trigger):
        name, table = connection.ops.quote_name(trigger.name), connection.ops.quote_name(trigger.table)
        return [
            # No trigger is dropped while a foreign key of its table still waits for its check.
            "SET CONSTRAINTS ALL IMMEDIATE",
            f"DROP TRIGGER {name} ON {table}",
            f"DROP FUNCTION {name}()",
            "SET CONSTRAINTS ALL DEFERRED",
        ]

    def found(self, cursor):
        cursor.execute(
            "SELECT t.tgname, c.relname, t.tgtype, p.prosrc, t.tgenabled FROM pg_trigger t "
            "JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid "
            "WHERE NOT t.tgisinternal AND pg_table_is_visible(c.oid)"
        )
        return {
            # One that somebody has switched off is none.
            name: _Trigger(name, table, self._verb(kind), text if enabled in ("O", "A") else "")
            for name, table, kind, text, enabled in cursor.fetchall()
            if name.startswith(PREFIX)
        }

    def _verb(self, kind):
        """The verb that a trigger of this `tgtype` refuses, or "" when it was made in another way."""
        for verb, bit in self.VERBS.items():
            if kind == self.BEFORE | bit | (0 if verb == "truncate" else self.ROW):
                return verb
        return ""


_DIALECTS = {"sqlite": _SQLite(), "postgresql": _PostgreSQL()}
