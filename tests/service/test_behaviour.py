"""The behaviour that callers, operators and readers of the log see is the recorded one.

`behaviour.json` holds statuses, headers, members and types. After an intended change, run
`python -m tests.service.test_behaviour` to rewrite the file, and read its diff before you commit it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ..support.fake_openai import FakeOpenAI
from ..support.observe import observe, observe_cli, requests
from ..support.plain_uvicorn import plain_uvicorn
from ..support.service import Service, close_breakers

RECORDED = Path(__file__).with_name("behaviour.json")


def observe_all(
    folder: Path, serve: Callable[[Service], AbstractContextManager[object]] = lambda service: service, *, commands: bool = True
) -> dict[str, Any]:
    """*serve* starts and ends it; by default as people do. *commands*: what they print, too."""
    with FakeOpenAI() as fake:
        env: dict[str, Any] = {"OPENAI_BASE_URL": fake.base_url, "OPENAI_API_KEY": "sk-planted-key-0123456789"}
        service = Service(folder, ADDRESS_RATE_LIMIT="10000000", **env)
        with serve(service):
            clients = {"user": "ai.playground.user", "auditor": "ai.audit.reader"}
            tokens = {name: service.token(name, service.add_client(name, role)) for name, role in clients.items()}

            def set_mode(*mode: Any, **more: Any) -> None:
                close_breakers(service)
                fake.set(*mode, **more)

            seen = observe(service, {**tokens, "bad": "x.y.z"}, set_mode)
            return {**seen, "cli": observe_cli(service)} if commands else seen


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return observe_all(tmp_path_factory.mktemp("observed"))


def test_every_recorded_observation_is_still_made(seen: dict[str, Any]) -> None:
    assert json.loads(RECORDED.read_text()).keys() == seen.keys()


@pytest.mark.parametrize("name", json.loads(RECORDED.read_text()))
def test_it_is_observed_as_it_was_recorded(name: str, seen: dict[str, Any]) -> None:
    assert json.loads(json.dumps(seen[name])) == json.loads(RECORDED.read_text())[name]


def test_fastapis_router_gives_the_answers_that_the_direct_routes_give(seen: dict[str, Any], tmp_path: Path) -> None:
    serve = partial(plain_uvicorn, processes=1, factory="tests.support.overridden_app:create_app")
    overridden = observe_all(tmp_path / "o", serve, commands=False)
    asked = [one.name for one in requests() if one.method == "POST" and one.path.startswith(("/ask", "/v1/"))]
    assert len(asked) > 40
    assert {name: overridden[name] for name in asked} == {name: seen[name] for name in asked}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        found = observe_all(Path(place))
    lines = (f"{json.dumps(name)}: {json.dumps(found[name], sort_keys=True, separators=(',', ':'))}" for name in sorted(found))
    RECORDED.write_text("{\n" + ",\n".join(lines) + "\n}\n")
