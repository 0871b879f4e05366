"""A pytest plugin: which test runs which lines of app/, and how long it takes."""

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
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._coverage.switch_context(item.nodeid)
        started = time.monotonic()
        self._tests[item.nodeid] = {"seconds": 0.0, "failed": False, "lines": {}}
        try:
            return (yield)
        finally:
            self._tests[item.nodeid]["seconds"] = time.monotonic() - started
            self._coverage.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._tests[report.nodeid]["failed"] |= report.failed

    def pytest_unconfigure(self) -> None:
        self._coverage.stop()
        data = self._coverage.get_data()
        for name in data.measured_files():
            file = str(Path(name).relative_to(self._root))
            for line, tests in data.contexts_by_lineno(name).items():
                for test in filter(None, tests):
                    self._tests[test]["lines"].setdefault(file, []).append(line)
        self._to.write_text(json.dumps(self._tests))
