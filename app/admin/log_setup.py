"""How `init` begins an audit log, so that it can be killed between any two steps and run again.

(1) A new key becomes durable under a draft name.
(2) The first record, which names the key, begins the log; a log that was there is retired.
(3) Key and tree of the retired log move beside it.
(4) The draft becomes the log key.
(5) The key signs the first checkpoint.

The next `init` continues from what it finds: if the first record names the draft key, at (3); if
not, it removes the draft.
"""

from __future__ import annotations

import os
import secrets
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import __version__
from ..audit.evidence.log_key import load_signer, store_signer, take_name
from ..audit.evidence.stored_tree import StoredTree
from ..audit.format.note import Signer, verify_checkpoint
from ..audit.format.record import Receipt
from ..audit.log import AuditLog
from ..errors import AuditCorrupt, VerificationFailed
from ..settings import Settings
from ..wiring.audit import open_audit, open_checkpoint_signer, signed_note
from ..wiring.start_checks import has_file, missing_key
from .env_file import new_log_name


@dataclass(frozen=True, slots=True)
class LogSetup:
    """What was made just now: the first record and the log key. None: it was there before."""

    first_record: Receipt | None
    key: Path | None


def set_up_log(settings: Settings, *, new_log: bool) -> LogSetup:
    """Begin the log, or finish what a killed `init` left. *new_log*: retire the present log first.

    Raises ConfigError, AuditCorrupt, AuditUnavailable, EvidenceUnavailable.
    """
    audit = open_audit(settings)
    try:
        first_record = _begin_log(settings, audit, new_log=new_log)
        key = _install_key(settings, audit)
    finally:
        audit.close()
    _sign_first_checkpoint(settings, is_new_key=key is not None)
    return LogSetup(first_record, key)


# --- (1) and (2): the draft key and the first record ---------------------------------------------


def _begin_log(settings: Settings, audit: AuditLog, *, new_log: bool) -> Receipt | None:
    if new_log and (audit.exists() or has_file(settings.database_path)):
        _install_draft_key(settings, audit)  # it belongs to the present log, not to the next one
        return audit.begin_another(_first_details(_draft_key(settings, is_first_log=False)))
    if audit.is_empty():
        with suppress(AuditCorrupt):  # a log was here: recovery says what is wrong with it
            return audit.create(_first_details(_draft_key(settings, is_first_log=True)))
    audit.recover()
    return None


def _first_details(key: Signer) -> dict[str, Any]:
    """Name and key of the log: in the first record, neither can be exchanged unnoticed."""
    software = f"secure-ai-assistant {__version__}"
    return {"origin": key.name, "vkey": key.verifier_key.text(), "software": software}


def _draft_key(settings: Settings, *, is_first_log: bool) -> Signer:
    """The key of the log that is about to begin, durable under its draft name."""
    draft = _draft_path(settings)
    with suppress(FileNotFoundError):
        return load_signer(draft)  # from an init that was killed
    name = settings.audit_origin or new_log_name()
    if not is_first_log and settings.audit_origin:
        name += f"/{secrets.token_hex(4)}"  # two logs of one name would be two trees of one name
    store_signer(draft, Signer.generate(name))
    return load_signer(draft)


def _draft_path(settings: Settings) -> Path:
    return settings.audit_key_path.with_name(settings.audit_key_path.name + ".new")


# --- (3) and (4): the log gets its key -----------------------------------------------------------


def _install_key(settings: Settings, audit: AuditLog) -> Path | None:
    """The path of the log key if it is new. Raises AuditCorrupt if the log has lost its key."""
    path = settings.audit_key_path
    if _install_draft_key(settings, audit):
        return path
    if path.exists():
        _retire_another_tree(settings, load_signer(path), audit)
        return None
    if (problem := missing_key(settings, audit)) is not None:
        raise problem
    # The log was begun by an early version, which signed no checkpoints.
    with suppress(FileExistsError):
        store_signer(path, Signer.generate(settings.audit_origin or new_log_name()))
    return path


def _install_draft_key(settings: Settings, audit: AuditLog) -> bool:
    """Make the draft the log key if the first record names it, else remove it."""
    draft = _draft_path(settings)
    if not draft.exists():
        return False
    key = load_signer(draft)
    first = audit.first_details() if audit.exists() else {}
    if first.get("vkey") != key.verifier_key.text():
        draft.unlink()  # its log was never begun
        return False
    _retire_key_and_tree(settings, key, first)
    take_name(draft, settings.audit_key_path)
    return True


def _retire_key_and_tree(settings: Settings, key: Signer, first: dict[str, Any]) -> None:
    """Move the key and tree of the log before this one beside that log, under its name."""
    log = settings.audit_log_path.resolve()
    retired = _retired_log(log, first)
    tree = StoredTree.beside(log)
    if _is_signed_by_another(key, tree):
        os.rename(tree.folder, retired.with_suffix(".tree"))
    if settings.audit_key_path.exists():
        os.rename(settings.audit_key_path, retired.with_suffix(".key"))


def _retire_another_tree(settings: Settings, key: Signer, audit: AuditLog) -> None:
    """On a node of many: another one has begun the present log, and this one has its key by now."""
    tree = StoredTree.beside(settings.audit_log_path)
    if settings.ledger is not None and _is_signed_by_another(key, tree):
        first = audit.first_details()
        if first.get("vkey") == key.verifier_key.text():
            os.rename(tree.folder, _retired_log(settings.audit_log_path.resolve(), first).with_suffix(".tree"))


def _retired_log(log: Path, first: dict[str, Any]) -> Path:
    """The log before this one, by its first record, or as a killed `init` had moved it."""
    if (kept_as := (first.get("previous") or {}).get("kept_as")) is not None:
        return log.with_name(kept_as)
    retired = sorted(log.parent.glob(f"{log.stem}.retired.*{log.suffix}"))
    without_key = [path for path in retired if not path.with_suffix(".key").exists()]
    if without_key:
        return without_key[-1]
    return log.with_name(f"{log.stem}.retired.{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}{log.suffix}")


def _is_signed_by_another(key: Signer, tree: StoredTree) -> bool:
    note = tree.checkpoint()
    if note is None:
        return False
    try:
        verify_checkpoint(note, key.verifier_key)
    except VerificationFailed:
        return True
    return False


# --- (5): the first checkpoint -------------------------------------------------------------------


def _sign_first_checkpoint(settings: Settings, *, is_new_key: bool) -> None:
    """Sign it before the service starts: a log without a checkpoint is then a log that lost it."""
    if signed_note(settings) is not None:
        return
    with closing(open_checkpoint_signer(settings, is_notary=True)) as signer, closing(open_audit(settings)) as audit:
        if is_new_key or audit.has_one_record():
            signer.publish_next()
        else:
            signer.verify_start()
