"""What a pack says of itself names its files and the exact command, and what it does not show."""

from __future__ import annotations

import pytest

from app.admin.evidence_pack.words import About, readme

NAMES = ("log.jsonl", "slice", "checkpoint", "log.vkey", "verdict.json", "report.html")


@pytest.mark.parametrize("withheld", [False, True])
def test_the_readme_names_each_file_and_the_exact_command(withheld: bool) -> None:
    about = About("example.com/log", 4, 7, 8, withheld=withheld, names=(*NAMES, "texts/ab/abc"))
    text = readme(about)
    assert "python3 verify_slice.py log.jsonl --slice slice --vkey KEPT.vkey" in text
    assert all(f"| `{name}` |" in text for name in (*NAMES, "README.md", "SHA256SUMS", "texts/"))
    assert ("64 hex digits" in text) == withheld
    assert "$" not in text
