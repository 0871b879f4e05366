"""A shared policy for a test; in a service it lives as long as its process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from app.serving.shared_parts import SharedPolicy


@contextmanager
def shared_policy(encoded: bytes) -> Iterator[SharedPolicy]:
    policy = SharedPolicy(encoded)
    try:
        yield policy
    finally:
        for fd in policy._files:
            os.close(fd)
