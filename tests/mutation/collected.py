"""A pytest plugin: in place of its loop, each job is a fork in which one function has the mutant's code.

Nothing is imported or collected again. What a test or a process that it starts imports later comes from the changed file.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType, FunctionType

import pytest

from .jobs import Job


class Collected:
    """*serve* gets what runs a job in a fork of this process, and calls it for each."""

    def __init__(self, root: Path, serve: Callable[[Callable[[Job], int]], None]) -> None:
        self._root, self._serve = root, serve
        self._items: dict[str, list[pytest.Item]] = {}
        self._functions: dict[tuple[str, int, str], list[FunctionType]] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        for item in session.items:
            self._items.setdefault(item.nodeid.partition("::")[0], []).append(item)
        gc.unfreeze()
        for one in gc.get_objects():
            if isinstance(one, FunctionType) and one.__code__.co_filename.startswith(f"{self._root}/app/"):
                self._functions.setdefault(name_of(one.__code__), []).append(one)
        gc.freeze()
        self._serve(lambda job: self._run(session, job))
        return True

    def _run(self, session: pytest.Session, job: Job) -> int:
        """pytest's exit status."""
        self._swap(job)
        left_out = frozenset(job.left_out)
        items = [item for file in job.files for item in self._items.get(file, ()) if item.nodeid not in left_out]
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                return 1
        return 0 if items else 5

    def _swap(self, job: Job) -> None:
        """Raises ValueError where the mutant uses other variables of an enclosing function."""
        if job.file:
            path = str(self._root / job.file)
            old, new = list(outermost(compile(job.original, path, "exec"))), list(outermost(compile(job.code, path, "exec")))
            place = max(number for number, one in enumerate(old) if one.co_firstlineno <= job.line)
            for function in self._functions.get(name_of(old[place]), ()):
                function.__code__ = new[place]


def name_of(code: CodeType) -> tuple[str, int, str]:
    return code.co_filename, code.co_firstlineno, code.co_qualname


def outermost(code: CodeType) -> Iterator[CodeType]:
    """The functions of a module and of its classes, in the order of the file."""
    inner = [one for one in code.co_consts if isinstance(one, CodeType)]
    for one in sorted(inner, key=lambda one: one.co_firstlineno):
        if one.co_flags & CO_OPTIMIZED:
            yield one
        else:
            yield from outermost(one)
