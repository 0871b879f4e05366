"""Content codings of a body (RFC 9110, section 8.4.1): undone in bounded steps."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STEP_BYTES = 256 * 1024
"""The most that one step unfolds: about a millisecond's work."""
MAX_PARTS = 10_000
"""Members or frames of one body. Each begins a decoder, also for nothing."""
MAX_WINDOW_LOG = 23
"""8 MiB, the largest window that zstd as a content coding may use (RFC 9659)."""


class _Zlib:
    """Gives zlib's object the interface of zstd's."""

    def __init__(self, wbits: int) -> None:
        self._zlib = zlib.decompressobj(wbits)
        self._rest = b""
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece = self._zlib.decompress(self._rest + data, max_length)
        self._rest = self._zlib.unconsumed_tail
        self.needs_input = not self._rest and len(piece) < max_length
        return piece


def _zstd() -> Any:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG})


class _Deflate(_Zlib):
    """With zlib's frame, as RFC 9110 has it, or bare, as some servers send it."""

    def __init__(self) -> None:
        super().__init__(zlib.MAX_WBITS)
        self._is_begun = False

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if data and not self._is_begun:
            self._is_begun = True
            if data[0] & 0x0F != zlib.DEFLATED:
                self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)
        return super().decompress(data, max_length)


CODINGS: dict[str, Callable[[], Any]] = {"gzip": partial(_Zlib, 31), "zstd": _zstd}
"""By the name that a header gives them: what a caller may send."""
MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
"""How a coded body begins. Neither JSON nor an event stream can, so no label is needed."""
_READ = {**CODINGS, "deflate": _Deflate}
"""What is read."""


def is_read(label: str) -> bool:
    """Whether *label*, in lower case, names a coding that is read here, or none."""
    return label in _READ or label in ("", "identity", "x-gzip")


def coding_of(start: bytes) -> str | None:
    """The coding in which a body is that begins with *start*, if one shows."""
    return next((name for magic, name in MAGIC.items() if start.startswith(magic)), None)


class Decoder:
    """Undoes one coding while its bytes arrive. Members and frames that follow another are joined.

    Both methods raise ValueError with the end of a sentence.
    """

    def __init__(self, coding: str, *, is_liberal: bool = False) -> None:
        """*is_liberal*: bytes behind the last member are ignored, as gzip and clients do."""
        self._name, self._open, self._is_liberal = coding, _READ[coding], is_liberal
        self._part: Any = None  # the member or frame that has begun and not ended
        self._ended, self._is_over = 0, False
        self._between = b""  # after a member: too little to see whether another begins

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What *data* adds, in pieces of at most STEP_BYTES, some of them empty."""
        while data or not (self._part is None or self._part.needs_input):
            if self._is_liberal and self._ended and self._part is None and not (data := self._begun(data)):
                return
            self._part = self._part or self._open()
            try:
                piece = self._part.decompress(data, STEP_BYTES)
            except (zlib.error, zstd.ZstdError):
                raise ValueError(f"is not valid {self._name}") from None
            data = b""
            if self._part.eof:
                data, self._part, self._ended = self._part.unused_data, None, self._ended + 1
                if self._ended > MAX_PARTS:
                    raise ValueError(f"is of too many parts in {self._name}")
            yield piece

    def _begun(self, data: bytes) -> bytes:
        """*data* with what came before it, if another member begins there; else nothing."""
        start = self._between + data
        if self._is_over or coding_of(start) == self._name:
            self._between = b""
            return b"" if self._is_over else start
        self._is_over = not any(magic.startswith(start) for magic in MAGIC)
        self._between = b"" if self._is_over else start
        return b""

    def finish(self) -> None:
        """All bytes have arrived."""
        if self._part is not None or not self._ended:
            raise ValueError(f"ends before its {self._name} does")
