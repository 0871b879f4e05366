"""docs/reference/owasp.md: every row of the lists is there, says what is so, and names tests that exist."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib

import pytest

from ..support.paths import ROOT

PAGE = (ROOT / "docs/reference/owasp.md").read_text()
ROWS = [row.strip("|").split(" | ") for row in PAGE.splitlines() if re.match(r"\| (LLM|API|V)\d", row)]
WITHOUT_TESTS = ("does not apply", "do not apply")


@pytest.mark.slow
def test_every_test_that_the_page_names_exists() -> None:
    functions = {
        node.name
        for file in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    named = set(re.findall(r"\btest_\w+", PAGE))
    assert len(named) > 80
    assert named - functions == set()


@pytest.mark.parametrize(("prefix", "count"), [("LLM", 10), ("API", 10), ("V", 17)])
def test_every_risk_and_every_chapter_has_a_row(prefix: str, count: int) -> None:
    heads = " ".join(row[0] for row in ROWS)
    found = {int(number) for number in re.findall(rf"\b{prefix}(\d+)", heads)}
    assert found == set(range(1, count + 1))


def test_a_row_names_a_test_unless_it_does_not_apply() -> None:
    silent = [row[0] for row in ROWS if len(row) < 3 or "`test_" not in row[2]]
    assert all(row[1].strip().startswith(WITHOUT_TESTS) for row in ROWS if row[0] in silent), silent


@pytest.mark.parametrize(
    "code", ["eval(input())", "import subprocess\nsubprocess.run('x', shell=True)", "import pickle\npickle.loads(b'')"]
)
def test_application_code_obeys_the_linters_security_rules(code: str) -> None:
    """ruff's rules S, as for every file of app/ that does not say why not."""
    done = subprocess.run(
        [ROOT / ".venv/bin/ruff", "check", "--no-cache", "--stdin-filename", "app/some.py", "-"],
        input=code, cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert re.search(r"\bS\d{3}\b", done.stdout), done.stdout + done.stderr
    excused = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]["per-file-ignores"]
    assert not [name for name, codes in excused.items() if name.startswith("app/") and any(code[0] == "S" for code in codes)]
