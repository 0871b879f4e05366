"""A copy of the project with a Python of its own, whose `app` may be changed, and which test processes import too."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from ..support.paths import ROOT

TOOLS = ROOT / ".venv-mutation"


def make_tree(folder: Path) -> Path:
    """Copies what git knows of, as it is now. The packages are those of this Python, then those of the tools."""
    names = subprocess.run(["git", "ls-files", "-zco", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in os.fsdecode(names).rstrip("\0").split("\0"):
        source = ROOT / name
        if source.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / ".venv")], check=True)
    (packages,) = (folder / ".venv").glob("lib/python*/site-packages")
    others = [sysconfig.get_path("purelib"), *map(str, TOOLS.glob("lib/python*/site-packages"))]
    added = "".join(f"import site; site.addsitedir({other!r})\n" for other in others)
    (packages / "tree.pth").write_text(f"{folder}\n{added}")
    add_commands(Path(sysconfig.get_path("scripts")), folder / ".venv/bin")
    return folder


def add_commands(source: Path, target: Path) -> None:
    """Tests run commands that stand beside this Python: there, scripts run that other one, whose `app` is the copy."""
    for path in source.iterdir():
        to = target / path.name
        if to.exists() or not path.is_file():
            continue
        if (content := path.read_bytes()).startswith(b"#!"):
            to.write_bytes(content.replace(os.fsencode(source), os.fsencode(target)))
            to.chmod(0o755)
        else:
            to.symlink_to(path)
