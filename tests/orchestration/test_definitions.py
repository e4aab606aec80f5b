import os
import shutil
from pathlib import Path

import dagster as dg
import pytest
import yaml

from funnelhouse.contract import RAW_TABLES
from funnelhouse.settings import CHECKOUT, Settings
from orchestration.build_job import build_definitions
from orchestration.instance import JOB
from orchestration.manifest import DBT_PROJECT, DbtProjectError, load_manifest, model_names, parse_dir


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


def test_marts_are_the_models_of_their_folder(home):
    files = {path.stem for path in (DBT_PROJECT / "models" / "marts").glob("*.sql")}
    assert set(model_names(load_manifest(home), "marts")) == files


def test_the_publication_waits_for_every_mart(home, graph):
    parents = {key.to_user_string() for key in graph.get(dg.AssetKey("publication")).parent_keys}
    assert parents == set(model_names(load_manifest(home), "marts"))


def test_both_suites_block(graph):
    suites = {
        (key.asset_key.to_user_string(), key.name): graph.get(key).blocking
        for key in graph.asset_check_keys
        if key.name in ("landed_events", "attribution")
    }
    assert suites == {("raw/events", "landed_events"): True, ("fct_attribution", "attribution"): True}


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


def test_the_manifest_is_parsed_anew_only_when_project_or_home_changed(home, definitions, empty_home):
    path = parse_dir(empty_home) / "manifest.json"
    shutil.copytree(parse_dir(home), path.parent)
    load_manifest(empty_home)  # was made for another home
    first = path.stat().st_mtime_ns
    assert str(empty_home.home_dir) in path.read_text()

    load_manifest(empty_home)
    assert path.stat().st_mtime_ns == first

    sql = next(DBT_PROJECT.rglob("*.sql"))
    before = sql.stat()
    os.utime(sql)
    try:
        load_manifest(empty_home)
    finally:
        os.utime(sql, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns > first


def test_sql_that_cannot_be_parsed_is_said_in_dbt_s_words(empty_home, tmp_path, monkeypatch):
    project = tmp_path / "project"
    (project / "models").mkdir(parents=True)
    (project / "dbt_project.yml").write_text(
        yaml.safe_dump({"name": "broken", "version": "1.0", "profile": "funnelhouse"})
    )
    (project / "profiles.yml").write_bytes(Path(DBT_PROJECT / "profiles.yml").read_bytes())
    (project / "models" / "wrong.sql").write_text("select * from {{ ref('no_such_model') }}")
    monkeypatch.setattr("orchestration.manifest.DBT_PROJECT", project)
    with pytest.raises(DbtProjectError, match="no_such_model"):
        load_manifest(empty_home)
