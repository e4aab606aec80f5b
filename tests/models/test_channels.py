"""Channels shipped are GA4's default groups, by a plain reading of what Google publishes of them."""

import csv
import re
from pathlib import Path

import duckdb
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_api.definitions.channels import CATEGORIES, CHANNELS, MAX_RULES, MAX_VALUES
from orchestration.manifest import DBT_PROJECT

SEEDS = ("channel_rules", "source_categories", "referrers", "paid_mediums", "work_limits", "no_source_words")
MODELS = ("int_channel_rules", "int_channel_conditions", "int_origins", "int_channels")


def seed(name: str) -> list[dict[str, str]]:
    with (DBT_PROJECT / "seeds" / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


OF_REFERRERS = {
    row[name]: {"organic": "search", "social": "social"}[row["medium"]]
    for row in seed("referrers")
    for name in ("source", "host")
    if row["medium"] in ("organic", "social")
}
SITES = OF_REFERRERS | {row["source"]: row["category"] for row in seed("source_categories")}
PAID_HERE = {row["medium"] for row in seed("paid_mediums")}

PAID = re.compile(r"^(.*cp.*|ppc|retargeting|paid.*)$")
SHOPPING = re.compile(r"^(.*(([^a-df-z]|^)shop|shopping).*)$")
EMAIL = {"email", "e-mail", "e_mail", "e mail"}
SOCIAL = {"social", "social-network", "social-media", "sm", "social network", "social media"}


def as_published(source: str, medium: str, campaign: str | None) -> str:
    """The channel by GA4's table of traffic that is tagged by hand (answer 9756891), row by row."""
    name = (campaign or "").lower()
    site = SITES.get(source)
    is_paid, sells = bool(PAID.match(medium)), site == "shopping" or bool(SHOPPING.match(name))
    rows = [
        ("Direct", source == "(direct)" and medium in ("(none)", "(not set)")),
        ("Cross-network", "cross-network" in name),
        ("Paid Shopping", sells and is_paid),
        ("Paid Search", site == "search" and is_paid),
        ("Paid Social", site == "social" and is_paid),
        ("Paid Video", site == "video" and is_paid),
        ("Display", medium in {"display", "banner", "expandable", "interstitial", "cpm"}),
        ("Paid Other", is_paid),
        ("Organic Shopping", sells),
        ("Organic Social", site == "social" or medium in SOCIAL),
        ("Organic Video", site == "video" or "video" in medium),
        ("Organic Search", site == "search" or medium == "organic"),
        ("Referral", medium in {"referral", "app", "link"}),
        ("Email", source in EMAIL or medium in EMAIL),
        ("Affiliates", medium == "affiliate"),
        ("Audio", medium == "audio"),
        ("SMS", "sms" in (source, medium)),
        (
            "Mobile Push Notifications",
            medium.endswith("push") or "mobile" in medium or "notification" in medium or source == "firebase",
        ),
        ("Unassigned", True),
    ]
    return next(channel for channel, is_met in rows if is_met)


@pytest.fixture(scope="module")
def warehouse(compiled_models: Path) -> duckdb.DuckDBPyConnection:
    """A database in which the models are views over the origins that a test puts there."""
    described = yaml.safe_load((DBT_PROJECT / "seeds/_seeds.yml").read_text())["seeds"]
    types = {each["name"]: each["config"]["column_types"] for each in described if "config" in each}
    connection = duckdb.connect()
    connection.execute(
        """
        attach ':memory:' as warehouse;
        use warehouse.main;
        create table int_projects as select 'shop' as project_id;
        create table int_definitions (project_id varchar, kind varchar, body varchar, is_deleted boolean);
        create table int_traffic_sources (
            project_id varchar, source varchar, medium varchar, is_paid boolean
        );
        create table int_sessions (
            project_id varchar, source varchar, medium varchar, campaign varchar, click_id_type varchar
        );
        create table int_touches as from int_sessions;
        create table stg_raw__costs as select *, null::varchar as set_aside_reason from int_sessions;
        """
    )
    for name in SEEDS:
        columns = ", ".join(f"'{column}': '{kind}'" for column, kind in types[name].items())
        connection.execute(
            f"create table {name} as from read_csv('{DBT_PROJECT / f'seeds/{name}.csv'}', header = true, "
            f"columns = {{{columns}}})"
        )
    for name in MODELS:
        (model,) = (p for p in compiled_models.rglob(f"{name}.sql") if p.parent.suffix != ".yml")
        connection.execute(f"create view {name} as {model.read_text()}")
    return connection


Origin = tuple[str, str, str | None]


def told(warehouse: duckdb.DuckDBPyConnection, origins: list[Origin]) -> dict[Origin, str]:
    warehouse.execute("delete from int_sessions")
    warehouse.executemany("insert into int_sessions values ('shop', ?, ?, ?, null)", origins)
    rows = warehouse.execute("select source, medium, compared_campaign, channel from int_channels").fetchall()
    channels = {tuple(origin): channel for *origin, channel in rows}
    return {origin: channels[origin[0], origin[1], origin[2] and origin[2].lower()] for origin in origins}


SOURCES = (
    "(direct)|news|google|m.facebook.com|tiktok|youtube|amazon|find.example|sms|email|e_mail|firebase|bing.com"
    "|t.me|vimeo|ebay.de|shop.example|chatgpt"
)
MEDIUMS = (
    "(none)|(not set)|cpc|cpm|acp|ppc|xppc|retargeting|paid|paidsearch|unpaid|display|banner|interstitial"
    "|expandable|video|short-video|organic|app|referral|link|links|affiliate|affiliates|audio|sms|push|push-x"
    "|web push|mobile|my-mobile-x|notifications|print"
)
CAMPAIGNS = (
    "brand|Cross-Network spring|shop|My Shop|workshop|e-shop|eshop|fshop|SHOPPING|photoshop|9shop|bishop"
    "|éshop|x shoppers|window-shopping"
)
sources = st.sampled_from(SOURCES.split("|"))
mediums = st.sampled_from(sorted({*MEDIUMS.split("|"), *SOCIAL, *EMAIL}))
campaigns = st.none() | st.sampled_from(CAMPAIGNS.split("|"))


@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(sources, mediums, campaigns), min_size=30, max_size=300, unique=True))
def test_shipped_channels_are_the_published_ones(
    warehouse: duckdb.DuckDBPyConnection, origins: list[Origin]
) -> None:
    assert told(warehouse, origins) == {origin: as_published(*origin) for origin in origins}


@pytest.mark.parametrize(
    ("source", "medium", "campaign", "channel"),
    [
        ("(direct)", "(none)", None, "Direct"),
        ("google", "cpc", "cross-network-2", "Cross-network"),
        ("google shopping", "cpc", None, "Paid Shopping"),
        ("google", "cpc", "Summer shop", "Paid Shopping"),
        ("bing", "ppc", None, "Paid Search"),
        ("instagram", "paid_social", None, "Paid Social"),
        ("youtube", "cpc", None, "Paid Video"),
        ("partner.example", "banner", None, "Display"),
        ("partner.example", "cpa", None, "Paid Other"),
        ("etsy.com", "referral", None, "Organic Shopping"),
        ("facebook", "social", None, "Organic Social"),
        ("youtube", "video", None, "Organic Video"),
        ("duckduckgo", "organic", None, "Organic Search"),
        ("blog.example", "referral", None, "Referral"),
        ("webmail", "email", None, "Email"),
        ("club", "affiliate", None, "Affiliates"),
        ("podcast", "audio", None, "Audio"),
        ("crm", "sms", None, "SMS"),
        ("crm", "web-push", None, "Mobile Push Notifications"),
        ("crm", "flyer", None, "Unassigned"),
    ],
)
def test_examples_of_each_channel(
    warehouse: duckdb.DuckDBPyConnection, source: str, medium: str, campaign: str | None, channel: str
) -> None:
    assert told(warehouse, [(source, medium, campaign)]) == {(source, medium, campaign): channel}


def test_what_is_paid_for_here_is_in_no_organic_channel(warehouse: duckdb.DuckDBPyConnection) -> None:
    beyond = sorted(medium for medium in PAID_HERE if not PAID.match(medium))
    assert beyond == ["banner", "display", "native", "remarketing", "sponsored"]
    origins: list[Origin] = [(source, "native", None) for source in ("google", "facebook", "taboola")]
    assert [*told(warehouse, origins).values()] == ["Paid Search", "Paid Social", "Paid Other"]
    warehouse.execute("insert into int_traffic_sources values ('shop', 'google', 'ads', true)")
    assert [*told(warehouse, [("google", "ads", None)]).values()] == ["Paid Search"]


def test_rules_are_read_as_the_api_takes_them() -> None:
    variables = yaml.safe_load((DBT_PROJECT / "dbt_project.yml").read_text())["vars"]
    assert variables["channel_rules_at_most"] == MAX_RULES
    assert variables["channel_values_at_most"] == MAX_VALUES
    assert {row["category"] for row in seed("source_categories")} == CATEGORIES
    shipped = seed("channel_rules")
    listed = [row[f"{text}_values"] for row in shipped for text in ("source", "medium", "campaign")]
    assert sum(len(values.split("|")) for values in listed if values) < MAX_VALUES / 10
    assert CHANNELS.shape.model_validate(CHANNELS.example)
