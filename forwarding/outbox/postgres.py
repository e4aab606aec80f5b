"""The outbox in the landing store's PostgreSQL database, schema `funnelhouse`."""

from contextlib import closing

import psycopg

from forwarding.outbox.schema import TABLES, statements
from record.landing import open_store
from record.landing.postgres import PostgresStore
from record.landing.postgres_schema import SCHEMA
from record.landing.store import Row

_MAKING = 0x66680003
"""Key of the advisory lock under which the tables are made."""

# A plan writes thousands of rows in a transaction, and computes between its statements.
_PATIENCE = "SET lock_timeout = '60s'; SET idle_in_transaction_session_timeout = '60s'"


class PostgresOutbox(PostgresStore):
    """An `OutboxStore` on a session of its own; a lost one is replaced when nothing hangs on it."""

    @classmethod
    def opened(cls, url: str) -> "PostgresOutbox":
        """Connect, and make the tables that are missing. Raises LandingError."""
        # The schema is the landing store's, which has its own conditions.
        with closing(open_store(url)):
            pass
        store = cls(url)
        try:
            if not store.is_made():
                with store.transaction():
                    store.execute("SELECT pg_advisory_xact_lock(?)", _MAKING)
                    for statement in statements(is_postgres=True):
                        store.execute(statement)
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def opened_for_queries(cls, url: str) -> "PostgresOutbox | None":
        """Connect for queries only; None while there are no tables. Raises LandingError."""
        store = cls(url, is_read_only=True)
        try:
            if store.is_made():
                return store
        except BaseException:
            store.close()
            raise
        store.close()
        return None

    def storage(self) -> str:
        """The cluster, the database and the table: restored from a dump, it has another number."""
        ((cluster, database, table),) = self.query(
            "SELECT CASE WHEN has_function_privilege('pg_control_system()', 'EXECUTE')"  # noqa: S608
            " THEN (SELECT system_identifier::text FROM pg_control_system()) END,"
            " (SELECT oid::text FROM pg_database WHERE datname = current_database()),"
            f" '{SCHEMA}.outbox'::regclass::oid::text"
        )
        return f"cluster {cluster} database {database} table {table}"

    def is_made(self) -> bool:
        """Whether every table is there."""
        ((count,),) = self.query(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = ?"  # noqa: S608
            f" AND table_name IN ({', '.join('?' * len(TABLES))})",
            *(SCHEMA, *TABLES),
        )
        return bool(count == len(TABLES))

    def _connect(self) -> psycopg.Connection[Row]:
        connection = super()._connect()
        connection.execute(_PATIENCE.encode())
        return connection
