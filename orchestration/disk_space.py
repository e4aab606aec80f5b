"""Disk space: a build never takes what landing needs.

It asks for enough before it begins, bounds what DuckDB spills, and ends when the free space falls below the
reserve all the same.
"""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from funnelhouse.settings import Settings
from publication.layout import CURRENT

LOOK_EVERY_S = 0.2

FLOOR = 100_000_000
"""Bytes that even the smallest build asks for: empty tables, dbt's and Dagster's own files."""

WHOLE_PER_RAW = 16
"""Bytes of a warehouse built from nothing per byte of the raw zone; of events with hardly a field, 16."""

PUBLISHED_PER_RAW = 2
"""Bytes of a publication per byte of the raw zone, likewise."""

GROWTH = 4
"""A build of what is new is taken to write a part of the warehouse as large as one in this many."""


MEMORY_BESIDE_DBT = "1GB"


class DiskFullError(Exception):
    """There is too little free space; the message says how much is needed and what is free."""


def needed(settings: Settings, is_whole: bool) -> int:
    """Bytes that a build is expected to write: tables, and a publication beside the last one.

    `is_whole`: it builds everything from nothing, as it does without a warehouse.
    """
    warehouse, raw = _size(settings.warehouse_path), _size(settings.raw_dir)
    published = _size((settings.published_dir / CURRENT).resolve())
    if is_whole or not warehouse:
        tables = max(warehouse, WHOLE_PER_RAW * raw)
        published = max(published, PUBLISHED_PER_RAW * raw)
    else:
        tables = warehouse // GROWTH
    return FLOOR + tables + published


def check_space(settings: Settings, is_whole: bool) -> None:
    """Raises DiskFullError when a build would take what is to stay free for landing."""
    must_be_free = needed(settings, is_whole) + settings.keep_free
    free = _free(settings.home_dir)
    if free < must_be_free:
        raise DiskFullError(
            f"The disk of {settings.home_dir} has {_said(free)} free; a build needs {_said(must_be_free)}: "
            f"{_said(must_be_free - settings.keep_free)} to write, and {_said(settings.keep_free)} that stay "
            "free for landing (FUNNELHOUSE_KEEP_FREE). Make space; nothing was changed."
        )


def spill_limit(settings: Settings, share: int = 2) -> str:
    """What DuckDB may spill, as its setting `max_temp_directory_size` takes it: a part of what may be used.

    What is left is for the tables that are written meanwhile.
    """
    return f"{max(0, _free(settings.home_dir) - settings.keep_free) // share} bytes"


def engine_options(settings: Settings) -> dict[str, str]:
    """DuckDB's configuration in a build: how much memory, how much disk, and where."""
    return {
        "memory_limit": settings.build_memory,
        "temp_directory": str(spill_dir(settings)),
        "max_temp_directory_size": spill_limit(settings),
    }


def engine_options_beside_dbt(settings: Settings) -> dict[str, str]:
    """The same for what runs while dbt does, and only scans: little memory, and a folder of its own."""
    return {
        "memory_limit": MEMORY_BESIDE_DBT,
        "temp_directory": str(_spill_dir_beside_dbt(settings)),
        "max_temp_directory_size": spill_limit(settings, share=4),
    }


def spill_dir(settings: Settings) -> Path:
    """Where a build's DuckDB spills: the folder that dbt's, which works on the warehouse, takes by itself."""
    return settings.warehouse_path.with_name(settings.warehouse_path.name + ".tmp")


def _spill_dir_beside_dbt(settings: Settings) -> Path:
    # Two processes would give their files there the same names.
    return settings.warehouse_path.with_name("landed_events.tmp")


def remove_spill(settings: Settings) -> None:
    """Delete what a killed build has spilled. The caller holds the build lock."""
    for folder in (spill_dir(settings), _spill_dir_beside_dbt(settings)):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def reserve_kept(settings: Settings, stop: Callable[[], None]) -> Iterator[None]:
    """While open, call `stop` from a thread, again and again, once less than the reserve is free.

    Raises DiskFullError when it has, whatever the body raised because of it.
    """
    left = threading.Event()
    has_stopped = threading.Event()

    def watch() -> None:
        while not left.wait(LOOK_EVERY_S):
            if has_stopped.is_set() or _free(settings.home_dir) < settings.keep_free:
                has_stopped.set()
                stop()

    thread = threading.Thread(target=watch, name="disk-space", daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join()
        if has_stopped.is_set():
            shutil.rmtree(spill_dir(settings), ignore_errors=True)
            raise DiskFullError(
                f"The build was ended: less than {_said(settings.keep_free)} were free on the disk of "
                f"{settings.home_dir}, which stay free for landing (FUNNELHOUSE_KEEP_FREE). Make space."
            )


def _free(folder: Path) -> int:
    """Bytes that a process without privileges may still write to a folder's disk, the folder made or not."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; 0 where there is nothing."""
    if path.is_file():
        return path.stat().st_size
    # Thousands of files: without a Path for each.
    return sum(os.stat(f"{folder}/{name}").st_size for folder, _, names in os.walk(path) for name in names)  # noqa: PTH116


def _said(size: int) -> str:
    """A number of bytes for people, rounded up."""
    return f"{-(-size // 1_000_000):,} MB"
