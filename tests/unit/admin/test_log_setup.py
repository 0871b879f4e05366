"""The log, its key and its first checkpoint: no two logs share a name or a key."""

from __future__ import annotations

import stat

from app.admin.setup import SetupResult
from app.audit.evidence.log_key import load_signer
from app.audit.log import AuditLog
from app.settings import load_settings
from app.wiring.start_checks import checked_signer

from ...support.installation import FILES, KEY, LOG, ORIGIN, check_sound, init, names, retired_logs
from ...support.stores import open_store


def test_the_first_record_names_the_log_and_its_private_key() -> None:
    made = init()
    assert made.log_key == KEY
    assert made.first_record is not None
    assert stat.S_IMODE(KEY.stat().st_mode) == 0o600
    assert check_sound() == ORIGIN
    assert names() == FILES


def test_a_new_log_has_its_own_name_and_key_and_the_old_one_is_kept() -> None:
    """Twice in a row: no two of them share a name."""
    init()
    for _ in range(2):
        assert init(new_log=True).log_key == KEY
    logs = [(LOG, KEY), *retired_logs()]
    origins = {check_sound(*log) for log in logs}
    assert len(origins) == len(logs) == 3
    assert all(origin == ORIGIN or origin.startswith(f"{ORIGIN}/") for origin in origins)
    assert len(names()) == len(FILES) + 2 * 3
    checked_signer(load_settings()).verify_start()


def test_a_new_log_after_the_key_was_lost_does_not_take_the_old_name() -> None:
    init()
    KEY.unlink()
    init(new_log=True)
    assert check_sound() != ORIGIN


def test_a_log_from_before_logs_were_signed_gets_a_key() -> None:
    store = open_store(LOG)
    AuditLog(store).create({"software": "secure-ai-assistant 0.0.9"})
    store.close()
    made = init()
    assert (made.first_record, made.log_key) == (None, KEY)
    assert load_signer(KEY).name == ORIGIN
    checked_signer(load_settings()).verify_start()
    assert init() == SetupResult()
