"""`build=dev-<name>`: what somebody tries in a home to edit in, for admins alone."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from example_marts import new_key, publish_rows, read_server

from funnelhouse.settings import Settings

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
COSTS = "/v1/projects/shop/marts/fct_costs"


def costs(*sources: str) -> dict[str, list[dict[str, str]]]:
    return {
        "fct_costs": [{"project_id": project, "source": s} for s in sources for project in ("shop", "club")]
    }


def sources(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [row["source"] for row in answer.json()["rows"]]


@pytest.mark.long
def test_admins_read_what_is_tried_and_to_others_it_is_not_there(home: Settings) -> None:
    published = publish_rows(home, costs("published"), START)
    ann = home.isolated(home.dev_dir / "ann")
    first = publish_rows(ann, costs("first", "second"), START)
    admin = {"Authorization": f"Bearer {new_key(home, scopes=('read', 'admin'))}"}
    with read_server(home.home_dir) as server:

        def get(headers: dict[str, str] | None = None, **asked: str | int) -> httpx.Response:
            return server.client.get(COSTS, params=asked, headers=headers)

        # Nobody is shown it who has not asked for it.
        assert sources(get(admin)) == sources(get()) == ["published"]
        answer = get(admin, build="dev-ann")
        assert sources(answer) == ["first", "second"]
        assert answer.json()["build"] == answer.headers["Funnelhouse-Build"] == f"dev-ann.{first.build_id}"
        report = "/v1/projects/shop/reports/costs"
        assert server.client.get(report, params={"build": "dev-ann"}, headers=admin).status_code == 200

        page = get(admin, build="dev-ann", limit=1).json()
        tag = {"If-None-Match": answer.headers["ETag"]}
        assert get({**admin, **tag}, build="dev-ann").status_code == 304
        publish_rows(ann, costs("third"), START + timedelta(seconds=1))
        # Asked for again it is another one; who walks through pages stays in theirs.
        assert sources(get({**admin, **tag}, build="dev-ann")) == ["third"]
        assert sources(get(admin, cursor=page["next"])) == ["second"]
        assert sources(get(admin, build=f"dev-ann.{first.build_id}")) == ["first", "second"]

        unknown = get(build="20200101T000000000000Z")
        assert unknown.status_code == 410
        for asked in (
            {"build": "dev-ann"},
            {"build": f"dev-ann.{first.build_id}"},
            {"cursor": page["next"]},
        ):
            assert (get(**asked).status_code, get(**asked).json()) == (410, unknown.json())
        assert get(admin, build="dev-bob").json() == unknown.json()
        assert get(admin, build=f"dev-ann.{published.build_id[:-2]}9Z").status_code == 410
        for name in ("dev-", "dev-Ann", "dev-../ann", "dev-ann/../..", "dev-ann.current"):
            assert get(admin, build=name).status_code == 400, name
