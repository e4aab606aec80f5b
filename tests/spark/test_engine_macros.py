"""Each macro that engines say differently, on both engines, over values that go wrong."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from on_spark import differences, start_dbt
from spark_here import NEEDS_SPARK

from orchestration.manifest import DBT_EXECUTABLE, DBT_PROJECT

pytestmark = NEEDS_SPARK

ENGINES = DBT_PROJECT / "macros" / "engines"

BUILDS = {"begin_build", "is_incremental_build", "refuse_by_hand", "record"}
"""What builds are made of; parity of whole builds tries them."""

NUMBERS_OF_ITS_OWN = {"key_number"}
"""Each engine has its own: they are compared within one build only."""

TEXTS = [
    None,
    *(
        "",
        " ",
        "a",
        "A",
        "0",
        "00",
        "007",
        "7.00",
        "7.50",
        "-1",
        "+1",
        "1e3",
        "1E400",
        ".5",
        "5.",
        " 12 ",
        "12\n",
    ),
    *("99999999999999", "100000000000000", "99999999999999.999", "0.0000000000000000005", "9" * 40),
    *("true", "null", "NULL", "{}", "[]", "[1", '{"a":1}', '{"a":1,"a":2}', '{"a":01}', '"x"', "{} x"),
    *("ä", "é", "e\u0301", "Å", "\u212b", "ß", "ẞ", "İ", "I", "ΑΣ", "ΣΑΣ σς", "ǅ", "ﬁ", "Ⅷ", "٣"),
    *(
        "😀",
        "a😀b",
        "👩‍👩‍👧",
        "\U0010ffff",
        "\ufffd",
        "a\ufffdb",
        "\ufeffx",
        "x\u200b",
        "\u00a0x\u00a0",
        "\u2003",
        "\u3000a b\u3000",
    ),
    *("\x00", "a\x00b", "\x01", "\x1f", "\x7f", "\x85", "\u2028", "a\nb", "\n", "a\n", "\r\n", "\t a \t"),
    *(
        "'",
        "''",
        '"',
        "\\",
        "\\\\",
        "\\n",
        "\\1",
        "$",
        "$1",
        "%",
        "_",
        "(",
        "[",
        "*",
        "?",
        "#",
        "|",
        "a|b||c",
        "|",
    ),
    *(
        "%20",
        "%2",
        "%",
        "%%",
        "%zz",
        "%ff",
        "%C3%A4",
        "%c3%a4",
        "%C3",
        "%A4",
        "%ED%A0%80",
        "%F0%9F%98%80",
        "%EF%BF%BD",
    ),
    *(
        "%EF%BF%BD%ff",
        "%00",
        "a%00b",
        "%2F",
        "%2f",
        "%25",
        "%2525",
        "%3F",
        "%7F",
        "%C2%85",
        "%c2%85",
        "a+b",
        "%2B",
        "%5c",
        "%0A",
    ),
    *(
        "ä%20",
        "%C3ä",
        "😀%20",
        "/",
        "//",
        "/a/",
        "/a//",
        "/a%2",
        "/%41",
        "/ä",
        "/%E4",
        "/a*b",
        "*",
        "**",
        "/*",
        "/blog/*/x*",
    ),
    *(
        "https://www.Shop.example:443/a?utm_source=x&b=1&utm_source=y#f",
        "//user:p@HOST./",
        "http://",
        "mailto:a@b",
        "android-app://a.b",
    ),
    *(
        "https://a.b?utm_source=",
        "https://a.b/?utm_source=%ff",
        "https://a.b/?utm_source=%zz+1",
        "https://a.b/#?utm_source=1",
    ),
    *(
        "https://ΑΣ.example/x",
        "https://a.b/\n",
        "https://a.b\n",
        "www.",
        "www.www.a",
        "a.b:",
        "a?utm_a=1&b&utm_b",
        "?",
        "??",
        "a?b?c#d#e",
    ),
    *(
        "a b@c.d",
        "x" * 9,
        "ä" * 9,
        "😀" * 4,
        "aä😀ä",
        "UTC",
        "Europe/Berlin",
        "europe/berlin",
        "Mars/Base",
        "GMT+1",
        "Etc/GMT+1",
        "+01:00",
    ),
    *("2024-02-30", "0000-00-00", "SELECT 1; --", "1,2", "12.0", "12.", "12.00 ", "\u00a012.0"),
]

OBJECTS = [
    None,
    *(
        "{}",
        "[]",
        "[1,2]",
        "1",
        '"s"',
        "null",
        "true",
        '{"b":1}',
        '{"a":null}',
        '{"a":""}',
        '{"a":" x "}',
        '{"a":"1.50"}',
    ),
    *(
        '{"a":0}',
        '{"a":-0}',
        '{"a":-0.0}',
        '{"a":1.0}',
        '{"a":1.10}',
        '{"a":100.0}',
        '{"a":12345678.90}',
        '{"a":1e2}',
        '{"a":1E7}',
    ),
    *(
        '{"a":1e-5}',
        '{"a":1.5e-6}',
        '{"a":9.9e-7}',
        '{"a":1e20}',
        '{"a":1.5e20}',
        '{"a":1e21}',
        '{"a":1e25}',
        '{"a":-2.5e30}',
    ),
    *(
        '{"a":18446744073709551615}',
        '{"a":9223372036854775808}',
        '{"a":123456789012345678901234567890}',
        '{"a":0.1}',
    ),
    *(
        '{"a":0.001}',
        '{"a":0.0001}',
        '{"a":12345.0}',
        '{"a":"1.0E10"}',
        '{"a":true}',
        '{"a":{"z":1,"a":[1.5,"x"]}}',
        '{"a":[]}',
    ),
    *(
        '{"a":["x","y"]}',
        '{"a":[1,"1",null,true,{"b":"c"},[2]]}',
        '{"a":[null]}',
        '{"a":["a\\"b","ä","\\u0001","\\\\"]}',
        '{"a":"[x"}',
    ),
    *(
        '{"a":"\\u00e9\\/\\n\\t\\"\\\\"}',
        '{"a":"\\ud83d\\ude00"}',
        '{"a":"😀 ä"}',
        '{"a":1,"a":2}',
        '{"A":1}',
        '{"a.b":1,"a":2}',
    ),
    *(
        '{"a\'":1}',
        '{"a/b":1,"a~b":2}',
        '{"$":1}',
        '{"":1}',
        '{ "a" : 1 , "b" : [ 1 , 2 ] }',
        '{"c":1,"b":2,"a":3}',
    ),
]

TIMES = [
    *(
        None,
        0,
        1,
        -1,
        -999_999,
        -1_000_000,
        -1_000_001,
        946684800000000,
        4133980799999999,
        1711846799999999,
        1711846800000000,
    ),
    *(
        1729990799999999,
        1729990800000000,
        1729994400000000,
        2147483647999999,
        2147483648000000,
        -2208988800000000,
        -62135596800000000,
    ),
    *(-62198755200000000, 1710054000000000, 1730613600000000, 1325289600000000, 253402300799999999),
]

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
]

WHOLE = [None, 0, 1, 2, 3, 7, 999, 1000, 10**9, 10**12 + 1, 2**53 + 1, 10**18, 2**63 - 1]

MAJORS = [
    "0",
    "0.005",
    "0.004999999999999999",
    "-0.005",
    "1.005",
    "99999999999999.999",
    "-99999999999999.995",
    "0.5",
    "-0.5",
    "1.",
    ".5",
    "+2.675",
]

NODES = 50_000
"""With a factor of the first round, their numbers are beyond 32 bits."""

MODELS = {
    "of_texts": """
        select
            id,
            {{ sha256_hex('text') }} as sha256_hex,
            {{ order_id('text') }} as order_id,
            {{ begins_with('text', "'a'") }} as begins_with,
            {{ lower_case('text') }} as lower_case,
            {{ matches_pattern('text', "'(^|[.])[0-9]+$'") }} as matches_pattern,
            {{ part_matching('text', "'^[^0-9@]{1,40}$'", 0) }} as part_matching,
            {{ without('text', "'[\\\\p{P}\\\\p{S}\\\\p{Cc}\\\\p{Cf}]'") }} as without,
            {{ without_once('text', "'[.]?(:[0-9]*)?$'") }} as without_once,
            {{ composed('text') }} as composed,
            {{ letters_of('text') }} as letters_of,
            {{ normal_name('text') }} as normal_name,
            {{ one_space('text') }} as one_space,
            {{ joined_by_commas("text, 'x', text") }} as joined_by_commas,
            {{ trimmed('text') }} as trimmed,
            {{ letters_apart('text') }} as letters_apart,
            {{ text_bytes('text') }} as text_bytes,
            {% for bytes in [4, 5, 6, 7] %}
            {{ cut_to_bytes('text', bytes) }} as cut_to_bytes_{{ bytes }},
            {% endfor %}
            {{ decoded_path('text') }} as decoded_path,
            {{ normal_path('text') }} as normal_path,
            {{ url_decoded('text') }} as url_decoded,
            {{ url_host('text') }} as url_host,
            {{ url_path('text') }} as url_path,
            {{ url_parameter('text', "'utm_source'") }} as url_parameter,
            {{ cut_query('text') }} as cut_query,
            {{ decimal_of('text') }} as decimal_of,
            {{ is_json('text') }} as is_json,
            {{ json_array_of_parts('text') }} as json_array_of_parts,
            {{ json_quoted('text') }} as json_quoted,
            {{ is_time_zone('text') }} as is_time_zone,
            {{ wildcard_pieces('text') }} as wildcard_pieces
        from {{ values_of('texts') }}
    """,
    "of_rules": """
        with rules as (
            select id as rule_id, {{ rule_paths('text') }}
            from {{ values_of('texts') }}
            where contains(text, '*')
        ),
        worded as (
            select id as rule_id, {{ wildcard_texts('text') }}
            from {{ values_of('texts') }}
            where contains(text, '*')
        )
        select
            rules.*,
            worded.match_pieces as text_pieces,
            texts.id,
            {{ wildcard_picks('rules', 'texts.text') }} as wildcard_picks
        from rules
        inner join worded on rules.rule_id = worded.rule_id
        cross join {{ values_of('texts') }} as texts
    """,
    "of_objects": """
        select
            id,
            {% for key in ['a', 'A', 'a.b', 'a/b', 'a~b', '$', ''] %}
            {{ json_value('object', "'" ~ key ~ "'") }} as json_value_{{ loop.index }},
            {% endfor %}
            {{ json_first('object', "'a'") }} as json_first,
            {{ json_id('object', 'a') }} as json_id,
            {{ json_part('object', "'a'") }} as json_part,
            {{ json_text(json_part('object', "'a'")) }} as json_text,
            {{ json_item(json_part('object', "'a'"), 1) }} as json_item,
            {{ json_key_count('object') }} as json_key_count
        from {{ values_of('objects') }}
    """,
    "of_keys": "select id, {{ each_json_key('object', 2) }} as each_json_key from {{ values_of('objects') }}",
    "of_elements": """
        select id, cast(element as string) as json_elements
        from (
            select id, {{ json_elements('object', 'a') }} as element from {{ values_of('objects') }}
        ) as elements
    """,
    "of_element_texts": """
        select id, {{ json_texts(json_part('object', "'a'")) }} as json_texts
        from {{ values_of('objects') }}
        where {{ json_part('object', "'a'") }} like '[%'
    """,
    "of_numbers": """
        {{ config(alias=var('numbers_are', 'of_numbers')) }}
        select
            total.number as total,
            other.number as other,
            {{ quota('total.number', 'other.number', 1000000000) }} as quota,
            {{ quota_remainder('total.number', 'other.number', 1000000000) }} as quota_remainder,
            {{ share_half_even('total.number', 'other.number', 'greatest(other.number, 7)') }} 
                as share_half_even,
            {{ converted('total.number', 'other.number', 1000000007) }} as converted,
            {{ converted('-total.number', 'other.number', 2) }} as converted_below_0,
            {{ ratio('total.number', 'other.number') }} as ratio,
            {{ of_nano('total.number') }} as of_nano,
            {{ of_pico('total.number') }} as of_pico,
            cast({{ moment('total.number', 999999999999) }} as string) as moment,
            {{ whole_days('total.number') }} as whole_units,
            {{ whole_seconds('-total.number') }} as whole_units_below_0
        from {{ values_of('numbers') }} as total
        cross join {{ values_of('numbers') }} as other
        where other.number <= 1000000000
    """,
    "of_each_number": """
        select number, {{ each_number_below('number') }} as each_number_below
        from {{ values_of('numbers') }}
        where number < 1000 or number is null
    """,
    "of_amounts": """
        select
            text,
            {% for minor_per_major in [1, 100, 1000, 10000] %}
            {{ minor_units('text', minor_per_major) }} as minor_units_{{ loop.index }},
            {% endfor %}
            text as major
        from {{ values_of('amounts') }}
    """,
    "of_shares": """
        select
            texts.id,
            {{ is_sampled(sha256_hex('texts.text'), 'numbers.number * 10000', 100000000) }} as is_sampled
        from {{ values_of('texts') }} as texts
        cross join {{ values_of('numbers') }} as numbers
        where numbers.number < 1000
    """,
    "of_times": """
        select
            us,
            zone,
            {{ utc_timestamp('us') }} as utc_timestamp,
            {{ unix_us(utc_timestamp('us')) }} as unix_us,
            {{ project_date('us', 'zone') }} as project_date,
            {{ week_start(project_date('us', 'zone')) }} as week_start,
            {{ days_between("cast('2024-02-29' as date)", project_date('us', 'zone')) }} as days_between,
            case when us >= 0 then cast({{ utc_timestamp('us') }} as string) end as as_text
        from {{ values_of('times') }}
    """,
    "of_groups": """
        with grouped as {{ materialized() }} (
            select {{ text_bytes('text') }} as bytes, text, id from {{ values_of('texts') }}
        )
        select
            bytes,
            {{ joined_text('text', "'|'", 'text, id') }} as joined_text,
            {{ joined_distinct('text', "','") }} as joined_distinct
        from grouped
        group by bytes
    """,
    "of_sums": """
        select cast({{ sum_exact('number') }} as decimal(38, 0)) as sum_exact from {{ values_of('numbers') }}
    """,
    "of_windows": """
        select
            id,
            {{ latest_known("nullif(text, 'a')") }} over (
                order by id rows between unbounded preceding and 1 preceding
            ) as latest_known,
            {{ earliest_known("nullif(text, 'a')") }} over (
                order by id rows between current row and unbounded following
            ) as earliest_known
        from {{ values_of('texts') }}
    """,
    "of_links": """
        {{ config(materialized='connected_components') }}
        select node, neighbour from {{ values_of('links') }}
    """,
}


def _dispatched(engine: str) -> set[str]:
    said = "".join(file.read_text() for file in ENGINES.glob(f"{engine}*.sql"))
    return set(re.findall(rf"macro {engine}__(\w+)\(", said))


def test_each_engine_says_every_macro_and_each_is_tried_here() -> None:
    asked = {
        name
        for file in (DBT_PROJECT / "macros").glob("*.sql")
        for name in re.findall(r"adapter\.dispatch\('(\w+)'\)", file.read_text())
    }
    assert asked <= _dispatched("duckdb")
    assert asked <= _dispatched("spark")
    tried = set(re.findall(r"\b\w+(?=\()", "".join(MODELS.values()))) | {"whole_units"}
    assert asked - tried == BUILDS | NUMBERS_OF_ITS_OWN


CHANGE = ("* 20000 + ", "* \" ~ var('doubled', 20000) ~ \" + ")
"""What Spark is told of ratios can be changed by a variable."""

TOO_LARGE = "select sum(number) + sum(number) as number from {{ values_of('numbers') }}"


def _write_project(project: Path) -> None:
    """The project's macros with models of them alone."""
    shutil.copytree(DBT_PROJECT / "macros", project / "macros")
    shutil.copy(DBT_PROJECT / "profiles.yml", project)
    (project / "seeds").mkdir()
    for seed in ("work_limits", "no_source_words", "name_titles"):
        shutil.copy(DBT_PROJECT / "seeds" / f"{seed}.csv", project / "seeds")
    said = {
        "name": "funnelhouse",
        "version": "1.0",
        "profile": "funnelhouse",
        "models": {"+materialized": "table"},
    }
    (project / "dbt_project.yml").write_text(yaml.safe_dump(said))
    (project / "models").mkdir()
    for name, sql in MODELS.items():
        (project / "models" / f"{name}.sql").write_text(sql)
    (project / "models" / "too_large.sql").write_text(TOO_LARGE)
    spark = project / "macros" / "engines" / "spark.sql"
    assert spark.read_text().count(CHANGE[0]) == 1
    spark.write_text(spark.read_text().replace(*CHANGE))
    values = {
        "texts": {"id": pa.array(range(len(TEXTS)), pa.int64()), "text": pa.array(TEXTS, pa.string())},
        "objects": {
            "id": pa.array(range(len(OBJECTS)), pa.int64()),
            "object": pa.array(OBJECTS, pa.string()),
        },
        "numbers": {"number": pa.array(WHOLE, pa.int64())},
        "amounts": {"text": pa.array(MAJORS, pa.string())},
        "times": {
            "us": pa.array([us for us in TIMES for _ in ZONES], pa.int64()),
            "zone": pa.array([zone for _ in TIMES for zone in ZONES], pa.string()),
        },
        "links": {
            "node": pa.array([f"{number}" for number in range(NODES)], pa.string()),
            "neighbour": pa.array([f"{number // 50}" for number in range(NODES)], pa.string()),
        },
    }
    reading = []
    for name, columns in values.items():
        pq.write_table(pa.table(columns), project / f"{name}.parquet")
        reading.append(f"'{name}': '{project}/{name}.parquet'")
    (project / "macros" / "values_of.sql").write_text(
        f"{{% macro values_of(name) %}}{{% set file = {{{', '.join(reading)}}}[name] %}}"
        "{{ \"read_parquet('\" ~ file ~ \"')\" if target.type == 'duckdb' else 'parquet.`' ~ file ~ '`' }}"
        "{% endmacro %}"
    )


@dataclass(frozen=True)
class Built:
    """The models on both engines, and once more as `changed` what a changed macro makes of `of_numbers`."""

    warehouse: Path
    folder: Path
    changed: Path
    refusal: str


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Everything in one session of Spark, since starting one takes longer than the models do."""
    folder = tmp_path_factory.mktemp("macros")
    project, home = folder / "project", folder / "home"
    _write_project(project)
    home.mkdir()
    environment = {
        **os.environ,
        "FUNNELHOUSE_HOME": str(home),
        "DBT_TARGET_PATH": str(home / "target"),
        "DBT_LOG_PATH": str(home / "logs"),
    }
    for command in (["seed"], ["run", "--exclude", "too_large"]):
        ended = subprocess.run(
            [DBT_EXECUTABLE, *command, "--profiles-dir", "."],
            cwd=project, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout[-4000:]
    commands = (
        "seed then run --exclude too_large then "
        'run -s of_numbers --vars {"doubled":20001,"numbers_are":"changed"} then run -s too_large'
    )
    ended_on_spark = start_dbt(project, home, commands, folder / "spark")
    ended_on_spark.wait()
    printed = (folder / "spark-dbt" / "printed.txt").read_text()
    return Built(home / "warehouse.duckdb", folder / "spark", folder / "spark" / "changed", printed)


def test_every_macro_gives_the_same_on_both_engines(built: Built) -> None:
    assert not list(differences(built.warehouse, built.folder, list(MODELS)))


def test_a_macro_of_spark_that_is_changed_is_found(built: Built) -> None:
    (built.folder / "changed_alone").mkdir()
    shutil.copytree(built.changed, built.folder / "changed_alone" / "of_numbers")
    (found,) = differences(built.warehouse, built.folder / "changed_alone", ["of_numbers"])
    assert found.startswith("of_numbers: ")


def test_what_does_not_fit_its_type_is_refused_as_duckdb_refuses_it(built: Built) -> None:
    assert "[ARITHMETIC_OVERFLOW]" in built.refusal.partition("Failure in model too_large")[2]
