"""Whether the long texts that records name by digest are still kept beside the log, unchanged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ..format.record import begins_as_record, seq_of
from ..format.shortening import digests_in
from ..storage.store import TextStore

State = Literal["kept", "missing", "unreadable", "damaged"]


@dataclass(frozen=True, slots=True)
class DamagedText:
    """A file whose content does not have the SHA-256 that is its name."""

    seq: int
    """The first record that names the text."""
    sha256: str


@dataclass(frozen=True, slots=True)
class TextsReport:
    """How many of the named texts are in which state; each text counts once."""

    kept: int = 0
    missing: int = 0
    """Not a fault by itself: while no texts are kept, records name them all the same."""
    unreadable: int = 0
    damaged: tuple[DamagedText, ...] = ()


class TextsChecker:
    """Collects the texts that records name, then checks them. About 200 bytes of memory a text."""

    def __init__(self, texts: TextStore) -> None:
        self._texts = texts
        self._named: dict[bytes, int] = {}  # the SHA-256, and the first record that names it

    def feed(self, lines: Iterable[bytes]) -> None:
        """Note what these lines name. Lines that are not records are left out."""
        for line in lines:
            digests = digests_in(line)
            seq = seq_of(line) if digests and begins_as_record(line) else None
            if seq is not None:
                for sha256 in digests:
                    self._named.setdefault(bytes.fromhex(sha256), seq)

    def report(self) -> TextsReport:
        """Read every text that is named and kept."""
        counts: Counter[State] = Counter()
        damaged: list[DamagedText] = []
        for digest, seq in self._named.items():
            state = _state(self._texts, digest)
            counts[state] += 1
            if state == "damaged":
                damaged.append(DamagedText(seq, digest.hex()))
        return TextsReport(counts["kept"], counts["missing"], counts["unreadable"], tuple(damaged))


def _state(texts: TextStore, digest: bytes) -> State:
    try:
        found = texts.digest_of(digest.hex())
    except OSError:
        return "unreadable"
    return "missing" if found is None else "kept" if found == digest else "damaged"
