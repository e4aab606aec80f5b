"""dbt as somebody runs it in a dev home: as its own command, without the manifest that it writes each time.

Started as `python -m orchestration.dbt_console RESULTS ARGUMENTS…`; what became of each node is written to
RESULTS. dbt writes what it knows of the whole project twice in each run, which takes as long as many models.
"""

import sys

from dbt.cli.main import dbtRunner

_MAKING = frozenset({"build", "run", "seed", "test"})
"""Commands after which nobody reads dbt's manifest."""


def main(results: str, arguments: list[str]) -> int:
    """Run one command of dbt; returns its exit code."""
    is_making = not _MAKING.isdisjoint(arguments)
    ended = dbtRunner().invoke([*(["--no-write-json"] * is_making), *arguments])
    if ended.exception is not None:
        print(ended.exception, file=sys.stderr)
    if is_making and ended.result is not None and hasattr(ended.result, "write"):
        ended.result.write(results)
    return 0 if ended.success else 1 if ended.exception is None else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
