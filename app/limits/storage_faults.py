"""The error of every limit whose shared memory fails: a call that cannot be counted is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import LimitsUnavailable


@contextmanager
def storage_faults() -> Iterator[None]:
    """Raises LimitsUnavailable in place of OSError."""
    try:
        yield
    except OSError as error:
        raise LimitsUnavailable(retry_after=1) from error
