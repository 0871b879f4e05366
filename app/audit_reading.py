"""The audit log for people: verify with a progress bar, show, tail. Reads only; the lock is held for one look at the length."""

from __future__ import annotations

import re
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from .errors import InvalidRequest
from .security.audit.chain import Verdict
from .security.audit.entry import Receipt, parse_line
from .security.audit.log import AuditLog
from .settings import load_settings
from .wiring import open_audit, verify_birth

PROGRESS_FROM_BYTES = 20_000_000
FOLLOW_SECONDS = 0.3


def _open() -> AuditLog:
    settings = load_settings()
    verify_birth(settings)
    return open_audit(settings)


def parse_receipt(text: str) -> Receipt:
    """Raises InvalidRequest for anything but SEQ:HASH."""
    match = re.fullmatch(r"([0-9]{1,19}):([0-9a-f]{64})", text)
    if match is None:
        raise InvalidRequest("A receipt is SEQ:HASH: the number of the record, a colon, and 64 hex digits.")
    return Receipt(int(match[1]), match[2])


def verify(receipts: Sequence[str], *, quiet: bool) -> Verdict:
    """Check the whole log. A progress bar on stderr for a large one, unless *quiet*."""
    wanted = [parse_receipt(text) for text in receipts]
    log = _open()
    if quiet or not sys.stderr.isatty() or log.size() < PROGRESS_FROM_BYTES:
        return log.verify(wanted)
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    columns = "verifying", BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("verify", total=log.size())
        return log.verify(wanted, progress=lambda read: progress.advance(task, read))


def records(request_id: str | None = None) -> Iterator[dict[str, Any]]:
    """All records, or those of one request. A line that is not JSON stands as {"unreadable": text}."""
    needle = f'"request_id":"{request_id}"'.encode() if request_id else b""
    for line in _open().lines():
        if needle in line:
            record = _read(line)
            if request_id is None or record.get("request_id") == request_id:
                yield record


def last_records(count: int) -> list[dict[str, Any]]:
    return [_read(line) for line in deque(_open().lines(), maxlen=count)]


def follow(count: int) -> Iterator[dict[str, Any]]:
    """The last *count* records, then new ones as they come, until interrupted."""
    log = _open()
    seen = log.size()
    yield from map(_read, deque(log.lines(end=seen), maxlen=count))
    while True:
        end = log.size()
        for line in log.lines(start=seen, end=end):
            yield _read(line)
        seen = end
        time.sleep(FOLLOW_SECONDS)


def one_line(record: dict[str, Any]) -> str:
    """A record as one terminal line; control characters of its texts are escaped, so that no record paints the screen."""
    details = record.get("details")
    if not isinstance(details, dict):
        return printable(str(record))
    said = details.get("query") or details.get("answer") or details.get("code") or details.get("client_id") or ""
    head = (
        f"{record.get('seq')!s:>6}  {record.get('timestamp')}  {record.get('action')!s:<16}  {record.get('user_id') or '-'!s:<12}"
    )
    return printable(f"{head}  {str(record.get('request_id'))[:8]}  {str(said)[:100]}").rstrip()


def printable(text: str) -> str:
    """*text* with its control characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def _read(line: bytes) -> dict[str, Any]:
    try:
        return parse_line(line)
    except ValueError:
        return {"unreadable": line.decode("utf-8", "replace").rstrip("\n")}
