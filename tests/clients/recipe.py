"""The recipes of docs/how-to, so that what is run is what is printed there.

A section's files are its blocks titled with a path; what is typed before the client starts are its blocks of `sh`.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..support.paths import ROOT

PAGE, FRONT_END = ROOT / "docs/how-to/connect-a-client.md", ROOT / "docs/how-to/connect-a-front-end.md"
PRINTED_URL = "http://localhost:8000"
BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def section(title: str, page: Path = PAGE) -> str:
    """What the *page* says below the heading *title*, up to the next heading."""
    found = re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^##+ |\Z)", page.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no section {title}"
    return found[1]


def follow(title: str, home: Path, work: Path, url: str) -> str:
    """Write the files of a recipe, and return what is typed in a shell."""
    typed = ""
    for language, name, text in BLOCK.findall(section(title)):
        text = text.replace(PRINTED_URL, url)
        if name:
            path = home / name.removeprefix("~/") if name.startswith("~/") else work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        elif language == "sh":
            typed += text
    assert typed, f"{title}: nothing is typed"
    return typed


def variables(title: str, page: Path, url: str, key: str) -> dict[str, str]:
    """The variables that a recipe shows as NAME=value."""
    shown = re.findall(r"^([A-Z_]+)=(.*)$", section(title, page), re.MULTILINE)
    return {name: value.replace(PRINTED_URL, url).replace("saa_…", key) for name, value in shown}
