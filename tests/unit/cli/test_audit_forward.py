"""`audit forward` refuses in a sentence what it cannot deliver to."""

from __future__ import annotations

from pathlib import Path

import pytest

from ...support.service import Service


@pytest.mark.slow
def test_an_address_that_is_none_ends_it_with_a_sentence(tmp_path: Path) -> None:
    service = Service(tmp_path, AUDIT_LOG_PATH="log")
    done = service.run("audit", "forward", "siem.example", "--once", status=2)
    assert done.stderr.startswith("Name the receiver as otlp+https://HOST:4318, syslog+tls://HOST:6514 or https://HOST/PATH")
