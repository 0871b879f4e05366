"""From a query at /ask to its call, with other servers and fallbacks as at /v1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import orjson
import pytest

from app.assistant.ask_requests import prepare_ask
from app.assistant.v1_requests import V1Requests
from app.catalogue.models import Catalogue, ModelEntry, ServedBy, Server
from app.errors import ModelNotFound
from app.upstream.client import Upstream
from app.upstream.language_model import LanguageModel

from ...support.asking import PRINCIPAL
from ...support.caps import CAPS

LAB, SPARE = (Server(name, f"http://127.0.0.1:9/{name}", "k") for name in ("lab", "spare"))
ENTRIES = {
    "fast": ModelEntry("fast", "m", LAB, servers=(ServedBy(LAB, 1, "m"), ServedBy(SPARE, 1, "n")), fallback=("other", "secret")),
    "other": ModelEntry("other", "o", SPARE, timeout_seconds=7),
    "secret": ModelEntry("secret", "s", SPARE, roles=frozenset({"x.y"})),
    "alone": ModelEntry("alone", "a", LAB),
}


@pytest.fixture
def requests() -> Iterator[V1Requests]:
    with ExitStack() as opened:
        upstreams = {server.name: Upstream(server) for server in (LAB, SPARE)}
        for upstream in upstreams.values():
            opened.callback(upstream.breaker.close)
        yield V1Requests(Catalogue(ENTRIES, CAPS, {}, frozenset()), upstreams)


def model_of(requests: V1Requests, name: str) -> LanguageModel:
    upstream, entry = requests.upstreams["lab"], ENTRIES[name]
    return LanguageModel(upstream, model=entry.model, alias=name, temperature=0.7, max_tokens=9, system_prompt="Be brief.")


def named(call: Any) -> tuple[str, str, str]:
    return call.upstream.name, call.model, orjson.loads(call.body)["model"]


def test_a_model_with_one_server_is_asked_there(requests: V1Requests) -> None:
    call = prepare_ask(model_of(requests, "alone"), requests, "hi", PRINCIPAL, stream=False)
    assert (named(call), call.others, call.fallbacks) == (("lab", "alone", "a"), (), ())
    assert (call.wants_text, call.asked) == (True, {"query": "hi"})


def test_other_servers_and_models_get_bodies_of_their_own(requests: V1Requests) -> None:
    model = model_of(requests, "fast")
    call = prepare_ask(model, requests, "hi", PRINCIPAL, stream=True)
    assert {named(call), named(call.others[0]())} == {("lab", "fast", "m"), ("spare", "fast", "n")}
    other = call.fallbacks[0]()
    assert (named(other), other.own_seconds, orjson.loads(other.body)["stream"]) == (("spare", "other", "o"), 7, True)
    assert orjson.loads(other.body)["messages"][0]["content"] == "Be brief."
    with pytest.raises(ModelNotFound):
        call.fallbacks[1]()
    served = ENTRIES["other"].servers[0]
    entry = ENTRIES["other"]
    assert model.at(entry, served, other.upstream) is model.at(entry, served, other.upstream), "it is made once"


@pytest.mark.parametrize(("roles", "asked_for"), [((), 9), (("small",), 3), (("large",), 9), (("small", "large"), 9)])
def test_the_ceiling_of_the_callers_role_holds(requests: V1Requests, roles: tuple[str, ...], asked_for: int) -> None:
    """That of everyone is a setting for /v1."""
    everyone = replace(CAPS, max_output_tokens=2)
    own = {"small": replace(CAPS, max_output_tokens=3), "large": replace(CAPS, max_output_tokens=100)}
    given = V1Requests(replace(requests.catalogue, caps=everyone, role_caps=own), requests.upstreams)
    asker = replace(PRINCIPAL, roles=(*PRINCIPAL.roles, *roles))
    for name in ("fast", "alone"):
        call = prepare_ask(model_of(requests, name), given, "hi", asker, stream=False)
        assert orjson.loads(call.body)["max_tokens"] == asked_for


@pytest.mark.parametrize(("ceilings", "asked_for"), [({}, 9), ({"max_output_tokens": 5}, 5), ({"context_tokens": 4}, 4)])
def test_the_ceiling_of_each_model_holds(requests: V1Requests, ceilings: dict[str, Any], asked_for: int) -> None:
    changed = {"fast": ceilings, "alone": ceilings, "other": {"max_output_tokens": 7}}
    entries = ENTRIES | {name: replace(ENTRIES[name], **members) for name, members in changed.items()}
    given = V1Requests(replace(requests.catalogue, models=entries), requests.upstreams)
    call = prepare_ask(model_of(requests, "fast"), given, "hi", PRINCIPAL, stream=False)
    alone = prepare_ask(model_of(requests, "alone"), given, "hi", PRINCIPAL, stream=False)
    calls = (call, call.others[0](), alone, call.fallbacks[0]())
    assert [orjson.loads(one.body)["max_tokens"] for one in calls] == [asked_for] * 3 + [7]
