"""Imports go downwards and build nothing; commands load no more than they need."""

from __future__ import annotations

import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from ..mutation.choice import importers_of
from ..support.modules import module_names
from ..support.paths import ROOT


def test_imports_go_downwards_only() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_files_import_each_other_in_a_circle() -> None:
    """Nor within a function."""
    TopologicalSorter(importers_of(ROOT / "app")).prepare()  # raises CycleError


def test_jwt_and_langchain_are_imported_in_their_own_files_alone() -> None:
    sources = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "app").rglob("*.py")}
    assert [name for name, text in sources.items() if "import jwt" in text] == [
        "app/security/tokens/issuer.py",
        "app/security/tokens/verifier.py",
    ]
    langchain = {name for name, text in sources.items() if "from langchain" in text}
    assert {name for name in langchain if "/langchain_servers/" not in name} == {"app/upstream/langchain.py"}


def python(code: str, folder: Path) -> None:
    """Run *code* in another process without settings, in *folder*."""
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env={}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_importing_builds_nothing_and_needs_no_settings(tmp_path: Path) -> None:
    """Every module of the application, in one process."""
    python(f"import os, {', '.join(module_names())}; assert os.listdir('.') == []", tmp_path)


@pytest.mark.slow
def test_commands_that_ask_no_model_load_no_langchain(tmp_path: Path) -> None:
    """One process runs them all: a module that any of them loads is found after it."""
    code = (
        "import sys; from app.cli.main import app\n"
        "for words in ('init', 'clients list', 'clients add bob --role ai.audit.reader', 'audit verify', 'audit tail'):\n"
        "    try: app(words.split())\n"
        "    except SystemExit as end: assert not end.code, (words, end.code)\n"
        "    heavy = {name.split('.')[0] for name in sys.modules} & {'langchain_core', 'langchain_openai', 'openai', 'fastapi'}\n"
        "    assert not heavy, (words, heavy)\n"
    )
    python(code, tmp_path)


@pytest.mark.slow
def test_a_worker_loads_langchain_only_for_a_server_that_needs_it(tmp_path: Path) -> None:
    python("import sys, app.serving.worker; assert not {'langchain_core', 'anthropic', 'openai'} & sys.modules.keys()", tmp_path)


@pytest.mark.slow
def test_where_the_console_is_switched_off_nothing_of_it_is_loaded(tmp_path: Path) -> None:
    code = (
        "import sys; from app.main import create_app; from app.settings import load_settings\n"
        "known = {'secret_key': 's' * 43, 'openai_base_url': 'http://127.0.0.1:9/v1'}\n"
        "create_app(load_settings(**known, console_enabled=False))\n"
        "assert not {'app.web', 'jinja2', 'app.audit.index.builder', 'app.audit.index.search'} & sys.modules.keys()\n"
        "create_app(load_settings(**known))\n"
        "assert {'app.web', 'jinja2'} <= sys.modules.keys()"
    )
    python(code, tmp_path)


def test_the_names_by_which_people_know_the_system_are_importable() -> None:
    from app.assistant import SecureAIAssistant
    from app.security import SecurityManager

    assert {"generate_token", "verify_token", "log_action"} <= set(dir(SecurityManager))
    assert {"ask", "chain"} <= set(dir(SecureAIAssistant))
