"""`funnelhouse init` and `funnelhouse deploy`, as they are typed, with the shipped project."""

from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from command_line.cli import main
from funnelhouse.settings import Settings
from orchestration.build import run_build
from orchestration.deployment import deployed


def typed(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == code, done.output
    return done.output


@pytest.mark.slow
def test_extensions_are_deployed_with_the_shipped_project(
    home_copy: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine"
    assert f"FUNNELHOUSE_EXTENSIONS={mine}" in typed("init", str(mine))
    assert "is there already" in typed("init", str(mine), code=1)
    monkeypatch.setenv("FUNNELHOUSE_HOME", str(home_copy.home_dir))
    monkeypatch.setenv("FUNNELHOUSE_EXTENSIONS", str(mine))
    first = deployed(home_copy)
    assert first is not None

    # A mart that clashes with ours, and a row that breaks a seed's key.
    model = mine / "models" / "marts" / "own" / "rpt_owned_sources.sql"
    clash = model.with_name("rpt_sources.sql")
    clash.write_text("select 1")
    said = typed("deploy", code=1)
    assert f"{clash}:1: models/marts/traffic/rpt_sources.sql of Funnelhouse has this name already" in said
    clash.unlink()
    seed = mine / "seeds" / "source_owners.csv"
    rows = seed.read_text()
    seed.write_text(rows + "google,carl\n")
    assert f"{seed}:2: keyed_by_source_owners_source: Got 1 result" in typed("deploy", code=1)
    assert deployed(home_copy) == first

    seed.write_text(rows)
    (mine / "vars.yml").write_text("lookback_days: 60\n")
    assert "The next build uses it." in typed("deploy")
    settings = Settings()
    second = deployed(settings)
    assert second is not None
    assert second.fingerprint != first.fingerprint
    report = run_build(settings)
    assert report.failures == ()
    marts = (settings.published_dir / "current").resolve() / "marts.duckdb"
    with duckdb.connect(str(marts), read_only=True) as published:
        owned = published.execute("select source, owner, sessions from rpt_owned_sources").fetchall()
        days = published.execute("select distinct lookback_days from dim_projects").fetchall()
    assert (owned, days) == ([("google", "ann", 1)], [(60,)])
