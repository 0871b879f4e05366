"""Long texts that records name by digest: whether each is kept beside the log and unchanged."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..format.record import PREFIX
from ..storage.long_texts import LongTexts

NAMED = re.compile(rb'\{"sha256":"([0-9a-f]{64})","bytes":[0-9]{1,19}\}')
"""Cannot stand within a JSON text, whose quotes are escaped. Who sends such an object himself names a text that is missing."""


@dataclass(frozen=True, slots=True)
class TextsFound:
    """Of the texts that records name, each counted once."""

    kept: int = 0
    missing: int = 0
    """Not a fault by itself: such records are also made while no texts are kept."""
    unreadable: int = 0
    damaged: tuple[tuple[int, str], ...] = ()
    """The first record that names it, and its SHA-256: what is kept under that name is something else."""

    @property
    def named(self) -> int:
        return self.kept + self.missing + self.unreadable + len(self.damaged)


class NamedTexts:
    """Collects what stored lines name. Grows by some 200 bytes for each text."""

    def __init__(self) -> None:
        self._named: dict[bytes, int] = {}

    def feed(self, lines: Iterable[bytes]) -> None:
        """What is no record names nothing."""
        for line in lines:
            if NAMED.search(line) and (record := PREFIX.match(line)):
                for name in NAMED.findall(line):
                    self._named.setdefault(bytes.fromhex(name.decode()), int(record[1]))

    def check(self, texts: LongTexts) -> TextsFound:
        """Reads every text that is named and kept."""
        counts = {"kept": 0, "missing": 0, "unreadable": 0}
        damaged: list[tuple[int, str]] = []
        for name, seq in self._named.items():
            verdict = _verdict(texts.path_of(name.hex()), name)
            if verdict == "damaged":
                damaged.append((seq, name.hex()))
            else:
                counts[verdict] += 1
        return TextsFound(**counts, damaged=tuple(damaged))


def _verdict(path: Path, name: bytes) -> str:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "unreadable"
    return "kept" if digest == name else "damaged"


def check_texts(folder: Path, lines: Iterable[bytes]) -> TextsFound:
    """Which of the texts that stored *lines* name are kept in *folder*, missing from it, or no longer what they were."""
    named = NamedTexts()
    named.feed(lines)
    return named.check(LongTexts(folder))
