"""/readyz: 200 only where every worker can record; its answer is never recorded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from fastapi import Response

from app.api.context import request_context
from app.api.routes.health import _signing, readyz
from app.api.scoreboard import NOT_COUNTED, Scoreboard
from app.audit.evidence import health

from ....support.http_request import request_of, run

UPSTREAMS = {name: SimpleNamespace(breaker=SimpleNamespace(is_open=name == "spare")) for name in ("lab", "spare")}
ASSISTANT = SimpleNamespace(v1_requests=SimpleNamespace(upstreams=UPSTREAMS))
NOTE = "small-1 at http://127.0.0.1:9/v1"


def ask(
    closed_because: str | None = None,
    *,
    is_in_place: bool = True,
    is_following: bool = True,
    closed: int | None = None,
    uncounted: int | None = None,
    node: str | None = None,
) -> Response:
    scoreboard = Scoreboard(2)
    slots = [scoreboard.slot(number) for number in range(2)]
    slots[0].refused, slots[1].refused = 1, 2
    if closed is not None:
        slots[closed].set_closed(True)
    if uncounted is not None:
        slots[uncounted].set_counting(NOT_COUNTED)
    audit = SimpleNamespace(closed_because=closed_because, is_in_place=lambda: is_in_place)
    security = SimpleNamespace(is_following=is_following)
    app: Any = SimpleNamespace(
        services=SimpleNamespace(
            audit=audit,
            security=security,
            model_note=NOTE,
            assistant=ASSISTANT,
            nodes=SimpleNamespace(differing={"node-2": ["RATE_LIMIT", "POLICY_FILE"]}),
            settings=SimpleNamespace(has_nodes=node is not None, node=node),
        ),
        scoreboard=scoreboard,
    )
    request = request_of("/readyz", method="GET", app=app)
    response = run(readyz(request))
    assert request_context(request).origin.terminal_record.is_written
    return response


def test_a_machine_among_several_says_which_it_is() -> None:
    body = orjson.loads(ask(node="node-1").body)
    assert (body["node"], body["nodes"]) == ("node-1", {"node-2": "has another RATE_LIMIT and another POLICY_FILE"})
    assert "node" not in orjson.loads(ask().body)


def test_a_service_that_can_record_is_ready() -> None:
    response = ask()
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert list(orjson.loads(response.body).items()) == [
        ("status", "ready"),
        ("audit", "writable"),
        ("limits", "counted"),
        ("refused_for_audit", 3),
        ("log", "as signed"),
        ("log_recheck", {"position": 0, "size": 0, "passes": 0}),
        ("log_key", "in place"),
        ("signing", "up to date"),
        ("head_age_seconds", None),
        ("revocations", "up to date"),
        ("model", NOTE),
        ("breakers", {"lab": "closed", "spare": "open: not asked for a moment"}),
        ("lost", {"output": 0, "security_log": 0}),
    ]


@pytest.mark.parametrize(
    "how",
    [{"closed_because": "/srv/logs is full"}, {"is_in_place": False}, {"closed": 0}, {"closed": 1}],
    ids=["closed here", "log away", "this worker", "another worker"],
)
def test_a_service_that_cannot_record_is_not_and_does_not_say_why(how: dict[str, Any]) -> None:
    response = ask(**how)
    document = orjson.loads(response.body)
    assert (response.status_code, document["status"], document["audit"]) == (503, "unavailable", "audit_unavailable")
    assert b"/srv" not in response.body


def test_stale_revocations_are_said_and_do_not_stop_the_service() -> None:
    response = ask(is_following=False)
    stale = "stale: the client database cannot be read"
    assert (response.status_code, orjson.loads(response.body)["revocations"]) == (200, stale)


@pytest.mark.parametrize("worker", [0, 1])
def test_a_service_that_cannot_count_requests_is_not_ready_and_says_so(worker: int) -> None:
    response = ask(uncounted=worker)
    document = orjson.loads(response.body)
    assert (response.status_code, document["status"], document["audit"]) == (503, "unavailable", "writable")
    assert document["limits"] == "not counted: every request is refused"


def test_what_is_not_signed_is_said_and_where_nothing_moves_any_more_that(monkeypatch: pytest.MonkeyPatch) -> None:
    log, began = health.LogHealth(), health._now()
    log.note_behind(True)
    assert _signing(log) == "up to date", "for so short a time"
    monkeypatch.setattr(health, "_now", lambda: began + 60_000)
    assert _signing(log) == "stands still: nothing is signed, and nobody watches the log"
    log.beat()
    assert _signing(log) == "behind: the security log says why"
