"""A pytest plugin: which test runs which lines of app/, and how long it takes.

What a fixture runs that tests share, all tests of the file run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import coverage
import pytest


class CoverageMap:
    """Written at the end: {test: {"seconds": …, "failed": …, "lines": {file: [line, …]}}}."""

    def __init__(self, root: Path, to: Path) -> None:
        self._root, self._to = root, to
        self._coverage = coverage.Coverage(data_file=None, include=[f"{root}/app/*"], config_file=False)
        self._tests: dict[str, dict[str, Any]] = {}
        self._item: str | None = None
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._item = item.nodeid
        self._coverage.switch_context(item.nodeid)
        started = time.monotonic()
        self._tests[item.nodeid] = {"seconds": 0.0, "failed": False, "lines": {}}
        try:
            return (yield)
        finally:
            self._tests[item.nodeid]["seconds"] = time.monotonic() - started
            self._item = None
            self._coverage.switch_context("")

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        if fixturedef.scope == "function" or self._item is None:
            return (yield)
        self._coverage.switch_context(self._item.partition("::")[0])
        try:
            return (yield)
        finally:
            self._coverage.switch_context(self._item)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._tests[report.nodeid]["failed"] |= report.failed

    def pytest_unconfigure(self) -> None:
        self._coverage.stop()
        data = self._coverage.get_data()
        for name in data.measured_files():
            file = str(Path(name).relative_to(self._root))
            for line, tests in data.contexts_by_lineno(name).items():
                for context in filter(None, tests):
                    for test in [context] if context in self._tests else self._tests_of(context):
                        self._tests[test]["lines"].setdefault(file, []).append(line)
        self._to.write_text(json.dumps(self._tests))

    def _tests_of(self, file: str) -> list[str]:
        return [test for test in self._tests if test.startswith(f"{file}::")]
