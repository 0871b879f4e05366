"""The limits as the settings give them."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import LimitsUnavailable
from app.limits.rate_limits import Buckets
from app.limits.shared_window import shared_window_url
from app.settings import load_settings


def test_what_cannot_be_counted_is_not_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load_settings(secret_key="s" * 43, audit_log_path=tmp_path / "audit_log.jsonl")
    file = Path(shared_window_url(loaded.audit_log_path).removeprefix("window://"))
    file.write_bytes(b"this is no database" * 100)
    buckets = Buckets(loaded)
    for refused in (buckets.charge_principal, buckets.charge_token, buckets.test_address, buckets.charge_address):
        with pytest.raises(LimitsUnavailable):
            refused("alice")
    assert not buckets.admit_refusal("alice"), "then it is counted in the summary"
    buckets.close()
    assert not file.parent.exists(), "the last one to close it removes it"
