"""Good requests with some bytes changed, by zzuf and by Hypothesis: none is answered with a fault of the server.

A tenth of them goes to the port of the metrics, too.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ..support.fake_openai import FakeOpenAI
from ..support.service import HTTP, Service, free_port
from .counts import Counts
from .figures import Figures
from .spoken import say, speak
from .valid import Credentials, valid_requests

PARALLEL = 32
SILENT_SECONDS = 0.5
"""Of a mutant that is never whole."""
RATIOS = (0.0005, 0.002, 0.01)
"""Shares of the bits that zzuf changes."""
BATCH = 200
TOKENS = (
    *(b"\r\n", b"\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"%00", b"%0d%0a", b"..", b"/", b"?", b"#", b";", b","),
    *(b'"', b"{", b"}", b"[" * 2000, b"null", b"NaN", b"1e999", b"-1", b"9" * 40, b"\\ud800", b'{"a":1,"a":1}', b"a" * 40_000),
    *(b"chunked", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 3\r\n", b"Content-Encoding: gzip\r\n"),
    *(b"Accept: text/event-stream\r\n", b"Expect: 100-continue\r\n", b"Range: bytes=5-1\r\n", b"X-Request-Id: \x01\r\n"),
    b"Authorization: Bearer \r\n",
)


def mutate(folder: Path, *, mutants: int, workers: int) -> Figures:
    """Half of them by zzuf, where it is installed."""
    begun = time.monotonic()
    scraped = free_port()
    env: dict[str, Any] = {"ADDRESS_RATE_LIMIT": "10000000", "OPENAI_API_KEY": "k", "METRICS_PORT": str(scraped)}
    with FakeOpenAI() as fake:
        service = Service(folder, workers=workers, OPENAI_BASE_URL=fake.base_url, **env).start()
        requests = tuple(valid_requests(Credentials.made_in(service)))
        with ThreadPoolExecutor(PARALLEL) as threads:
            before, counts = len(service.records()), Counts()
            zzuf = shutil.which("zzuf")
            made = islice(by_zzuf(zzuf, requests), mutants // 2) if zzuf else iter(())
            more = by_hypothesis(requests, mutants // 2 if zzuf else mutants)
            every = [*made, *more]
            for answers in threads.map(lambda one: speak(service.port, one, seconds=SILENT_SECONDS), every):
                counts.add(answers)
            list(threads.map(lambda one: say(scraped, one), every[::10]))
        assert HTTP.get(f"http://127.0.0.1:{scraped}/metrics").status_code == 200
        assert service.stop() == 0
        records = service.records()[before:]
        counts.verify(records)
        assert service.verify()["ok"]
        assert "Traceback" not in service.output()
    how = f"{mutants // 2:,} of them by zzuf" if zzuf else "NOT by zzuf, which is not installed (Debian: apt-get install zzuf)"
    return Figures(mutants, len(records), time.monotonic() - begun, remarks=[how, counts.told_statuses(), counts.told()])


def by_zzuf(zzuf: str, requests: tuple[bytes, ...]) -> Iterator[bytes]:
    """Endless. zzuf changes bits, so that a mutant is as long as its request."""
    seed = 0
    with tempfile.NamedTemporaryFile() as file:
        while True:
            for number, request in enumerate(requests):
                Path(file.name).write_bytes(request)
                ratio = RATIOS[(number + seed) % len(RATIOS)]
                command = [zzuf, "-s", f"{seed}:{seed + BATCH}", "-r", str(ratio), "cat", file.name]
                said = subprocess.run(command, capture_output=True, check=True).stdout
                assert len(said) == BATCH * len(request)
                yield from (said[at : at + len(request)] for at in range(0, len(said), len(request)))
            seed += BATCH


def by_hypothesis(requests: tuple[bytes, ...], number: int) -> list[bytes]:
    """Bytes are inserted, replaced, removed and doubled; half of the mutants name the right length."""
    made: list[bytes] = []

    @settings(max_examples=number, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(mutant_of(requests))
    def keep(mutant: bytes) -> None:
        made.append(mutant)

    if number:
        keep()
    return made


def put_in(data: bytes, at: int, to: int, token: bytes) -> bytes:
    return data[:at] + token + data[at:]


def replace(data: bytes, at: int, to: int, token: bytes) -> bytes:
    return data[:at] + token + data[to:]


def take_out(data: bytes, at: int, to: int, token: bytes) -> bytes:
    return data[:at] + data[to:]


def double(data: bytes, at: int, to: int, token: bytes) -> bytes:
    return data[:to] + data[at:]


EDITS: tuple[Callable[[bytes, int, int, bytes], bytes], ...] = (put_in, replace, take_out, double)


@st.composite
def mutant_of(draw: st.DrawFn, requests: tuple[bytes, ...]) -> bytes:
    head, _, body = draw(st.sampled_from(requests)).partition(b"\r\n\r\n")
    where = draw(st.sampled_from(("head", "body", "both"))) if body else "head"
    for _ in range(draw(st.integers(1, 4))):
        edit, token = draw(st.sampled_from(EDITS)), draw(st.sampled_from(TOKENS) | st.binary(min_size=1, max_size=8))
        if where == "body":
            body = edit(body, *draw(places(body)), token)
        else:
            head = edit(head, *draw(places(head)), token)
            where = "body" if where == "both" else where
    if draw(st.booleans()):
        told = [b"Content-Length: %d" % len(body) if b"Content-Length" in line else line for line in head.split(b"\r\n")]
        head = b"\r\n".join(told)
    return head + b"\r\n\r\n" + body


def places(data: bytes) -> st.SearchStrategy[tuple[int, int]]:
    at = st.integers(0, len(data))
    return st.tuples(at, at).map(lambda pair: (min(pair), min(max(pair), min(pair) + 40)))
