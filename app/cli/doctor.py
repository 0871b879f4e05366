"""`doctor`: everything is looked at, and each thing has its line."""

from __future__ import annotations

import json
import sys

import typer

from ..admin.doctor import examine
from ..admin.doctor_findings import Finding
from .output import Json, printable

doctor = typer.Typer(add_completion=False)


@doctor.command()
def run(as_json: Json = False) -> None:
    """Settings, policy, files, disk, clock, locks, log, database, servers: a line for each.

    Nothing is changed or recorded, and no model is asked. Exit status 1 on any trouble.
    """
    found: list[tuple[str, Finding]] = []
    for about, finding in examine():
        found.append((about, finding))
        if not as_json:
            print(f"{finding.state:<7}  {about:<9}  {printable(finding.says)}", flush=True)
    is_well = all(finding.state != "trouble" for _, finding in found)
    if as_json:
        checks = [{"about": about, "state": finding.state, "says": finding.says} for about, finding in found]
        print(json.dumps({"ok": is_well, "checks": checks}))
    sys.exit(0 if is_well else 1)
