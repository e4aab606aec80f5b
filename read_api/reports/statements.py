"""Statements as people read them: values written in, a line for each clause. They are shown, never run."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

_CLAUSES = re.compile(
    r" (?=(?:from|inner join|left join|where|group by|order by|limit)\b)|(?<=[^(]) (?=and (?!offset\b))"
)
_TOKENS = re.compile(r"'(?:[^']|'')*'|\?")


def statement(sql: str, values: Sequence[object]) -> str:
    """The statement with its values in place of their marks; a clause outside of brackets begins a line."""
    left = iter(values)
    lines, depth, start = [], 0, 0
    for found in re.finditer(r"'(?:[^']|'')*'|[()]|" + _CLAUSES.pattern, sql):
        if found[0] in "()" and found[0]:
            depth += 1 if found[0] == "(" else -1
        elif not found[0].startswith("'") and not depth:
            lines.append(sql[start : found.start()])
            start = found.end()
    lines.append(sql[start:])
    text = "\n".join(f"  {line}" if line.startswith("and ") else line for line in lines)
    return _TOKENS.sub(lambda mark: literal(next(left)) if mark[0] == "?" else mark[0], text)


def literal(value: object) -> str:
    """A value as DuckDB reads it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return format(value, "f") if isinstance(value, Decimal) else str(value)
    if isinstance(value, datetime):
        return f"timestamp '{value.isoformat(' ')}'"
    if isinstance(value, date):
        return f"date '{value.isoformat()}'"
    return "'" + str(value).replace("'", "''") + "'"
