"""How soon a change at one node holds at the other: told at once, and where nothing is told."""

from __future__ import annotations

import base64
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...support.budget_policy import ANSWER_TOKENS, policy_for
from ...support.calls import bearer
from ...support.nodes import nodes
from ...support.postgres_server import PostgresServer
from ...support.service import HTTP, Service
from ...support.waiting import eventually
from ..figures import Figures
from .one_log import servers

WANTED_SECONDS = 1.0
AWAY = "away"
MORE = f"""
[servers.{AWAY}]
base_url = "http://127.0.0.1:9/v1"
[models.{AWAY}]
server = "{AWAY}"
[prices.{AWAY}]
input = 0
output = 0
[breaker]
failures = 1
open_seconds = 600
"""
Change = Callable[["Pair"], Callable[[], bool]]
"""Makes a change at one node; returns whether it holds at the other."""


@dataclass(frozen=True)
class Pair:
    one: Service
    other: Service
    token: str

    def new_client(self, name: str) -> str:
        return self.one.token(name, self.one.add_client(name))

    def is_refused(self, credential: str) -> bool:
        return self.other.ask(credential).status_code == 401

    def breaker(self, node: Service) -> str:
        return str(HTTP.get(f"{node.url}/readyz").json()["breakers"][AWAY])

    def ask_away(self) -> None:
        body = {"model": AWAY, "messages": [{"role": "user", "content": "hi"}]}
        HTTP.post(f"{self.one.url}/v1/chat/completions", json=body, headers=bearer(self.token))


def _client_added(pair: Pair) -> Callable[[], bool]:
    form = {"grant_type": "client_credentials", "client_id": "carol", "client_secret": pair.one.add_client("carol")}
    return lambda: HTTP.post(f"{pair.other.url}/token", data=form).status_code == 200


def _client_disabled(pair: Pair) -> Callable[[], bool]:
    token = pair.new_client("dave")
    assert pair.other.ask(token).status_code == 200
    pair.one.cli("clients", "disable", "dave")
    return lambda: pair.is_refused(token)


def _key_revoked(pair: Pair) -> Callable[[], bool]:
    added = pair.one.cli("keys", "add", "alice")
    assert pair.other.ask(added["key"]).status_code == 200
    pair.one.cli("keys", "revoke", added["key_id"])
    return lambda: pair.is_refused(added["key"])


def _token_revoked(pair: Pair) -> Callable[[], bool]:
    token = pair.new_client("erin")
    assert pair.other.ask(token).status_code == 200
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    pair.one.cli("token", "revoke", claims["jti"])
    return lambda: pair.is_refused(token)


def _budget_added(pair: Pair) -> Callable[[], bool]:
    spender = pair.new_client("spender")
    eventually(lambda: pair.other.ask(spender).status_code == 429)
    pair.one.cli("budget", "add", "principal=spender/month/money", f"{10 * ANSWER_TOKENS / 1000}")
    return lambda: pair.other.ask(spender).status_code == 200


def _breaker_opened(pair: Pair) -> Callable[[], bool]:
    pair.ask_away()
    assert pair.breaker(pair.one).startswith("open")
    return lambda: pair.breaker(pair.other).startswith("open")


def _breaker_closed(pair: Pair) -> Callable[[], bool]:
    pair.one.cli("breaker", "close", AWAY)
    return lambda: pair.breaker(pair.other) == "closed"


def _policy_changed(pair: Pair) -> Callable[[], bool]:
    path = Path(pair.one.env["POLICY_FILE"])
    name = f"model-{time.monotonic_ns()}"
    path.write_text(path.read_text() + f'[models.{name}]\nserver = "local"\n[prices.{name}]\ninput = 0\noutput = 1\n')
    os.kill(pair.one.pid, signal.SIGHUP)
    eventually(lambda: _serves(pair.one, pair.token, name))
    return lambda: _serves(pair.other, pair.token, name)


def _serves(node: Service, token: str, model: str) -> bool:
    return model in HTTP.get(f"{node.url}/v1/models", headers=bearer(token)).text


CHANGES: dict[str, Change] = {
    "client added": _client_added,
    "client disabled": _client_disabled,
    "key revoked": _key_revoked,
    "token revoked": _token_revoked,
    "budget added to": _budget_added,
    "breaker opened": _breaker_opened,
    "breaker closed": _breaker_closed,
    "policy by SIGHUP": _policy_changed,
}
WAYS = ("told", "each connection cut just before", "nothing is told")


def spread(folder: Path, *, way: str, postgres: PostgresServer | None = None) -> Figures:
    """Each change at one of two nodes: the seconds after which it holds at the other one."""
    began, took = time.monotonic(), dict[str, float]()
    with servers(folder, postgres) as (fake, postgres, _, env):
        policy = policy_for(folder / "policy", fake, 3 * ANSWER_TOKENS, cap=ANSWER_TOKENS, principal="spender", more=MORE)
        with nodes(folder, 2, **env, **policy) as ((one, other), token):
            pair, database = Pair(one, other, token), env["DATABASE_URL"].rpartition("/")[2].partition("?")[0]
            if way == "nothing is told":
                for table in ("generation", "breakers", "nodes"):
                    postgres.query(f"DROP TRIGGER tell_changed ON assistant.{table}", database=database)
            for name, change in CHANGES.items():
                if way == "each connection cut just before":
                    ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
                    postgres.query(ends, database)
                took[name] = _seconds_until(change(pair))
    remarks = [f"{name} {seconds:.2f} s" for name, seconds in took.items()]
    late = [name for name, seconds in took.items() if seconds > WANTED_SECONDS]
    return Figures(len(took) - len(late), 0, time.monotonic() - began, broken=len(late), remarks=[*remarks, "wanted: 1 s"])


def _seconds_until(holds: Callable[[], bool]) -> float:
    began = time.monotonic()
    eventually(holds)
    return time.monotonic() - began
