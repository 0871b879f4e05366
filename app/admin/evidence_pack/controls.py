"""The map of controls: what records and packs contribute to each, and what they do not."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files

NOT_COVERED = (
    "A map is no certificate: whether a control is met is judged by an auditor, over the whole organisation.",
    "Records show what passed through this service. What was asked elsewhere is not in them.",
    "That an answer was true, lawful or good is not shown; only that it was given.",
    "The wall clock of the records is the machine's. Their order does not depend on it; their times do.",
)


@dataclass(frozen=True, slots=True)
class Control:
    framework: str
    id: str
    title: str
    basis: str
    """Which text this was checked against, in November 2026."""
    asks: str
    """In our words; the text of the framework is what counts."""
    given: str
    missing: str


def controls() -> list[Control]:
    text = files(__package__).joinpath("controls.toml").read_text("utf-8")
    return [Control(**one) for one in tomllib.loads(text)["control"]]


def control_map() -> str:
    """As Markdown."""
    lines = ["# Control map", "", *(f"- {sentence}" for sentence in NOT_COVERED), ""]
    framework = ""
    for one in controls():
        if one.framework != framework:
            framework = one.framework
            lines += [f"## {framework}", ""]
        lines += [f"### {one.id}: {one.title}", "", f"It asks: {one.asks}", "", f"Checked against: {one.basis}", ""]
        lines += [f"- **Given.** {one.given}", f"- **Not covered.** {one.missing}", ""]
    return "\n".join(lines)
