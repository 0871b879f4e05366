"""Each way in which a model's server fails: how late the caller hears of it, and what it costs in memory."""

from __future__ import annotations

import time
from pathlib import Path

from ..support.calls import bearer, records_of
from ..support.failing_servers import answer_once, failing_servers
from ..support.fault_catalogue import FAULTS, TIMEOUT_SECONDS, Fault
from ..support.raw_server import RawServer, chat, whole
from ..support.service import HTTP, Service
from .figures import Figures
from .footprint import Footprint

MOST_OVERRUN_SECONDS, MOST_GROWTH_MB = 0.5, 32.0


def catalogue(folder: Path) -> Figures:
    folder.mkdir()
    begun, remarks, broken = time.monotonic(), list[str](), list[str]()
    with RawServer(lambda _: [whole(chat())]) as raw, failing_servers(folder, raw) as service:
        token = service.token("alice", service.add_client("alice"))
        for fault in FAULTS:
            line, is_kept = _met(service, token, raw, fault)
            print(f"    {line}", flush=True)
            if not is_kept:
                broken.append(line)
    assert not broken, broken
    remarks.append(f"{len(FAULTS)} faults, each as the table says, within {MOST_OVERRUN_SECONDS} s and {MOST_GROWTH_MB:.0f} MB")
    return Figures(len(FAULTS), 2 * len(FAULTS), time.monotonic() - begun, remarks=remarks)


def _met(service: Service, token: str, raw: RawServer, fault: Fault) -> tuple[str, bool]:
    """A line of the table, and whether it holds."""
    body = {"model": fault.server, "messages": [{"role": "user", "content": "hi"}]}
    if fault.calls > 1:
        answer_once(service, token, raw)
    raw.answer = lambda _: fault.answer
    asked, before, begun = len(raw.requests), Footprint.largest(service.worker_pids()), time.monotonic()
    response = HTTP.post(service.url + "/v1/chat/completions", json=body, headers=bearer(token), timeout=30)
    seconds = time.monotonic() - begun
    grown, calls = Footprint.largest(service.worker_pids()).grown_since(before), len(raw.requests) - asked
    details = records_of(service, response)[-1]["details"]
    code = details.get("code") or details.get("finish_reason")
    late = seconds - TIMEOUT_SECONDS
    line = f"{fault.name:44} {response.status_code} {code:22} {calls} calls  {seconds:5.2f} s ({late:+.2f})  {grown:+6.1f} MB"
    is_alike = (response.status_code, code, calls) == (fault.status, fault.code, fault.calls)
    return line, is_alike and late < MOST_OVERRUN_SECONDS and grown < MOST_GROWTH_MB
