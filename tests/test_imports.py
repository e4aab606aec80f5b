"""Packages import downwards only, files form no circle, and no package is forgotten where they are listed."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import networkx as nx

from funnelhouse.settings import CHECKOUT
from orchestration.build_inputs import CODE_OF_A_BUILD

FLOORS = (
    {"command_line"},
    {"ingest_api", "orchestration", "read_api"},
    {"forwarding"},
    {"funnelhouse", "expectations"},
    {"record", "publication"},
)
"""From the top. A package imports what stands below it; those of one floor don't know each other."""

PACKAGES = set().union(*FLOORS)


def imports() -> Iterator[tuple[Path, Path]]:
    """Each file of the packages with each of their files that it imports, wherever the import stands."""
    for package in sorted(PACKAGES):
        for file in sorted((CHECKOUT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ImportFrom):
                    assert node.level == 0, f"{file}: a package is named in full"
                    names = [f"{node.module}.{alias.name}" for alias in node.names]
                elif isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                else:
                    continue
                for name in names:
                    if name.partition(".")[0] in PACKAGES:
                        yield file, found(name)


def found(name: str) -> Path:
    """The file of a module, or of that in which a dotted name is defined."""
    path = CHECKOUT / name.replace(".", "/")
    for file in (path.with_suffix(".py"), path / "__init__.py", path.parent.with_suffix(".py")):
        if file.is_file():
            return file
    return path.parent / "__init__.py"


def package(file: Path) -> str:
    return file.relative_to(CHECKOUT).parts[0]


def docstring(node: ast.AST) -> ast.expr | None:
    """The text that says what a file, class or function is."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
        first = node.body[0]
        return first.value if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) else None
    return None


def test_packages_import_downwards_only() -> None:
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    upwards = {
        f"{file.relative_to(CHECKOUT)} imports {imported.relative_to(CHECKOUT)}"
        for file, imported in imports()
        if package(file) != package(imported) and floor[package(imported)] <= floor[package(file)]
    }
    assert not upwards


def test_files_form_no_circle() -> None:
    circles = [each for each in nx.strongly_connected_components(nx.DiGraph(imports())) if len(each) > 1]
    assert not circles


def test_a_build_is_told_from_the_next_by_all_code_that_it_runs() -> None:
    between = nx.DiGraph((package(file), package(imported)) for file, imported in imports())
    assert set(CODE_OF_A_BUILD) == {"orchestration"} | nx.descendants(between, "orchestration")


def test_only_orchestration_knows_the_dbt_project() -> None:
    """What others need of it is published, or stands below both. Help for people may name it."""
    naming = []
    for name in sorted(PACKAGES - {"orchestration"}):
        for file in sorted((CHECKOUT / name).rglob("*.py")):
            nodes = list(ast.walk(ast.parse(file.read_text())))
            docs = {id(text) for node in nodes if (text := docstring(node))}
            texts = [node for node in nodes if isinstance(node, ast.Constant) and id(node) not in docs]
            said: list[ast.Constant | ast.alias] = [n for n in texts if "dbt_project" in str(n.value)]
            said += [node for node in nodes if isinstance(node, ast.alias) and node.name == "DBT_PROJECT"]
            naming += [f"{file.relative_to(CHECKOUT)}:{node.lineno}" for node in said]
    assert not naming


def test_every_package_is_installed_and_type_checked() -> None:
    there = {file.parent.name for file in CHECKOUT.glob("*/__init__.py")}
    tools = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]
    installed = {name.removesuffix("*") for name in tools["setuptools"]["packages"]["find"]["include"]}
    assert installed == PACKAGES | {"dbt_project", "tracker"}
    # Benchmarks run from the checkout only.
    assert there == set(tools["mypy"]["packages"]) == PACKAGES | {"benchmarks"}
