"""A trigram index over the search text of accounts, in the way each database offers (performance.md 2)."""

from django.db import migrations

SQLITE = [
    "CREATE VIRTUAL TABLE accounts_search USING fts5("
    "search_text, content='accounts_account', content_rowid='id', tokenize='trigram')",
    "CREATE TRIGGER accounts_search_insert AFTER INSERT ON accounts_account BEGIN "
    "INSERT INTO accounts_search(rowid, search_text) VALUES (new.id, new.search_text); END",
    "CREATE TRIGGER accounts_search_delete AFTER DELETE ON accounts_account BEGIN "
    "INSERT INTO accounts_search(accounts_search, rowid, search_text) "
    "VALUES ('delete', old.id, old.search_text); END",
    "CREATE TRIGGER accounts_search_update AFTER UPDATE OF search_text ON accounts_account BEGIN "
    "INSERT INTO accounts_search(accounts_search, rowid, search_text) "
    "VALUES ('delete', old.id, old.search_text); "
    "INSERT INTO accounts_search(rowid, search_text) VALUES (new.id, new.search_text); END",
    "INSERT INTO accounts_search(accounts_search) VALUES ('rebuild')",
]
SQLITE_BACK = [
    "DROP TRIGGER accounts_search_insert",
    "DROP TRIGGER accounts_search_delete",
    "DROP TRIGGER accounts_search_update",
    "DROP TABLE accounts_search",
]
POSTGRESQL = [
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE INDEX accounts_search ON accounts_account USING gin (search_text gin_trgm_ops)",
]
POSTGRESQL_BACK = ["DROP INDEX accounts_search"]


def forwards(apps, schema_editor):
    for statement in SQLITE if schema_editor.connection.vendor == "sqlite" else POSTGRESQL:
        schema_editor.execute(statement)


def backwards(apps, schema_editor):
    for statement in SQLITE_BACK if schema_editor.connection.vendor == "sqlite" else POSTGRESQL_BACK:
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [migrations.RunPython(forwards, backwards)]
