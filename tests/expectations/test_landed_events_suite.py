import json
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations.checking import SuiteResult, check, no_rows
from expectations.landed_events import HOUR_US, Checked, checked_now, landed_events
from orchestration.quarantine import NotInTheRecordError, quarantine_lines
from record.contract import DAY_US, Event, columns
from record.sealed_files import nested

NOON_US = 1_750_000_000_000_000 // DAY_US * DAY_US + DAY_US // 2
ARROW = {"VARCHAR": pa.string(), "BIGINT": pa.int64(), "BOOLEAN": pa.bool_()}
SCHEMA = pa.schema(
    [("seq", pa.int64()), *((column.name, ARROW[column.sql_type]) for column in columns(Event))]
)
VISIT = Event(
    event_id="e",
    project_id="shop",
    dialect="openanalytics",
    dialect_version="1",
    sender="browser",
    kind="visit",
    received_us=NOON_US,
    occurred_us=NOON_US - HOUR_US,
    payload="{}",
)
SALE = replace(
    VISIT, kind="conversion", sender="server", amount_text="12.50", amount_unit="major", currency="EUR"
)


def rows(*events, start=1):
    return [{"seq": seq, **asdict(event)} for seq, event in enumerate(events, start)]


def write(home: Path, table: pa.Table, name: str | None = None, day: str = "2025-06-15") -> Path:
    name = name or f"seq-1-{table.num_rows}"
    folder = home / "raw" / "events" / f"received_date={day}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / f"{name}.parquet")
    return folder / f"{name}.parquet"


def land(home: Path, events: list[dict], **where) -> None:
    write(home, pa.table({f.name: [e[f.name] for e in events] for f in SCHEMA}, schema=SCHEMA), **where)


def run(home: Path) -> SuiteResult:
    return check(landed_events(home / "raw"))


def failed(result: SuiteResult) -> dict[str, str]:
    return {o.name: o.severity for o in result.outcomes if not o.success}


@pytest.fixture
def home(tmp_path):
    land(tmp_path, [], name="seq-0-0", day="1970-01-01")
    return tmp_path


def test_nothing_landed_is_as_expected(home):
    result = run(home)
    assert [outcome for outcome in result.outcomes if not outcome.success] == []
    assert result.passed


def test_good_events_are_as_expected(home):
    refund = replace(SALE, kind="refund", amount_text="-0.10", amount_unit="minor", page_kind="offer")
    land(home, rows(VISIT, SALE))
    land(home, rows(refund, start=3), name="seq-3-3", day="2025-06-16")
    assert failed(run(home)) == {}


@pytest.mark.parametrize(
    ("bad", "expectation"),
    [
        *(
            ({column.name: None}, f"{column.name}_is_given")
            for column in columns(Event)
            if column.is_required
        ),
        *(
            ({column.name: "something else"}, f"{column.name}_is_a_known_one")
            for column in columns(Event)
            if column.choices
        ),
        ({"occurred_us": 1_750_000_000}, "occurred_us_lies_in_2000_to_2100"),
        ({"occurred_us": 1_750_000_000_000_000_000}, "occurred_us_lies_in_2000_to_2100"),
        ({"amount_text": "12,50"}, "amount_text_is_a_plain_decimal"),
        ({"amount_text": "1e3"}, "amount_text_is_a_plain_decimal"),
        ({"amount_text": ""}, "amount_text_is_a_plain_decimal"),
        ({"amount_unit": None}, "amount_text_has_its_unit"),
        ({"currency": "€"}, "currency_is_three_letters"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_row_that_says_what_none_may_is_a_warning_because_models_set_it_aside(home, bad, expectation):
    good, sale, last = rows(VISIT, SALE, VISIT)
    land(home, [good, sale | bad, last])
    result = run(home)
    assert failed(result)[expectation] == "warning"
    assert result.passed


@pytest.mark.parametrize(
    ("seq", "expectation"),
    [(None, "seq_is_given"), (1, "seq_is_dense_and_unique"), (7, "seq_is_dense_and_unique")],
)
def test_a_position_that_is_not_the_next_blocks(home, seq, expectation):
    good, sale, last = rows(VISIT, SALE, VISIT)
    land(home, [good, sale | {"seq": seq}, last])
    result = run(home)
    assert failed(result)[expectation] == "critical"
    assert not result.passed


def test_a_file_without_a_required_column_blocks(home):
    land(home, rows(VISIT, VISIT), name="seq-1-2")
    table = pa.table({"seq": [3], "project_id": ["shop"]})
    write(home, table, name="seq-3-3")
    assert failed(run(home))["every_file_has_the_required_columns"] == "critical"


def test_a_type_that_duckdb_would_widen_blocks(home):
    land(home, rows(VISIT), name="seq-1-1")
    table = pa.Table.from_pylist(rows(VISIT, start=2), schema=SCHEMA)
    narrow = table.set_column(0, "seq", pa.array([2], pa.int32()))
    file = write(home, narrow, name="seq-2-2")
    result = run(home)
    assert failed(result) == {"every_file_has_the_contract_s_types": "critical"}
    assert file.name in result.failures[0].observed


def test_an_optional_column_may_be_missing_in_older_files(home):
    older = pa.Table.from_pylist(rows(VISIT), schema=SCHEMA).drop_columns(["experiments"])
    write(home, older, name="seq-1-1")
    land(home, rows(VISIT, start=2), name="seq-2-2")
    assert failed(run(home)) == {}


@pytest.mark.parametrize("name", ["seq-1-2", "seq-1-4", "seq-2-4"])
def test_a_file_that_is_not_what_its_name_says_blocks(home, name):
    land(home, rows(VISIT, SALE, VISIT), name=name)
    assert failed(run(home)) == {"every_file_holds_the_range_that_it_is_named_for": "critical"}


def test_a_file_inside_another_s_range_is_ignored(home):
    land(home, rows(VISIT, SALE, VISIT), name="seq-1-3")
    land(home, rows(SALE, start=2), name="seq-2-2")
    assert failed(run(home)) == {}


def test_nested_names_only_what_lies_inside_another():
    files = [
        Path(f"seq-{name}.parquet") for name in ("0-0", "1-10", "1-4", "5-10", "11-12", "11-13", "14-14")
    ]
    assert [file.stem for file in nested(files)] == ["seq-1-4", "seq-5-10", "seq-11-12"]


@pytest.mark.parametrize("raw_folder", ["it's {here}", "$HOME"])
def test_any_folder_name_will_do(tmp_path, raw_folder):
    land(tmp_path / raw_folder, rows(VISIT))
    assert failed(run(tmp_path / raw_folder)) == {}


def test_a_time_ahead_of_its_arrival_warns_and_does_not_block(home):
    land(home, rows(replace(VISIT, occurred_us=NOON_US + 2 * DAY_US)))
    result = run(home)
    assert failed(result) == {"nothing_occurs_long_after_it_arrived": "warning"}
    assert result.passed
    assert "hours_ahead 48" in result.warnings[0].observed


def test_a_time_ahead_by_a_clock_that_was_as_wrong_at_sending_warns_nobody(home):
    ahead_us = NOON_US + 2 * DAY_US
    land(home, rows(replace(VISIT, occurred_us=ahead_us, sent_us=ahead_us + 1)))
    assert failed(run(home)) == {}


def days_of(events_a_day: list[int], lags: list[int]) -> list[dict]:
    """Events of consecutive days, and one more on the day after, which isn't over."""
    events = []
    for day, (count, lag) in enumerate(zip([*events_a_day, 1], [*lags, 0], strict=True)):
        received_us = NOON_US + day * DAY_US
        events += [replace(VISIT, received_us=received_us, occurred_us=received_us - lag * HOUR_US)] * count
    return rows(*events)


@pytest.mark.parametrize(
    ("counts", "lags", "expected"),
    [
        ([10, 12, 9, 11], [0, 0, 0, 0], {}),
        ([10, 12, 9, 2], [0, 0, 0, 0], {"volume_is_like_the_days_before": "warning"}),
        ([10, 12, 9, 40], [0, 0, 0, 0], {"volume_is_like_the_days_before": "warning"}),
        ([10, 12, 9, 11], [0, 1, 0, 5], {"arrival_lag_is_like_the_days_before": "warning"}),
        ([10, 2], [0, 9], {}),
    ],
    ids=["steady", "fewer", "more", "later", "no baseline"],
)
def test_drift_warns_and_does_not_block(home, counts, lags, expected):
    land(home, days_of(counts, lags))
    result = run(home)
    assert failed(result) == expected
    assert result.passed


def bad_in_what_was_checked(home):
    """Two good rows that were checked, one of which became bad since, and what was kept of the check."""
    land(home, rows(VISIT, SALE), name="seq-1-2")
    checked = through_json(checked_now(home / "raw"))
    land(home, rows(VISIT, replace(SALE, amount_text="1e3")), name="seq-1-2")
    return checked


def through_json(checked):
    return Checked.from_json(json.loads(json.dumps(asdict(checked))))


def test_only_what_is_new_since_the_last_publication_is_looked_at(home):
    checked = bad_in_what_was_checked(home)
    assert failed(check(landed_events(home / "raw", checked=checked))) == {}
    land(home, rows(replace(SALE, currency="€"), start=3), name="seq-3-3")
    result = check(landed_events(home / "raw", checked=checked))
    assert failed(result) == {"currency_is_three_letters": "warning"}
    # Nothing new is nothing to find.
    assert failed(check(landed_events(home / "raw", checked=checked_now(home / "raw", None, checked)))) == {}


def test_without_a_publication_or_by_another_suite_everything_is_looked_at(home):
    checked = bad_in_what_was_checked(home)
    for before in (None, replace(checked, suite="another")):
        result = check(landed_events(home / "raw", checked=before))
        assert failed(result) == {"amount_text_is_a_plain_decimal": "warning"}


def test_a_gap_behind_what_was_checked_blocks(home):
    land(home, rows(VISIT, SALE), name="seq-1-2")
    checked = checked_now(home / "raw")
    land(home, rows(VISIT, start=4), name="seq-4-4")
    assert failed(check(landed_events(home / "raw", checked=checked))) == {
        "seq_is_dense_and_unique": "critical"
    }


def test_what_is_kept_of_a_check_is_the_same_in_one_step_or_many(home):
    days = days_of([10, 12, 9, 2], [0, 1, 0, 9])
    checked = None
    for start in range(0, len(days), 5):
        part = days[start : start + 5]
        land(home, part, name=f"seq-{part[0]['seq']}-{part[-1]['seq']}")
        checked = through_json(checked_now(home / "raw", None, checked))
    assert checked == checked_now(home / "raw")
    assert checked.to_seq == len(days)
    assert checked.newest_received_us == max(event["received_us"] for event in days)
    # And the newest day is compared with days that are not read again.
    land(home, rows(replace(VISIT, received_us=NOON_US + 5 * DAY_US), start=len(days) + 1), name="seq-35-35")
    assert failed(check(landed_events(home / "raw", checked=checked)))["volume_is_like_the_days_before"]


def test_a_quarantined_row_is_left_out_and_the_operator_is_told_which_it_is(home, tmp_path):
    land(home, rows(VISIT, replace(SALE, kind="sale"), VISIT))
    [warning] = run(home).warnings
    assert warning.observed == "1 of 3 unexpected, e.g. sale (seq 2)"
    seed = tmp_path / "quarantined_events.csv"
    header = "seq,received_us,reason\n"
    seed.write_text(header)
    checked = checked_now(home / "raw", seed)
    assert failed(check(landed_events(home / "raw", seed))) != {}
    seed.write_text(header + quarantine_lines(home / "raw", [2], 'no kind, "odd"'))
    assert failed(check(landed_events(home / "raw", seed))) == {}
    # What is let out again is looked at again.
    assert checked_now(home / "raw", seed).suite != checked.suite
    with pytest.raises(NotInTheRecordError, match="has seq 9"):
        quarantine_lines(home / "raw", [2, 9], "")


def test_an_expectation_that_raises_blocks(home):
    suite = landed_events(home / "raw")
    raising = no_rows("asks_for_nonsense", "critical", "events", "select no_such_column from {batch}")
    result = check(replace(suite, expectations=[*suite.expectations, raising]))
    assert failed(result) == {"asks_for_nonsense": "critical"}
    assert "could not run" in result.failures[0].observed
    assert "no_such_column" in result.failures[0].observed


def test_a_raising_warning_does_not_block(home):
    raising = no_rows("asks_for_nonsense", "warning", "events", "select no_such_column from {batch}")
    result = check(replace(landed_events(home / "raw"), expectations=[raising]))
    assert failed(result) == {"asks_for_nonsense": "warning"}
    assert result.passed


def test_a_file_that_is_no_parquet_blocks_every_expectation(home):
    (home / "raw/events/received_date=1970-01-01/seq-1-1.parquet").write_bytes(b"torn")
    result = run(home)
    assert len(failed(result)) == len(result.outcomes)
    assert not result.passed


def test_names_are_unique(home):
    names = [expectation.name for expectation in landed_events(home / "raw").expectations]
    assert len(names) == len(set(names))
