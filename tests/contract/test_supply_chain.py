"""`make audit` and `make release`: what is locked, under which licence, with which known weakness, and with which digest."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ..support.paths import ROOT


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_tool", ROOT / f"tools/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


audit, release = tool("audit"), tool("release_notes")


def test_every_locked_package_is_found_with_its_version() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    pins = audit.pins_of(lock)
    names = {line.partition("==")[0] for line in lock.splitlines() if line[:1] not in " #"}
    assert len(pins) == len(names) > 50
    assert {"fastapi", "uvicorn", "sqlalchemy"} <= pins.keys()
    assert audit.pins_of('a_B[x]==1.2.post3 ; python_version < "4" \\\n    --hash=sha256:00\n') == {"a-b": "1.2.post3"}


@pytest.mark.parametrize(
    "licences",
    [
        ["MIT"],
        ["BSD-3-Clause", "License :: OSI Approved :: BSD License"],
        ["Apache-2.0 OR GPL-3.0-only"],
        ["MPL-2.0 AND (Apache-2.0 OR MIT)"],
    ],
)
def test_a_permissive_licence_is_allowed(licences: list[str]) -> None:
    assert audit.is_allowed(licences)


@pytest.mark.parametrize(
    "licences",
    [
        [],
        ["GPL-3.0-only"],
        ["MIT", "AGPL-3.0"],
        ["MIT AND GPL-2.0-only"],
        ["License :: OSI Approved :: GNU General Public License"],
    ],
)
def test_any_other_licence_is_not(licences: list[str]) -> None:
    assert not audit.is_allowed(licences)


def advisory(**affected: Any) -> dict[str, Any]:
    return {"id": "PYSEC-1", "affected": [{"package": {"name": "Some_Pack"}, **affected}]}


RANGE = [
    {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.4"}, {"introduced": "2.0"}, {"last_affected": "2.3"}]}
]


@pytest.mark.parametrize(
    ("version", "is_weak"), [("0.1", True), ("1.4", False), ("1.10", False), ("2.0", True), ("2.3", True), ("2.3.1", False)]
)
def test_a_version_within_an_advisory_s_range_is_reported(version: str, is_weak: bool) -> None:
    found = list(audit.weaknesses_in(advisory(ranges=RANGE), {"some-pack": version}))
    assert found == ([f"Some_Pack {version}: PYSEC-1"] if is_weak else [])


def test_a_listed_version_is_reported_and_a_withdrawn_advisory_is_not() -> None:
    pins = {"some-pack": "7"}
    assert list(audit.weaknesses_in(advisory(versions=["7"]), pins)) == ["Some_Pack 7: PYSEC-1"]
    assert list(audit.weaknesses_in({**advisory(versions=["7"]), "withdrawn": "2026-01-01"}, pins)) == []
    assert list(audit.weaknesses_in(advisory(versions=["7"]), {"other": "7"})) == []


def test_advisories_are_read_from_a_folder(tmp_path: Path) -> None:
    (tmp_path / "vulns/some-pack").mkdir(parents=True)
    (tmp_path / "vulns/some-pack/1.yaml").write_text(
        "id: PYSEC-1\nmodified: 2026-05-01T00:00:00Z\naffected:\n- package: {name: some-pack}\n  versions: ['7']\n"
    )
    told, found = audit.known_weaknesses({"some-pack": "7"}, tmp_path)
    assert found == ["some-pack 7: PYSEC-1"]
    assert told == "weaknesses: 1 in 1 packages, by 1 advisories (1 about them, the newest of 2026-05-01)"
    with pytest.raises(SystemExit, match="no advisories"):
        audit.known_weaknesses({"some-pack": "7"}, tmp_path / "vulns")


@pytest.mark.parametrize("answer", ["", json.dumps({"dependencies": [{"name": "a", "skip_reason": "unknown"}]})])
def test_what_could_not_be_looked_up_is_said_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    (tmp_path / "pip-audit").write_text(f"#!/bin/sh\necho '{answer}'\n")
    (tmp_path / "pip-audit").chmod(0o755)
    monkeypatch.setattr(audit, "BIN", tmp_path)
    told, found = audit.ask_pip_audit()
    assert "NOT CHECKED" in told
    assert told.endswith(audit.OFFLINE)
    assert found == []


def test_release_notes_hold_the_changes_and_a_digest_of_each_file(tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_bytes(b"wheel")
    changelog = "# Changelog\n\n## Unreleased\n\n- New.\n\n## [1.0.0] - 2026-11-01\n\n- Old.\n"
    text = release.notes("1.0.0", "abc", changelog, [tmp_path / "a.whl"])
    assert f"{hashlib.sha256(b'wheel').hexdigest()}  a.whl\n" in text
    assert "- Old." in text
    assert "- New." not in text
    assert release.changes(changelog, "2.0.0") == "- New."


def test_every_lock_file_is_named_in_the_release_notes() -> None:
    assert {path.name for path in ROOT.glob("requirements*.lock")} == set(release.LOCKS)
