"""Tests that need more than a bare machine: skipped with a reason, or failed if REQUIRE_ALL_TESTS=1."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

from .paths import SUPPORT

NODE_FOLDER = SUPPORT / "node"
NODE_HOW = "install node 18 or newer (Debian: apt-get install nodejs npm), then: npm ci --prefix tests/support/node"


def leave_out(reason: str) -> NoReturn:
    """Skip the test with *reason*; fail it if no test may be skipped (.ci/run)."""
    if os.environ.get("REQUIRE_ALL_TESTS") == "1":
        pytest.fail(f"REQUIRE_ALL_TESTS=1, but {reason}", pytrace=False)
    pytest.skip(f"LEFT OUT: {reason}")


def node() -> str:
    """The path of node; skips the test if there is none."""
    found = shutil.which("node")
    if found is None:
        leave_out(f"there is no node; {NODE_HOW}")
    return found


def node_with(package: str) -> str:
    """The path of node; skips the test if *package* of tests/support/node is not installed."""
    found = node()
    if not (NODE_FOLDER / "node_modules" / package / "package.json").is_file():
        leave_out(f"{package} is not installed; {NODE_HOW}")
    return found


def chromium() -> str:
    """The path of the browser; skips the test if there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        leave_out("there is no chromium (Debian: apt-get install chromium)")
    return found
