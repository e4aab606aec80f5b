"""Seconds that identity takes for a million identifiers, by the shape of what links them; a markdown table.

Run it with `python -m benchmarks.people`. It makes an empty house in a temporary folder, fills the inputs of
the models below `models/intermediate/people` by hand, and runs them with dbt as a build does. Seconds are
dbt's own per model: its start, about three seconds, is left out.
"""

import argparse
import json
import os
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

import duckdb

from funnelhouse.settings import Settings
from orchestration.manifest import DBT_EXECUTABLE, DBT_PROJECT, dbt_environment
from record.sealing import seal

# Ids are hashed, so that their order says nothing of the links.
LINKS = {
    "one chain of 1,000 aliases": "select i as one, i + 1 as other from range(1000) as ids(i)",
    "every user with an e-mail": "select i as one, i + {half} as other from range({half}) as ids(i)",
    "at random": "select hash(i) % {n} as one, hash(-i) % {n} as other from range({n}) as ids(i)",
    "one chain of all": "select i as one, i + 1 as other from range({n} - 1) as ids(i)",
}

# Per user two page views and a login on each of two visitors, half of the users with a hashed e-mail, every
# eighth with an alias.
EVENTS = """
insert into int_events_in_work by name
with users as (select i from range({n} * 10 // 36) as ids(i))
select
    row_number() over (order by i, step) as seq,
    'shop' as project_id,
    'e' || i || '-' || step as event_id,
    'openanalytics' as dialect,
    case step when 6 then 'alias' when 2 then 'identify' when 5 then 'identify' else 'visit' end as kind,
    1000000 * (i + step) as occurred_us,
    case when step < 6 then md5('visitor' || i || step // 3) end as visitor_id,
    case when step in (2, 5, 6) then md5('user' || i) end as user_id,
    case when step = 6 then md5('old' || i) end as previous_id,
    case when step = 5 and i % 2 = 0 then '{{"em": "' || sha256('mail' || i) || '"}}' end as properties
from users cross join range(7) as steps(step)
where step < 6 or i % 8 = 0
"""


def main() -> None:
    """Measure each shape once and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--identifiers", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder) / "home")
        seal(settings.landing_store, settings.raw_dir)
        _dbt(settings, "seed")
        _dbt(settings, "run")
        print("| what is linked | identifiers | people or components | seconds |\n|---|---:|---:|---:|")
        for shape, sql in LINKS.items():
            pairs = sql.format(n=arguments.identifiers, half=arguments.identifiers // 2)
            _execute(
                settings,
                "create or replace table int_strong_id_links as select 'shop' as project_id, "
                "'shop/user:' || md5(one::varchar) as strong_id, "
                f"'shop/user:' || md5(other::varchar) as linked_id from ({pairs})",
            )
            seconds = _dbt(settings, "run", "--select", "int_strong_id_components")
            _print(settings, f"components: {shape}", "int_strong_id_components", "node", "component", seconds)
        _execute(settings, "truncate int_events_in_work")
        _execute(settings, EVENTS.format(n=arguments.identifiers))
        models = ["path:models/intermediate/people", "dim_identifiers", "dim_people"]
        seconds = _dbt(settings, "run", "--select", *models)
        _print(settings, "all models of people", "dim_identifiers", "identifier_id", "person_id", seconds)


def _print(settings: Settings, shape: str, table: str, identifier: str, whole: str, seconds: float) -> None:
    with closing(duckdb.connect(str(settings.warehouse_path), read_only=True)) as connection:
        counts = f"select count(distinct {identifier}), count(distinct {whole}) from {table}"
        found = connection.execute(counts).fetchone()
    assert found is not None
    print(f"| {shape} | {found[0]:,} | {found[1]:,} | {seconds:.1f} |", flush=True)


def _execute(settings: Settings, sql: str) -> None:
    with closing(duckdb.connect(str(settings.warehouse_path))) as connection:
        connection.execute(sql)


def _dbt(settings: Settings, *arguments: str) -> float:
    """Run dbt; returns the seconds of its models together."""
    environment = {**os.environ, **dbt_environment(settings, "")}
    command = [str(DBT_EXECUTABLE), "-q", *arguments, "--profiles-dir", str(DBT_PROJECT)]
    subprocess.run(command, cwd=DBT_PROJECT, env=environment, check=True)
    results = Path(environment["DBT_TARGET_PATH"]) / "run_results.json"
    return sum(float(node["execution_time"]) for node in json.loads(results.read_bytes())["results"])


if __name__ == "__main__":
    main()
