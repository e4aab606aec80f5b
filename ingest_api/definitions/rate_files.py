"""What bodies of exchange rates say: our JSON, CSV, and the files of the European Central Bank, unchanged.

CSV has the columns `date`, `from`, `to` and `rate` in any order, apart by commas, semicolons or tabs. The
ECB's CSV has a day per line and a column per currency, in units per euro; its XML has `Cube` elements; each
may come in a zip. All of it is read, or none: a fault is said with its line.
https://www.ecb.europa.eu/stats/policy_and_exchange_rates/euro_reference_exchange_rates/html/index.en.html
"""

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, PlainValidator, ValidationError, WithJsonSchema

from ingest_api.costs import Day, checked_day
from ingest_api.fields import MOST_FAULTS, errors
from ingest_api.native import OwnShape
from ingest_api.strict_json import BadInput, parse
from record.currencies import is_currency

MOST_RATES = 50_000
"""That are taken of one body."""
MOST_PAIRS = 1000
UNZIPPED_BYTES = 8 * 1024 * 1024

LEAST, MOST = Decimal("0.0000002"), Decimal(5_000_000)
"""Beyond these nothing is worth; amounts at such rates, and at their inverses, fit the models' integers."""
MOST_DECIMALS = 18

_RATE = re.compile(rf"[0-9]{{1,7}}(?:\.[0-9]{{1,{MOST_DECIMALS}}})?")
_COLUMNS = ("date", "from", "to", "rate")
_CUBE = re.compile(r"<(?:[A-Za-z]+:)?Cube\s([^<>]*)>")
_ATTRIBUTE = re.compile(r"([a-z]+)\s*=\s*[\"']([^\"']*)[\"']")
_IN_1999 = re.compile(r"1999-[0-9]{2}-[0-9]{2}")
_WRITTEN_DAY = re.compile(r"[0-9]{1,2} [A-Z][a-z]+ [0-9]{4}")
_NONE = ("", "N/A", "-")
"""What stands in the ECB's files where a currency has no rate."""

NO_COLUMNS = (
    "line 1: must name the columns date, from, to and rate, in any order; "
    "or be a file of the European Central Bank, with Date and a column per currency"
)
TOO_MANY = f"more than {MOST_RATES:,} rates; send fewer at once, or choose some with `currencies` and `since`"
NOTHING = "no rate of the chosen currencies and days is in it"


def checked_rate(value: Any) -> str:
    """A rate as plain decimal text. Raises ValueError."""
    text = value if isinstance(value, str) else str(value)
    if type(value) not in (str, int, float, Decimal) or not _RATE.fullmatch(text):
        if isinstance(value, str) and re.fullmatch(r"[0-9.]*,[0-9]+", text):
            raise ValueError("must have a decimal point, not a comma, and none between thousands")
        raise ValueError(
            f"must be a decimal such as 1.0843, with at most {MOST_DECIMALS} digits after the point"
        )
    if not LEAST <= Decimal(text) <= MOST:
        raise ValueError(f"must be between {LEAST:f} and {MOST:f}; the other way round it may fit")
    return text


def checked_currency(value: Any) -> str:
    """A code of ISO 4217, in upper case. Raises ValueError."""
    if isinstance(value, str) and is_currency(value.upper()):
        return value.upper()
    raise ValueError("must be a currency of ISO 4217, e.g. USD")


_Code = Annotated[
    str, PlainValidator(checked_currency), WithJsonSchema({"type": "string", "pattern": "^[A-Za-z]{3}$"})
]


class ExchangeRate(OwnShape):
    """What one unit of a currency is worth in another one on a day."""

    date: Annotated[Day, Field(description="First day on which it holds; the next rate of the pair ends it.")]
    from_: Annotated[_Code, Field(alias="from", description="Currency of which one unit is worth that.")]
    to: Annotated[_Code, Field(description="Currency in which that is said.")]
    rate: Annotated[
        str,
        PlainValidator(checked_rate),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number"}]}),
        Field(description=f"Decimal, from {LEAST:f} to {MOST:f}, as text or as a number."),
    ]


class ExchangeRates(OwnShape):
    """Exchange rates. Of a pair and day said before, either way round, the later statement holds."""

    rates: Annotated[
        list[ExchangeRate], Field(min_length=1, max_length=MOST_RATES, description="One per pair and day.")
    ]


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which rates are wanted; without `currencies` those of all."""

    currencies: frozenset[str] = frozenset()
    since: str = ""

    def takes(self, day: str, *codes: str) -> bool:
        """Whether a rate of these currencies on a day is wanted; the euro always is, to cross over."""
        return day >= self.since and (not self.currencies or {*codes} <= {*self.currencies, "EUR"})


@dataclass(slots=True)
class Rates:
    """What a body says: texts `2026-05-02 EUR USD 1.0843`, and how many were not wanted."""

    texts: list[str] = field(default_factory=list)
    pairs: dict[tuple[str, str], None] = field(default_factory=dict)
    left_out: int = 0
    faults: list[str] = field(default_factory=list)
    fault_count: int = 0
    _places: dict[tuple[str, ...], str] = field(default_factory=dict)

    def add(self, place: str, day: str, base: str, quote: str, rate: Any, name: str = "rate") -> None:
        """Note a rate, which the file calls `name`. Raises ValueError; BadInput where there are too many."""
        text = _named(name, checked_rate, rate)
        if base == quote:
            raise ValueError("must be of two currencies")
        of = (day, *sorted((base, quote)))
        if of in self._places:
            raise ValueError(f"same currencies and day as {self._places[of]}")
        self._places[of] = place
        if len(self.texts) == MOST_RATES:
            raise BadInput(TOO_MANY)
        self.texts.append(f"{day} {base} {quote} {text}")
        self.pairs[(base, quote)] = None

    def fault(self, place: str, error: ValueError) -> None:
        """Note what is wrong; a file may have a hundred thousand faults."""
        self.fault_count += 1
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(f"{place}: {error}")


def read_rates(body: bytes, chosen: Chosen) -> Rates:
    """The rates of a body, in whichever form. Raises BadInput with the place of each fault."""
    if body.startswith(b"PK"):
        body = _unzipped(body)
    rates = Rates()
    if body.lstrip()[:1] in (b"{", b"["):
        _read_json(body, chosen, rates)
    else:
        try:
            text = body.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise BadInput("must be UTF-8 text, or a zip of such a file") from None
        read = _read_xml if text.lstrip().startswith("<") else _read_csv
        read(text, chosen, rates)
    if rates.fault_count:
        rest = rates.fault_count - len(rates.faults)
        raise BadInput("; ".join([*rates.faults, *([f"and {rest} more"] if rest else [])]))
    if not rates.texts:
        raise BadInput(NOTHING)
    if len(rates.pairs) > MOST_PAIRS:
        raise BadInput(f"more than {MOST_PAIRS:,} pairs of currencies; send fewer at once")
    return rates


def _read_json(body: bytes, chosen: Chosen, rates: Rates) -> None:
    try:
        value = ExchangeRates.model_validate(parse(body)[0])
    except ValidationError as error:
        raise BadInput(errors(error)) from None
    for index, each in enumerate(value.rates):
        if not chosen.takes(each.date, each.from_, each.to):
            rates.left_out += 1
            continue
        place = f"rates.{index}"
        try:
            rates.add(place, each.date, each.from_, each.to, each.rate)
        except ValueError as error:
            if isinstance(error, BadInput):
                raise
            rates.fault(place, error)


def _read_csv(text: str, chosen: Chosen, rates: Rates) -> None:
    lines = _lines(text)
    _, header = next(lines, (1, []))
    names = [name.strip().lower() for name in header]
    while names and not names[-1]:
        # The ECB's lines end with a comma.
        names.pop()
    if sorted(names) == sorted(_COLUMNS):
        _read_rows(names, lines, chosen, rates)
    elif len(names) > 1 and names[0] == "date" and not {*names[1:]} & {*_COLUMNS}:
        _read_columns([name.upper() for name in names[1:]], lines, chosen, rates)
    else:
        raise BadInput(NO_COLUMNS)


def _read_rows(
    names: list[str], lines: Iterator[tuple[int, list[str]]], chosen: Chosen, rates: Rates
) -> None:
    places = {name: names.index(name) for name in _COLUMNS}
    for number, cells in lines:
        place = f"line {number}"
        try:
            if len(cells) != len(names):
                raise ValueError(
                    f"has {len(cells)} values for {len(names)} columns; a decimal comma must be a point"
                )
            day, base, quote, rate = (cells[places[name]].strip() for name in _COLUMNS)
            day = _named("date", checked_day, day)
            base, quote = _named("from", checked_currency, base), _named("to", checked_currency, quote)
            if chosen.takes(day, base, quote):
                rates.add(place, day, base, quote, rate)
            else:
                rates.left_out += 1
        except ValueError as error:
            if isinstance(error, BadInput):
                raise
            rates.fault(place, error)


def _read_columns(
    codes: list[str], lines: Iterator[tuple[int, list[str]]], chosen: Chosen, rates: Rates
) -> None:
    """The ECB's: units per euro. A currency that nobody chose need not be known."""
    wanted = [code for code in codes if not chosen.currencies or code in chosen.currencies]
    for code in wanted:
        try:
            checked_currency(code)
        except ValueError as error:
            raise BadInput(f"line 1: {code[:20]} {error}") from None
    if len({*codes}) != len(codes):
        raise BadInput("line 1: names a currency twice")
    places = [(code, codes.index(code) + 1) for code in wanted if code != "EUR"]
    for number, cells in lines:
        try:
            if len(cells) < len(codes) + 1 or any(cell.strip() for cell in cells[len(codes) + 1 :]):
                raise ValueError(
                    f"has {len(cells)} values for {len(codes) + 1} columns; a decimal comma must be a point"
                )
            day = _ecb_day(cells[0].strip())
            written = sum(cell.strip() not in _NONE for cell in cells[1:])
            if day is None or not chosen.takes(day):
                rates.left_out += written
                continue
            taken = 0
            for code, place in places:
                rate = cells[place].strip()
                if rate not in _NONE:
                    taken += 1
                    rates.add(f"line {number}", day, "EUR", code, rate, code)
            rates.left_out += written - taken
        except ValueError as error:
            if isinstance(error, BadInput):
                raise
            rates.fault(f"line {number}", error)


def _read_xml(text: str, chosen: Chosen, rates: Rates) -> None:
    """By pattern: a parser of XML would expand whatever a file declares."""
    day: str | None = ""
    number, at = 1, 0
    for found in _CUBE.finditer(text):
        number += text.count("\n", at, found.start())
        at = found.start()
        said = dict(_ATTRIBUTE.findall(found[1]))
        place = f"line {number}"
        try:
            if "time" in said:
                day = _ecb_day(said["time"])
            elif "currency" in said:
                code = said["currency"]
                if day == "":
                    raise ValueError("must stand below a Cube with its time")
                if day is None or not chosen.takes(day, code):
                    rates.left_out += 1
                    continue
                code = _named("currency", checked_currency, code)
                rates.add(place, day, "EUR", code, said.get("rate", ""))
        except ValueError as error:
            if isinstance(error, BadInput):
                raise
            rates.fault(place, error)


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Lines that are not empty, with their numbers, as cells. Raises BadInput."""
    first = text.lstrip().partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise BadInput(f"line {number}: cannot be read as CSV") from None
        if any(cell.strip() for cell in cells):
            yield number, cells


def _named(name: str, read: Callable[[Any], str], value: Any) -> str:
    """What is read. Raises ValueError that names what it is of."""
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _ecb_day(text: str) -> str | None:
    """A day, also as the ECB's file of one day writes it, `27 November 2026`. Raises ValueError.

    None in 1999, with which its history begins: no amount is of then.
    """
    if _IN_1999.fullmatch(text):
        return None
    if _WRITTEN_DAY.fullmatch(text):
        with suppress(ValueError):
            text = datetime.strptime(text, "%d %B %Y").date().isoformat()
    return _named("Date", checked_day, text)


def _unzipped(body: bytes) -> bytes:
    """The one file of a zip, of which never more than the limit is unpacked. Raises BadInput."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            files = [each for each in archive.infolist() if not each.is_dir()]
            if len(files) != 1:
                raise BadInput("the zip must hold one file")
            with archive.open(files[0]) as unpacked:
                found = unpacked.read(UNZIPPED_BYTES + 1)
    # What a damaged, encrypted or oddly packed one makes the library raise.
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise BadInput("the zip cannot be unpacked") from error
    if len(found) > UNZIPPED_BYTES:
        raise BadInput(f"the zip must have at most {UNZIPPED_BYTES} bytes once it is unpacked")
    return found
