"""What the documents name is used by a test: every setting, command, option and address.

The tables say by which. A setting, a command or an option that joins needs its row, and a test that the row
can name: one that does not mention it fails here.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import httpx
import pytest
from servers import free_port, start_ingest, start_read

from command_line.cli import main
from funnelhouse.settings import CHECKOUT, Settings

TESTS = CHECKOUT / "tests"

BUILD = "orchestration/test_commands.py::test_a_build_by_hand_does_what_all_settings_say_whatever_was_sent"
ENGINE = "orchestration/test_spark_engine.py::test_settings_say_which_engine"
UP = "command_line/test_processes.py::variables"
PROXY = "ingest/test_access.py::behind_proxy"
ACCESS = "ingest/test_access.py::test_each_option_changes_what_it_names"
ROTATED = "command_line/test_keys_cli.py::test_a_rotated_key_overlaps_with_its_successor"
CREATED = "command_line/test_keys_cli.py::test_keys_end_when_they_were_told_to"
NAMED = "command_line/test_keys_cli.py::test_a_key_has_a_name_and_says_when_it_was_used"
EXTENDED = "orchestration/test_deploy_command.py::test_extensions_are_deployed_with_the_shipped_project"
HELD = "command_line/test_builds_cli.py::test_readers_go_back_and_stay_until_they_are_released"
LISTED = "command_line/test_rejected_cli.py::test_it_is_one_line_before_and_after_it_was_sealed_and_pruned"
FORWARDED = "test_forward_settings.py::test_receivers_ports_and_addresses_are_read"

SHOWN = "command_line/test_destinations_shown.py::test_a_postback_from_its_dry_run_to_what_became_of_it"
ASKED = "command_line/test_destinations_shown.py::test_meta_judges_conversions_as_test_events"
WISHED = "command_line/test_destinations_cli.py::test_what_is_wished_is_written_down"
STOPPED = "command_line/test_destinations_cli.py::test_everything_is_stopped_at_once"
TYPED = "command_line/test_destinations_cli.py::test_secrets_are_typed_listed_and_rotated"
SIGNED = "command_line/test_destinations_cli.py::test_a_signing_secret_is_printed_once_and_a_new_key_is_one"

SETTINGS = {
    "FUNNELHOUSE_HOME": UP,
    "FUNNELHOUSE_LANDING": "servers.py::_started",
    "FUNNELHOUSE_LANDING_DAYS": BUILD,
    "FUNNELHOUSE_HOST": "command_line/test_processes.py::test_servers_get_the_settings_and_answer",
    "FUNNELHOUSE_INGEST_PORT": UP,
    "FUNNELHOUSE_READ_PORT": UP,
    "FUNNELHOUSE_DAGSTER_PORT": UP,
    "FUNNELHOUSE_DEMO_SHOP_PORT": "command_line/test_demo_shop.py::running_shop",
    "FUNNELHOUSE_INGEST_URL": "dashboard/conftest.py::house",
    "FUNNELHOUSE_POSTBACK_RATE_LIMIT": PROXY,
    "FUNNELHOUSE_PAGE_RATE_LIMIT": "ingest/test_page_keys.py::limited",
    "FUNNELHOUSE_TRACKER_RATE_LIMIT": "ingest/test_tracker.py::limited",
    "FUNNELHOUSE_TRACKER_PREFIX": "ingest/test_tracker.py::limited",
    "FUNNELHOUSE_LINK_RATE_LIMIT": "ingest/test_links.py::limited",
    "FUNNELHOUSE_LINK_WAIT_MS": "ingest/test_links.py::limited",
    "FUNNELHOUSE_TRUSTED_PROXIES": PROXY,
    "FUNNELHOUSE_COUNTRY_HEADER": PROXY,
    "FUNNELHOUSE_HISTORY_DAYS": BUILD,
    "FUNNELHOUSE_KEEP_FREE": "orchestration/test_disk_space.py::test_the_setting_is_a_size",
    "FUNNELHOUSE_ENGINE": ENGINE,
    "FUNNELHOUSE_SPARK_MASTER": ENGINE,
    "FUNNELHOUSE_SPARK_PARTITIONS": ENGINE,
    "FUNNELHOUSE_BUILD_MEMORY": BUILD,
    "FUNNELHOUSE_EXTENSIONS": "orchestration/test_extensions.py::test_a_folder_that_is_not_there_is_named",
    "FUNNELHOUSE_PUBLISH_POSTGRES": BUILD,
    "FUNNELHOUSE_PUBLISH_POSTGRES_SCHEMA": BUILD,
    "FUNNELHOUSE_PUBLISH_PARQUET": BUILD,
    "FUNNELHOUSE_SECRET_KEYS": "record/test_secrets.py::test_keys_of_the_setting_are_not_shown",
    "FUNNELHOUSE_FORWARD_ALLOW": FORWARDED,
    "FUNNELHOUSE_FORWARD_PORTS": FORWARDED,
    "FUNNELHOUSE_META_URL": FORWARDED,
    "FUNNELHOUSE_GOOGLE_URL": FORWARDED,
    "FUNNELHOUSE_GOOGLE_TOKEN_URL": FORWARDED,
    "FUNNELHOUSE_INSTALLATION": FORWARDED,
}

COMMANDS = {
    "keys create": [ROTATED, CREATED, NAMED],
    "keys list": ["command_line/test_keys_cli.py::test_a_key_is_printed_once_alone_on_stdout"],
    "keys rename": [NAMED],
    "keys revoke": ["command_line/test_keys_cli.py::test_a_revoked_key_stops_within_a_second"],
    "keys rotate": [ROTATED, CREATED],
    "projects set": [ACCESS],
    "projects list": [ACCESS],
    "projects show": [ACCESS],
    "forward": ["forwarding/test_forward_command.py::commanded"],
    "tracker snippet": [
        "command_line/test_tracker_cli.py::printed",
        "command_line/test_tracker_cli.py::test_what_to_paste_is_printed_and_what_is_missing_is_said",
    ],
    "rejected list": ["command_line/test_rejected_cli.py::listed", LISTED],
    "rejected show": [
        "command_line/test_rejected_cli.py::test_a_refused_report_is_listed_shown_and_still_refused"
    ],
    "rejected replay": ["command_line/test_rejected_cli.py::test_only_what_was_asked_for_is_replayed"],
    "quarantine": ["orchestration/test_commands.py::test_lines_for_the_quarantine_are_printed"],
    "verify": ["orchestration/test_commands.py::test_verify_says_what_is_wrong_with_the_record"],
    "serve ingest": ["test_documented_names.py::test_a_server_runs_alone_at_the_port_that_it_is_given"],
    "serve read": ["test_documented_names.py::test_a_server_runs_alone_at_the_port_that_it_is_given"],
    "build": [BUILD],
    "deploy": [EXTENDED],
    "init": [EXTENDED],
    "dev": [
        "orchestration/test_dev_home.py::test_an_edit_is_tried_in_a_home_of_one_s_own",
        "orchestration/test_dev_home.py::test_a_sample_has_whole_clusters",
    ],
    "dbt": ["orchestration/test_dev_home.py::test_an_edit_is_tried_in_a_home_of_one_s_own"],
    "builds list": [HELD],
    "builds use": [HELD],
    "builds pin": ["command_line/test_builds_cli.py::test_a_pinned_build_is_never_deleted"],
    "builds show": ["command_line/test_builds_cli.py::test_what_a_build_says_of_itself_is_shown"],
    "publish postgres": ["orchestration/test_commands.py::test_the_published_marts_are_copied_to_postgresql"],
    "destinations list": [SHOWN],
    "destinations show": [SHOWN],
    "destinations dry-run": [SHOWN, ASKED],
    "deliveries list": [SHOWN],
    "deliveries show": [SHOWN],
    "destinations pause": [WISHED, STOPPED],
    "destinations resume": [WISHED],
    "destinations release": [WISHED],
    "destinations test": [WISHED],
    "deliveries replay": [WISHED],
    "deliveries dismiss": [WISHED],
    "deliveries split": [WISHED],
    "secrets set": [TYPED, SIGNED],
    "secrets list": [TYPED],
    "secrets rotate": [TYPED],
    "secrets new-key": [SIGNED],
    "up": ["command_line/test_processes.py::run_up"],
    "demo": [
        "test_running_house.py::test_the_demo_shows_something_of_everything_and_ends",
        "test_running_house.py::test_the_demo_of_journeys_adds_up_to_the_data_and_ends",
    ],
}

DOCUMENTS = [
    *(CHECKOUT / name for name in ("README.md", "CONTRIBUTING.md", "dbt_project/README.md")),
    *sorted((CHECKOUT / "docs").rglob("*.md")),
]


def commands() -> dict[str, list[str]]:
    """Each command with its options."""

    def below(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
        if isinstance(command, click.Group):
            for name, sub in command.commands.items():
                yield from below(sub, (*words, name))
        else:
            options = [o for p in command.params for o in p.opts if isinstance(p, click.Option)]
            yield " ".join(words), options

    return dict(below(main, ()))


def commands_named(text: str, known: dict[str, list[str]]) -> Iterator[tuple[str, set[str]]]:
    """Each command as a document writes it, with the options that stand behind it on its line."""
    joined = re.sub(r"\\\n\s*", "", text)
    for words in re.findall(r"(?:^|[`/ (])funnelhouse ([a-z][^`#\n]*)", joined, re.MULTILINE):
        for command in known:
            if f"{words} ".startswith(f"{command} "):
                yield command, set(re.findall(r"(?<=\s)--[a-z-]+", words))


def source(named: str) -> str:
    """The code of `file.py::function`, of a test or of what tests call."""
    file, _, name = named.partition("::")
    code = (TESTS / file).read_text()
    found = [node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef) and node.name == name]
    assert len(found) == 1, f"{named} is no function"
    return ast.get_source_segment(code, found[0]) or ""


def test_every_setting_is_described_with_its_default() -> None:
    described = dict(
        re.findall(r"^(FUNNELHOUSE_\w+)=(.*)$", (CHECKOUT / ".env.example").read_text(), re.MULTILINE)
    )
    fields = {f"FUNNELHOUSE_{name.upper()}": name for name in Settings.model_fields}
    assert set(described) == set(fields) == set(SETTINGS)
    as_described = Settings.model_validate({fields[name]: value for name, value in described.items()})
    defaults = {name: field.get_default() for name, field in Settings.model_fields.items()}
    assert as_described.model_dump() == defaults


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_every_setting_is_used_by_a_test(name: str) -> None:
    code = source(SETTINGS[name])
    field = name.removeprefix("FUNNELHOUSE_").lower()
    # The name of another setting may begin with this one's.
    assert re.search(rf"\b{name}\b|\"{field}\":", code), f"{SETTINGS[name]} does not use it"


def test_every_command_is_in_the_table() -> None:
    assert set(commands()) == set(COMMANDS)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_option_of_a_command_is_used_by_a_test(command: str) -> None:
    code = "\n".join(source(named) for named in COMMANDS[command])
    for word in [command.split()[-1], *commands()[command]]:
        assert f'"{word}"' in code or f" {word} " in code, f"{command}: no test uses {word}"


def test_documents_name_only_commands_and_settings_that_exist() -> None:
    known = commands()
    groups = {name.split()[0] for name in known}
    for document in DOCUMENTS:
        text = document.read_text()
        for word, sub in re.findall(r"(?:^|[`/ (])funnelhouse ([a-z]+)(?: ([a-z-]+))?", text):
            if word in groups:
                assert word in known or f"{word} {sub}" in known or not sub, (document.name, word, sub)
        for command, options in commands_named(text, known):
            assert options <= {*known[command], "--help"}, (document.name, command, options)
        for name in re.findall(r"FUNNELHOUSE_[A-Z_]*[A-Z]", text):
            if name not in ("FUNNELHOUSE_TEST_SEED", "FUNNELHOUSE_SCREENSHOTS"):
                assert name in SETTINGS, (document.name, name)


def test_every_address_in_the_documents_is_answered(tmp_path: Path) -> None:
    """Without a key: 401 is an answer, and so is a sign-in page; a route that is not there is 404."""
    ingest, read = start_ingest(tmp_path / "home"), start_read(tmp_path / "home")
    try:
        found: set[tuple[str, str]] = set()
        for document in DOCUMENTS:
            text = document.read_text()
            found |= set(re.findall(r"http://127\.0\.0\.1:(800[12])(/[^\s\"'`)?]*)", text))
            found |= {
                ("8001" if path.startswith("/ingest/") else "8002", path)
                for path in re.findall(r"`(/(?:ingest|read|app)[a-z/.]*)", text)
            }
        _, table = (CHECKOUT / "docs/read-api.md").read_text().split("| report | what it shows |\n")
        reports = re.findall(r"^\| (`[a-z/{}_`, -]+) \|", table.partition("\n\n")[0], re.M)
        found |= {
            ("8002", f"/v1/projects/shop/reports/{name}")
            for names in reports
            for name in re.findall(r"`([a-z/{}_-]+)`", names)
            if not name.endswith("/")
        }
        assert len(found) > 30, found
        with httpx.Client(timeout=30) as client:
            for port, path in sorted(found):
                url = (ingest if port == "8001" else read).url + path
                answers = {client.request(method, url).status_code for method in ("GET", "POST", "PUT")}
                # A path that is there for another method is 405; whose every method is 404 is not there.
                assert answers - {404}, (port, path)
                assert not any(500 <= status != 503 for status in answers), (port, path, answers)
            assert client.get(f"{read.url}/v1/projects/shop/reports/nothing").status_code == 404
            assert client.get(f"{ingest.url}/ingest/nothing").status_code == 404
    finally:
        ingest.stop()
        read.stop()


@pytest.mark.parametrize(("server", "path"), [("ingest", "/ingest/ready"), ("read", "/read/live")])
def test_a_server_runs_alone_at_the_port_that_it_is_given(home: Settings, server: str, path: str) -> None:
    # "ingest" and "read", as they are typed.
    port = free_port()
    command = [Path(sys.executable).with_name("funnelhouse"), "serve", server, "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        transport = httpx.HTTPTransport(retries=10)
        with httpx.Client(transport=transport, timeout=30) as client:
            assert client.get(f"http://127.0.0.1:{port}{path}").status_code == 200
    finally:
        process.terminate()
        assert process.wait(60) == 0
