"""What the parent gives to all of its workers, made before the fork."""

from __future__ import annotations

import hashlib
import mmap
import os
import socket
import time
from dataclasses import dataclass

from ..api.scoreboard import Scoreboard
from ..upstream.embedded import EmbeddedAddress

DIGEST_BYTES = hashlib.sha256().digest_size
READ_SECONDS = 2.0


class SharedPolicy:
    """The catalogue that all workers use, in memory that forked children share.

    Another one is written beside the present one, and then the two are switched. So a reader finds
    a whole one at any time. One process at a time may publish.
    """

    def __init__(self, encoded: bytes) -> None:
        """*encoded*: what readers get until something else is published."""
        self._files = os.memfd_create("policy-0"), os.memfd_create("policy-1")
        self._current = mmap.mmap(-1, 1)
        self.publish(encoded)

    def publish(self, encoded: bytes) -> None:
        """Readers get it from now on."""
        other = 1 - self._current[0]
        fd, data = self._files[other], hashlib.sha256(encoded).digest() + encoded
        os.ftruncate(fd, len(data))
        os.pwrite(fd, data, 0)
        self._current[0] = other

    def read(self) -> bytes:
        """What was published last. Waits for a writer that is replacing what is read here."""
        end = time.monotonic() + READ_SECONDS
        while True:
            fd = self._files[self._current[0]]
            data = os.pread(fd, os.fstat(fd).st_size, 0)
            digest, encoded = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
            if hashlib.sha256(encoded).digest() == digest:
                return encoded
            if time.monotonic() > end:
                raise RuntimeError("The shared catalogue is damaged.")
            time.sleep(0.01)


@dataclass(frozen=True, slots=True)
class SharedParts:
    """A worker that is started again gets the same."""

    settings: bytes
    """Of `ServicePlan.settings`."""
    policy: SharedPolicy
    embedded: EmbeddedAddress | None
    listener: socket.socket
    scoreboard: Scoreboard
    board: object | None = None
    """The Board where workers count what the metrics show; None: nobody wants it."""
