"""`doctor`: whose the files are, who may read them, and whether this user may write them."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from ..settings import ENV_FILE, Settings
from ..wiring.budgets import budgets_place
from .doctor_findings import Finding, note, ok, trouble


def look(settings: Settings) -> Iterator[Finding]:
    """One finding for each file with trouble, or one for all."""
    log = settings.audit_log_path
    written = [log, log.with_name(log.name + ".lock"), log.with_name(log.name + ".sync"), log.with_suffix(".tree")]
    places = (settings.database, budgets_place(settings), settings.security_log_path)
    written += [place for place in places if isinstance(place, Path)]
    there = [path for path in written if path.exists()]
    owners = {path.stat().st_uid for path in there}
    found = [*_not_writable([*there, *{path.parent for path in there}]), *_readable_by_others(settings)]
    if os.geteuid() == 0 and owners - {0}:
        found.append(note(f"The files belong to {_user(min(owners - {0}))}, and root may do all: look as that user."))
    elif others := owners - {os.geteuid(), 0}:
        found.append(note(f"Some files belong to {_user(min(others))}, others do not: let one user own all."))
    yield from found or [ok("This user may write what the service writes, and nobody else may read secrets.")]


def _not_writable(paths: list[Path]) -> Iterator[Finding]:
    for path in dict.fromkeys(paths):
        if not os.access(path, os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)):
            yield trouble(f"{path} cannot be written by {_user(os.geteuid())}: change its owner or its rights.")


def _readable_by_others(settings: Settings) -> Iterator[Finding]:
    for path in (Path(ENV_FILE), settings.audit_key_path):
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield trouble(f"{path} holds secrets, and others may read or change it: chmod 600 {path}.")
    for path in (value for name, value in settings if name.endswith("_password_file") and value is not None):
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o027:  # a mounted secret belongs to a group
            yield trouble(f"{path} holds a password, and others may read or change it: chmod 640 {path}.")


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
