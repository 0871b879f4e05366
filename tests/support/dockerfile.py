"""The instructions of the Dockerfile."""

from __future__ import annotations

import re

from .paths import ROOT


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile and its text, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines if line.strip())]


def last_stage() -> dict[str, str]:
    """By name, the last instruction of each kind in the final stage."""
    found = instructions()
    start = max(index for index, (name, _) in enumerate(found) if name == "FROM")
    return dict(found[start:])
