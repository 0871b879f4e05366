"""What comes back from the model's server: an answer, or our error; over real sockets."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from app.catalogue.models import Server
from app.errors import UpstreamError, UpstreamUnavailable
from app.upstream.client import Upstream
from app.upstream.completion import Completion
from app.upstream.errors import UpstreamDenied, UpstreamOutOfQuota, UpstreamRefused
from app.upstream.language_model import LanguageModel
from app.upstream.protocol.chat import CHAT
from tests.support.asking import KEY, ask, make, send, use
from tests.support.fake_openai import FakeOpenAI
from tests.support.nginx import make_certificate


def reply(content: object = "fine", **members: object) -> str:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}], **members})


def test_an_empty_answer_is_an_answer(fake: FakeOpenAI) -> None:
    fake.set(body=reply(""))
    assert ask(make(fake.base_url)) == Completion("", "small-1", None, answer="")


def test_a_path_of_the_servers_machine_is_replaced_by_the_alias(fake: FakeOpenAI) -> None:
    fake.set(body=reply(model="/srv/models/secret.gguf"))
    assert ask(make(fake.base_url)).model == "small-1"


def test_a_server_that_does_not_count_gives_no_usage(fake: FakeOpenAI) -> None:
    fake.set("no_usage")
    assert ask(make(fake.base_url)).usage is None
    fake.set(body=reply(model="other", usage={"prompt_tokens": 3}))
    assert ask(make(fake.base_url)) == Completion("fine", "other", None, answer="fine")


FINAL = json.dumps({"error": {"message": "no money", "type": "insufficient_quota", "code": "insufficient_quota"}})
ODD_ERRORS: list[Any] = [{"code": {}}, {"type": []}, [], None]
REFUSALS: list[tuple[str, str | None, dict[str, str], type[UpstreamError], float | None]] = [
    ("status:429", None, {"Retry-After": "7"}, UpstreamUnavailable, 7),
    ("status:429", None, {"Retry-After": "0.02"}, UpstreamUnavailable, 1),
    ("status:429", None, {"Retry-After": "999999"}, UpstreamUnavailable, 120),
    ("status:429", None, {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, UpstreamUnavailable, 1),
    ("status:429", None, {"Retry-After": "soon"}, UpstreamUnavailable, 2),
    ("status:429", "<not json>", {}, UpstreamUnavailable, 2),
    ("status:429", FINAL, {"Retry-After": "7"}, UpstreamOutOfQuota, None),
    *[(f"status:{status}", None, {}, UpstreamUnavailable, 2.0) for status in (408, 500, 502, 503, 504)],
    ("status:402", None, {}, UpstreamOutOfQuota, None),
    *[(f"status:{status}", None, {}, UpstreamError, None) for status in (202, 204)],
    *[(f"status:{status}", None, {}, UpstreamDenied, None) for status in (302, 401, 403)],
    *[("status:429", json.dumps({"error": odd}), {}, UpstreamUnavailable, 2) for odd in ODD_ERRORS],
    *[(f"status:{status}", None, {}, UpstreamRefused, None) for status in (400, 404, 405, 409, 410, 413, 415, 422, 424, 451)],
    ("close", None, {}, UpstreamUnavailable, 2),
    ("truncate", None, {}, UpstreamUnavailable, 2),
    ("not_http", None, {}, UpstreamError, None),
    ("garbage", None, {}, UpstreamError, None),
]


@pytest.mark.parametrize(("mode", "body", "headers", "kind", "retry_after"), REFUSALS)
def test_every_failure_of_the_server_becomes_our_error(
    fake: FakeOpenAI,
    mode: str,
    body: str | None,
    headers: dict[str, str],
    kind: type[UpstreamError],
    retry_after: float | None,
) -> None:
    """By the chain and by the shorter path, with our words only."""
    fake.set(mode, body=body, headers=headers)
    for work in (lambda m: send(m, "hi"), lambda m: m.chain.ainvoke({"query": "hi"})):
        with pytest.raises(UpstreamError) as caught:
            use(make(fake.base_url), work)
        assert type(caught.value) is kind
        assert caught.value.retry_after == retry_after
        assert str(caught.value) == kind.detail
    assert fake.calls() == 2  # never retried here


UNUSABLE = [
    "",
    *["null", "[]", '"text"', "{}", '{"choices":null}', '{"choices":[]}', '{"choices":{}}', '{"choices":[null]}'],
    '{"choices": [{"message": null}]}',
    '{"choices": [{"message": {"role": "assistant"}}]}',
    '{"error": {"message": "sorry"}}',
    reply(None),
    reply(7),
    reply([{"type": "thinking", "thinking": "parts"}]),
    reply()[:-1],
    reply() + reply(),
    reply().replace('"fine"', "NaN"),
    "[" * 100_000,
]


@pytest.mark.parametrize("body", UNUSABLE, ids=lambda body: body[:40])
def test_an_answer_that_is_no_completion_is_an_upstream_error(fake: FakeOpenAI, body: str) -> None:
    fake.set(body=body)
    with pytest.raises(UpstreamError) as caught:
        ask(make(fake.base_url))
    assert type(caught.value) is UpstreamError


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (reply([{"type": "text", "text": "parts"}]), "parts"),
        (reply("\ud800"), "\ud800"),
        (reply("BYTES").replace("BYTES", "\udcff\udcfe"), "\ufffd\ufffd"),  # no UTF-8: as every SDK shows it
        *((reply(model=name), "fine") for name in (7, "m" * 501, None)),
        (reply(usage=[]), "fine"),
        (reply(usage={"prompt_tokens": "3", "completion_tokens": 1}), "fine"),
        (reply(usage={"prompt_tokens": -3, "completion_tokens": True}), "fine"),
    ],
)
def test_an_odd_detail_costs_no_answer(fake: FakeOpenAI, body: str, text: str) -> None:
    fake.set(body=body)
    assert ask(make(fake.base_url)).text == text


SENT = b"""POST /base/chat/completions?api-version=1 HTTP/1.1\r
Host: localhost:%d\r
Accept-Encoding: identity\r
Content-Type: application/json\r
User-Agent: secure-ai-assistant\r
x-api-key: k\r
Accept: application/json\r
anthropic-beta: a, b\r
Content-Length: 2\r
\r
{}"""


def test_a_request_is_exactly_these_bytes_and_no_header_is_split() -> None:
    heard = list[bytes]()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"{}"))
        writer.close()

    async def main() -> int:
        listener = await asyncio.start_server(listen, "127.0.0.1", 0)
        port: int = listener.sockets[0].getsockname()[1]
        upstream = Upstream(Server("fake", f"http://localhost:{port}/base/?api-version=1", "k", auth="x-api-key"))
        with pytest.raises(UpstreamUnavailable):
            await upstream.complete(CHAT, b"{}", "m", headers={"anthropic-beta": "a, b"})
        for header in ({"a": "b\r\nc: d"}, {"a\n": "b"}, {"a": "\u00e9"}, {"a": "\0"}):
            with pytest.raises(ValueError):
                await upstream.complete(CHAT, b"{}", "m", headers=header)
        await upstream.aclose()
        listener.close()
        await listener.wait_closed()
        return port

    port = asyncio.run(main())
    assert heard == [SENT % port]


def test_a_redirect_is_not_followed(fake: FakeOpenAI) -> None:
    fake.set("redirect")
    with pytest.raises(UpstreamError):
        ask(make(fake.base_url))
    assert (fake.calls(), fake.calls("strays")) == (1, 0)


def test_a_huge_answer_is_cut_off(fake: FakeOpenAI) -> None:
    fake.set("huge")
    with pytest.raises(UpstreamError):
        ask(make(fake.base_url, cap=1_000_000))
    assert 1_000_000 < fake.calls("huge_bytes") < 32_000_000  # what the sockets' buffers took, of 256 MiB


def test_the_size_cap_is_exact(fake: FakeOpenAI) -> None:
    body = reply("x" * 200_000)
    fake.set(body=body)
    assert ask(make(fake.base_url, cap=len(body))).text == "x" * 200_000
    with pytest.raises(UpstreamError):
        ask(make(fake.base_url, cap=len(body) - 1))


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        for address in (f"http://127.0.0.1:{taken.getsockname()[1]}/v1", "http://nowhere.invalid/v1"):
            with pytest.raises(UpstreamUnavailable) as caught:
                ask(make(address))
            assert caught.value.retry_after


def test_a_tls_failure_is_final(fake: FakeOpenAI) -> None:
    """The fake speaks no TLS at all."""
    with pytest.raises(UpstreamError):
        ask(make(fake.base_url.replace("http:", "https:")))
    assert fake.calls() == 0


def test_a_server_whose_certificate_nobody_vouches_for_is_told_nothing(tmp_path: Path) -> None:
    make_certificate(tmp_path)
    context, heard = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), list[bytes]()
    context.load_cert_chain(tmp_path / "tls.pem", tmp_path / "tls.key")

    def listen(listener: socket.socket) -> None:
        with listener.accept()[0] as plain, suppress(OSError), context.wrap_socket(plain, server_side=True) as caller:
            heard.append(caller.recv(1))

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as threads:
        listening = threads.submit(listen, listener)
        with pytest.raises(UpstreamError):
            ask(make(f"https://127.0.0.1:{listener.getsockname()[1]}/v1"))
        listening.result(30)
    assert b"".join(heard) == b""


def test_the_callers_timeout_and_cancellation_pass_through(fake: FakeOpenAI) -> None:
    async def sent(calls: int) -> None:
        while await asyncio.to_thread(fake.calls) < calls:
            await asyncio.sleep(0.01)

    async def hurry(model: LanguageModel) -> None:
        async with asyncio.timeout(None) as timeout:
            asking = asyncio.create_task(send(model, "hi"))
            await sent(1)
            timeout.reschedule(asyncio.get_running_loop().time())
            await asking

    async def cancelled(model: LanguageModel) -> None:
        task = asyncio.create_task(model.chain.ainvoke({"query": "hi"}))
        await sent(2)
        task.cancel()
        await task

    fake.set("hang")
    with pytest.raises(TimeoutError):
        use(make(fake.base_url), hurry)
    with pytest.raises(asyncio.CancelledError):
        use(make(fake.base_url), cancelled)
    assert fake.calls() == 2


def test_the_log_holds_an_errors_plain_words_and_nothing_else_of_it(fake: FakeOpenAI, caplog: pytest.LogCaptureFixture) -> None:
    """Servers repeat what they were asked: whole, in part, and altered."""
    prompt = "a planted prompt"
    error = {"code": "context_length_exceeded", "param": "messages[0]", "type": f"key {KEY}", "message": f"{prompt} {prompt!r}"}
    fake.set("status:400", body=json.dumps({"error": error}))
    with caplog.at_level(logging.DEBUG, "app.assistant"), pytest.raises(UpstreamRefused) as caught:
        ask(make(fake.base_url), prompt)
    (line,) = [record.getMessage() for record in caplog.records if record.name == "app.assistant"]
    assert line.startswith("upstream status 400: code=context_length_exceeded param=messages[0] (")
    assert "planted" not in line
    assert (caught.value.status, caught.value.reason, caught.value.param) == (400, "context_length_exceeded", "messages[0]")
    assert "planted" not in str(caught.value)
    assert caught.value.__cause__ is None
