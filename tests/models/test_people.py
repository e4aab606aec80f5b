"""Who is who: links against networkx, and every rule of people together against a model of them in Python."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import duckdb
import networkx as nx
import pyarrow as pa
import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from funnelhouse.settings import Settings
from orchestration.dbt_process import read_parsed
from orchestration.manifest import DBT_PROJECT, PARTIAL_PARSE, dbt_environment, load_manifest, parse_dir
from record.sealing import seal

# An example is a run of dbt: making a failing one smaller would take longer than reading it.
rarely = partial(
    settings,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)

PEOPLE = ("int_hashed_ids_carried", "path:models/intermediate/people")
"""Models of people, and of ids that they are told by, as dbt selects them."""

MAX_USERS = {"email": 2, "phone": 2, "visitor": 2}
"""Lower than the seed's, so that small histories reach them."""


class Warehouse:
    """The warehouse of an empty house, whose inputs are filled by hand and whose models dbt builds again."""

    def __init__(self, home: Settings) -> None:
        self._home = home
        self._dbt = dbtRunner(manifest=read_parsed(parse_dir(home) / PARTIAL_PARSE, DBT_PROJECT))

    def fill(self, table: str, rows: Sequence[dict[str, Any]]) -> None:
        """Replace a table's rows; columns that are left out are null."""
        with closing(duckdb.connect(str(self._home.warehouse_path))) as connection:
            kinds = dict(
                connection.execute(f"select column_name, column_type from (describe {table})").fetchall()
            )
            schema = pa.schema([(name, _ARROW[kind]) for name, kind in kinds.items()])
            given_rows = pa.Table.from_pylist(list(rows), schema=schema)  # noqa: F841 (read by name)
            connection.execute(f"create or replace table {table} as select * from given_rows")

    def build(self, *models: str) -> None:
        """Run models, in their order."""
        result = self._dbt.invoke(["-q", "run", "--select", *models, "--project-dir", str(DBT_PROJECT)])
        # It would stay open, with options that nobody else in this process has.
        DuckDBConnectionManager.close_all_connections()
        assert result.success, result.exception or [r.message for r in result.result if r.message]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a query finds."""
        with closing(duckdb.connect(str(self._home.warehouse_path))) as connection:
            return connection.execute(sql).fetchall()


_ARROW = {"VARCHAR": pa.string(), "BIGINT": pa.int64(), "INTEGER": pa.int32(), "BOOLEAN": pa.bool_()}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory, empty_warehouse: Settings) -> Iterator[Warehouse]:
    """A copy of its own: what these tests fill in is nobody else's."""
    home = Settings(home=tmp_path_factory.mktemp("people") / "home")
    home.home_dir.mkdir(parents=True)
    home.warehouse_path.write_bytes(empty_warehouse.warehouse_path.read_bytes())
    seal(home.landing_store, home.raw_dir)
    # Before dbt's variables are set: with others, it would be parsed anew.
    load_manifest(home)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in dbt_environment(home, "").items():
            patch.setenv(name, value)
        patch.setenv("DBT_TARGET_PATH", str(home.home_dir / "target"))
        patch.setenv("DBT_LOG_PATH", str(home.home_dir / "logs"))
        patch.setenv("DBT_PROFILES_DIR", str(DBT_PROJECT))
        opened = Warehouse(home)
        opened.fill("identity_limits", [{"id_type": t, "max_users": n} for t, n in MAX_USERS.items()])
        yield opened


links = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=40)


@pytest.mark.long
@rarely(max_examples=3)
@given(st.lists(links, min_size=15, max_size=15))
def test_what_hangs_together_is_what_networkx_finds(
    warehouse: Warehouse, graphs: list[list[tuple[int, int]]]
) -> None:
    pairs = [(f"{g}/{one}", f"{g}/{other}") for g, graph in enumerate(graphs) for one, other in graph]
    assert _components(warehouse, pairs) == _by_networkx(pairs)


def test_a_chain_of_a_thousand_aliases_is_one_person(warehouse: Warehouse) -> None:
    pairs = [(f"{n:04}", f"{n + 1:04}") for n in range(1000)]
    pairs += [("a star", f"leaf {n}") for n in range(1000)]
    assert _components(warehouse, pairs) == _by_networkx(pairs)


def _components(warehouse: Warehouse, pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    rows = [{"strong_id": one, "linked_id": other} for one, other in pairs]
    warehouse.fill("int_strong_id_links", rows)
    warehouse.build("int_strong_id_components")
    found = warehouse.rows("select node, component from int_strong_id_components")
    assert len(found) == len(dict(found))
    return dict(found)


def _by_networkx(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    return {node: min(part) for part in nx.connected_components(nx.Graph(pairs)) for node in part}


@dataclass(frozen=True)
class Drawn:
    """One event of a random history; `names` is the event whose visit it names: its place, later its seq."""

    kind: str
    at: int
    visitor: str | None = None
    user: str | None = None
    previous: str | None = None
    email: str | None = None
    phone: str | None = None
    names: int | None = None
    order: str | None = None


_maybe = partial(st.one_of, st.none())
_users = st.sampled_from(["ada", "bob", "cy", "d"])
_visitors = st.sampled_from(["v1", "v2", "ada"])
_times = st.integers(1, 12)
_events = st.one_of(
    st.builds(Drawn, st.just("visit"), _times, visitor=_maybe(_visitors)),
    st.builds(Drawn, st.just("identify"), _times, visitor=_maybe(_visitors), user=_users),
    st.builds(
        Drawn,
        st.sampled_from(["event", "conversion"]),
        _times,
        visitor=_maybe(_visitors),
        user=_maybe(_users),
        email=_maybe(st.sampled_from(["1", "2"])),
        phone=_maybe(st.just("3")),
        names=_maybe(st.integers(0, 7)),
        order=_maybe(st.sampled_from(["o1", "o2"])),
    ),
    st.builds(
        Drawn,
        st.sampled_from(["alias", "alias", "unalias"]),
        _times,
        visitor=_maybe(_visitors),
        user=_users,
        previous=st.sampled_from(["ada", "bob", "v1", "v2"]),
    ),
)
histories = st.lists(_events, min_size=1, max_size=14)


@rarely(max_examples=3)
@given(st.lists(histories, min_size=30, max_size=40))
def test_every_event_is_whose_the_rules_say(warehouse: Warehouse, drawn: list[list[Drawn]]) -> None:
    """Each history is a project of its own; all share their ids."""
    seqs = itertools.count(1)
    projects = {f"p{number}": _numbered(history, seqs) for number, history in enumerate(drawn)}
    _fill(warehouse, projects)

    warehouse.build(*PEOPLE, "dim_identifiers", "dim_people")

    found = warehouse.rows("select seq, person_id from int_event_people where not is_void order by seq")
    expected: dict[int, str] = {}
    for project, events in projects.items():
        expected |= _people_of(project, events)
    assert dict(found) == expected
    strays = (
        "select person_id from int_event_people where not is_void except select person_id from dim_people"
    )
    assert warehouse.rows(strays) == []


def test_after_unalias_everything_is_as_without_the_alias(warehouse: Warehouse) -> None:
    plain = [
        Drawn("visit", 1, visitor="v1"),
        Drawn("identify", 2, visitor="v1", user="ada"),
        Drawn("visit", 3, visitor="v2"),
        Drawn("identify", 4, user="bob", email="1"),
    ]
    undone = [
        Drawn("alias", 1, visitor="v2", user="ada", previous="bob"),
        Drawn("alias", 5, user="new", previous="v2"),
        Drawn("unalias", 2, visitor="v2", user="bob", previous="ada"),
        Drawn("unalias", 6, user="new", previous="v2"),
    ]
    marts = ["dim_identifiers", "dim_people"]
    built = []
    for history in (plain, [*plain, *undone]):
        _fill(warehouse, {"shop": _numbered(history, itertools.count(1))})
        warehouse.build(*PEOPLE, *marts)
        built.append([warehouse.rows(f"select * from {mart} order by all") for mart in marts])
    assert built[0] == built[1]
    assert all(built[0])


def _numbered(history: list[Drawn], seqs: Iterator[int]) -> dict[int, Drawn]:
    """Events by position; only a page view can be named."""
    seq_of = [next(seqs) for _ in history]
    visits = {place: seq for place, seq in enumerate(seq_of) if history[place].kind == "visit"}
    return {
        seq: replace(e, names=visits.get(e.names) if e.names is not None else None)
        for seq, e in zip(seq_of, history, strict=True)
    }


def _fill(warehouse: Warehouse, projects: dict[str, dict[int, Drawn]]) -> None:
    rows = [(project, seq, e) for project, events in projects.items() for seq, e in events.items()]
    warehouse.fill(
        "int_events",
        [
            {
                "seq": seq,
                "project_id": project,
                "event_id": f"e{seq}",
                "dialect": "openanalytics",
                "kind": e.kind,
                "name": "purchase" if e.order else None,
                "transaction_id": e.order,
                "occurred_us": e.at,
                "visitor_id": e.visitor,
                "user_id": e.user,
                "previous_id": e.previous,
                "properties": _properties(e),
            }
            for project, seq, e in rows
        ],
    )
    warehouse.fill(
        "int_page_views",
        [
            {"seq": seq, "project_id": project, "visitor_id": e.visitor, "occurred_us": e.at}
            for project, seq, e in rows
            if e.kind == "visit"
        ],
    )
    warehouse.fill(
        "int_visits_found",
        [
            {"seq": seq, "page_view_seq": e.names, "matched_by": "hit", "is_named": True}
            for _, seq, e in rows
            if e.names is not None
        ],
    )


def _properties(event: Drawn) -> str | None:
    given_ids = {"em": event.email, "ph": event.phone}
    members = [f'"{name}": "{value * 64}"' for name, value in given_ids.items() if value]
    return "{" + ", ".join(members) + "}" if members else None


def _people_of(project: str, events: dict[int, Drawn]) -> dict[int, str]:
    """Position of each event that counts → its person, by the rules of people read as plainly as they go."""
    unaliased: dict[frozenset[str | None], int] = {}
    for seq, e in events.items():
        if e.kind == "unalias":
            unaliased[frozenset((e.user, e.previous))] = seq
    events = {
        seq: e
        for seq, e in events.items()
        if e.kind != "unalias"
        and not (e.kind == "alias" and unaliased.get(frozenset((e.user, e.previous)), 0) > seq)
    }
    in_order = sorted(events.items(), key=lambda item: (item[1].at, item[0]))

    # An id over its limit links nothing.
    users: dict[tuple[str, str], set[str]] = defaultdict(set)
    for e in events.values():
        for hashed in _hashed(e):
            users[hashed] |= {e.user} if e.user else set()
    strong = {
        seq: ([("user", e.user)] if e.user else [])
        + [hashed for hashed in _hashed(e) if len(users[hashed]) <= MAX_USERS[hashed[0]]]
        for seq, e in events.items()
    }

    graph = nx.Graph()
    first_seen: dict[tuple[str, str | None], int] = {}
    named_by = set()  # not the previous id of an alias alone: it may be a visitor's
    for seq, e in in_order:
        for strong_id in strong[seq]:
            graph.add_node(strong_id)
            graph.add_edge(strong[seq][0], strong_id)
            first_seen.setdefault(strong_id, e.at)
            named_by.add(strong_id)
        if e.kind == "alias":
            graph.add_edge(("user", e.user), ("user", e.previous))
            first_seen.setdefault(("user", e.previous), e.at)
    person: dict[tuple[str, str | None], str] = {}
    for part in nx.connected_components(graph):
        seen = part & named_by
        kind, value = min(seen, key=lambda i: (first_seen[i], i[1] or "", i[0]))
        person |= dict.fromkeys(part, f"{project}/{kind}:{value}")

    # On whom each visitor was seen, in order; the reports of an order count once for a visitor.
    seen_on: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    ordered: set[tuple[str, str]] = set()
    for seq, e in in_order:
        whom = person[strong[seq][0]] if strong[seq] else None
        on = {e.visitor} | ({events[e.names].visitor} if e.names else set())
        for visitor in {v for v in on if v and whom}:
            if e.order and (visitor, e.order) in ordered:
                continue
            if e.order:
                ordered.add((visitor, e.order))
            seen_on[visitor].append((e.at, seq, str(whom)))
        if e.kind == "alias" and e.previous:
            seen_on[e.previous].append((e.at, seq, person["user", e.user]))

    def of_visitor(visitor: str, at: int, seq: int) -> str:
        seen = seen_on.get(visitor, [])
        if not seen or len({whom for *_, whom in seen}) > MAX_USERS["visitor"]:
            return f"{project}/visitor:{visitor}"
        before = [whom for moment, number, whom in seen if (moment, number) <= (at, seq)]
        return before[-1] if before else seen[0][2]

    def own(seq: int) -> str:
        e = events[seq]
        if strong[seq]:
            return person[strong[seq][0]]
        return of_visitor(e.visitor, e.at, seq) if e.visitor else f"{project}/event:e{seq}"

    return {seq: own(e.names) if e.names and not strong[seq] else own(seq) for seq, e in events.items()}


def _hashed(event: Drawn) -> list[tuple[str, str]]:
    given_ids = {"email": event.email, "phone": event.phone}
    return [(kind, value * 64) for kind, value in given_ids.items() if value]
