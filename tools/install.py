"""Installs a lock file into the environment that runs this, with a line of progress; needs only Python and pip.

    .venv/bin/python tools/install.py requirements.lock

What nobody needs to run the service is left out: the debugging information of native libraries (half of what is downloaded),
and the bytecode of modules that are never imported.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import re
import struct
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

PIP = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--no-compile"]
STARTED = re.compile(r"(?:Collecting|Processing) \S+")
WORTH_BYTES = 64 * 1024


def main(lock: Path) -> int:
    started, packages = time.monotonic(), re.split(r"\n(?=\S)", lock.read_text().strip())
    say(f"{lock.name}: {len(packages)} packages")
    status = install(packages)
    if status:
        return status
    with ProcessPoolExecutor() as cores:
        saved = sum(cores.map(trim_distribution, sorted(Path(sysconfig.get_path("purelib")).glob("*.dist-info"))))
    say(f"{lock.name}: installed in {time.monotonic() - started:.0f} s, without {saved / 1e6:.0f} MB for debuggers\n")
    return 0


def install(packages: list[str]) -> int:
    """Give each of a few pips its share, and count the packages. All that a pip says is shown if it fails; the worst status."""
    count = Counter(len(packages))
    pips = min(4, max(2, os.cpu_count() or 1))  # with one alone, a core waits while the other reads pages of an index
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as threads:
        shares = [Path(folder, f"{number}.lock") for number in range(pips)]
        for number, share in enumerate(shares):
            share.write_text("\n".join(packages[number::pips]))
        statuses = threads.map(partial(install_share, count), [share for share in shares if share.stat().st_size])
        return max(statuses, default=0)


class Counter:
    """Says which package is next, of how many."""

    def __init__(self, packages: int) -> None:
        self._packages, self._seen, self._lock = packages, 0, threading.Lock()

    def next(self, name: str) -> None:
        with self._lock:
            self._seen += 1
            say(f"{self._seen} of {self._packages}  {name[:50]}")


def install_share(count: Counter, lock: Path) -> int:
    said = []
    command, environment = [*PIP, "--require-hashes", "-r", str(lock)], {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as pip:  # noqa: S603 - our own words
        assert pip.stdout is not None
        for line in pip.stdout:
            said.append(line)
            if STARTED.match(line):
                count.next(line.split()[1].rpartition("/")[2])
    if pip.returncode:
        sys.stdout.write("\n" + "".join(said))
    return pip.returncode


def say(text: str) -> None:
    """One line that is written over on a terminal; elsewhere only its last state is kept."""
    if sys.stdout.isatty():
        sys.stdout.write(f"\r\x1b[K  {text}")
    elif text.endswith("\n"):
        sys.stdout.write(f"  {text}")
    sys.stdout.flush()


# --- debugging information ---------------------------------------------------------------------------


def trim_distribution(folder: Path) -> int:
    """Trim the libraries of one distribution, and correct its RECORD; the bytes that are saved."""
    record = folder / "RECORD"
    if not record.is_file():
        return 0
    with record.open(newline="") as file:
        rows = list(csv.reader(file))
    saved = 0
    for row in rows:
        path = folder.parent / row[0]
        if not re.search(r"\.so(\.\d+)*$", row[0]) or path.is_symlink() or not path.is_file():
            continue
        data = path.read_bytes()
        trimmed = without_sections(data)
        if len(data) - len(trimmed) < WORTH_BYTES:
            continue
        replace(path, trimmed)
        digest = base64.urlsafe_b64encode(hashlib.sha256(trimmed).digest()).rstrip(b"=").decode()
        row[1:] = [f"sha256={digest}", str(len(trimmed))]
        saved += len(data) - len(trimmed)
    if saved:
        temporary = record.with_name("RECORD.new")
        with temporary.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
        temporary.replace(record)
    return saved


def without_sections(data: bytes) -> bytes:
    """A 64-bit ELF library up to the last byte that is ever loaded, as `strip` leaves it; other bytes as they are.

    The loader reads the program headers only. The section headers, and the sections that are loaded by nobody (symbols for
    debuggers), stand behind what they name.
    """
    if data[:6] != b"\x7fELF\x02\x01":  # 64 bits, little-endian
        return data
    phoff, _, _, ehsize, phentsize, phnum = struct.unpack_from("<QQIHHH", data, 32)
    ends = [ehsize, phoff + phentsize * phnum]
    for number in range(phnum):
        offset, _, _, size = struct.unpack_from("<QQQQ", data, phoff + phentsize * number + 8)
        ends.append(offset + size)
    kept = bytearray(data[: max(ends)])
    struct.pack_into("<Q", kept, 40, 0)  # e_shoff
    struct.pack_into("<HH", kept, 60, 0, 0)  # e_shnum, e_shstrndx
    return bytes(kept)


def replace(path: Path, data: bytes) -> None:
    """In one step: another process may have the old file in its memory, and a cache may have a link to it."""
    temporary = path.with_name(path.name + ".new")
    temporary.write_bytes(data)
    temporary.chmod(path.stat().st_mode & 0o7777)
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
