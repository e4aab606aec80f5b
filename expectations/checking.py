"""A suite of expectations as plain data, and how Great Expectations runs it on DuckDB."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

Severity = Literal["critical", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One thing that must hold.

    `name` is a sentence in snake case, unique in its suite. `severity`: a critical one that fails or raises
    blocks publishing, a warning is shown. `of` names the suite's batch of rows that it looks at. `type` and
    `arguments` are Great Expectations' own. SQL in them says `{batch}` for the rows, and no other brace.
    """

    name: str
    severity: Severity
    of: str
    type: str
    arguments: Mapping[str, Any]


def no_rows(name: str, severity: Severity, of: str, sql: str) -> Expectation:
    """Expect that a query over the batch finds no row. What it finds (at most 200 rows) is shown."""
    arguments = {"unexpected_rows_query": sql}
    return Expectation(
        name=name, severity=severity, of=of, type="unexpected_rows_expectation", arguments=arguments
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Expectations over batches of rows, each batch a query in one DuckDB database.

    `database` is a DuckDB file, opened read-only; None is a database in memory, for queries over files.
    `key` is a column by which bad rows of the expectations on columns are named.
    """

    name: str
    database: Path | None
    batches: Mapping[str, str]
    expectations: Sequence[Expectation]
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one expectation. `observed` is what was found, or the message of what it raised."""

    name: str
    severity: Severity
    success: bool
    observed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """What became of a suite's expectations, in the suite's order."""

    outcomes: tuple[Outcome, ...]

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """Critical expectations that failed or raised; any of them blocks publishing."""
        return tuple(o for o in self.outcomes if not o.success and o.severity == "critical")

    @property
    def warnings(self) -> tuple[Outcome, ...]:
        """Warnings that failed or raised."""
        return tuple(o for o in self.outcomes if not o.success and o.severity == "warning")

    @property
    def passed(self) -> bool:
        """Whether nothing critical failed."""
        return not self.failures


def check(suite: Suite, engine: Mapping[str, str] | None = None) -> SuiteResult:
    """Run a suite. Nothing is raised for bad data: an expectation that can't run has failed.

    `engine` is DuckDB's configuration: what memory and disk it may use.

    The database is closed again before this returns, so that the same process may open it to write.
    """
    # Importing takes seconds, which only a build should pay.
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    # What an expectation raises is in its outcome; the library's own log would say it a second time.
    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    context.enable_analytics(False)
    outcomes: list[Outcome] = []
    try:
        source = _source(context, suite)
        with source.get_execution_engine().get_connection() as connection:
            # Not when connecting: a bound on what is spilled is then shown, and not kept.
            for name, value in (engine or {"memory_limit": "1GB"}).items():
                connection.exec_driver_sql(f"set global {name} = '{value}'")
    except Exception as error:  # the database can't be opened: nothing is known to hold
        outcomes = [_failed(e, error) for e in suite.expectations]
    else:
        try:
            for (of, kind), chosen in groupby(sorted(suite.expectations, key=_runs_with), key=_runs_with):
                outcomes += _run(context, source, f"{of}_{kind}", suite, list(chosen))
        finally:
            source.get_execution_engine().close()
            # The source's own engine, by which it tried the connection, keeps that in a pool.
            source.get_engine().dispose()
    by_name = {outcome.name: outcome for outcome in outcomes}
    return SuiteResult(outcomes=tuple(by_name[e.name] for e in suite.expectations))


def _source(context: Any, suite: Suite) -> Any:
    return context.data_sources.add_sql(
        name=suite.name,
        connection_string=f"duckdb:///{suite.database or ':memory:'}",
        # A batch of millions of events should be scanned, not copied into a temporary table.
        create_temp_table=False,
        kwargs={
            # DuckDB takes back the rows of a transaction that the library ends before it reads them.
            "isolation_level": "AUTOCOMMIT",
            "skip_autocommit_rollback": True,
            "connect_args": {
                "read_only": suite.database is not None,
                "config": {
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                },
            },
        },
    )


def _runs_with(expectation: Expectation) -> tuple[str, str]:
    """Expectations of one batch run together, but those by query apart: only their rows may be fetched."""
    is_query = expectation.type == "unexpected_rows_expectation"
    return expectation.of, "queries" if is_query else "columns"


def _run(
    context: Any, source: Any, name: str, suite: Suite, expectations: list[Expectation]
) -> list[Outcome]:
    try:
        return _validate(context, source, name, suite, expectations)
    except Exception as error:  # the rows can't be read: none of these expectations is known to hold
        return [_failed(e, error) for e in expectations]


def _validate(
    context: Any, source: Any, name: str, suite: Suite, expectations: list[Expectation]
) -> list[Outcome]:
    import great_expectations as gx

    query = suite.batches[expectations[0].of]
    batch = source.add_query_asset(name=name, query=query).add_batch_definition_whole_table("all")
    wanted = gx.ExpectationSuite(
        name=name,
        expectations=[
            {"type": e.type, "kwargs": dict(e.arguments), "severity": e.severity, "meta": {"name": e.name}}
            for e in expectations
        ],
    )
    # COMPLETE brings at most 200 rows of a query, but every bad value of a column.
    result_format: dict[str, Any] = {"result_format": "COMPLETE" if name.endswith("_queries") else "SUMMARY"}
    if suite.key is not None and not name.endswith("_queries"):
        result_format["unexpected_index_column_names"] = [suite.key]
    validation = context.validation_definitions.add(
        gx.ValidationDefinition(name=name, data=batch, suite=context.suites.add(wanted))
    )
    by_name = {
        result.expectation_config.meta["name"]: result
        for result in validation.run(result_format=result_format).results
    }
    return [
        Outcome(
            name=e.name,
            severity=e.severity,
            success=bool(by_name[e.name].success),
            observed=_observed(by_name[e.name]),
        )
        for e in expectations
    ]


def _failed(expectation: Expectation, error: Exception) -> Outcome:
    return Outcome(
        name=expectation.name, severity=expectation.severity, success=False, observed=_one_line(error)
    )


def _observed(result: Any) -> str:
    raised = _raised(result.exception_info)
    if raised:
        return raised
    if result.success:
        return "as expected"
    found = result.result
    rows = found.get("details", {}).get("unexpected_rows")
    if rows is not None:
        examples = "; ".join(", ".join(f"{k} {v}" for k, v in row.items()) for row in rows[:3])
        return f"{found['observed_value']} unexpected rows, e.g. {examples}"
    if "unexpected_count" in found:
        values = sorted({str(value) for value in found["partial_unexpected_list"]})[:3]
        said = f"{found['unexpected_count']} of {found['element_count']} unexpected, e.g. {', '.join(values)}"
        for key in found.get("unexpected_index_column_names", ()):
            named = [str(row[key]) for row in found["partial_unexpected_index_list"] or ()]
            said += f" ({key} {', '.join(named)})"
        return said
    return f"observed {found.get('observed_value')}"


def _raised(info: Mapping[str, Any]) -> str | None:
    """Message of what an expectation raised. The library nests it by metric when a metric raised."""
    entries = [info] if "raised_exception" in info else list(info.values())
    messages = [e["exception_message"] for e in entries if e["raised_exception"]]
    return _one_line(messages[0]) if messages else None


def _one_line(error: object) -> str:
    # SQLAlchemy appends the whole statement and a link.
    text = " ".join(str(error).split("[SQL:")[0].split()) or type(error).__name__
    return f"could not run: {text[:500]}"
