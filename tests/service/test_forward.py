"""`audit forward` beside a live service: OTLP to a receiver of OpenTelemetry's definitions, syslog over TLS."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..support.otlp_receiver import attributes, receiving
from ..support.service import Service
from ..support.waiting import eventually


@contextmanager
def forwarding(service: Service, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "app", "audit", "forward", *words]
    with (service.folder / "forward.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=service.folder, env=service.env, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def hashes(service: Service) -> list[str]:
    return [record["hash"] for record in service.records()]


def test_records_reach_an_otlp_receiver_as_they_are_written(service: Service, token: str) -> None:
    with receiving() as receiver:
        with forwarding(service, f"otlp+{receiver.url}", "--name", "live", "--no-content") as process:
            for _ in range(3):
                assert service.ask(token, "a very private question").status_code == 200
            wanted = hashes(service)
            eventually(lambda: {attributes(one)["log.record.uid"] for one in receiver.logs} >= set(wanted))
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        first = list(dict.fromkeys(attributes(one)["log.record.uid"] for one in receiver.logs))
        assert first[: len(wanted)] == wanted
        bodies: list[dict[str, Any]] = [json.loads(one.body.string_value) for one in receiver.logs]
        assert {body["metadata"]["version"] for body in bodies} == {"1.8.0"}
        assert "private" not in str(bodies)
        assert receiver.resources[0]["secure_ai.log.origin"] == bodies[0]["metadata"]["log_name"]


def test_a_receiver_that_comes_later_gets_all_of_it(service: Service, token: str) -> None:
    with receiving() as first:
        url, port = first.url, int(first.url.rpartition(":")[2])
    with forwarding(service, f"otlp+{url}", "--name", "later"):
        eventually(lambda: b"not delivered, tried again" in (service.folder / "forward.log").read_bytes())
        with receiving(port) as second:
            second.statuses = [503, 500]
            eventually(lambda: {attributes(one)["log.record.uid"] for one in second.logs} >= set(hashes(service)))


def test_a_name_that_is_a_path_is_refused(service: Service) -> None:
    done = service.run("audit", "forward", "https://127.0.0.1:1/in", "--once", "--name", "../x", status=2)
    assert "--name takes letters" in done.stderr
