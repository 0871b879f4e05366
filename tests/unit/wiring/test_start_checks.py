"""A service does not start under another name than the log's, or with a key that is not the log's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.audit.evidence.log_key import store_signer
from app.audit.format.note import Signer
from app.errors import AuditCorrupt, ConfigError
from app.settings import load_settings
from app.wiring.start_checks import checked_signer

from ...support.clean_settings import use_defaults
from ...support.installation import KEY, ORIGIN, install


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_defaults(monkeypatch, tmp_path)
    monkeypatch.setenv("AUDIT_ORIGIN", ORIGIN)


def check_refused(what: str, kind: type[Exception] = ConfigError) -> None:
    with pytest.raises(kind, match=what):
        checked_signer(load_settings()).verify_start()


def test_another_name_or_a_key_that_others_can_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    install()
    with monkeypatch.context() as patch:
        patch.setenv("AUDIT_ORIGIN", "other/log")
        check_refused("AUDIT_ORIGIN is other/log, but this log is called example.com/log")
    KEY.chmod(0o644)
    check_refused("can be read by others than the service: chmod 600")


def test_a_broken_key_or_that_of_another_log_is_refused() -> None:
    install()
    KEY.write_bytes(b"")
    check_refused("holds no log key")
    KEY.unlink()
    store_signer(KEY, Signer.generate(ORIGIN))
    check_refused("not signed by the log key", AuditCorrupt)
    Path("logs/audit_log.tree/checkpoint").unlink()
    check_refused("begun under another log key", AuditCorrupt)
