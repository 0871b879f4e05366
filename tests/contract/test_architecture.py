"""The house: imports go downwards, files stay readable, the command line stays light."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ..support.paths import ROOT

LONGEST_FILE = 300


def test_imports_go_downwards_only() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_of_the_product_is_longer_than_it_can_be_read() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in (ROOT / "app").rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_only_one_file_imports_jwt_and_one_langchain() -> None:
    sources = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "app").rglob("*.py")}
    assert [name for name, text in sources.items() if "import jwt" in text] == [
        "app/security/tokens/issuer.py",
        "app/security/tokens/verifier.py",
    ]
    assert [name for name, text in sources.items() if "from langchain" in text] == ["app/upstream/langchain.py"]


@pytest.mark.parametrize(
    "module", ["app.main", "app.serving.parent", "app.cli.main", "app.wiring.services", "app.security", "app.assistant"]
)
def test_importing_builds_nothing_and_needs_no_settings(module: str, tmp_path: Path) -> None:
    code = f"import {module}, os; assert os.listdir('.') == []"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["init"],
        ["clients", "list"],
        ["clients", "add", "bob", "--role", "ai.audit.reader"],
        ["audit", "verify"],
        ["audit", "tail"],
    ],
)
def test_commands_that_ask_no_model_import_no_langchain(command: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; from app.cli.main import app\n"
        "def run(*words):\n"
        "    try: app(list(words))\n"
        "    except SystemExit as end: assert not end.code, end.code\n"
        f"run('init'); run(*{command!r})\n"
        "heavy = {name.split('.')[0] for name in sys.modules} & {'langchain_core', 'langchain_openai', 'openai', 'fastapi'}\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_names_by_which_people_know_the_system_are_importable() -> None:
    from app.assistant import SecureAIAssistant
    from app.security import SecurityManager

    assert {"generate_token", "verify_token", "log_action"} <= set(dir(SecurityManager))
    assert {"ask", "chain"} <= set(dir(SecureAIAssistant))
