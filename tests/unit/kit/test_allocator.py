"""jemalloc where it is installed, unless the operator has chosen."""

from __future__ import annotations

import ctypes
from pathlib import Path

from app.kit.allocator import LIBRARY, SETTINGS, allocator_settings, find_jemalloc


def test_the_settings_name_the_library_that_was_found() -> None:
    assert allocator_settings({}, None) == SETTINGS
    assert allocator_settings({}, "/usr/lib/libjemalloc.so.2") == {**SETTINGS, "LD_PRELOAD": "/usr/lib/libjemalloc.so.2"}


def test_what_the_operator_has_set_stays() -> None:
    own = {"LD_PRELOAD": "/opt/mine.so", "MALLOC_CONF": "", "MALLOC_MMAP_THRESHOLD_": "1"}
    assert allocator_settings(own, "/usr/lib/libjemalloc.so.2") == {}
    assert allocator_settings({"LD_PRELOAD": ""}, None) == SETTINGS


def test_a_library_that_is_found_can_be_loaded() -> None:
    found = find_jemalloc()
    if found is not None:
        assert Path(found).name == LIBRARY
        assert ctypes.CDLL(found).mallctl
