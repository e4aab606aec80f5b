"""The native reports over HTTP: figures, filters, pages, older builds, ETags, compression, bounds."""

import csv
import gzip
import io
import threading
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from example_marts import EXAMPLE_ROWS, FACTS, ReadServer, publish_rows, read_server
from example_story import ADA, CONVERSION

from funnelhouse.settings import Settings
from read_api.parameters import Days
from read_api.places import BusyError
from read_api.publications import Publications
from read_api.query_limits import QueryLimitError
from read_api.reader import Reader
from read_api.reports import campaigns, conversion, people
from read_api.reports import goals as goal_report

REPORTS = "/v1/projects/shop/reports"
TABLES = [
    "conversions",
    "sources",
    "campaigns",
    "landing-pages",
    "pages",
    "goals",
    "funnels",
    "channel-importance",
    "paths",
    "time-to-convert",
    "experiments",
    "cohorts",
    "costs",
    "data-trust",
    "attribution",
]


def body(server: ReadServer, report: str, **parameters: Any) -> Any:
    answer = server.get(f"{REPORTS}/{report}", **parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def rows(server: ReadServer, report: str, *columns: str, **parameters: Any) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in columns) for row in body(server, report, **parameters)["rows"]]


def refused(server: ReadServer, report: str, status: int = 400, **parameters: Any) -> str:
    answer = server.get(f"{REPORTS}/{report}", **parameters)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["detail"])


def test_the_summary_adds_up(server: ReadServer) -> None:
    found = body(server, "summary", **{"from": "2026-11-02", "to": "2026-11-02"})
    assert [(row["currency"], row["sessions"], row["conversions"]) for row in found["currencies"]] == [
        ("EUR", 0, 1),
        ("USD", 6, 2),
    ]
    assert {row["day"] for row in found["days"]} == {"2026-11-02"}
    assert (found["time_zone"], found["reporting_currency"]) == ("Pacific/Kiritimati", "USD")
    spain = body(server, "summary", country="es", currency="usd")
    assert [(row["sessions"], row["net_amount_minor"]) for row in spain["currencies"]] == [(3, 3999)]
    assert spain["ledger"] == []
    # Refunds without a sale are taken off the total, but where a country would have to be known of them.
    for country in ({}, {"country": "es"}):
        whole = body(server, "summary", **country)
        ledger = dict.fromkeys({row["currency"] for row in whole["currencies"]}, 0)
        for row in whole["ledger"]:
            if row["is_unmatched"]:
                ledger[row["currency"]] += row["amount_minor"]
        for row in whole["currencies"]:
            assert row["refunds_without_sale_minor"] == ledger[row["currency"]]
            assert row["net_revenue_minor"] == row["net_amount_minor"] + ledger[row["currency"]]
        assert any(ledger.values()) == (not country)


@pytest.mark.parametrize(
    ("as_of", "recognised"),
    [
        ("2026-11-01", 0),
        ("2026-11-02", 4999),
        ("2026-11-02T10:00:00Z", 4999),
        ("2026-11-02T10:59:59+01:00", 0),
        ("2026-11-05", 3999),
        ("2026-11-05T08:59:59", 4999),
        ("", 3699),
    ],
)
def test_money_as_known_at_a_moment(server: ReadServer, as_of: str, recognised: int) -> None:
    assert sum(row["amount_minor"] for row in body(server, "summary", as_of=as_of)["ledger"]) == recognised
    explained = body(server, f"conversions/{CONVERSION}", as_of=as_of)
    of_conversion = 3999 if recognised == 3699 else recognised
    assert explained["recognised_minor"].get("USD", 0) == of_conversion
    if as_of:
        # The default model credits it to one source alone.
        known = rows(server, "sources", "value", "net_amount_minor", as_of=as_of, currency="USD")
        assert known == [("google", of_conversion), ("news", 0)]
        listed = rows(server, "conversions", "conversion_id", "net_amount_minor", as_of=as_of)
        assert listed == ([(CONVERSION, of_conversion)] if of_conversion else [])


def test_a_conversion_is_explained_whole(server: ReadServer) -> None:
    found = body(server, f"conversions/{CONVERSION}")
    assert [(row["event_id"], row["report_type"], row["payload"]) for row in found["reports"]] == [
        ("e-7", "report", '{"event_type":"conversion","revenue":49.990}'),
        ("e-9", "refund", '{"event_type":"refund"}'),
    ]
    assert found["conversion"]["matched_by"] == "visitor"
    assert found["visit"]["session_id"] == "shop/s2"
    assert [(row["id_value"], row["linked_by"]) for row in found["identifiers"]][:2] == [
        ("u1", "own"),
        ("b1", "identified"),
    ]
    assert [(row["reason"], row["amount_minor"]) for row in found["ledger"]] == [
        ("sale", 4999),
        ("refund", -1000),
    ]
    why = [(row["touch_id"] or row["session_id"], row["is_in"], row["reason"]) for row in found["touches"]]
    assert why == [
        ("shop/s4", False, "bot"),
        ("shop/s3", False, "direct"),
        ("shop/t2", True, "within_look_back"),
        ("shop/t1", False, "before_look_back"),
        ("shop/t6", True, "named_visit"),
        ("shop/t5", False, "after_conversion"),
    ]
    assert [(row["model"], row["touch_id"], row["credited_amount_minor"]) for row in found["credit"]] == [
        ("first_touch_lifetime", "shop/t6", 3999),
        ("last_touch", "shop/t2", 3999),
        ("linear", "shop/t2", 2666),
        ("linear", "shop/t6", 1333),
    ]
    assert refused(server, "conversions/other/x:1", 404).startswith("Unknown conversion_id")


def test_conversions_are_filtered_and_paged(server: ReadServer) -> None:
    def ids(**parameters: Any) -> list[str]:
        return [found[-3:] for (found,) in rows(server, "conversions", "conversion_id", **parameters)]

    everything = [f"{number:03d}" for number in reversed(range(25))]
    assert ids() == everything
    assert ids(state="rejected") == []
    assert ids(matched_by="visitor") == ["001"]
    assert len(ids(matched_by="none")) == 24
    assert ids(status="unknown") == ["002"]
    assert ids(name="+1") == ["022", "012", "002"]
    assert ids(**{"from": "2026-11-04", "limit": 2}) == ["023", "020"]
    paged, cursor = [], ""
    while cursor is not None:
        page = body(server, "conversions", limit=7, cursor=cursor)
        paged += [row["conversion_id"][-3:] for row in page["rows"]]
        cursor = page["next"]
    assert paged == everything


def test_people_are_found_by_any_identifier(server: ReadServer) -> None:
    for identifier in (ADA, "u1", "b1", "tablet"):
        found = body(server, f"people/{identifier}", limit=2)
        assert found["person"]["person_id"] == ADA
        assert found["also"] == (["shop/visitor:b2"] if identifier == "tablet" else [])
        assert [(row["kind"], row["id"]) for row in found["moments"]] == [
            ("refund", "3"),
            ("refund", "2"),
        ]
        # What is given back is below 0, and named as its sale, where there is one.
        assert [(row["name"], row["conversion_id"], row["amount_minor"]) for row in found["moments"]] == [
            (None, None, -300),
            ("=1+1", CONVERSION, -1000),
        ]
    everything = body(server, f"people/{ADA}")["moments"]
    assert {row["kind"] for row in everything} == {
        *("session", "touch", "conversion", "refund", "goal_completion"),
    }
    times = [datetime.fromisoformat(row["at"]) for row in everything]
    assert times == sorted(times, reverse=True)
    assert refused(server, "people/u1", 404, id_type="visitor") == "No person has this identifier."
    assert refused(server, "people/other/user:u1", 404)


ODD_IDS = [
    "ends/",
    "ends//",
    "/begins",
    "/",
    "http://shop.example/thanks/?order=1&x#top",
    "up/../and/./down/..",
    "two\nlines",
    "ends with a line\n",
    "100%2F",
    " a+b ",
    "größe/✓/",
]


def test_whatever_an_id_contains_it_can_be_read(home: Settings) -> None:
    conversions = [f"shop/openanalytics:{each}" for each in ODD_IDS]
    found_by = {each: f"shop/user:{each}" for each in ODD_IDS}
    facts = {"project_id": "shop", "conversion_date": date(2026, 11, 2), "occurred_at": datetime(2026, 11, 2)}
    publish_rows(
        home,
        {
            "dim_projects": EXAMPLE_ROWS["dim_projects"],
            "fct_conversions": [
                {**facts, "conversion_id": conversion_id, "person_id": "shop/user:u1"}
                for conversion_id in conversions
            ],
            "dim_people": [{"project_id": "shop", "person_id": each} for each in found_by.values()],
            "dim_identifiers": [
                {"project_id": "shop", "id_value": value, "person_id": person_id}
                for value, person_id in found_by.items()
            ],
        },
    )
    with read_server(home.home_dir) as server:
        for conversion_id in conversions:
            # Slashes may be sent as they are, but for a dot alone between two: that is a place to clients.
            for path in {quote(conversion_id, safe=""), quote(conversion_id).replace("/.", "%2F.")}:
                assert body(server, f"conversions/{path}")["conversion"]["conversion_id"] == conversion_id
        for identifier, person_id in found_by.items():
            assert body(server, f"people/{quote(identifier, safe='')}")["person"]["person_id"] == person_id
            assert body(server, f"people/{quote(person_id, safe='')}")["person"]["person_id"] == person_id
        refused(server, f"conversions/{quote('shop/openanalytics: a+b ')}/", 404)
        # Without an id it is the list.
        assert len(body(server, "conversions/")["rows"]) == len(ODD_IDS)
        assert server.get(f"{REPORTS}/people/").status_code == 404


def test_figures_of_the_other_reports(server: ReadServer) -> None:
    assert rows(server, "sources", "value", "sessions", dimension="device", country="FR") == [
        ("desktop", 3),
        ("desktop", 0),
        (None, 1),
    ]
    assert rows(server, "channel-importance", "source", "removal_effect", "shapley_value") == [
        ("google", 0.8, 0.6),
        ("news", 0.4, -0.1),
    ]
    campaign = body(server, "campaigns", source="google")["rows"][0]
    assert (campaign["cost_per_conversion_minor"], campaign["roas"], campaign["roi"]) == (625, 3.1992, 2.1992)
    assert rows(server, "campaigns", "cost_minor", "roas", source="news") == [(None, None)]
    assert rows(server, "funnels", "step_name", "entered", "completed", "dropped_off", "median_seconds") == [
        ("Visit", 6, 6, 0, None),
        ("Order", 6, 3, 3, None),
    ]
    by_source = rows(server, "funnels", "source", "completed", "median_seconds", breakdown="source")
    assert by_source == [("google", 5, 60), ("google", 2, 60), ("news", 1, 60), ("news", 1, 60)]
    assert rows(server, "experiments", "variant_id", "uplift") == [("a", None), ("b", 0.2)]
    assert rows(server, "data-trust", "measure") == [("unknown_status_words",), ("events",)]
    assert rows(server, "goals", "goal_id", "completions", country="es") == [
        ("cart", 9),
        ("buy", 0),
        ("lead", 0),
    ]


def test_campaigns_compare_cost_with_what_was_credited_in_its_currency(home: Settings) -> None:
    def row(campaign: str, day: int, currency: str, conversions: int, amount: int, cost: int | None) -> Any:
        return {
            "project_id": "shop",
            "report_date": date(2026, 11, day),
            "source": "ads",
            "medium": "cpc",
            "campaign": campaign,
            "currency": currency,
            "sessions": 0,
            "credit_nano": conversions * 10**9,
            "conversions": conversions,
            "net_amount_minor": amount,
            "cost_minor": cost,
        }

    campaigns_found = [
        row("abroad", 2, "EUR", 3, 2000, 900),
        row("abroad", 3, "USD", 1, 500, None),
        row("free", 2, "EUR", 1, 500, 0),
        # 2.5 each, and 0.00005 for each unit spent: halves.
        row("halves", 2, "EUR", 4000, 1, 10_000),
        row("halves", 3, "EUR", 4000, 0, 10_000),
        # Sessions alone stand in the project's own currency, and are no money.
        row("seen", 2, "EUR", 0, 0, 100),
        row("seen", 2, "USD", 0, 0, None),
    ]
    publish_rows(home, {"rpt_campaigns": campaigns_found})
    with Publications(home.published_dir).current() as reader:

        def ratios(**filters: Any) -> dict[tuple[str | None, str], tuple[Any, ...]]:
            found = campaigns.campaigns(reader, "shop", campaigns.Filters(**filters))
            return {
                (each.campaign, each.currency): (
                    each.cost_per_conversion_minor,
                    *(None if ratio is None else str(ratio) for ratio in (each.roas, each.roi)),
                )
                for each in found
            }

        over_both_days = {
            ("abroad", "EUR"): (None, None, None),
            ("abroad", "USD"): (None, None, None),
            ("free", "EUR"): (0, None, None),
            ("halves", "EUR"): (3, "0.0001", "-0.9999"),
            ("seen", "EUR"): (None, "0.0000", "-1.0000"),
            ("seen", "USD"): (None, None, None),
        }
        assert ratios() == over_both_days
        # A currency that is not shown counts all the same.
        euros = {key: value for key, value in over_both_days.items() if key[1] == "EUR"}
        assert ratios(currency="EUR") == euros
        first_day = Days(date(2026, 11, 2), date(2026, 11, 2))
        assert ratios(days=first_day)["abroad", "EUR"] == (300, "2.2222", "1.2222")


@pytest.mark.parametrize(
    ("rule", "counts"),
    [
        ({"match_type": "event_type", "match_value": "pageview"}, (10, 9)),
        ({"match_type": "event_name", "match_value": "signup"}, (7, 7)),
        ({"match_type": "any_conversion"}, (2, 1)),
        ({"match_type": "url_path", "match_value": "/shop"}, (3, 3)),
        ({"match_type": "url_path", "match_value": "/s%68op/"}, (3, 3)),
        ({"match_type": "url_path", "match_value": "/shop", "match_operator": "prefix"}, (8, 7)),
        ({"match_type": "url_path", "match_value": "/shop/", "match_operator": "prefix"}, (8, 7)),
        ({"match_type": "url_path", "match_value": "/shop/s", "match_operator": "prefix"}, (5, 4)),
        ({"match_type": "url_path", "match_value": "/shop/*/", "match_operator": "wildcard"}, (5, 4)),
        ({"match_type": "url_path", "match_value": "/*shoes", "match_operator": "wildcard"}, (5, 4)),
        ({"match_type": "url_path", "match_value": "/50%_*!", "match_operator": "wildcard"}, (2, 2)),
        ({"match_type": "url_path", "match_value": "%", "match_operator": "wildcard"}, (0, 0)),
        ({"match_type": "url_path", "match_value": "/shop", "to": "2026-11-01"}, (0, 0)),
    ],
)
def test_a_goal_is_previewed(server: ReadServer, rule: dict[str, str], counts: tuple[int, int]) -> None:
    found = body(server, "goals/preview", **rule)
    assert (found["events"], found["completions"]) == counts
    assert sum(day["events"] for day in found["days"]) == counts[0]


@pytest.mark.parametrize(
    ("report", "parameters", "detail"),
    [
        ("goals/preview", {}, "match_type must be one of event_name"),
        ("goals/preview", {"match_type": "url_path"}, "match_value must be given"),
        ("sources", {"dimension": "browser"}, "dimension must be one of source, medium"),
        ("sources", {"as_of": "2026-11-31"}, "as_of must be a date as YYYY-MM-DD"),
        ("sources", {"as_of": "soon"}, "as_of must be a date as YYYY-MM-DD or a time as in ISO 8601"),
        ("sources", {"as_of": "2026-11-03", "dimension": "device"}, "as_of takes a dimension of source"),
        ("sources", {"country": "Spain"}, "country must be a two-letter ISO 3166-1 code"),
        ("sources", {"currency": "$"}, "currency must be a three-letter ISO 4217 code"),
        ("sources", {"sorce": "google"}, "Unknown parameter; this route takes as_of, build"),
        ("costs", {"build": "latest"}, "build must be the id of a build, as `builds` lists them"),
        ("costs", {"limit": "0"}, "limit must be a whole number from 1 to 10000"),
        (
            "costs",
            {"cursor": "20261122T024944136038Z.99999999999999999"},
            "cursor must be `next` of the page before",
        ),
        ("costs", {"format": "xlsx"}, "format must be one of json, csv"),
        ("summary", {"from": "2026-11-03", "to": "2026-11-02"}, "from must not be after to"),
        ("conversions", {"state": "open"}, "state must be one of approved, pending, rejected"),
        ("builds", {"x": "1"}, "Unknown parameter; this route takes none"),
    ],
)
def test_bad_values_say_what_would_be_valid(
    server: ReadServer, report: str, parameters: dict[str, str], detail: str
) -> None:
    assert refused(server, report, **parameters).startswith(detail)


@pytest.mark.parametrize("report", TABLES)
def test_every_table_is_csv_too(server: ReadServer, report: str) -> None:
    found = body(server, report)["rows"]
    answer = server.get(f"{REPORTS}/{report}", format="csv")
    assert answer.headers["content-type"].startswith("text/csv")
    lines = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [list(line) for line in lines] == [list(row) for row in found]
    assert found
    if report == "conversions":
        names = [line["name"] for line in lines]
        assert {"'=1+1", "'+1", "'-1", "'@sum"} <= set(names)
        assert not any(name.startswith(("=", "+", "-", "@", "\t", "\r")) for name in names)
        page = server.get(f"{REPORTS}/{report}", format="csv", limit=5)
        assert page.headers["funnelhouse-next"] == body(server, report, limit=5)["next"]


@pytest.mark.long
def test_older_builds_are_read_while_they_are_kept(home: Settings) -> None:
    start = datetime.now(UTC)
    first = publish_rows(home, EXAMPLE_ROWS, start)
    second = publish_rows(home, {}, start + timedelta(seconds=1))
    with read_server(home.home_dir) as server:
        assert body(server, "costs")["rows"] == []
        old = server.get(f"{REPORTS}/costs", build=first.build_id)
        assert len(old.json()["rows"]) == 1
        assert old.headers["funnelhouse-build"] == first.build_id
        builds = body(server, "builds")["builds"]
        assert [(each["build"], each["is_current"]) for each in builds] == [
            (second.build_id, True),
            (first.build_id, False),
        ]
        for seconds in (2, 3):
            publish_rows(home, {}, start + timedelta(seconds=seconds))
        assert refused(server, "costs", 410, build=first.build_id)
        assert refused(server, "costs", 410, build="20200101T000000000000Z")


def test_a_build_says_nothing_that_is_counted_over_all_projects(server: ReadServer) -> None:
    [build] = body(server, "builds")["builds"]
    shown = ("started_at", "run_id", "attribution_models", "seconds", "checks_passed")
    check = {name: FACTS["checks"][0][name] for name in ("of", "name", "severity", "passed")}
    code = {name: FACTS["code"][name] for name in FACTS["code"] if name not in ("id", "is_tested")}
    expected = {**{name: FACTS[name] for name in shown}, "code": code, "checks": [check]}
    assert build["facts"] == expected
    # Its file counts the events of all projects, by themselves and in what a check found.
    assert "31337" not in server.get(f"{REPORTS}/builds").text


def test_an_etag_is_of_all_that_an_answer_follows_from(home: Settings) -> None:
    start = datetime.now(UTC)
    publish_rows(home, EXAMPLE_ROWS, start)
    paths = [
        f"{REPORTS}/costs",
        f"{REPORTS}/builds",
        "/v1/projects/shop/marts/fct_costs",
        "/v1/projects/shop/marts",
    ]
    paths += ["/v1/funnel?account_id=shop&report_type=Source&date_range=today"]
    with read_server(home.home_dir) as server:
        tags = {path: server.client.get(path).headers["etag"] for path in paths}
        assert len(set(tags.values())) == len(paths)
        for path, tag in tags.items():
            same = server.client.get(path, headers={"If-None-Match": f'"x", {tag}'})
            assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
            assert "content-type" not in same.headers
            assert server.client.get(path, headers={"If-None-Match": '"x"'}).status_code == 200
        other = server.get(f"{REPORTS}/costs", source="google").headers["etag"]
        assert other != tags[f"{REPORTS}/costs"]
        publish_rows(home, {}, start + timedelta(seconds=1))
        for path, tag in tags.items():
            assert server.client.get(path, headers={"If-None-Match": tag}).status_code == 200
        # A key that opens nothing learns nothing.
        lost = httpx.get(f"{server.client.base_url}{paths[0]}", headers={"If-None-Match": other})
        assert lost.status_code == 401


def test_what_is_long_comes_compressed(server: ReadServer) -> None:
    def raw(path: str, encoding: str) -> tuple[httpx.Headers, bytes]:
        with server.client.stream("GET", path, headers={"Accept-Encoding": encoding}) as answer:
            assert answer.status_code == 200
            return answer.headers, b"".join(answer.iter_raw())

    for path in (f"{REPORTS}/conversions", "/v1/projects/shop/marts/fct_conversions?format=csv"):
        plain_headers, plain = raw(path, "identity")
        headers, packed = raw(path, "deflate, gzip;q=0.8")
        assert "content-encoding" not in plain_headers
        assert headers["content-encoding"] == "gzip"
        assert "Accept-Encoding" in headers["vary"]
        assert gzip.decompress(packed) == plain
        assert len(packed) < len(plain) / 3
        assert "content-encoding" not in raw(path, "gzip;q=0, br")[0]
    assert "content-encoding" not in raw("/v1/projects/shop/marts/fct_conversions?format=parquet", "gzip")[0]
    assert "content-encoding" not in raw("/read/ready", "gzip")[0]


def given_up(reader: Reader, slow: str) -> None:
    with pytest.raises(QueryLimitError):
        reader.rows(slow, [1])


def test_more_queries_than_may_run_wait_and_are_turned_away(home: Settings) -> None:
    publish_rows(home, {})
    publications = Publications(home.published_dir, queries=1, wait_seconds=0.2)
    slow = "select sum(a.range * b.range) from range(1000000) a, range(1000000) b where a.range % 7 = ?"
    with publications.current() as first, publications.current() as second:
        running = threading.Thread(target=given_up, args=(first, slow))
        running.start()
        time.sleep(0.3)
        with pytest.raises(BusyError):
            second.rows("select 1", [])
        first._cursor.interrupt()
        running.join(20)
        assert second.rows("select 1", []) == [(1,)]


@pytest.mark.long
def test_older_builds_do_not_crowd_out_the_current_one(home: Settings) -> None:
    start = datetime.now(UTC)
    old = [publish_rows(home, {}, start + timedelta(seconds=number)) for number in range(3)]
    publications = Publications(home.published_dir, open_builds=2)
    with publications.build(old[0].build_id), publications.build(old[1].build_id):
        newest = publish_rows(home, {}, start + timedelta(seconds=9))
        with publications.current() as reader:
            assert reader.build_id == newest.build_id
        with pytest.raises(BusyError):
            publications.build(old[2].build_id)


def test_a_build_without_look_ups_reads_the_same(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_rows(home, EXAMPLE_ROWS)
    publications = Publications(home.published_dir)

    def read() -> list[Any]:
        with publications.current() as reader:
            found = people.find_people(reader, "shop", "b1")
            return [
                found,
                [people.person(reader, "shop", each) for each in found],
                [people.identifiers(reader, "shop", each) for each in found],
                [people.timeline(reader, "shop", each) for each in found],
                conversion.explain(reader, "shop", CONVERSION),
                people.find_people(reader, "shop", "nobody"),
                people.find_people(reader, "other", "b1"),
                conversion.explain(reader, "other", CONVERSION),
            ]

    looked_up = read()
    assert ADA in looked_up[0]
    assert looked_up[-3:] == [[], [], None]
    # As builds of earlier versions are.
    publications = Publications(home.published_dir)
    monkeypatch.setattr("read_api.opened_build._tables", lambda _connection, _schema: frozenset())
    assert read() == looked_up
    # Keys that everybody shares pick too many rows, never wrong ones.
    publications = Publications(home.published_dir)
    monkeypatch.undo()
    monkeypatch.setattr(
        "read_api.reports.conditions.lookup_key", lambda value: f"coalesce(key, length({value}))"
    )
    assert read() == looked_up


def test_queries_are_plain_functions(home: Settings) -> None:
    publish_rows(home, EXAMPLE_ROWS)
    with Publications(home.published_dir).current() as reader:
        days = goal_report.preview(
            reader, "shop", goal_report.Rule("any_conversion"), Days(last=date(2026, 12, 1))
        )
        assert days == [goal_report.DayCount(date(2026, 11, 2), 2, 1)]


def test_channels_are_a_dimension_wherever_sources_are(server: ReadServer) -> None:
    for report in ("sources", "attribution"):
        by_channel = rows(server, report, "value", "conversions", dimension="channel")
        by_source = rows(server, report, "value", "conversions")
        assert {value for value, _ in by_channel} > {"Paid Search"}
        assert sum(number for _, number in by_channel) == pytest.approx(
            sum(number for _, number in by_source)
        )
    known = rows(server, "sources", "value", "net_amount_minor", dimension="channel", as_of="2026-12-31")
    assert {value for value, _ in known} > {"Paid Search"}
    steps = rows(server, "funnels", "channel", "source", "step_number", "completed", breakdown="channel")
    assert steps
    assert all(channel and source is None for channel, source, *_ in steps)
    assert "channel" in refused(server, "sources", dimension="sources")


def test_a_build_of_an_older_version_has_no_channels_and_says_so(home: Settings) -> None:
    marts = ("rpt_traffic", "rpt_attribution", "rpt_funnels")
    publish_rows(
        home, EXAMPLE_ROWS, sql=";".join(f"alter table {mart} drop column channel" for mart in marts)
    )
    with read_server(home.home_dir) as server:
        for report, choice in (
            ("sources", "dimension"),
            ("attribution", "dimension"),
            ("funnels", "breakdown"),
        ):
            assert refused(server, report, **{choice: "channel"}) == (
                "channel is not in this build yet; the next build has it"
            )
            assert rows(server, report, "source" if report == "funnels" else "value")
