"""Tables and triggers of a PostgreSQL landing store; made once, completed when the contract grows."""

from typing import Any

import psycopg

from record.contract import RAW_TABLES, Column, columns

SCHEMA = "funnelhouse"

ID_BLOCK = 2**22
"""The identity counts in steps of this: who appends takes one number and has a block of ids without gaps."""

_TYPES = {"VARCHAR": "text", "BIGINT": "bigint", "BOOLEAN": "boolean"}

_CONTROL = f"""
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
CREATE TABLE IF NOT EXISTS projects (
    project_id text PRIMARY KEY,
    created_us bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS keys (
    key_id text PRIMARY KEY,
    project_id text NOT NULL REFERENCES projects,
    secret_hash bytea NOT NULL,
    scopes text NOT NULL,
    created_us bigint NOT NULL,
    expires_us bigint NOT NULL
);
-- They joined later.
ALTER TABLE keys ADD COLUMN IF NOT EXISTS name text;
ALTER TABLE keys ADD COLUMN IF NOT EXISTS last_used_us bigint;
CREATE INDEX IF NOT EXISTS keys_by_project ON keys (project_id);
CREATE TABLE IF NOT EXISTS project_access (
    project_id text PRIMARY KEY REFERENCES projects,
    postbacks text NOT NULL,
    secret_hash text,
    host text UNIQUE,
    origins text NOT NULL,
    rate_limit text
);
CREATE TABLE IF NOT EXISTS seal_ranges (
    raw_table text NOT NULL,
    first_xid xid8 NOT NULL,
    first_id bigint NOT NULL,
    last_xid xid8 NOT NULL,
    last_id bigint NOT NULL,
    first_seq bigint NOT NULL,
    row_count bigint NOT NULL,
    is_finished boolean NOT NULL DEFAULT false,
    PRIMARY KEY (raw_table, first_seq)
);
CREATE TABLE IF NOT EXISTS sealed_files (
    raw_table text NOT NULL,
    name text NOT NULL,
    size bigint NOT NULL,
    mtime_ns bigint NOT NULL,
    sha256 text,
    PRIMARY KEY (raw_table, name)
);
CREATE TABLE IF NOT EXISTS answers (
    project_id text NOT NULL,
    route text NOT NULL,
    idempotency_key text NOT NULL,
    request_hash bytea NOT NULL,
    answered_us bigint NOT NULL,
    status bigint NOT NULL,
    headers text NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (project_id, route, idempotency_key)
);
CREATE INDEX IF NOT EXISTS answers_by_age ON answers (answered_us);
CREATE TABLE IF NOT EXISTS cursor_secret (
    id bigint PRIMARY KEY,
    secret bytea NOT NULL
);
CREATE TABLE IF NOT EXISTS destination_secrets (
    project_id text NOT NULL,
    destination_id text NOT NULL,
    name text NOT NULL,
    key_id text NOT NULL,
    ciphertext bytea NOT NULL,
    set_us bigint NOT NULL,
    previous_key_id text,
    previous_ciphertext bytea,
    previous_until_us bigint,
    PRIMARY KEY (project_id, destination_id, name)
);
CREATE TABLE IF NOT EXISTS forwarding_wishes (
    id bigint PRIMARY KEY,
    project_id text NOT NULL,
    destination_id text,
    action text NOT NULL,
    body text NOT NULL,
    wished_us bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS notes (
    project_id text NOT NULL,
    note_id text NOT NULL,
    day text NOT NULL,
    text text NOT NULL,
    is_personal bigint NOT NULL,
    key_id text NOT NULL,
    created_us bigint NOT NULL,
    PRIMARY KEY (project_id, note_id)
);
CREATE INDEX IF NOT EXISTS notes_by_day ON notes (project_id, day);
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE 'rows of % are never changed', TG_TABLE_NAME;
END $$;
CREATE OR REPLACE FUNCTION delete_when_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM {SCHEMA}.seal_ranges
        WHERE raw_table = TG_TABLE_NAME AND is_finished
            AND (OLD.xid, OLD.id) >= (first_xid, first_id) AND (OLD.xid, OLD.id) <= (last_xid, last_id)
    ) THEN
        RAISE 'a row of % may go only after it is sealed', TG_TABLE_NAME;
    END IF;
    RETURN OLD;
END $$;
"""  # noqa: S608


def is_complete(connection: psycopg.Connection[Any]) -> bool:
    """Whether every table is there with every column. Raises `psycopg.Error`."""
    present = _columns_present(connection)
    indexed = connection.execute(
        "SELECT count(*) FROM pg_indexes WHERE schemaname = %s AND indexname IN"
        " ('definitions_by_id', 'events_by_project', 'events_by_event_id', 'rejected_by_project',"
        " 'keys_by_project', 'notes_by_day')",
        (SCHEMA,),
    ).fetchone()
    return (
        {
            *("projects", "keys", "project_access", "seal_ranges", "sealed_files", "answers"),
            *("cursor_secret", "destination_secrets", "forwarding_wishes", "notes"),
        }
        <= present.keys()
        and {"name", "last_used_us"} <= present["keys"]
        and indexed == (6,)
        and not any(_missing_columns(present, table) for table in RAW_TABLES)
    )


def create_schema(connection: psycopg.Connection[Any]) -> None:
    """Make what is missing, in the transaction that is open, alone. Raises `psycopg.Error`."""
    connection.execute(_CONTROL.encode())
    before = _columns_present(connection)
    if "postbacks" in before:
        # A store made when postbacks were all that was said of a project's access.
        connection.execute(
            "INSERT INTO project_access SELECT project_id, mode, secret_hash, NULL, '', NULL FROM postbacks"
        )
        connection.execute("DROP TABLE postbacks")
    for table, row in RAW_TABLES.items():
        declared = ", ".join(_declare(column) for column in columns(row))
        connection.execute(
            f"""
            CREATE TABLE IF NOT EXISTS {table} (
                id bigint GENERATED ALWAYS AS IDENTITY (INCREMENT BY {ID_BLOCK}),
                xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
                {declared},
                PRIMARY KEY (xid, id)
            );
            CREATE OR REPLACE TRIGGER never_updated BEFORE UPDATE ON {table}
                FOR EACH ROW EXECUTE FUNCTION refuse_change();
            CREATE OR REPLACE TRIGGER never_truncated BEFORE TRUNCATE ON {table}
                FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
            CREATE OR REPLACE TRIGGER deleted_when_sealed BEFORE DELETE ON {table}
                FOR EACH ROW EXECUTE FUNCTION delete_when_sealed();
            """.encode()
        )
        # A store made before a column joined the contract gets it now; its older rows have NULL there.
        for column in _missing_columns(before, table) if table in before else []:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {_declare(column)}".encode())
    connection.execute(
        "CREATE INDEX IF NOT EXISTS definitions_by_key ON definitions (project_id, kind, key, xid, id)"
    )
    connection.execute("CREATE INDEX IF NOT EXISTS definitions_by_id ON definitions (id)")
    connection.execute("CREATE INDEX IF NOT EXISTS events_by_project ON events (project_id, xid, id)")
    connection.execute("CREATE INDEX IF NOT EXISTS events_by_event_id ON events (project_id, event_id)")
    connection.execute("CREATE INDEX IF NOT EXISTS rejected_by_project ON rejected (project_id, xid, id)")


def _columns_present(connection: psycopg.Connection[Any]) -> dict[str, set[str]]:
    """Names of the columns of each table."""
    present: dict[str, set[str]] = {}
    for table, column in connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = %s", (SCHEMA,)
    ):
        present.setdefault(table, set()).add(column)
    return present


def _missing_columns(present: dict[str, set[str]], table: str) -> list[Column]:
    return [column for column in columns(RAW_TABLES[table]) if column.name not in present.get(table, set())]


def _declare(column: Column) -> str:
    return f"{column.name} {_TYPES[column.sql_type]}{' NOT NULL' if column.is_required else ''}"
