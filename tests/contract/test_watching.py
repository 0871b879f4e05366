"""The dashboard and the alert rules speak of metrics that there are, and Prometheus' own tools accept them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # stubs for one file are not worth a dependency

from app.telemetry.metrics.catalogue import METRICS, PREFIX

from ..support.paths import ROOT
from ..support.prometheus import promtool

ALERTS = ROOT / "deploy/prometheus"
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())
NAME = re.compile(rf"\b{PREFIX}([a-z_]+)")
LABEL = re.compile(r"([a-z_]+)\s*(?:=~|!=|!~|=)\s*\"")
OF_A_SERIES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}
OF_PROMETHEUS = {"instance", "job", "le"}


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((ALERTS / "alerts.yaml").read_text())["groups"]
    return list(group["rules"])


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ()))


def series() -> dict[str, set[str]]:
    """The names that Prometheus stores, with their labels."""
    return {one.name + end: {*one.labels} for one in METRICS.values() for end in OF_A_SERIES[one.kind]}


def test_every_metric_and_label_that_is_asked_for_exists() -> None:
    known = series()
    for expression in expressions():
        names = NAME.findall(expression)
        assert names or "up{" in expression, expression
        assert set(names) <= known.keys(), expression
        labels = set.union(OF_PROMETHEUS, *(known[name] for name in names))
        grouped = {one for found in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression) for one in re.split(r",\s*", found)}
        assert {*LABEL.findall(expression), *grouped} <= labels, expression


def test_prometheus_accepts_the_rules_and_the_example() -> None:
    done = promtool("check", "rules", "alerts.yaml", folder=ALERTS)
    assert done.returncode == 0, done.stdout + done.stderr
    done = promtool("check", "config", "prometheus.example.yaml", folder=ALERTS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_quiet_before_and_fires_after() -> None:
    done = promtool("test", "rules", "alerts.test.yaml", folder=ALERTS)
    assert done.returncode == 0, done.stdout + done.stderr
    tested = yaml.safe_load((ALERTS / "alerts.test.yaml").read_text())["tests"]
    assert [one["name"] for one in tested] == [rule["alert"] for rule in rules()]
    for one in tested:
        before, after = one["alert_rule_test"]
        assert "exp_alerts" not in before, one["name"]
        assert after["exp_alerts"], one["name"]


def test_each_alert_says_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert {"summary", "action"} == rule["annotations"].keys(), rule["alert"]


def test_every_query_of_the_dashboard_is_one(tmp_path: Path) -> None:
    queries = [one.replace("$__rate_interval", "5m").replace("$instance", ".*") for one in expressions()]
    text = json.dumps({"groups": [{"name": "all", "rules": [{"record": f"q{n}", "expr": q} for n, q in enumerate(queries)]}]})
    (tmp_path / "queries.yaml").write_text(text)
    done = promtool("check", "rules", "queries.yaml", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_panels_have_titles_say_what_they_show_and_do_not_overlap() -> None:
    taken = set[tuple[int, int]]()
    for panel in DASHBOARD["panels"]:
        where = panel["gridPos"]
        cells = {(x, y) for x in range(where["x"], where["x"] + where["w"]) for y in range(where["y"], where["y"] + where["h"])}
        assert panel["title"]
        assert panel["type"] == "row" or panel["description"]
        assert not cells & taken, panel["title"]
        taken |= cells
    assert max(x for x, _ in taken) == 23
