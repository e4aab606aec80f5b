"""What a model may call of dbt, for sqlfluff's jinja templater: enough to render SQL that can be parsed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

_PROJECT = yaml.safe_load((Path(__file__).parent.parent / "dbt_project.yml").read_text())


class adapter:  # noqa: N801 - the name that macros use
    """A dispatched macro becomes a call of a function with its name."""

    @staticmethod
    def dispatch(macro: str) -> Callable[..., str]:
        """What the macro would be called with."""
        if macro == "materialized":
            return lambda: macro
        return lambda *arguments: f"{macro}({', '.join(map(str, arguments))})"

    @staticmethod
    def quote(name: str) -> str:
        """A name that is a word of SQL."""
        return f'"{name}"'


def ref(name: str) -> str:
    """A model or seed."""
    return name


def source(source_name: str, table: str) -> str:
    """A raw table."""
    return f"{source_name}.{table}"


def var(name: str) -> Any:
    """A variable of dbt_project.yml."""
    return _PROJECT["vars"][name]
