"""`python -m tests.screenshots FOLDER`: pictures of every page of the console, wide and narrow, light and dark."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .support.console_service import console_service
from .support.optional import NODE_FOLDER, chromium, node_with
from .support.pleasant_model import pleasant_model


def shoot(folder: Path) -> dict[str, list[str]]:
    """What the browser complained of, requested and blocked meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, pleasant_model() as base_url:
        with console_service(Path(temporary) / "service", base_url) as console:
            command = [node_with("playwright-core"), str(NODE_FOLDER / "screenshots.js"), chromium(), console.url, str(folder)]
            environment = {"PATH": os.environ["PATH"], "HOME": temporary, "SECRETS": json.dumps(console.secrets)}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise SystemExit(done.stderr)
    return dict(json.loads(done.stdout))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.screenshots", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("screenshots"))
    folder = parser.parse_args().folder
    seen = shoot(folder)
    for picture in sorted(folder.glob("*.png")):
        print(picture)
    for complaint in (*seen["complaints"], *seen["violations"]):
        print(f"the browser complained: {complaint}", file=sys.stderr)
    return 1 if seen["complaints"] or seen["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
