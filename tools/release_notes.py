"""`make release`: what a version changes, and the SHA-256 of everything that is handed out with it.

    .venv/bin/python tools/release_notes.py dist/* > dist/RELEASE.md

What CHANGELOG.md says under the version, or under "Unreleased", comes first; then the digests, as `sha256sum --check` reads them.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXPLAINED = """
`grep -E '^[0-9a-f]{64} ' RELEASE.md | sha256sum --check --ignore-missing` compares what lies beside this file; the lock files
are in the source archive.
`sbom.cdx.json` is the bill of materials (CycloneDX) of what `requirements.lock` installs, and `audit.txt` what was looked up
about it: licences, known weaknesses, and what was not checked.
"""
LOCKS = (
    "requirements.lock",
    "requirements-anthropic.lock",
    "requirements-bedrock.lock",
    "requirements-mistralai.lock",
    "requirements-otel.lock",
    "requirements-parquet.lock",
    "requirements-postgres.lock",
    "requirements-valkey.lock",
    "requirements-dev.lock",
    "requirements-ci.lock",
    "requirements-docs.lock",
    "requirements-audit.lock",
    "requirements-mutation.lock",
    "requirements-fuzz.lock",
)


def notes(version: str, commit: str, changelog: str, files: Iterable[Path]) -> str:
    lines = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)
    return (
        f"# Secure AI Assistant {version}\n\nCommit {commit}.\n\n{changes(changelog, version)}\n\n"
        f"## SHA-256\n\n```text\n{lines}```\n{EXPLAINED}"
    )


def changes(changelog: str, version: str) -> str:
    """The part of *changelog* about *version*."""
    sections = dict(re.findall(r"^## \[?([^\]\s]+)\]?[^\n]*\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL))
    return str(sections.get(version, sections.get("Unreleased", ""))).strip()


def main(paths: list[str]) -> int:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607
    files = [*(Path(path) for path in sorted(paths) if not path.endswith("RELEASE.md")), *(ROOT / name for name in LOCKS)]
    print(notes(version, found.stdout.strip() or "unknown", (ROOT / "CHANGELOG.md").read_text(), files), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
