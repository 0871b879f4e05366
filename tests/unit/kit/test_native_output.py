"""What native code writes to a descriptor arrives, and nobody who stops reading can stop it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ...support.paths import ROOT

PREAMBLE = "import os, sys\nfrom app.kit.native_output import Relay\nrelay = Relay(2)\n"


def test_every_line_arrives_and_the_descriptor_is_put_back() -> None:
    code = (
        "[os.write(2, b'line %d\\n' % n) for n in range(1000)]; os.write(2, b'\\xff end'); relay.close(); os.write(2, b'after')"
    )
    done = subprocess.run([sys.executable, "-c", PREAMBLE + code], cwd=ROOT, stderr=subprocess.PIPE, timeout=60)
    lines = done.stderr.decode().splitlines()
    assert lines == [f"line {number}" for number in range(1000)] + ["\\xff endafter"]


@pytest.mark.slow
def test_a_reader_that_stopped_reading_stops_nothing() -> None:
    code = "[os.write(2, b'x' * 999 + b'\\n') for n in range(5000)]; relay.close()"
    reader, full = os.pipe()
    try:
        assert subprocess.run([sys.executable, "-c", PREAMBLE + code], cwd=ROOT, stderr=full, timeout=60).returncode == 0
    finally:
        os.close(reader)
        os.close(full)
