"""Hosts are told by whole labels, as a plain reading of the seeds tells them; look-alikes are strangers."""

import csv
from pathlib import Path

import duckdb
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest_api.dialects import openanalytics, superfunnel
from orchestration.manifest import DBT_PROJECT
from record.click_id_types import CLICK_ID_TYPES

MODELS = ("int_host_domains", "int_hosts")
APP = "android-app://"


def seed(name: str) -> list[dict[str, str]]:
    with (DBT_PROJECT / "seeds" / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


REFERRERS = {row["host"]: row for row in seed("referrers")}
PASSING = {row["host"] for row in seed("passing_hosts")}
SUFFIXES: dict[str, list[dict[str, str]]] = {}
for row in seed("public_suffixes"):
    SUFFIXES.setdefault(row["domain"], []).append(row)
KNOWN = sorted(host for host in (*REFERRERS, *PASSING) if not host.startswith(APP))


@pytest.fixture(scope="module")
def warehouse(compiled_models: Path) -> duckdb.DuckDBPyConnection:
    """A database in which the models are views over the addresses that a test puts there."""
    described = yaml.safe_load((DBT_PROJECT / "seeds/_seeds.yml").read_text())["seeds"]
    types = {seed["name"]: seed["config"]["column_types"] for seed in described if "config" in seed}
    connection = duckdb.connect()
    connection.execute(
        "attach ':memory:' as warehouse; use warehouse.main;"
        "create table int_events (seq bigint, kind varchar, url varchar, referrer varchar)"
    )
    for name in ("public_suffixes", "referrers", "passing_hosts"):
        columns = ", ".join(f"'{column}': '{kind}'" for column, kind in types[name].items())
        connection.execute(
            f"create table {name} as from read_csv('{DBT_PROJECT / f'seeds/{name}.csv'}', header = true, "
            f"columns = {{{columns}}})"
        )
    for name in MODELS:
        (model,) = (p for p in compiled_models.rglob(f"{name}.sql") if p.parent.suffix != ".yml")
        connection.execute(f"create view {name} as {model.read_text()}")
    return connection


def told(warehouse: duckdb.DuckDBPyConnection, addresses: list[str]) -> dict[str, tuple[str, ...]]:
    """Site, source, medium and whether it is passing, by host."""
    warehouse.execute("delete from int_events")
    warehouse.execute("insert into int_events select 1, 'visit', null, unnest(?::varchar[])", [addresses])
    rows = warehouse.execute("select host, site, source, medium, is_passing from int_hosts").fetchall()
    return {host: tuple(rest) for host, *rest in rows}


def read_plainly(host: str) -> tuple[str, str, str, bool]:
    """The same, domain by domain, for a host with at most as many labels as models look at."""
    labels = host.split(".")
    domains = [".".join(labels[start:]) for start in range(len(labels))]
    rules = [rule for domain in domains for rule in SUFFIXES.get(domain, [])]
    exceptions = [rule for rule in rules if rule["is_exception"] == "true"]
    suffix = max((int(rule["suffix_labels"]) for rule in exceptions or rules), default=1)
    site = ".".join(labels[-suffix - 1 :]) if suffix < len(labels) else host
    known = [
        row
        for row in (REFERRERS[domain] for domain in domains if domain in REFERRERS)
        if row["host"] == host or row["with_subdomains"] == "true"
    ]
    source, medium = (known[0]["source"], known[0]["medium"]) if known else (host, "referral")
    return site, source, medium, any(domain in PASSING for domain in domains)


labels = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=8).filter(
    lambda label: label not in {"www", "com", "co"} and not label[-1].isdigit()
)
listed = st.sampled_from(KNOWN)
below = st.builds(lambda label, host: f"{label}.{host}", labels, listed | st.sampled_from(sorted(SUFFIXES)))
look_alikes = st.builds(
    lambda host, label, way: (f"{label}{host}", f"{host}.{label}.example", f"{label}-{host}", host[1:])[way],
    listed,
    labels,
    st.integers(0, 3),
)
hosts = (listed | below | look_alikes | st.sampled_from(sorted(SUFFIXES))).filter(
    lambda host: host.count(".") < 8 and ".." not in host and not host.startswith((".", "www."))
)
spellings = st.sampled_from(
    (
        "https://{}/",
        "https://www.{}/a",
        "//{}",
        "http://{}.:80?x",
        "https://a:b@c@{}#x",
        "HTTPS://{}/?u=//t.co/",
    )
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(hosts, spellings), min_size=1, max_size=20, unique_by=lambda drawn: drawn[0]))
@example([("notpaypal.com", "https://{}/"), ("paypal.com.evil.example", "https://{}/")])
@example([("google.abc.com", "https://{}/"), ("a.b.city.kawasaki.jp", "//{}"), ("a.b.kawasaki.jp", "//{}")])
def test_hosts_are_told_as_a_plain_reading_tells_them(
    warehouse: duckdb.DuckDBPyConnection, drawn: list[tuple[str, str]]
) -> None:
    expected = {host: read_plainly(host) for host, _ in drawn}
    assert told(warehouse, [spelling.format(host.upper()) for host, spelling in drawn]) == expected


def test_what_looks_like_a_listed_host_is_a_stranger(warehouse: duckdb.DuckDBPyConnection) -> None:
    strangers = {
        stranger
        for host in KNOWN
        # Of a host below another one, what has its last labels is no stranger.
        if not any(host.endswith(f".{other}") for other in KNOWN)
        for stranger in (f"not{host}", f"{host}.evil.example", f"{host.replace('.', '-')}.example")
    }
    hosts = told(warehouse, [f"https://{stranger}/" for stranger in strangers])
    assert hosts.keys() == strangers
    assert {host for host, (_, source, _, passes) in hosts.items() if source != host or passes} == set()


def test_an_app_is_told_by_its_whole_name(warehouse: duckdb.DuckDBPyConnection) -> None:
    apps = {host.removeprefix(APP) for host in REFERRERS if host.startswith(APP)}
    told_apps = told(warehouse, [f"{APP}{app}/https/x.example" for app in apps])
    assert {host: (s, m) for host, (_, s, m, _) in told_apps.items()} == {
        APP + app: (REFERRERS[APP + app]["source"], REFERRERS[APP + app]["medium"]) for app in apps
    }
    # Names of apps begin where hosts end: neither is the other.
    others = [*(f"https://{app}/" for app in apps), f"{APP}com.example.facebook.com/", f"{APP}paypal.com"]
    assert {(s, m, passes) for _, s, m, passes in told(warehouse, others).values()} == {
        *((app, "referral", False) for app in apps),
        ("com.example.facebook.com", "referral", False),
        ("paypal.com", "referral", False),
    }


def test_many_hosts_of_many_labels_cost_a_few_rows_each(warehouse: duckdb.DuckDBPyConnection) -> None:
    told(warehouse, [f"https://{'a.' * 200}h{n}.example/" for n in range(2_000)])
    counts = warehouse.execute(
        "select count(distinct host), count(*), (select count(*) from int_hosts) from int_host_domains"
    ).fetchone()
    assert counts == (2_000, 2_000 * 9, 2_000)


def test_every_click_id_that_a_dialect_takes_is_known_to_the_models() -> None:
    known = {row["click_id_type"] for row in seed("click_id_types")}
    assert known == {*CLICK_ID_TYPES}
    assert known <= openanalytics.Report.__annotations__.keys()
    assert known >= {*superfunnel.CLICK_IDS}


def test_the_seeds_are_as_wide_as_promised() -> None:
    assert len({row["source"] for row in REFERRERS.values() if row["medium"] == "organic"}) >= 25
    assert len(PASSING) >= 40
    variables = yaml.safe_load((DBT_PROJECT / "dbt_project.yml").read_text())["vars"]
    # A site has one label more than its suffix.
    longest = max(int(rule["suffix_labels"]) for rules in SUFFIXES.values() for rule in rules) + 1
    listed = max(host.count(".") + 1 for host in KNOWN)
    assert max(longest, listed) <= variables["host_labels_at_most"]
