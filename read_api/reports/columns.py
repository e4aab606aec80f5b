"""The columns of a query and the dataclass that its rows become are one list: the dataclass's fields."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, TypeVar

_T = TypeVar("_T")


def columns(shape: type[Any], *summed: str, **expressions: str) -> str:
    """The select list of a dataclass: a column of each field's name.

    Those `summed` are sums of it, 0 of nothing and of what can't be converted; others have the SQL expression
    that is given.
    """
    names = [field.name for field in fields(shape)]
    expressions |= {name: f"coalesce(sum({name}), 0)" for name in summed}
    unknown = expressions.keys() - set(names)
    if unknown:
        raise ValueError(f"{shape.__name__} has no {', '.join(sorted(unknown))}")
    return ", ".join(f"{expressions[name]} as {name}" if name in expressions else name for name in names)


def made(shape: type[_T], rows: Iterable[Sequence[Any]]) -> list[_T]:
    """Rows that begin with the columns of a dataclass; what a query sorts by may follow."""
    count = len(fields(shape))  # type: ignore[arg-type]
    return [shape(*row[:count]) for row in rows]
