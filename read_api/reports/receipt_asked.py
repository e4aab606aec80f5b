"""The figure that a receipt is asked for, in the words that it carries on a page.

    mart=rpt_traffic&column=sum(credit_nano)&source=google&report_date.from=2026-05-01

The other parameters are its filter (`read_api/slices.py`). Those of what was added to it begin with `more-`,
of what it was divided by with `over-`. `but=campaign&but-first=100&but-by=sum(sessions)` leaves out the
hundred campaigns of most sessions. `mart=reporting.rpt_traffic` has its amounts in the project's reporting
currency, as has then every part of the figure. Nothing of it is SQL: functions are those listed here, columns
the mart's.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from urllib.parse import quote

from funnelhouse.problems import Refusal
from read_api.column_values import column_value
from read_api.conversion_paths import paths_from_facts
from read_api.opened_build import Column
from read_api.parameters import REPORTED, REPORTING, Days, day
from read_api.reader import Reader
from read_api.slices import PATHS, PUBLISHED, REACHED_BY, Behind, Figure, slice_of

PARTS = {"": "figure", "more-": "more", "over-": "over", "over-more-": "over_more"}
"""By the beginning of the words of each part of a figure, what it is called."""

MAX_VALUES = 200
"""Of one column."""

MAX_FIRST = 10_000
"""Values that are left out."""

_CONVERTED = f"{REPORTING}."
_MAX_LENGTH = 2_000
_MAX_WORDS = 1_000
_MAX_DEPTH = 3
_OPERATORS = ("from", "to", "is", "not", "contains", "search")
_FUNCTIONS = "count, count(distinct …), sum, max"
_EXPRESSION = re.compile(
    r"(?P<function>count|sum|max)\((?P<distinct>distinct )?(?P<row>row)?(?P<open>\()?"
    r"(?P<names>\*|[a-z_][a-z_0-9]*(?:, [a-z_][a-z_0-9]*)*)(?(open)\))\)"
)


@dataclass(frozen=True)
class Expression:
    """`sum(net_amount_minor)`: a function, and the columns that it takes; `count(*)` takes none."""

    function: str
    columns: tuple[str, ...]
    is_distinct: bool = False

    @property
    def column(self) -> str:
        """The only column."""
        return self.columns[0] if self.columns else ""


@dataclass(frozen=True)
class Asked:
    """A figure, with what it was divided by where it is a ratio."""

    figure: Figure
    over: Figure | None = None

    def parts(self) -> list[tuple[str, Figure]]:
        """What it is made of, by the beginning of the words of each."""
        found = [("", self.figure), ("more-", self.figure.more), ("over-", self.over)]
        found.append(("over-more-", self.over.more if self.over else None))
        return [(begin, figure) for begin, figure in found if figure is not None]


@lru_cache(maxsize=1000)
def expression(column: str) -> Expression | None:
    """What a figure's column says; None for what is none."""
    found = _EXPRESSION.fullmatch(column)
    if found is None:
        return None
    if "*" in column:
        return Expression("count", ()) if column == "count(*)" else None
    names = tuple(found["names"].split(", "))
    is_counted = found["function"] == "count" and bool(found["distinct"])
    is_single = found["function"] != "count" and len(names) == 1 and not found["distinct"]
    if not (is_counted or is_single) or (len(names) > 1 and not found["open"]):
        return None
    return Expression(found["function"], names, bool(found["distinct"]))


def has_receipt(figure: Figure) -> bool:
    """Whether an address can say all of the figure."""
    is_said = not figure.but or figure.behind is not None
    is_short = all(len(value) <= _MAX_LENGTH for _, value in figure.of.filters if isinstance(value, str))
    more = figure.more is None or has_receipt(figure.more)
    return (
        is_said
        and is_short
        and more
        and figure.of.mart.startswith(PUBLISHED)
        and expression(figure.column) is not None
    )


def figure_query(figure: Figure, over: Figure | None = None) -> str:
    """The figure as an address says it."""
    return "&".join(
        begin + word for begin, each in Asked(figure, over).parts() for word in _words(each) if word
    )


def _words(figure: Figure) -> list[str]:
    # There are thousands of figures on a page: what is written already is not written again.
    found = [f"mart={figure.of.named}", f"column={_quoted(figure.column)}", *figure.of.words.split("&")]
    if figure.but and figure.behind:
        found += [f"but={figure.but}", f"but-first={figure.behind.first}"]
        found += [f"but-by={_quoted(column)}" for column in figure.behind.sums]
        found += [f"but-model={_quoted(figure.behind.model)}"] if figure.behind.model else []
    return found


@lru_cache(maxsize=1000)
def _quoted(text: str) -> str:
    return quote(text, safe="()*,")


def asked_figure(reader: Reader, project_id: str, words: Iterable[tuple[str, str]]) -> Asked:
    """The figure of an address, without its number. Raises Refusal 400 for what is none."""
    given: dict[str, dict[str, list[str]]] = {begin: {} for begin in PARTS}
    # The longest beginning is the part's.
    begins = sorted(PARTS, key=len, reverse=True)
    for count, (name, value) in enumerate(words, 1):
        if count > _MAX_WORDS or len(value) > _MAX_LENGTH:
            raise Refusal(400, f"A figure has {_MAX_WORDS} words at most, of {_MAX_LENGTH} letters")
        begin = next(each for each in begins if name.startswith(each))
        given[begin].setdefault(name.removeprefix(begin), []).append(value)
    _convert(reader, given)
    if any(PATHS in name for words in given.values() for name in words.get("mart", ())):
        parts = [words for words in given.values() if words]
        is_of_paths = all(words.get("path") for words in parts)
        paths = [path for words in parts for path in words["path"]] if is_of_paths else []
        paths_from_facts(reader, project_id, _days_of_paths(parts), paths)
    found = {
        begin: _figure(reader, project_id, begin, each) for begin, each in given.items() if each or not begin
    }
    if "over-more-" in found and "over-" not in found:
        raise Refusal(400, "over-more-mart needs over-mart")
    over = found.get("over-")
    return Asked(
        replace(found[""], more=found.get("more-")),
        None if over is None else replace(over, more=found.get("over-more-")),
    )


def _convert(reader: Reader, given: Mapping[str, Mapping[str, list[str]]]) -> None:
    """Read amounts as the marts are named; raises Refusal 400 for parts in several currencies."""
    marts = [name for words in given.values() for name in words.get("mart", ())]
    is_converted = any(name.startswith(_CONVERTED) for name in marts)
    reader.convert(REPORTING if is_converted else REPORTED)
    for begin, words in given.items():
        for name in words.get("mart", ()):
            if name in reader.converted or (is_converted and name == PATHS):
                raise Refusal(
                    400,
                    f"{begin}mart must be {_CONVERTED}{name}: all parts of a figure are converted, or none",
                )


def _days_of_paths(given: Iterable[Mapping[str, list[str]]]) -> Days:
    """Days that hold those of every part, whose own words choose among them."""
    ends = []
    for end, widest in (("from", min), ("to", max)):
        of_parts = [words.get(f"conversion_date.{end}", [""])[0] for words in given]
        try:
            ends.append(widest(day(end, each) or _OPEN[end] for each in of_parts))
        except Refusal:
            ends.append(_OPEN[end])
    return Days(*ends)


_OPEN = {"from": date.min, "to": date.max}


def _figure(reader: Reader, project_id: str, begin: str, words: Mapping[str, list[str]]) -> Figure:
    named = _one(begin, "mart", words)
    mart = named.removeprefix(_CONVERTED)
    is_known = mart in reader.marts and (mart == named or mart in reader.converted)
    if not is_known or not mart.startswith(PUBLISHED):
        known = ", ".join(name for name in reader.marts if name.startswith(PUBLISHED))
        raise Refusal(400, f"{begin}mart must be one of {known}")
    column = _known_expression(reader, mart, f"{begin}column", _one(begin, "column", words))
    rows = slice_of(reader, mart, project_id)
    for name, texts in words.items():
        if name not in ("mart", "column", "but", "but-first", "but-by", "but-model"):
            rows = rows.where(name, _values(reader, mart, begin, name, texts))
    return Figure(None, column, rows, *_but(reader, mart, begin, words))


def _one(begin: str, name: str, words: Mapping[str, list[str]]) -> str:
    found = words.get(name, [])
    if len(found) != 1 or not found[0]:
        raise Refusal(400, f"{begin}{name} must be given once, as the figure on the page has it")
    return found[0]


def _known_expression(reader: Reader, mart: str, name: str, column: str) -> str:
    known = {each.name for each in reader.marts[mart].columns}
    found = expression(column)
    if found is None or not known.issuperset(found.columns):
        raise Refusal(
            400, f"{name} must be one of {_FUNCTIONS} over columns of {mart}: " + ", ".join(sorted(known))
        )
    if found.function != "count" and not _is_number(reader, mart, found.column):
        raise Refusal(400, f"{name} must be of a column with numbers")
    return column


def _is_number(reader: Reader, mart: str, column: str) -> bool:
    (of,) = (each for each in reader.marts[mart].columns if each.name == column)
    return of.data_type.partition("(")[0] in ("BIGINT", "DECIMAL", "DOUBLE", "INTEGER", "HUGEINT")


def _values(reader: Reader, mart: str, begin: str, name: str, texts: list[str]) -> object:
    """What a condition compares with; one value, or several as a tuple."""
    column, how = _condition(reader, mart, f"{begin}{name}", name)
    if how == "is":
        if texts not in (["null"], ["set"]):
            raise Refusal(400, f"{begin}{name} must be null or set")
        return texts[0]
    if how in ("contains", "search") and column.data_type != "VARCHAR":
        raise Refusal(400, f"{begin}{name} must be of a column with texts")
    if len(texts) > (1 if how in ("from", "to") else MAX_VALUES):
        raise Refusal(400, f"{begin}{name} has too many values")
    values = tuple(column_value(f"{begin}{name}", column, text) for text in texts)
    return values[0] if len(values) == 1 else values


def _condition(reader: Reader, mart: str, parameter: str, name: str) -> tuple[Column, str]:
    """The column that a condition is about, behind the marts that lead to it, and how it compares."""
    of, rest = mart, name
    for _ in range(_MAX_DEPTH):
        first, dot, following = rest.partition(".")
        if not dot or first not in REACHED_BY or first not in reader.marts:
            break
        key = REACHED_BY[first]
        if key not in {each.name for each in reader.marts[of].columns}:
            break
        of, rest = first, following
    column, dot, how = rest.partition(".")
    found = next((each for each in reader.marts[of].columns if each.name == column), None)
    if found is None or column == "project_id" or bool(dot) is (how not in _OPERATORS):
        known = ", ".join(each.name for each in reader.marts[of].columns if each.name != "project_id")
        raise Refusal(
            400,
            f"Unknown parameter {_shown(parameter)}; a figure of {of} is filtered by its columns, or by one "
            f"with .from, .to, .is, .not, .contains or .search: {known}",
        )
    return found, how


def _shown(parameter: str) -> str:
    text = parameter[:80]
    return text if text.isprintable() else ascii(text)


def _but(
    reader: Reader, mart: str, begin: str, words: Mapping[str, list[str]]
) -> tuple[str, Figure | None, Behind | None]:
    if not any(name == "but" or name.startswith("but-") for name in words):
        return "", None, None
    columns = _one(begin, "but", words)
    known = {each.name for each in reader.marts[mart].columns} - {"project_id"}
    if not known.issuperset(columns.split(",")):
        raise Refusal(400, f"{begin}but must be columns of {mart}: " + ", ".join(sorted(known)))
    first = _one(begin, "but-first", words)
    if not (first.isascii() and first.isdigit() and 1 <= int(first[:9]) <= MAX_FIRST):
        raise Refusal(400, f"{begin}but-first must be a whole number from 1 to {MAX_FIRST}")
    sums = words.get("but-by", [])
    if not 1 <= len(sums) <= len(known):
        raise Refusal(400, f"{begin}but-by must say what the values are sorted by")
    for each in sums:
        _known_expression(reader, mart, f"{begin}but-by", each)
    model = words.get("but-model", [""])[0]
    if model and "model" not in known:
        raise Refusal(400, f"{begin}but-model needs a mart with models")
    return columns, None, Behind(int(first[:9]), tuple(sums), model)
