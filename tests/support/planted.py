"""Planted secrets (of a client, a token, both keys, a prompt), everything that callers do with them, and how to find them."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import httpx

from .calls import FORM, bearer
from .fake_openai import FakeOpenAI
from .service import HTTP, Service, close_breakers
from .windows import window_folder

KEY = "sk-planted-key-0123456789abcdef"
SIGNING_KEY = "planted-signing-key-0123456789abcdef-XYZ"
PROMPT = 'planted prompt: the merger with Ämtli "AG" closes on Friday'
ANSWER = "planted answer: it does not"


class Planted:
    """A service that was called in many ways, and all of its output."""

    def __init__(self, service: Service, fake: FakeOpenAI) -> None:
        self.service, self.fake = service, fake
        self.secret = service.add_client("alice")
        self.key = str(service.cli("keys", "add", "alice")["key"])
        self.dead = str(service.cli("keys", "add", "alice", "--expires", "1s")["key"])
        self.rotated = service.add_client("bobby")
        self.new = str(service.cli("clients", "rotate", "bobby")["client_secret"])
        self.token = service.token("alice", self.secret)
        self.said: list[httpx.Response] = []
        self.answered = self.ask(PROMPT)

    def ask(self, query: str, token: str | None = None, **more: Any) -> httpx.Response:
        headers = {**bearer(token or self.token), **more}
        return self.keep(HTTP.post(self.service.url + "/ask", json={"query": query}, headers=headers))

    def keep(self, response: httpx.Response) -> httpx.Response:
        self.said.append(response)
        return response

    def files(self) -> dict[str, bytes]:
        """All files of the service, including those of its rate limiter."""
        limiter = window_folder(self.service.log)
        paths = [path for folder in (self.service.folder, limiter) for path in folder.rglob("*") if path.is_file()]
        return {path.name: path.read_bytes() for path in paths}


def send_wrong_things(planted: Planted) -> None:
    """Send a secret or a token everywhere a caller might put it by mistake."""
    url, secret, token = planted.service.url, planted.secret, planted.token
    forms: list[dict[str, str]] = [
        {**FORM, "client_id": "alice", "client_secret": secret[:-1]},
        {**FORM, "client_id": secret, "client_secret": "alice"},
        {**FORM, "client_id": token, "client_secret": secret},
        {**FORM, "client_secret": secret},
        {**FORM, "client_id": "alice", "client_secret": secret, "scope": secret},
        {"grant_type": secret, "client_id": "alice", "client_secret": secret},
        {**FORM, "client_id": planted.key, "client_secret": planted.key},
        {**FORM, secret: secret},
        {**FORM, "assertion": token},
    ]
    for form in forms:
        planted.keep(HTTP.post(url + "/token", data=form))
        planted.keep(HTTP.post(url + "/token", json=form))
        planted.keep(HTTP.post(url + "/token", data=form, auth=("alice", secret)))
        planted.keep(HTTP.post(url + "/token", params=form))
    for user, password in ((secret, "alice"), (token, ""), ("alice", secret + "x"), (f"alice:{secret}", "")):
        planted.keep(HTTP.post(url + "/token", data=FORM, auth=(user, password)))
    for header in (
        secret,
        token,
        f"Basic {secret}",
        f"Bearer {secret}",
        f"Bearer {token}x",
        f"Bearer {token} {token}",
        f"Token {token}",
        f"Bearer {planted.key}",
        f"Bearer {planted.dead}",
        f"Bearer {planted.key[:-1]}",
        f"Bearer x{planted.key}",
        planted.key,
    ):
        planted.keep(HTTP.post(url + "/ask", json={"query": PROMPT}, headers={"Authorization": header}))
    for path in (
        f"/{secret}",
        f"/ask/{token}",
        f"/ask?access_token={token}",
        f"/v1/models/{planted.key}",
        f"/ask?access_token={planted.key}",
        f"/docs/{secret}",
        f"/{quote(PROMPT)}",
        f"/?q={quote(PROMPT)}",
    ):
        planted.keep(HTTP.get(url + path))
        planted.keep(HTTP.post(url + path, json={"query": PROMPT}))
    for body in ({"query": PROMPT, "token": token}, {"query": [PROMPT]}, {PROMPT: secret}, [PROMPT], {"query": PROMPT * 100}):
        planted.keep(HTTP.post(url + "/ask", json=body, headers=bearer(token)))
    planted.keep(
        HTTP.post(
            url + "/ask",
            content=json.dumps({"query": PROMPT})[:-1],
            headers={**bearer(token), "Content-Type": "application/json"},
        )
    )
    planted.ask(
        "hi", **{"User-Agent": token, "Referer": f"https://x.example/?t={token}", "Cookie": f"t={token}", "X-Request-Id": token}
    )


def break_the_upstream(planted: Planted) -> None:
    """Make the upstream echo what it was sent, as many do: the key, and the prompt, plain or as JSON."""
    echo = {"error": {"message": f"Incorrect API key provided: {KEY}. You said: {PROMPT}", "code": "invalid_api_key"}}
    texts = [f"Bearer {KEY} {PROMPT}", json.dumps(echo), json.dumps(echo, ensure_ascii=False), f"<pre>{KEY}\n{PROMPT}</pre>"]
    for text in texts:
        for mode in ("status:400", "status:401", "status:429", "status:500", "status:503", "ok", "redirect"):
            planted.fake.set(mode, body=text)
            close_breakers(planted.service)
            response = planted.ask(PROMPT)
            assert response.status_code in (502, 503), response.text
    for mode in ("garbage", "not_http", "close", "truncate", "hang"):
        planted.fake.set(mode)
        close_breakers(planted.service)
        planted.ask(PROMPT)
    planted.fake.set("ok")


def spellings(secret: str) -> set[bytes]:
    """A secret as it is and in the encodings of logs and bodies."""
    forms = {
        secret,
        quote(secret),
        quote(secret, safe=""),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
    }
    forms.add(secret.encode("unicode_escape").decode())
    forms.add(base64.b64encode(secret.encode()).decode().rstrip("="))
    forms.add(base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="))
    return {form.encode() for form in forms}


def found(secret: str, texts: dict[str, bytes]) -> list[str]:
    return [name for name, text in texts.items() if any(form in text for form in spellings(secret))]
