"""A pytest plugin: only the wanted tests, the files in the order that was given."""

from __future__ import annotations

from collections.abc import Sequence

import pytest


class Selection:
    """Tests are left out by name, not chosen: a mutant may change the names of parameters, and those tests count too."""

    def __init__(self, files: Sequence[str], left_out: Sequence[str]) -> None:
        self._order, self._left_out = {file: place for place, file in enumerate(files)}, frozenset(left_out)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid not in self._left_out),
            key=lambda item: self._order.get(item.nodeid.partition("::")[0], len(self._order)),
        )
