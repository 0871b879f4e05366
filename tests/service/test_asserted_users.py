"""The users that a front end names: in the records beside the proven client, and never in its place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from openai import BadRequestError, OpenAI

from ..support.calls import bearer
from ..support.fake_openai import FakeOpenAI
from ..support.sdk import client_of, records_named, refused
from ..support.service import HTTP, Service
from ..support.waiting import eventually

ANN = {"X-OpenWebUI-User-Id": "ann-1", "X-OpenWebUI-User-Email": "ann@example.com", "X-OpenWebUI-User-Name": "Ann%20%C3%9C"}
BEN = {"X-OpenWebUI-User-Id": "ben-2", "X-OpenWebUI-User-Email": "ben@example.com", "X-OpenWebUI-User-Name": "Ben"}
HI: Any = [{"role": "user", "content": "hi"}]
SOURCE = "x-openwebui-user-id"
LIMIT = 4


@dataclass
class House:
    """A service with two front ends, and another client of everybody's kind."""

    service: Service
    front_end: str
    other_front_end: str
    other: str
    """Their tokens."""

    def asked(self, token: str, headers: dict[str, str], path: str = "/v1/chat/completions", **body: Any) -> list[dict[str, Any]]:
        """The records of one question."""
        body = {"query": "hi"} if path == "/ask" else {"model": "gpt-4o-mini", "messages": HI, **body}
        response = HTTP.post(self.service.url + path, json=body, headers=bearer(token) | headers)
        assert response.status_code == 200, response.text
        return records_named(self.service, response.headers["x-request-id"])


@contextmanager
def house(service: Service) -> Iterator[House]:
    """The clients are made before it runs: a running service knows within a second that one is a front end."""
    front_ends = [service.cli("clients", "add", name, "--front-end")["client_secret"] for name in ("webui", "portal")]
    alice = service.add_client("alice")
    with service:
        webui, portal = map(service.token, ("webui", "portal"), front_ends)
        yield House(service, webui, portal, service.token("alice", alice))


@pytest.fixture(scope="module")
def open_house(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[House]:
    env: dict[str, Any] = {"OPENAI_BASE_URL": fake.base_url, "V1_SERVER_SIDE": "previous_response_id"}
    with house(Service(tmp_path_factory.mktemp("front_end"), **env)) as opened:
        yield opened


def users_of(records: list[dict[str, Any]]) -> list[tuple[str, Any, Any]]:
    """Of each record: the proven one, the asserted one, the claimed one."""
    return [(one["user_id"], one["details"].get("asserted_user"), one["details"].get("claimed_user")) for one in records]


# --- headers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/ask"])
def test_the_records_of_a_front_end_tell_its_users_apart(open_house: House, path: str) -> None:
    for headers, name in ((ANN, "ann-1"), (BEN, "ben-2"), ({"X-Forwarded-User": "cat"}, "cat")):
        source = SOURCE if "-" in name else "x-forwarded-user"
        users = users_of(open_house.asked(open_house.front_end, headers, path))
        assert users == [("webui", {"id": name, "source": source}, None)] * 2
    shown = open_house.service.cli("audit", "show", "--asserted-user", "ben-2")
    assert {record["details"]["asserted_user"]["id"] for record in shown} == {"ben-2"}
    assert {"ask.received", "ask.answered"} <= {record["action"] for record in shown}


def test_neither_address_nor_name_is_recorded_or_sent_on_unasked(open_house: House, fake: FakeOpenAI) -> None:
    open_house.asked(open_house.front_end, ANN)
    stored = open_house.service.log.read_bytes() + (open_house.service.folder / "logs/security.log").read_bytes()
    sent = json.dumps(fake.seen()).lower()
    for secret in ("ann@example.com", "Ann%20", "Ann Ü"):
        assert secret.encode() not in stored
        assert secret.lower() not in sent
    assert "x-openwebui" not in sent
    assert "ann-1" not in sent


def test_the_headers_of_any_other_client_are_ignored(open_house: House, fake: FakeOpenAI) -> None:
    forged = ANN | {"X-Forwarded-User": "webui"}
    assert users_of(open_house.asked(open_house.other, forged)) == [("alice", None, None)] * 2
    assert "x-openwebui" not in json.dumps(fake.seen()).lower()


def test_a_user_named_twice_is_refused(open_house: House) -> None:
    headers = [*bearer(open_house.front_end).items(), ("X-Forwarded-User", "a"), ("X-Forwarded-User", "b")]
    response = HTTP.post(open_house.service.url + "/ask", json={"query": "hi"}, headers=headers)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")


def test_an_id_of_any_length_and_kind_makes_a_short_record(open_house: House) -> None:
    records = open_house.asked(open_house.front_end, {"X-Forwarded-User": "x" * 5000})
    (name,) = {record["details"]["asserted_user"]["id"] for record in records}
    assert (name[:7], len(name)) == ("sha256:", 71)


# --- bodies ------------------------------------------------------------------------------------------


def test_members_of_a_body_are_claims_unless_a_front_end_sends_them(open_house: House, fake: FakeOpenAI) -> None:
    user = {"id": "u-7", "source": "user"}
    received, answered = users_of(open_house.asked(open_house.other, ANN, user="u-7", safety_identifier="s"))
    assert (received, answered) == (("alice", None, user), ("alice", None, None))
    assert json.loads(fake.seen()["bodies"][-1])["user"] == "u-7", "the server gets the member as before"
    assert users_of(open_house.asked(open_house.front_end, {}, user="u-7")) == [("webui", user, None)] * 2
    ann = {"id": "ann-1", "source": SOURCE}
    assert users_of(open_house.asked(open_house.front_end, ANN, user="u-7")) == [("webui", ann, None)] * 2


def test_the_session_of_claude_code_is_a_claim(open_house: House, fake: FakeOpenAI) -> None:
    header = "x-claude-code-session-id"
    received = users_of(open_house.asked(open_house.other, {header: "s-1"}))[0]
    assert received == ("alice", None, {"id": "s-1", "source": header})
    assert header not in json.dumps(fake.seen()).lower()


# --- rights ------------------------------------------------------------------------------------------


def test_a_named_user_reads_and_may_nothing(open_house: House) -> None:
    """A front end that names alice, and a user of a front end who has alice's name, are not alice."""
    service = open_house.service
    seq = open_house.asked(open_house.other, {})[-1]["seq"]
    own = open_house.asked(open_house.front_end, {"X-Forwarded-User": "alice"})[-1]["seq"]
    for token, readable, hidden in ((open_house.front_end, own, seq), (open_house.other, seq, own)):
        who = bearer(token) | {"X-Forwarded-User": "alice"}
        assert HTTP.get(f"{service.url}/audit/entries/{readable}", headers=who).status_code == 200
        assert HTTP.get(f"{service.url}/audit/entries/{hidden}", headers=who).status_code == 404
        lines = HTTP.get(f"{service.url}/audit/entries?limit=1000", headers=who).text.splitlines()
        assert {json.loads(line)["user_id"] for line in lines} == {"webui" if token == open_house.front_end else "alice"}
    shown = service.cli("audit", "show", "--asserted-user", "alice")
    assert {record["user_id"] for record in shown} == {"webui"}


def test_a_response_is_continued_only_for_the_user_who_got_it(open_house: House) -> None:
    def ask(client: OpenAI, headers: dict[str, str], **more: Any) -> Any:
        return client.responses.create(model="gpt-4o-mini", input="hi", extra_headers=headers, **more)

    with client_of(open_house.service, open_house.front_end, max_retries=0) as client:
        first = ask(client, ANN)
        assert ask(client, ANN, previous_response_id=first.id).previous_response_id == first.id
        for headers in (BEN, {}):
            error = refused(ask, client, headers, previous_response_id=first.id)
            assert isinstance(error, BadRequestError)
            assert error.param == "previous_response_id"


def test_a_client_is_a_front_end_for_as_long_as_the_operator_says_so(open_house: House) -> None:
    def is_named() -> bool:
        return users_of(open_house.asked(open_house.front_end, ANN))[0][1] is not None

    service = open_house.service
    assert is_named()
    assert service.cli("clients", "set", "webui", "--no-front-end")["front_end"] is False
    eventually(lambda: not is_named())
    service.cli("clients", "set", "webui", "--front-end")
    eventually(is_named)
    record = [one for one in service.records() if one["action"] == "client.settings_set"][-1]
    assert record["details"] == {"client_id": "webui", "token_seconds": None, "rpm": None, "front_end": True, "by": "operator"}


# --- settings ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[House]:
    env: dict[str, Any] = {"OPENAI_BASE_URL": fake.base_url, "RATE_LIMIT": str(2 * LIMIT + 1)}
    env |= {"ASSERTED_USER_RATE_LIMIT": str(LIMIT), "ASSERTED_USER_FIELDS": "email,name", "ASSERTED_USER_HEADER": "Remote-User"}
    with house(Service(tmp_path_factory.mktemp("narrow"), **env)) as opened:
        yield opened


def test_users_of_a_front_end_divide_its_bucket(narrow: House) -> None:
    """One who asks too often does not use up the part of the others; together they get no more than the front end."""

    def ask(headers: dict[str, str], body: dict[str, Any] | None = None) -> tuple[int, str]:
        body = {"model": "gpt-4o-mini", "messages": HI, **(body or {})}
        url = narrow.service.url + "/v1/chat/completions"
        response = HTTP.post(url, json=body, headers=bearer(narrow.front_end) | headers)
        return response.status_code, response.headers["x-request-id"]

    answers = [ask(ANN) for _ in range(3 * LIMIT)]
    assert [status for status, _ in answers] == [200] * LIMIT + [429] * 2 * LIMIT
    details = records_named(narrow.service, answers[-1][1])[0]["details"]
    assert (details["code"], details["asserted_user"]["id"]) == ("rate_limited", "ann-1")
    full = {"id": "ann-1", "source": SOURCE, "email": "ann@example.com", "name": "Ann Ü"}
    assert records_named(narrow.service, answers[0][1])[0]["details"]["asserted_user"] == full
    assert [ask({"Remote-User": "ben"})[0] for _ in range(LIMIT + 1)] == [200] * LIMIT + [429]
    assert [ask({}, {"user": name})[0] for name in ("cat", "dan")] == [200, 429], "the front end's own limit"


def test_one_whom_only_bodies_name_uses_up_nobody_elses_part(narrow: House) -> None:
    def ask(name: str) -> httpx.Response:
        body = {"model": "gpt-4o-mini", "messages": HI, "user": name}
        return HTTP.post(narrow.service.url + "/v1/chat/completions", json=body, headers=bearer(narrow.other_front_end))

    answers = [ask("ann") for _ in range(3 * LIMIT)]
    assert [answer.status_code for answer in answers] == [200] * LIMIT + [429] * 2 * LIMIT
    assert answers[-1].headers.get_list("ratelimit-policy") == [f'"asserted";q={LIMIT};w=60']
    assert [ask("ben").status_code for _ in range(LIMIT + 1)] == [200] * LIMIT + [429]
