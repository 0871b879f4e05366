"""Paths that settings name: writable, and each another one. Raises ValueError with a sentence."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def verify_writable(name: str, path: Path) -> None:
    """*path* is no folder, and this user may write it, or make it."""
    try:
        if path.is_dir():
            raise ValueError(f"{name} {path} is a folder: name a file in it")
        nearest = next(folder for folder in path.absolute().parents if folder.exists())
        target = path if path.exists() else nearest
        is_writable = nearest.is_dir() and os.access(target, os.W_OK)
    except OSError:  # a folder on the way may not be searched by this user
        target, is_writable = path.parent, False
    if not is_writable:
        raise ValueError(f"{name} {path} cannot be written by this user: change it, or the rights of {target}")


def verify_differ(paths: Mapping[str, Path | None]) -> None:
    """*paths*: by what they are called; None: that one is not set."""
    taken: dict[Path, str] = {}
    for name, path in paths.items():
        if path is None:
            continue
        if path.absolute() in taken:
            raise ValueError(f"{name} names the same file as {taken[path.absolute()]}: give each a file of its own")
        taken[path.absolute()] = name
