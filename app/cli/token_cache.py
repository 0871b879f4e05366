"""Access tokens in files of this user: shared by their programs, and renewed before they expire."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import AppError
from ..kit import strict_json
from ..kit.command import PROGRAM
from ..kit.durable_files import open_file, replace_file
from .output import service_at, unusable_in
from .usage import WrongUsage

RENEWED_AT = 0.25
"""The part of its life that a token has left when it is renewed: 15 minutes of an hour.

A program that asks every few minutes never holds an expired one."""
LATEST = 2**35
"""In the year 3058. No token expires later."""


@dataclass(frozen=True, slots=True)
class KeptToken:
    access_token: str = field(repr=False)
    scope: str
    expires_at: int
    """Unix seconds, on this machine's clock."""
    lifetime: int
    """Seconds from its issue on."""

    def is_fresh(self, now: float) -> bool:
        """Not if more is left than its life: the clock was set back, or was wrong at its issue."""
        return RENEWED_AT * self.lifetime < self.expires_at - now <= self.lifetime


def token_path(url: str, client_id: str, scope: str) -> Path:
    """Where tokens are kept (XDG Base Directory Specification), never in the current folder."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    base = named if named.is_absolute() else Path.home() / ".cache"  # the specification ignores a relative one
    name = hashlib.sha256("\n".join((service_at(url), client_id, scope)).encode("utf-8", "surrogateescape")).hexdigest()
    return base / PROGRAM / f"{name}.json"


def kept_token(
    path: Path,
    fetch: Callable[[], dict[str, Any]],
    *,
    renew: bool = False,
    warn: Callable[[str], None] = lambda sentence: None,
    now: Callable[[], float] = time.time,
) -> KeptToken:
    """The token in *path*, fetched if it is not fresh. Of several processes one fetches.

    Where that fails, a token that is still valid is returned after *warn*. *renew*: whatever is
    kept is not good enough. Raises the AppErrors of *fetch*, WrongUsage for the folder, OSError.
    """
    _verify_folder(path.parent)
    found = _read(path)
    if found is not None and found.is_fresh(now()) and not renew:
        return found
    with _locked(path.with_suffix(".lock")):
        kept = _read(path)  # another process may have renewed it meanwhile
        if kept is not None and kept.is_fresh(now()) and not (renew and kept == found):
            return kept
        began = int(now())
        try:
            answer = fetch()
        except AppError as error:
            if renew or kept is None or now() >= kept.expires_at:
                raise
            warn(f"The token was not renewed; the one that is kept is valid for {kept.expires_at - began} s. {error.detail}")
            return kept
        new = KeptToken(answer["access_token"], answer["scope"], began + answer["expires_in"], answer["expires_in"])
        try:
            replace_file(path, json.dumps(asdict(new)).encode())
        except OSError as error:  # such as a full disk; the token is good
            warn(f"The token is not kept for the next call: {error.strerror}.")
        return new


def read_secret(path: Path) -> str:
    """The text of a file that only this user may read. Raises WrongUsage, OSError."""
    with path.open("rb") as file:
        if not _is_private(file.fileno()):
            raise WrongUsage(f"A secret is for its owner alone, and others may read or change {path}: chmod 600 {path}")
        return file.read().decode("utf-8", "replace").strip()


def _verify_folder(folder: Path) -> None:
    """Make it. Raises WrongUsage if others may write in it: what stands there may be theirs."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = folder.stat()
    if state.st_mode & 0o022 or state.st_uid != os.geteuid():
        raise WrongUsage(f"Tokens are kept in a folder of your own, where nobody else may write: look at {folder}")


def _read(path: Path) -> KeptToken | None:
    """None for a file that is missing, broken, or not private: a new token is fetched."""
    try:
        with path.open("rb") as file:
            members = strict_json.parse(file.read()) if _is_private(file.fileno()) else {}
        kept = KeptToken(**members)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    answer = {"access_token": kept.access_token, "scope": kept.scope, "expires_in": kept.lifetime}
    is_time = type(kept.expires_at) is int and 0 <= kept.expires_at < LATEST
    return kept if is_time and unusable_in(answer) is None else None


def _is_private(fd: int) -> bool:
    state = os.fstat(fd)
    return state.st_mode & 0o077 == 0 and state.st_uid == os.geteuid()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    fd = open_file(path, create=True)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
