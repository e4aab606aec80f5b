"""Metrics of what destinations are told, and the alarms of `deploy/alerts.yml` over them."""

import operator
import re
from collections.abc import Callable, Mapping
from contextlib import closing

import pytest
import yaml
from example_outbox import write_outbox

from forwarding.outbox.store import open_outbox
from funnelhouse import gauges
from funnelhouse.settings import CHECKOUT, Settings
from read_api import forwarding_gauges
from read_api.forwarded import Forwarded
from read_api.forwarding_gauges import ForwardingGauges

ALERTS = CHECKOUT / "deploy" / "alerts.yml"

# All that the expressions there are made of.
_EXPRESSION = re.compile(r"(max|min)\(funnelhouse_([a-z_]+)\) ([<>]) ([0-9e.]+)")
_COMPARED: Mapping[str, Callable[[float, float], bool]] = {"<": operator.lt, ">": operator.gt}


def samples(settings: Settings) -> dict[str, float]:
    """Values by name, those of attempts with their outcome."""
    return {
        sample.name.removeprefix("funnelhouse_") + "".join(sample.labels.values()): sample.value
        for family in ForwardingGauges(Forwarded(settings)).collect()
        for sample in family.samples
    }


def fires(settings: Settings) -> set[str]:
    """Alarms of destinations that go off."""
    found = samples(settings)
    [group] = yaml.safe_load(ALERTS.read_text())["groups"]
    fired = set()
    for rule in group["rules"]:
        said = _EXPRESSION.fullmatch(rule["expr"])
        assert said is not None, rule["expr"]
        if said[2] in found and _COMPARED[said[3]](found[said[2]], float(said[4])):
            fired.add(rule["alert"])
    return fired


def test_every_alarm_is_over_a_metric_that_there_is() -> None:
    known = {*gauges._DESCRIPTIONS, *forwarding_gauges._DESCRIPTIONS}
    named = [_EXPRESSION.fullmatch(rule["expr"]) for rule in rules()]
    assert len(named) >= 5
    assert {found[2] for found in named if found} <= known
    assert all(named)
    assert all(rule["annotations"]["summary"] and rule["labels"]["severity"] for rule in rules())


def rules() -> list[dict[str, dict[str, str]]]:
    [group] = yaml.safe_load(ALERTS.read_text())["groups"]
    found: list[dict[str, dict[str, str]]] = group["rules"]
    return found


def test_without_an_outbox_there_is_nothing_to_tell(home: Settings) -> None:
    assert samples(home) == {}
    home.home_dir.mkdir()
    home.outbox_path.write_bytes(b"no database at all, but long enough to look like one" * 100)
    assert samples(home) == {}, "what cannot be read has no sample"


def test_an_outbox_says_what_waits_and_what_is_wrong(home: Settings) -> None:
    write_outbox(home)
    found = samples(home)
    # Planned weeks ago, by this clock.
    assert found.pop("oldest_waiting_delivery_age_seconds") > 3600
    assert found == {
        "deliveries_waiting": 2,
        "deliveries_held": 1,
        "destinations_paused": 1,
        "destinations_failing": 1,
        "conversions_told_differently": 1,
        **{f"delivery_attempts_1d{each}": 0 for each in forwarding_gauges.OUTCOMES},
    }
    assert fires(home) == {"DeliveriesWait", "DestinationPaused", "DeliveriesHeld"}
    with closing(open_outbox(home.outbox_path)) as store:
        store.execute("UPDATE deliveries SET state = 'cancelled'")
        store.execute("UPDATE destination_state SET paused = 0")
    assert fires(home) == set()


def test_it_is_looked_up_no_more_often_than_needed(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = ForwardingGauges(Forwarded(home))
    assert list(watched.collect()) == []
    write_outbox(home)
    assert list(watched.collect()) == []
    monkeypatch.setattr(watched, "_seen_until", 0.0)
    assert len(list(watched.collect())) == 7
