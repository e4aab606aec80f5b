"""What cannot be decoded changes nothing but itself, however DuckDB lays its column out."""

import re
from pathlib import Path

import duckdb


def test_a_path_that_is_no_utf_8_leaves_others_as_they_are(tmp_path: Path, compiled_models: Path) -> None:
    """In a column with a dictionary, `try` of a function gave null for all values, or ended the process."""
    (model,) = (p for p in compiled_models.rglob("int_goals_matched.sql") if p.parent.suffix != ".yml")
    (rules,) = re.findall(r"\nwith goals as \((.*?)\n\),\n", model.read_text(), re.DOTALL)
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(path, config={"storage_compatibility_version": "latest"}) as connection:
        connection.execute(
            "create table int_goals as select ['/%ff', '/%20', '/%C3%A4'][1 + number % 3] as match_value"
            " from range(3000) as rows (number)"
        )
        connection.execute("create table work_limits as select 'wildcard_stars' as limit_name, 8 as allowed")
    with duckdb.connect(path) as connection:
        read = re.sub(r'"warehouse"\."main"\.', "", rules)
        paths = connection.execute(f"select match_path, count(*) from ({read}) group by all order by all")
        assert paths.fetchall() == [("/ ", 1000), ("/%FF", 1000), ("/ä", 1000)]
