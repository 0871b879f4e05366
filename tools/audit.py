"""`make audit`: the bill of materials of requirements.lock, its licences, and known weaknesses of what it installs.

    .venv/bin/python tools/audit.py [--advisories FOLDER]

*FOLDER*: a clone of PyPA's advisory database (pypa/advisory-database), which needs no network. Without it pip-audit asks PyPI;
what could not be looked up is said, and counts as not checked. Exits with 1 for a refused licence or a known weakness.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # stubs for two files are not worth a dependency
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv-audit/bin"
LOCK, BILL, VERDICT = ROOT / "requirements.lock", ROOT / "dist/sbom.cdx.json", ROOT / "dist/audit.txt"
ALLOWED = re.compile(
    r"MIT(-0)?|(0|[23]-Clause-)?BSD.*|0BSD|Apache-2\.0|ISC|PSF-2\.0|Python-2\.0|CNRI-Python|MPL-2\.0|Unlicense|Zlib"
    r"|.*(Apache Software License|BSD License|MIT License|Mozilla Public License 2\.0).*"
)
"""Permissive ones, and MPL-2.0, which asks for changes to its own files alone."""
OFFLINE = "Clone github.com/pypa/advisory-database and run: make audit ADVISORIES=../advisory-database"
READ = {"tiktoken": "MIT"}
"""Packages whose metadata name no licence: from the file that they bring."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make audit", description=__doc__.splitlines()[0])
    parser.add_argument("--advisories", type=Path, help="a clone of PyPA's advisory database")
    given, pins = parser.parse_args(), pins_of(LOCK.read_text())
    bill = make_bill(pins)
    said = [f"bill of materials: {len(bill['components'])} of {len(pins)} locked packages, {BILL.relative_to(ROOT)}"]
    elsewhere = pins.keys() - {canonicalize_name(one["name"]) for one in bill["components"]}
    said += [f"  not installed on this platform: {name} {pins[name]}" for name in sorted(elsewhere)]
    refused = {one["name"]: licences for one in bill["components"] if not is_allowed(licences := licences_of(one))}
    said.append(f"licences: {len(refused)} not allowed")
    said += [f"  {name}: {found or 'none named'}" for name, found in refused.items()]
    looked_up, weak = known_weaknesses(pins, given.advisories) if given.advisories else ask_pip_audit()
    said += [looked_up, *(f"  {line}" for line in weak)]
    VERDICT.write_text("\n".join(said) + "\n")
    print(*said, sep="\n")
    return 1 if refused or weak else 0


def pins_of(lock: str) -> dict[str, str]:
    """The version of each package in a lock file."""
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", lock, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def make_bill(pins: dict[str, str]) -> dict[str, Any]:
    """CycloneDX, of the locked packages that are installed in .venv; written to BILL."""
    command = [BIN / "cyclonedx-py", "environment", ROOT / ".venv/bin/python", "--output-reproducible", "--output-format", "JSON"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True)  # noqa: S603 - our own words
    bill: dict[str, Any] = json.loads(done.stdout)
    bill["components"] = [one for one in bill["components"] if canonicalize_name(one["name"]) in pins]
    kept = {one["bom-ref"] for one in bill["components"]}
    bill["dependencies"] = [
        {**one, "dependsOn": [ref for ref in one.get("dependsOn", ()) if ref in kept]}
        for one in bill.get("dependencies", ())
        if one["ref"] in kept
    ]
    BILL.parent.mkdir(exist_ok=True)
    BILL.write_text(json.dumps(bill, indent=2, sort_keys=True) + "\n")
    return bill


def licences_of(component: dict[str, Any]) -> list[str]:
    found = [one.get("expression") or one["license"].get("id") or one["license"]["name"] for one in component.get("licenses", ())]
    return found or [READ[name] for name in [component["name"]] if name in READ]


def is_allowed(licences: Iterable[str]) -> bool:
    """Every part of every expression is; of `A OR B` one suffices."""
    found = list(licences)
    return bool(found) and all(map(_is_allowed_expression, found))


def _is_allowed_expression(expression: str) -> bool:
    if ALLOWED.fullmatch(expression):
        return True
    parts = [part.strip(" ()") for part in re.split(r"\bAND\b", expression)]
    return all(any(ALLOWED.fullmatch(choice.strip(" ()")) for choice in re.split(r"\bOR\b", part)) for part in parts)


def ask_pip_audit() -> tuple[str, list[str]]:
    """What was looked up, and what was found."""
    command = [BIN / "pip-audit", "-r", LOCK, "--require-hashes", "--disable-pip", "--progress-spinner", "off", "-f", "json"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return f"weaknesses: NOT CHECKED: pip-audit failed ({done.stderr.strip().splitlines()[-1:]}). {OFFLINE}", []
    looked_up = [one for one in found if "skip_reason" not in one]
    missed = len(found) - len(looked_up)
    told = f"weaknesses: {len(looked_up)} packages looked up by pip-audit"
    if missed:
        told = f"weaknesses: NOT CHECKED for {missed} of {len(found)} packages: PyPI does not answer for them here. {OFFLINE}"
    return told, [f"{one['name']} {one['version']}: {weakness['id']}" for one in looked_up for weakness in one["vulns"]]


def known_weaknesses(pins: dict[str, str], folder: Path) -> tuple[str, list[str]]:
    """As `ask_pip_audit`, by the advisories in *folder*, OSV documents (ossf.github.io/osv-schema)."""
    files = [path for name in pins for path in sorted(folder.glob(f"vulns/{name}/*.yaml"))]
    advisories = [yaml.safe_load(path.read_text()) for path in files]
    found = [hit for advisory in advisories for hit in weaknesses_in(advisory, pins)]
    everything = sum(1 for _ in folder.glob("vulns/*/*.yaml"))
    if not everything:
        sys.exit(f"There are no advisories in {folder}/vulns.")
    newest = max((str(one.get("modified", "")) for one in advisories), default="")[:10]
    told = f"{everything:,} advisories ({len(files)} about them, the newest of {newest})"
    return f"weaknesses: {len(found)} in {len(pins)} packages, by {told}", found


def weaknesses_in(advisory: dict[str, Any], pins: dict[str, str]) -> Iterator[str]:
    if advisory.get("withdrawn"):
        return
    for affected in advisory.get("affected", ()):
        version = pins.get(canonicalize_name(affected["package"]["name"]))
        ranges = [one["events"] for one in affected.get("ranges", ()) if one["type"] == "ECOSYSTEM"]
        if version and (version in affected.get("versions", ()) or any(_is_within(version, events) for events in ranges)):
            yield f"{affected['package']['name']} {version}: {advisory['id']}"


def _is_within(version: str, events: Iterable[dict[str, str]]) -> bool:
    """Whether the last event up to *version* introduced the weakness."""
    here, is_in = Version(version), False
    for event in events:
        for what, at in event.items():
            try:
                is_reached = at == "0" or (here > Version(at) if what == "last_affected" else here >= Version(at))
            except InvalidVersion:
                continue
            if is_reached and what in ("introduced", "fixed", "last_affected"):
                is_in = what == "introduced"
    return is_in


if __name__ == "__main__":
    sys.exit(main())
