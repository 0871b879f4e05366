"""What a model's server may send to keep a worker busy, and what an honest caller of another model notices of it."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from ..support.fake_openai import FakeOpenAI
from ..support.raw_server import RawServer
from ..support.service import Service
from .figures import Figures
from .footprint import Footprint
from .honest import Waits, honest_caller
from .shapes import SHAPES, STEP, Shape, sent_for

CALLERS = 4
WANTED_SECONDS = 0.3
QUIET_SECONDS = 3.0
MODELS = """
[servers.good]
base_url = "{good}"
[servers.bad]
base_url = "{bad}"
protocols = ["openai", "anthropic"]
[models.good]
server = "good"
[models.bad]
server = "bad"
endpoints = ["chat", "responses", "messages", "completions", "embeddings"]
"""
HI: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}
ASKED = {"responses": {"input": "hi"}, "embeddings": {"input": "hi"}, "completions": {"prompt": "hi"}}
"""By endpoint; HI for all others."""
ERROR = re.compile(rb"\"(?:upstream_[a-z]+|overloaded)\"")


@dataclass
class Target:
    service: Service
    server: RawServer
    """The bad model's."""
    token: str

    @property
    def memory(self) -> Footprint:
        return Footprint.largest(self.service.worker_pids())


@dataclass
class Told:
    """What the callers of the bad model got."""

    answers: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    @property
    def unclear(self) -> set[str]:
        """All but answers and errors that say whose they are."""
        return self.answers.keys() - {"answered", "error"}


@contextmanager
def target_in(folder: Path, workers: int = 1) -> Iterator[Target]:
    folder.mkdir(exist_ok=True)
    with FakeOpenAI() as good, RawServer(lambda request: ()) as bad:
        (folder / "models.toml").write_text(MODELS.format(good=good.base_url, bad=bad.base_url))
        settings = {"MODELS_FILE": str(folder / "models.toml"), "LLM_MODEL": "good"}
        with Service(folder / "service", workers=workers, **settings) as service:
            yield Target(service, bad, service.token("alice", service.add_client("alice")))


def ask_bad(target: Target, shape: Shape, seconds: float) -> Told:
    """Again and again for *seconds*, and at least once."""
    told, end = Told(), time.monotonic() + seconds
    asked = {"model": "bad", **ASKED.get(shape.path, HI), **({"stream": True} if shape.is_stream else {})}
    headers = {"Authorization": f"Bearer {target.token}", "Content-Type": "application/json", "anthropic-version": "2023-06-01"}
    while not told.seconds or time.monotonic() < end:
        begun, connection = time.monotonic(), HTTPConnection("127.0.0.1", target.service.port, timeout=120)
        said, last = "nothing", b""
        with suppress(OSError, HTTPException):
            connection.request("POST", f"/v1/{shape.path}", json.dumps(asked), headers)
            response = connection.getresponse()
            while piece := response.read(STEP):
                last = (last + piece)[-2000:]
            is_answered = response.status == 200 and (not shape.is_stream or b'"receipt"' in last)
            said = "answered" if is_answered else "error" if ERROR.search(last) else f"{response.status} {last[-200:]!r}"
        connection.close()
        told.answers[said] += 1
        told.seconds.append(time.monotonic() - begun)
    return told


def answer_with(target: Target, shape: Shape, share: float = 1.0) -> bytes:
    """From now on the bad model's server does. Returns what it sends."""
    body = shape.body(share)
    answer = list(sent_for(shape, body)) if shape.framing != "heads" else None
    target.server.answer = lambda request: answer or sent_for(shape, body)
    return body


def attack_with(target: Target, shape: Shape, seconds: float) -> tuple[Waits, Told, float]:
    """What the honest caller waited, what the others were told, and the MB that the worker grew by at most."""
    body, before, begun = answer_with(target, shape), target.memory, len(target.service.records())
    told, grown = Told(), 0.0
    with honest_caller(target.service.port, target.token, "/ask") as waits, ThreadPoolExecutor(CALLERS) as threads:
        running = [threads.submit(ask_bad, target, shape, seconds) for _ in range(CALLERS)]
        while not all(one.done() for one in running):
            grown = max(grown, target.memory.grown_since(before))
            time.sleep(0.05)
        for one in running:
            told.answers += one.result().answers
            told.seconds += one.result().seconds
    verify_records(target, body, begun)
    assert not told.unclear, told.answers
    return waits, told, grown


def verify_records(target: Target, body: bytes, begun: int) -> None:
    """Each question has its end, and each answer that was taken the digest of all that its server sent."""
    sha256, records = hashlib.sha256(body).hexdigest(), target.service.records()[begun:]
    asked = {one["seq"] for one in records if one["action"] == "ask.received" and one["details"]["model"] == "bad"}
    ends = [one["details"] for one in records if one["details"].get("received") in asked]
    assert len(ends) == len(asked)
    wrong = [one for one in ends if "answer" in one and one["upstream_response_sha256"] != sha256]
    assert not wrong, wrong[0]


def attack(folder: Path, seconds: float, workers: int = 1) -> Figures:
    """Every shape, a few callers each for *seconds*, beside an honest one."""
    begun, remarks, asked = time.monotonic(), list[str](), 0
    with target_in(folder, workers) as target:
        with honest_caller(target.service.port, target.token, "/ask") as quiet:
            time.sleep(QUIET_SECONDS)
        remarks.append(f"quiet: {shown(quiet)}; wanted beside each: < {WANTED_SECONDS} s")
        for shape in SHAPES:
            waits, told, grown = attack_with(target, shape, seconds)
            asked += len(waits.asked) + len(waits.pooled)
            longest, answers = max(told.seconds), ", ".join(f"{count} {said}" for said, count in told.answers.items())
            remarks.append(f"{shape.name}: {shown(waits)}; {grown:+.0f} MB; {answers} in at most {longest:.1f} s")
        records = target.service.records()
    assert target.service.verify()["ok"]
    return Figures(asked, len(records), time.monotonic() - begun, remarks=remarks)


def shown(waits: Waits) -> str:
    each = {"longest wait": waits.asked + waits.pooled, "for health": waits.health}
    return ", ".join(f"{name} {max(values):.2f} s" for name, values in each.items())
