"""Replaces `os` in the audit log, so that a test can watch its file system calls or make them fail."""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from types import ModuleType
from typing import Any
from unittest import mock

from app import audit
from app.kit import durable_files


@cache
def modules_with_os() -> list[ModuleType]:
    """Found by a search, so that a new module cannot be forgotten."""
    names = [one.name for one in pkgutil.walk_packages(audit.__path__, f"{audit.__name__}.")]
    return [one for one in (durable_files, *map(importlib.import_module, names)) if hasattr(one, "os")]


class RealOs:
    """`os` itself, for a class that replaces some of its calls."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


class Died(BaseException):
    """The process ends here. A BaseException, so that no error handling of the code catches it."""


@contextmanager
def replaced_os(other: Any) -> Iterator[None]:
    """Replace `os` by *other* in every module of the audit log for the length of the block."""
    with ExitStack() as stack:
        for module in modules_with_os():
            stack.enter_context(mock.patch.object(module, "os", other))
        yield
