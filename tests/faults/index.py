"""The index of a long log: how long searches take, and what hurts it while its builder runs."""

from __future__ import annotations

import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.audit.format.record import Draft, draft
from app.audit.index.schema import index_path, remove
from app.audit.index.search import Filter, search, size_of
from app.audit.storage.append import append
from app.audit.storage.jsonl import JsonlStore
from app.errors import Unavailable
from app.kit.moments import iso

from ..support.paths import ROOT
from ..support.small_disk import SmallDisk
from ..support.waiting import eventually
from .figures import Figures

BATCH = 5000
RARE = "aardvark"
LOG, SAID = "audit_log.jsonl", "said"
ROOM = 64 << 10
DISK_KIB = 1 << 18
START = datetime(2026, 1, 1, tzinfo=UTC)
BUILD = """
import sys, threading
from pathlib import Path
from app.audit.index.builder import IndexBuilder
from app.audit.index.demand import Demand
from app.audit.storage.jsonl import JsonlStore
log, demand = Path(sys.argv[1]), Demand()
threading.Thread(target=lambda: [demand.want() or threading.Event().wait(10) for _ in iter(int, 1)], daemon=True).start()
IndexBuilder(JsonlStore(log), log, demand).run(threading.Event())
"""
"""As the process of the service, but always in demand."""
HURT = """
import sys
from pathlib import Path
from tests.faults.index import hurt_inside
hurt_inside(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
"""


def look(folder: Path, *, records: int) -> Figures:
    """Build the index of *records* in another process, then search each kind five times."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / LOG
    with closing(JsonlStore(log)) as store:
        write(store, 0, records)
    builder = run(BUILD, (), log)
    try:
        began = time.monotonic()
        eventually(lambda: size(log) == records, "the index is not built", seconds=3600)
        built = time.monotonic() - began
    finally:
        end(builder)
    times = {name: times_of(log, wanted) for name, wanted in searches(records).items()}
    told = [f"{name} {statistics.median(one) * 1000:.1f} (at most {max(one) * 1000:.1f}) ms" for name, one in times.items()]
    of_it = f"index {index_path(log).stat().st_size / 1e6:.0f} MB for {log.stat().st_size / 1e6:.0f} MB, built in {built:.0f} s"
    return Figures(len(times), records, built, remarks=[of_it, *told])


def searches(records: int) -> dict[str, Filter]:
    middle = moment(records // 2)
    return {
        "newest": Filter(),
        "of a time": Filter(since=middle, until=middle + 3_600_000),
        "of a model": Filter(model="model-3"),
        "of an action": Filter(action="ask.failed"),
        "of a principal": Filter(user="user-17"),
        "a common word": Filter(text="answer"),
        "two letters": Filter(text="an"),
        "a rare word": Filter(text=RARE),
        "a word that is not there": Filter(text="zzzzzz"),
        "three words": Filter(text="answer country word7"),
        "all at once": Filter("user-17", "ask.answered", "model-3", "an", middle, moment(records)),
        "old ones": Filter(text="answer", before=records // 10),
    }


def times_of(log: Path, wanted: Filter) -> list[float]:
    found = []
    for _ in range(5):
        began = time.perf_counter()
        search(index_path(log), wanted)
        found.append(time.perf_counter() - began)
    return found


def hurt(folder: Path, *, kills: int, records: int) -> Figures:
    """The builder is killed *kills* times while the log grows; then the index is hurt, and has no room."""
    began, place = time.monotonic(), folder / "disk"
    with SmallDisk(place, kib=DISK_KIB, home=ROOT) as disk:
        assert run(HURT, disk.prefix, place / LOG, kills, records).wait() == 0
    remark = f"{kills} x SIGKILL in mid-build, {len(HARMS)} harms to its file, a full disk: whole again each time"
    return Figures(kills + len(HARMS) + 1, records, time.monotonic() - began, remarks=[remark])


def hurt_inside(log: Path, kills: int, records: int) -> None:
    """On its small disk, which nobody else sees: SQLite follows links, so it cannot be looked at from outside."""
    chance, written = random.Random(), records // 2
    with closing(JsonlStore(log)) as store:
        write(store, 0, written)
        for _ in range(kills):
            builder, before = run(BUILD, (), log), size(log)
            write(store, written, written + records // 2 // kills)
            written += records // 2 // kills
            eventually(lambda before=before: size(log) > before)  # type: ignore[misc]  # bound in the loop
            time.sleep(chance.uniform(0, 0.05))
            end(builder)
        builder, said = run(BUILD, (), log), log.parents[1] / SAID
        try:
            for harm in HARMS:
                await_all(log, written)
                harm(index_path(log))
            await_all(log, written)
            end(builder)
            remove(index_path(log))
            resize(log, sum(one.stat().st_size for one in log.parent.iterdir()) + ROOM)
            builder = run(BUILD, (), log)
            eventually(lambda: "left to the evidence" in said.read_text(), "the index found room")
            assert size(log) < written
            resize(log, DISK_KIB << 10)
            await_all(log, written)
        finally:
            end(builder)
    assert search(index_path(log), Filter(text=RARE)).count == 1


def resize(log: Path, most: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={most >> 10}k", str(log.parent)], check=True, capture_output=True)


def damage(path: Path) -> None:
    """All pages but the first."""
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * max(4096, path.stat().st_size - 4096))


def empty(path: Path) -> None:
    os.truncate(path, 0)


HARMS: tuple[Callable[[Path], None], ...] = (Path.unlink, damage, empty)


def await_all(log: Path, records: int) -> None:
    eventually(lambda: size(log) == records, "the index does not come back", seconds=600)


def size(log: Path) -> int:
    """Records in the index; 0 while it cannot be read."""
    try:
        return size_of(index_path(log))
    except Unavailable:
        return 0


def run(code: str, prefix: Sequence[str], *arguments: object) -> subprocess.Popen[bytes]:
    command = [*prefix, sys.executable, "-c", code, *map(str, arguments)]
    with (Path(str(arguments[0])).parents[1] / SAID).open("ab") as said:
        return subprocess.Popen(command, cwd=ROOT, stderr=said, start_new_session=True)


def end(builder: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(builder.pid, signal.SIGKILL)
    builder.wait()


def write(store: JsonlStore, first: int, last: int) -> None:
    """Records *first* to *last*, a minute of the clock for each batch."""
    while first < last:
        batch, stamp = list(drafts(first, min(first + BATCH, last))), iso(START + timedelta(minutes=first // BATCH))
        append(store.append if first else store.create, batch, lambda stamp=stamp: stamp)  # type: ignore[misc]  # bound in the loop
        first += len(batch)


def moment(record: int) -> int:
    return round((START + timedelta(minutes=record // BATCH)).timestamp() * 1000)


def drafts(first: int, last: int) -> Iterator[Draft]:
    """Questions of 50 principals to 5 models, each with its end; one of them asks for what is rare."""
    for number in range(first, last):
        user, model, request_id = f"user-{number // 2 % 50}", f"model-{number // 2 % 5}", f"{number // 2:032x}"
        words = " ".join(f"word{number * step % 4999}" for step in (7, 11, 13, 17))
        if number % 2 == 0:
            query = f"What is the capital of country {number}? {words} {RARE if number == 40 else ''}"
            yield draft("ask.received", user, {"query": query, "model": model, "address": "192.0.2.1"}, request_id)
        elif number % 100 == 99:
            yield draft(
                "ask.failed", user, {"received": number - 1, "code": "upstream_timeout", "elapsed_ms": 30_000}, request_id
            )
        else:
            usage = {"input_tokens": 31, "output_tokens": 9}
            told = {"received": number - 1, "answer": f"The answer is city {number}, {words}.", "model": model, "usage": usage}
            yield draft("ask.answered", user, {**told, "elapsed_ms": 41.5, "attempts": 1}, request_id)
