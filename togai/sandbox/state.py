"""The sandbox's memory: one SQLite file, written under one lock, surviving a restart."""

import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from togai.sandbox import exact_json

SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS records (
    kind TEXT NOT NULL, id TEXT NOT NULL, owner TEXT NOT NULL, sort INTEGER NOT NULL, due INTEGER,
    body TEXT NOT NULL, inner TEXT NOT NULL, PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS records_listed ON records (kind, owner, sort DESC, id);
CREATE INDEX IF NOT EXISTS records_by_kind ON records (kind, sort DESC, id);
CREATE INDEX IF NOT EXISTS records_due ON records (due) WHERE due IS NOT NULL;
CREATE TABLE IF NOT EXISTS history (
    kind TEXT NOT NULL, id TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS history_at ON history (kind, id, at);
CREATE TABLE IF NOT EXISTS keys (
    account TEXT NOT NULL, key TEXT NOT NULL, id TEXT NOT NULL, fingerprint TEXT NOT NULL, at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS keys_used ON keys (account, key, at);
CREATE TABLE IF NOT EXISTS late (number INTEGER PRIMARY KEY, due INTEGER NOT NULL, request TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS ledger (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, entry TEXT NOT NULL
);
"""

# Kinds whose earlier versions a lagging list shows (the switch list_lag_seconds).
WITH_HISTORY = {"purchase"}
LEDGER_KEPT = 20_000


@dataclass
class Record:
    """One thing Togai knows: what the API shows of it (body) and what it keeps to itself (inner)."""

    kind: str
    id: str
    body: dict
    owner: str = ""
    sort: int = 0
    due: int | None = None
    inner: dict = field(default_factory=dict)


class State:
    """Records, ledger and facts in one SQLite file. Every method must run inside :meth:`changes`."""

    def __init__(self, path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.executescript(SCHEMA)

    @contextmanager
    def changes(self):
        """Hold the one lock and one transaction; what raises leaves no trace."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    @contextmanager
    def attempt(self):
        """Inside :meth:`changes`: undo only what this block wrote if it raises."""
        self._database.execute("SAVEPOINT attempt")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK TO attempt")
            self._database.execute("RELEASE attempt")
            raise
        self._database.execute("RELEASE attempt")

    def close(self):
        """Close the file; no request may be running."""
        with self._lock:
            self._database.close()

    # Records

    def get(self, kind, identifier):
        """The record, or None."""
        row = self._database.execute(
            "SELECT kind, id, owner, sort, due, body, inner FROM records WHERE kind = ? AND id = ?",
            (kind, identifier),
        ).fetchone()
        return _record(row) if row else None

    def put(self, record, *, at):
        """Insert or replace a record as it is at the moment ``at`` (microseconds)."""
        body = exact_json.dumps(record.body)
        self._database.execute(
            "INSERT OR REPLACE INTO records (kind, id, owner, sort, due, body, inner)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                record.kind,
                record.id,
                record.owner,
                record.sort,
                record.due,
                body,
                exact_json.dumps(record.inner),
            ),
        )
        if record.kind in WITH_HISTORY:
            self._database.execute(
                "INSERT INTO history (kind, id, at, body) VALUES (?, ?, ?, ?)",
                (record.kind, record.id, at, body),
            )

    def select(self, kind, *, owner=None, where=None, after=None, limit=None):
        """Records newest first, ties by id; ``where`` maps body keys to wanted values.

        :param after: (sort, id) of the last record already seen
        """
        sql = ["SELECT kind, id, owner, sort, due, body, inner FROM records WHERE kind = ?"]
        values = [kind]
        if owner is not None:
            sql.append("AND owner = ?")
            values.append(owner)
        for key, wanted in (where or {}).items():
            sql.append("AND json_extract(body, ?) = ?")
            values += [f"$.{key}", wanted]
        if after is not None:
            sql.append("AND (sort < ? OR (sort = ? AND id > ?))")
            values += [after[0], after[0], after[1]]
        sql.append("ORDER BY sort DESC, id ASC")
        if limit is not None:
            sql.append("LIMIT ?")
            values.append(limit)
        return [_record(row) for row in self._database.execute(" ".join(sql), values)]

    def due(self, now):
        """The record whose time came first, or None when nothing is due by ``now`` (microseconds)."""
        row = self._database.execute(
            "SELECT kind, id, owner, sort, due, body, inner FROM records"
            " WHERE due IS NOT NULL AND due <= ? ORDER BY due, id LIMIT 1",
            (now,),
        ).fetchone()
        return _record(row) if row else None

    def as_of(self, record, at):
        """The body a record had at ``at`` (microseconds), or None when it did not exist yet."""
        row = self._database.execute(
            "SELECT body FROM history WHERE kind = ? AND id = ? AND at <= ?"
            " ORDER BY at DESC, rowid DESC LIMIT 1",
            (record.kind, record.id, at),
        ).fetchone()
        return exact_json.loads(row[0]) if row else None

    # Idempotency keys

    def remember_key(self, *, account, key, identifier, fingerprint, at):
        """Note that a key made this object."""
        self._database.execute(
            "INSERT INTO keys VALUES (?, ?, ?, ?, ?)", (account, key, identifier, fingerprint, at)
        )

    def key_use(self, *, account, key, since):
        """(object id, fingerprint) of the first use of a key not before ``since``, or None."""
        return self._database.execute(
            "SELECT id, fingerprint FROM keys WHERE account = ? AND key = ? AND at >= ?"
            " ORDER BY at, rowid LIMIT 1",
            (account, key, since),
        ).fetchone()

    # Requests that are applied later than they came

    def keep_for_later(self, request, *, due):
        """Store a request to be applied at ``due`` (microseconds)."""
        self._database.execute(
            "INSERT INTO late (due, request) VALUES (?, ?)", (due, exact_json.dumps(request))
        )

    def take_late(self, now):
        """Remove and return the requests whose time has come, oldest first."""
        rows = self._database.execute(
            "SELECT number, request FROM late WHERE due <= ? ORDER BY due, number", (now,)
        ).fetchall()
        self._database.executemany("DELETE FROM late WHERE number = ?", [(number,) for number, _ in rows])
        return [exact_json.loads(request) for _, request in rows]

    # Ledger

    def write_down(self, entry, *, at):
        """Append to the ledger; returns the entry's number."""
        number = self._database.execute(
            "INSERT INTO ledger (at, entry) VALUES (?, ?)", (at, exact_json.dumps(entry))
        ).lastrowid
        if number % 1000 == 0:
            self._database.execute("DELETE FROM ledger WHERE number <= ?", (number - LEDGER_KEPT,))
        return number

    def ledger(self, *, after=0, limit=LEDGER_KEPT):
        """Entries in the order they came, each with its number and moment (microseconds)."""
        rows = self._database.execute(
            "SELECT number, at, entry FROM ledger WHERE number > ? ORDER BY number LIMIT ?", (after, limit)
        )
        return [(number, at, exact_json.loads(entry)) for number, at, entry in rows]

    # Facts

    def fact(self, name, default=None):
        """A remembered value (JSON), or the default."""
        row = self._database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return exact_json.loads(row[0]) if row else default

    def remember(self, name, value):
        """Remember a JSON value under a name."""
        self._database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, exact_json.dumps(value)))

    def clear(self):
        """Forget everything: records, keys, ledger, facts."""
        for table in ("records", "history", "keys", "late", "ledger", "facts"):
            self._database.execute(f"DELETE FROM {table}")  # noqa: S608


def _record(row):
    kind, identifier, owner, sort, due, body, inner = row
    return Record(
        kind=kind,
        id=identifier,
        owner=owner,
        sort=sort,
        due=due,
        body=exact_json.loads(body),
        inner=exact_json.loads(inner),
    )
