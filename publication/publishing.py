"""The marts of a finished build, copied to where readers find them; `publication.layout` says where that is.

Names that begin with a dot and end in `.tmp` are unfinished or being deleted: the next publication removes
them. A crash at any step leaves `current` on the last complete build. Only the holder of the build lock
publishes, so there is one writer.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from publication.derived import make_derived
from publication.difference import Difference, replace_rows
from publication.files import (
    Sizes,
    can_be_searched,
    find_files,
    numbered,
    part,
    refuse_cut_files,
    stored_types,
    take_files,
    views_over_files,
)
from publication.layout import (
    BUILD_FILE,
    CURRENT,
    DERIVED,
    FILES,
    KEPT_FILE,
    LOOKUPS,
    MARTS_FILE,
    REPORTING,
    SUMMED,
    TWIN,
    Kept,
    is_build_id,
    latest_folder,
    new_build_id,
    published_builds,
    read_build,
    read_kept,
)
from publication.lookups import make_lookups
from publication.prepared import Prepared
from publication.summing import make_summed
from publication.tables import Table, identifier, listed, literal, order_of, relation_comments, tables

# Clients as old as DuckDB 1.2 open the file.
STORAGE_VERSION = "v1.2.0"

COPIES = "copies"
"""Key in build.json: how many times in a row the marts file is a copy of the last one, changed."""

MOST_COPIES = 100
"""Then it is made anew: rows that came in copies are not sorted, and what was deleted leaves gaps."""

SORTED_AFTER = 10
"""Copies after which look-ups are made anew: fifty made one of ten million events three times as slow."""

KEPT_BUILDS = 3
KEPT_DAYS = 14

_MART_NAME = re.compile(r"[a-z][a-z0-9_]*")


Guard = Callable[[Callable[[], None]], AbstractContextManager[Any]]
"""Makes a context from what stops the work inside it."""


class PublishError(Exception):
    """The build cannot be published; readers keep seeing the last one."""


@dataclass(frozen=True)
class Changes:
    """What a build changed of the publication that it started from.

    `since`: that build's id. `rows`: for each mart of which only some rows may differ, the condition that
    they fulfil, before and after; it may name the warehouse's tables, as `warehouse.main.…`. Other marts may
    differ in any row.
    """

    since: str
    rows: Mapping[str, str]


@dataclass(frozen=True)
class Publication:
    """One published build: its folder, when it was published (UTC), and the rows of each mart."""

    build_id: str
    folder: Path
    published_at: datetime
    marts: dict[str, int]


def publish(
    warehouse_path: Path,
    published_dir: Path,
    marts: Sequence[str],
    build_id: str,
    now: datetime,
    facts: Mapping[str, object] | None = None,
    engine: Mapping[str, str] | None = None,
    with_parquet: bool = False,
    guard: Guard = nullcontext,
    changes: Changes | None = None,
    files: Mapping[str, Path] | None = None,
) -> Publication:
    """Copy the marts (schema `main` of the warehouse) and let readers see them, all at once, unless they are
    held at an older build.

    `facts` are further JSON values for build.json, `engine` is DuckDB's configuration, `with_parquet` writes
    each mart as a Parquet file too. `guard` is open while the marts are copied, and is given what stops that.
    With `changes` of a build that is kept, its file is copied and only those rows are replaced. Of marts in
    `files`, the Parquet files of these folders are moved instead, and shown as views.
    Raises PublishError for a build id of another form or already published, for a mart that the warehouse
    lacks, for `files` below a folder whose name has a comma, and where `check_current` does;
    duckdb.IOException when another process writes the warehouse. What it had written is gone then.
    """
    if not is_build_id(build_id):
        raise PublishError(f"{build_id!r} is not a build id like {new_build_id(now)}")
    folder = published_dir / build_id
    if folder.exists():
        raise PublishError(f"build {build_id} is already published")
    files = files or {}
    if files and not can_be_searched(published_dir):
        raise PublishError(
            f"{published_dir} has a comma in its name, and DuckDB would not find the marts' files"
        )
    published_dir.mkdir(parents=True, exist_ok=True)
    check_current(published_dir)
    remove_leftovers(published_dir)

    unfinished = published_dir / f".{build_id}.tmp"
    unfinished.mkdir()
    try:
        copies = 0 if files else _copies(published_dir, changes)
        if copies and changes:
            # Nothing shares the copy: the publication that it is of stays as it is.
            shutil.copyfile(published_dir / changes.since / MARTS_FILE, unfinished / MARTS_FILE)
        sizes = {mart: take_files(source, unfinished, mart) for mart, source in files.items()}
        rows = _copy_marts(
            warehouse_path,
            unfinished,
            build_id,
            marts,
            engine or {},
            with_parquet,
            guard,
            changes.rows if copies and changes else None,
            copies % SORTED_AFTER == 0,
            sizes,
        )
        published_at = now.astimezone(UTC)
        said = {"build_id": build_id, "published_at": _iso(published_at), "marts": rows, COPIES: copies}
        _write_build_file(
            unfinished / BUILD_FILE, {**(facts or {}), **said, **({FILES: sizes} if sizes else {})}
        )
        copied = [f"{mart}.parquet" for mart in marts if with_parquet and mart not in sizes]
        moved = [part(mart, number) for mart, found in sizes.items() for number in range(len(found))]
        for file in (MARTS_FILE, *copied, *moved):
            # A tool that opens the database for writing would lock every reader out.
            (unfinished / file).chmod(0o444)
            sync(unfinished / file)
        for mart in sizes:
            sync(unfinished / f"{mart}.parquet")
        sync(unfinished)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    unfinished.rename(folder)
    sync(published_dir)

    if read_kept(published_dir).held is None:
        point_current_at(published_dir, build_id)
    _prune(published_dir, now)
    return Publication(build_id=build_id, folder=folder, published_at=published_at, marts=rows)


def point_current_at(published_dir: Path, build_id: str) -> None:
    """Let readers see this published build, in one step: they see the one before or this one.

    Raises PublishError for a build that is not there, or not any more.
    """
    if not published_dir.exists() or build_id not in published_builds(published_dir):
        raise PublishError(f"build {build_id} is not published")
    link = published_dir / f".{CURRENT}.tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(build_id, target_is_directory=True)
    link.replace(published_dir / CURRENT)
    sync(published_dir)


def hold(published_dir: Path, build_id: str) -> None:
    """Let readers go back to a kept build, and stay there: new builds are published beside it.

    The caller holds the build lock. Raises PublishError as `point_current_at`.
    """
    point_current_at(published_dir, build_id)
    _keep(published_dir, replace(read_kept(published_dir), held=build_id))


def release(published_dir: Path) -> str:
    """Let readers see the newest build, whose id is returned, and each new one from now on.

    The caller holds the build lock. Raises PublishError where there is none.
    """
    builds = published_builds(published_dir) if published_dir.exists() else []
    if not builds:
        raise PublishError("nothing is published yet; run `funnelhouse build`")
    point_current_at(published_dir, builds[-1])
    _keep(published_dir, replace(read_kept(published_dir), held=None))
    return builds[-1]


def pin(published_dir: Path, build_id: str, is_pinned: bool = True) -> None:
    """Keep a build for good, or let it go when its time is over.

    The caller holds the build lock. Raises PublishError for one that isn't there.
    """
    if not published_dir.exists() or build_id not in published_builds(published_dir):
        raise PublishError(f"build {build_id} is not published")
    kept = read_kept(published_dir)
    pinned = {*kept.pinned, build_id} if is_pinned else {*kept.pinned} - {build_id}
    _keep(published_dir, replace(kept, pinned=tuple(sorted(pinned))))


def _keep(published_dir: Path, kept: Kept) -> None:
    unfinished = published_dir / f".{KEPT_FILE}.writing"
    _write_build_file(unfinished, asdict(kept))
    unfinished.replace(published_dir / KEPT_FILE)
    sync(published_dir)


def check_current(published_dir: Path) -> None:
    """Raises PublishError when `current` is there and no link: then no build could take its place."""
    current = published_dir / CURRENT
    if current.exists() and not current.is_symlink():
        raise PublishError(
            f"{current} is not a link to a build; a copy that follows links makes it a folder. Move it away: "
            "the next build recreates the link."
        )


def check_whole(published_dir: Path) -> bool:
    """Whether the publication that builds follow can be opened and has every mart that it says.

    Raises PublishError when `current` is there and no link.
    """
    check_current(published_dir)
    folder = latest_folder(published_dir).resolve()
    try:
        said = json.loads((folder / BUILD_FILE).read_bytes())
        refuse_cut_files(folder, said.get(FILES, {}))
        with duckdb.connect(str(folder / MARTS_FILE), read_only=True) as marts:
            found = marts.execute(
                "select table_name from information_schema.tables where table_schema = 'main'"
            ).fetchall()
            return {name for (name,) in found} == set(said["marts"])
    except (OSError, ValueError, KeyError, duckdb.Error):
        return False


def _copies(published_dir: Path, changes: Changes | None) -> int:
    """How many times in a row the marts file would be a copy, changed; 0 where it is to be made anew."""
    if changes is None or read_build(published_dir / changes.since) is None:
        return 0
    said = json.loads((published_dir / changes.since / BUILD_FILE).read_bytes())
    copies = said.get(COPIES, MOST_COPIES)
    # Its views would go on reading files that are its own.
    return int(copies) + 1 if copies < MOST_COPIES and not said.get(FILES) else 0


def _copy_marts(
    warehouse_path: Path,
    folder: Path,
    build_id: str,
    marts: Sequence[str],
    engine: Mapping[str, str],
    with_parquet: bool,
    guard: Guard,
    changed_rows: Mapping[str, str] | None,
    is_sorting: bool,
    sizes: Sizes,
) -> dict[str, int]:
    """Write the marts file, and Parquet files if asked; returns the rows of each mart.

    With `changed_rows`, the file is that of the publication from which the build started; `is_sorting` makes
    its look-ups anew. Marts in `sizes` are views over the files that the folder has.
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": "4GB",
        "temp_directory": str(folder / "spill"),
    }
    with duckdb.connect(config=config) as connection, guard(connection.interrupt):
        # Not when connecting: a bound on what is spilled is then shown, and not kept.
        for name, value in engine.items():
            connection.execute(f"set global {name} = {literal(value)}")
        connection.execute(f"attach {literal(warehouse_path)} as warehouse (read_only)")
        connection.execute(
            f"attach {literal(folder / MARTS_FILE)} as published (storage_version '{STORAGE_VERSION}')"
        )
        prepared = Prepared(connection, (LOOKUPS, SUMMED, DERIVED))
        if sizes:
            # The folder gets its name when everything in it is there.
            named = folder / "named"
            named.mkdir()
            (named / build_id).symlink_to(folder, target_is_directory=True)
            find_files(connection, named / build_id)
        built = _built(connection, marts)
        differences: dict[str, Difference] = {}
        if changed_rows is None:
            rows = {
                mart: _show_files(connection, folder, build_id, table, len(sizes[mart]))
                if mart in sizes
                else _copy_mart(connection, table)
                for mart, table in built.items()
            }
        else:
            known = tables(connection, "published")
            rows = {}
            for mart, table in built.items():
                rows[mart], difference = _change_mart(
                    connection, table, known.get(mart), changed_rows.get(mart)
                )
                if difference:
                    differences[mart] = difference
            _drop_others(connection, marts)
            connection.execute(f"drop schema if exists published.{REPORTING} cascade")
            # It may move rows, which are looked up by their place.
            connection.execute("checkpoint published")
        _create_reporting_views(connection)
        are_files = {mart: mart in sizes for mart in rows}
        make_lookups(connection, prepared, are_files, {} if is_sorting else differences)
        make_summed(connection, prepared, differences)
        make_derived(connection, prepared, differences)
        prepared.drop_others()
        if with_parquet:
            for mart in (mart for mart in marts if mart not in sizes):
                file = literal(folder / f"{mart}.parquet")
                connection.execute(f"copy published.main.{mart} to {file} (format parquet, compression zstd)")
        # Leaves no write-ahead log beside the file.
        connection.execute("checkpoint published")
        connection.execute("detach published")
    for name in ("spill", "named"):
        shutil.rmtree(folder / name, ignore_errors=True)
    _lengthen(folder / MARTS_FILE)
    return rows


def _lengthen(file: Path) -> None:
    """Give a file the length that it says of itself.

    DuckDB may count a free block at the end that it never wrote; readers take a file that lacks its end for
    one that was cut.
    """
    with duckdb.connect(str(file), read_only=True) as marts:
        said = marts.execute("select sum(block_size * total_blocks) from pragma_database_size()").fetchone()
    if said and file.stat().st_size < said[0]:
        os.truncate(file, int(said[0]))


def _built(connection: duckdb.DuckDBPyConnection, marts: Sequence[str]) -> dict[str, Table]:
    """The warehouse's tables of these marts. Raises PublishError where there is no such mart."""
    found = tables(connection, "warehouse")
    for mart in marts:
        if not _MART_NAME.fullmatch(mart) or mart not in found:
            raise PublishError(f"the warehouse has no mart {mart!r}")
    return {mart: found[mart] for mart in marts}


def _copy_mart(connection: duckdb.DuckDBPyConnection, mart: Table, is_order_total: bool = True) -> int:
    """Copy one table with its comments; returns its rows.

    Rows are sorted by project and day, which lets reads skip what they don't need. Where the order is total,
    it goes on by every other column: it is that of the data alone, so that the same build from nothing has
    the same file.
    """
    first = order_of(mart.types)
    order = [*first, *(name for name in mart.columns if name not in first)] if is_order_total else first
    connection.execute(
        f"create table published.main.{mart.name} as select * from warehouse.main.{mart.name} "  # noqa: S608
        f"order by {listed(order or [*mart.columns][:1])}"
    )
    return _described_and_counted(connection, mart, "table")


def _show_files(
    connection: duckdb.DuckDBPyConnection, folder: Path, build_id: str, mart: Table, files: int
) -> int:
    """Make the views over the files of one mart; returns its rows."""
    name = mart.name
    stored = stored_types(connection, [folder / part(name, number) for number in range(files)])
    shown, with_numbers = views_over_files(name, build_id, files, stored, mart.types)
    connection.execute(f"create view published.main.{name} as {shown}")
    connection.execute(f"create view published.{numbered(name)} as {with_numbers}")
    return _described_and_counted(connection, mart, "view")


def _described_and_counted(connection: duckdb.DuckDBPyConnection, mart: Table, kind: str) -> int:
    """Give what was published the comments that the warehouse has; returns its rows."""
    # Each of so many statements would wait for the disk by itself.
    connection.begin()
    if mart.comment:
        connection.execute(f"comment on {kind} published.main.{mart.name} is {literal(mart.comment)}")
    for name, (_, said) in mart.columns.items():
        if said:
            connection.execute(
                f"comment on column published.main.{mart.name}.{identifier(name)} is {literal(said)}"
            )
    connection.commit()
    counted = connection.execute(f"select count(*) from published.main.{mart.name}").fetchone()  # noqa: S608
    return int(counted[0]) if counted else 0


def _create_reporting_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the views of schema `reporting`: marts, with converted amounts in the place of those reported.

    With `search_path = 'reporting,main'` any query reads converted amounts in the same words. What is
    converted is told by the names of columns alone.
    """
    comments = relation_comments(connection, "published")
    columns: dict[str, dict[str, str | None]] = {}
    for mart, name, comment in connection.execute(
        "select table_name, column_name, comment from duckdb_columns() "
        "where database_name = 'published' and schema_name = 'main' order by table_name, column_index"
    ).fetchall():
        columns.setdefault(mart, {})[name] = comment
    connection.execute(f"create schema published.{REPORTING}")
    connection.begin()
    for mart, found in columns.items():
        twins = {name: TWIN + name for name in found if TWIN + name in found}
        if "currency" not in twins or len(twins) == 1:
            continue
        replaced = ", ".join(f"{identifier(twin)} as {identifier(name)}" for name, twin in twins.items())
        view = f"published.{REPORTING}.{mart}"
        # Without the name that the file has here: others open it by names of their own.
        connection.execute(
            f"create view {view} as select * replace ({replaced}) from main.{mart}"  # noqa: S608
        )
        if comments.get(mart):
            connection.execute(f"comment on view {view} is {literal(comments[mart])}")
        for name in found:
            if comment := found[twins.get(name, name)]:
                connection.execute(f"comment on column {view}.{identifier(name)} is {literal(comment)}")
    connection.commit()


def _drop_others(connection: duckdb.DuckDBPyConnection, marts: Sequence[str]) -> None:
    """Of a file that was copied, tables that are no marts any more."""
    tables = connection.execute(
        "select table_name from duckdb_tables() where database_name = 'published' and schema_name = 'main'"
    ).fetchall()
    for (table,) in tables:
        if table not in marts:
            connection.execute(f"drop table published.main.{identifier(table)}")


def _change_mart(
    connection: duckdb.DuckDBPyConnection, mart: Table, known: Table | None, changed: str | None
) -> tuple[int, Difference | None]:
    """Replace the rows of one table that differ; returns its rows, and which these were.

    `known` is what is published of it, `changed` the condition of rows that may differ. All are copied where
    most do, or where it has other columns.
    """
    found = None
    if known is not None and known.types == mart.types:
        found = replace_rows(connection, mart, changed)
    if found is not None:
        published, built = (
            connection.execute(f"select count(*) from {side}.main.{mart.name}").fetchone()  # noqa: S608
            for side in ("published", "warehouse")
        )
        if published and published == built:
            return int(published[0]), found
    connection.execute(f"drop table if exists published.main.{mart.name}")
    return _copy_mart(connection, mart, is_order_total=False), None


def _prune(published_dir: Path, now: datetime) -> None:
    """Delete old builds; the newest, the last of each recent day, pinned ones, and what readers see stay."""
    builds = published_builds(published_dir)
    first_day = (now.astimezone(UTC) - timedelta(days=KEPT_DAYS - 1)).strftime("%Y%m%d")
    last_of_day = {build_id[:8]: build_id for build_id in builds}
    kept = {build_id for day, build_id in last_of_day.items() if day >= first_day}
    kept.update(builds[-KEPT_BUILDS:])
    kept.add(str((published_dir / CURRENT).readlink()))
    kept.update(read_kept(published_dir).pinned)
    for build_id in builds:
        if build_id not in kept:
            # Renamed first: a half deleted folder must not look like a build.
            leftover = published_dir / f".{build_id}.tmp"
            (published_dir / build_id).rename(leftover)
            shutil.rmtree(leftover)


def remove_leftovers(published_dir: Path) -> None:
    """Delete what a killed publication left. The caller holds the build lock."""
    for path in published_dir.glob(".*.tmp"):
        if path.is_symlink():
            path.unlink()
        else:
            shutil.rmtree(path)


def _write_build_file(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    sync(path)


def sync(path: Path) -> None:
    """Put a file, or a folder's list of names, on stable storage."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
