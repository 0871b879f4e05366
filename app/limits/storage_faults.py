"""The error of every limit whose shared memory fails: a call that cannot be counted is refused."""

from __future__ import annotations

from types import TracebackType

from ..errors import LimitsUnavailable


class storage_faults:  # noqa: N801 - as contextlib's suppress
    """Raises LimitsUnavailable in place of OSError. A class: every question enters one."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, OSError):
            raise LimitsUnavailable(retry_after=1) from error
