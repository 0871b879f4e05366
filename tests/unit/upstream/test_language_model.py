"""The body of a question at /ask: exact, and only what the settings say."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys

import pytest

from app.errors import ConfigError, InvalidRequest
from app.upstream.completion import Completion, Usage
from app.upstream.language_model import LanguageModel

from ...support.asking import KEY, ask, make, send, use
from ...support.fake_openai import FakeOpenAI, completion_text
from ...support.paths import ROOT


def test_the_server_gets_exactly_the_prepared_bytes(fake: FakeOpenAI) -> None:
    """The record names this digest before the call, so it must be the digest of what left."""
    model = make(fake.base_url)
    body = model.build_body("What is 6 times 7?")
    answer = use(model, lambda model: send(model, "What is 6 times 7?"))
    assert answer == Completion(
        completion_text("What is 6 times 7?"),
        "small-1",
        Usage(12, 7),
        answer=completion_text("What is 6 times 7?"),
        finish="stop",
    )
    assert fake.seen()["sha256"] == [hashlib.sha256(body).hexdigest()]
    assert json.loads(body) == {
        "model": "small-1",
        "stream": False,
        "temperature": 0.7,
        "max_tokens": 1000,
        "messages": [{"role": "system", "content": "Be {brief}."}, {"role": "user", "content": "What is 6 times 7?"}],
    }


def test_many_at_once_each_get_their_own_answer(fake: FakeOpenAI) -> None:
    async def crowd(model: LanguageModel) -> list[Completion]:
        return await asyncio.gather(*[send(model, f"question {n}") for n in range(300)])

    answers = use(make(fake.base_url), crowd)
    assert [answer.text for answer in answers] == [completion_text(f"question {n}") for n in range(300)]
    assert fake.calls() == 300


@pytest.mark.parametrize(
    ("base_url", "cap"),
    [
        (None, "max_completion_tokens"),
        ("https://api.openai.com/v1/", "max_completion_tokens"),
        ("https://mine.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("http://127.0.0.1:11434/v1", "max_tokens"),
        ("https://openai.com.example.net/v1", "max_tokens"),
    ],
)
def test_the_cap_on_tokens_has_the_name_that_the_server_honours(base_url: str | None, cap: str) -> None:
    body = json.loads(make(base_url).build_body("hi"))
    assert {name: value for name, value in body.items() if name.startswith("max_")} == {cap: 1000}


def test_only_the_key_and_plain_headers_are_sent(fake: FakeOpenAI) -> None:
    ask(make(fake.base_url))
    headers = fake.seen()["headers"]
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["content-type"] == "application/json"
    assert headers["accept-encoding"] == "identity"
    ask(make(fake.base_url, key=""))
    assert "authorization" not in fake.seen()["headers"]


def test_a_lone_surrogate_is_refused_before_anything_is_sent(fake: FakeOpenAI) -> None:
    with pytest.raises(InvalidRequest):
        make(fake.base_url).build_body("\ud800")


@pytest.mark.parametrize(
    ("base_url", "key"),
    [
        ("ftp://host/v1", "k"),
        ("http://user:pass@host/v1", "k"),
        ("http://host:99999/v1", "k"),
        ("nowhere", "k"),
        ("http://host/v1", "two\nlines"),
        ("http://host/v1", "ключ"),
    ],
)
def test_an_address_or_key_that_cannot_work_stops_the_start(base_url: str, key: str) -> None:
    with pytest.raises(ConfigError):
        make(base_url, key=key)


@pytest.mark.slow
def test_a_service_imports_no_langchain() -> None:
    """It takes a second and 50 MB."""
    code = "import sys, app.main; print([name for name in sys.modules if name.startswith(('langchain', 'langsmith', 'openai'))])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
