import os

import dagster as dg
import duckdb
import pytest
from small_project import described

from funnelhouse.last_build import read_last_build
from funnelhouse.settings import CHECKOUT, Settings
from orchestration.build import run_build
from orchestration.build_job import build_definitions
from orchestration.dbt_command import run_dbt
from orchestration.deployment import deployed_or_first
from orchestration.instance import JOB
from orchestration.manifest import DBT_PROJECT, DbtProjectError, load_manifest, model_names, parse_dir
from record.contract import RAW_TABLES


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Nothing has landed in it; definitions need none of it."""
    return Settings(home=tmp_path_factory.mktemp("definitions") / "home")


@pytest.fixture(scope="module")
def definitions(home):
    return build_definitions(home)


@pytest.fixture(scope="module")
def graph(definitions):
    return definitions.resolve_asset_graph()


def test_dagster_can_load_them(definitions):
    dg.Definitions.validate_loadable(definitions)


def test_raw_assets_have_the_keys_of_dbt_s_sources(home, graph):
    sources = {tuple(s["fqn"][-2:]) for s in load_manifest(home)["sources"].values()}
    raw = {tuple(key.path) for key in graph.get_all_asset_keys() if key.path[0] == "raw"}
    assert raw == sources == {("raw", table) for table in RAW_TABLES}
    assert all(graph.get(dg.AssetKey(list(key))).is_materializable for key in raw)


def test_nothing_is_read_that_no_step_makes(graph):
    assert graph.external_asset_keys == set()


def test_raw_assets_are_what_models_wait_for(graph):
    models = graph.get(dg.AssetKey("models"))
    assert {key.path[0] for key in models.parent_keys} == {"raw"}
    assert {key.path[-1] for key in models.parent_keys} == set(RAW_TABLES)
    assert graph.get(dg.AssetKey("publication")).parent_keys == {dg.AssetKey("models")}


def test_marts_are_the_models_of_their_folder(home):
    files = {path.stem for path in (DBT_PROJECT / "models" / "marts").glob("*/*.sql")}
    assert set(model_names(load_manifest(home), "marts")) == files


def test_both_suites_block(graph):
    suites = {
        (key.asset_key.to_user_string(), key.name): graph.get(key).blocking
        for key in graph.asset_check_keys
        if key.name in ("landed_events", "attribution")
    }
    assert suites == {("raw/events", "landed_events"): True, ("models", "attribution"): True}


def test_one_job_makes_everything_in_one_process(definitions, graph):
    job = definitions.resolve_job_def(JOB)
    assert set(job.asset_layer.executable_asset_keys) == graph.get_all_asset_keys()
    assert job.executor_def.name == "in_process"
    assert definitions.resolve_implicit_global_asset_job_def().executor_def.name == "in_process"


def test_every_step_holds_the_lock(definitions):
    job = definitions.resolve_job_def(JOB)
    assert all("build" in node.definition.required_resource_keys for node in job.nodes)


def test_dagster_is_told_where_they_are():
    pyproject = (CHECKOUT / "pyproject.toml").read_text()
    assert 'module_name = "orchestration.definitions"' in pyproject


def put_back(path, content, times):
    """Other content at the very time of the file before, as an archive or a checkout may have it."""
    path.write_text(content)
    os.utime(path, ns=times)


def parsed_at(home):
    return (parse_dir(home) / "manifest.json").stat().st_mtime_ns


@pytest.mark.long
def test_the_manifest_is_parsed_anew_only_when_its_content_changed(empty_home, small_project, tmp_path):
    load_manifest(empty_home)
    first = parsed_at(empty_home)
    load_manifest(empty_home)
    assert parsed_at(empty_home) == first
    for path in (small_project / "models").rglob("*"):
        os.utime(path)
    load_manifest(empty_home)
    assert parsed_at(empty_home) == first

    other = Settings(home=tmp_path / "other")
    load_manifest(other)
    assert parsed_at(other) == first

    # One that was cut short, say by a full disk.
    path = parse_dir(empty_home) / "manifest.json"
    path.write_bytes(path.read_bytes()[:1000])
    assert "model.small.one" in load_manifest(empty_home)["nodes"]


@pytest.mark.long
def test_other_content_is_parsed_whatever_its_files_times(empty_home, small_project):
    node = "model.small.one"
    assert load_manifest(empty_home)["nodes"][node]["description"] == "The number one."
    for word, number, age_s in [("two", 2, 0), ("three", 3, 86_400 * 365)]:
        contents = {
            "models/one.sql": f"select {number} as number",
            "models/models.yml": described(word),
            "seeds/words.csv": f"word\n{word}\n",
        }
        for name, content in contents.items():
            stat = (small_project / name).stat()
            times = (stat.st_atime_ns, stat.st_mtime_ns - age_s * 1_000_000_000)
            put_back(small_project / name, content, times)
        found = load_manifest(empty_home)["nodes"][node]
        assert found["description"] == f"The number {word}."
        assert found["raw_code"] == f"select {number} as number"

    assert run_dbt(empty_home, deployed_or_first(empty_home), False, lambda _: None) == []
    with duckdb.connect(str(empty_home.warehouse_path), read_only=True) as warehouse:
        # Not what dbt kept of a parse before, for it compares times.
        assert warehouse.execute("select number from one").fetchall() == [(3,)]
        assert warehouse.execute("select word from words").fetchall() == [("three",)]


@pytest.mark.long
def test_sql_that_cannot_be_parsed_is_said_in_dbt_s_words(empty_home, small_project):
    (small_project / "models" / "wrong.sql").write_text("select * from {{ ref('no_such_model') }}")
    with pytest.raises(DbtProjectError, match="no_such_model"):
        load_manifest(empty_home)
    report = run_build(empty_home)
    assert "no_such_model" in report.failures[0]
    last = read_last_build(empty_home.last_build_path)
    assert (last.outcome, last.failures) == ("failed", report.failures)
