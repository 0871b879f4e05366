"""Rules for the code: short files and functions, brief comments, plain English, no hidden imports, tests that mirror app/."""

from __future__ import annotations

import ast
import io
import re
import statistics
import tokenize
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ..support.paths import ROOT


def files_of(folder: str) -> dict[str, Path]:
    return {path.relative_to(ROOT).as_posix(): path for path in sorted((ROOT / folder).rglob("*.py"))}


FILES = files_of("app")
OTHERS = {**files_of("tests"), **files_of("bench"), **files_of("tools")}
MAX_FILE_LINES = 250
MAX_FUNCTION_LINES = 50
MAX_MEDIAN_LINES = 120
MAX_PROSE_COLUMNS = 100
MAX_COMMENT_LINES = 2
MAX_TEST_NAME = 70
MAX_UNTESTED_LINES = 40
NOT_PLAIN = re.compile(
    r"\b(he|his|him|himself|whoever|whom|thereof|likewise|anew|hung up|hangs? up|torture|patience|askers?)\b", re.IGNORECASE
)
TYPE_CHECKING_ALLOWED = {"app/security/__init__.py": "the type of the name that __getattr__ (PEP 562) imports at its first use"}
TESTED_ELSEWHERE = {
    "app/admin/operator.py": "tests/unit/admin/test_clients.py and test_keys.py: every change goes through it",
    "app/api/http_errors.py": "constants; tests/unit/api/test_error_bodies.py answers each error",
    "app/assistant/models.py": "dataclasses without behaviour",
    "app/assistant/observer.py": "protocols; tests/unit/assistant/test_observed_exchange.py tells them all",
    "app/audit/format/merkle_checks.py": "tests/unit/audit/format/test_merkle.py: proofs are made, changed and checked",
    "app/audit/evidence/shared_head.py": "tests/unit/audit/evidence/test_node_signer.py: every node reads it at each step",
    "app/audit/storage/postgres/import_lines.py": "tests/unit/admin/test_import_log.py: the whole way of a log",
    "app/audit/storage/store.py": "a protocol; tests/contract/test_audit_store.py checks each store",
    "app/catalogue/tables.py": "declarations; tests/unit/catalogue/test_policy_file.py and test_policy_sentences.py: each key",
    "app/cli/demo_service.py": "tests/service/test_demo_service.py, with real processes",
    "app/limits/budgets/advances.py": "a protocol; tests/unit/limits/budgets/test_handed_out.py",
    "app/limits/budgets/sqlite_rows.py": "tests/unit/limits/budgets/test_sqlite_store.py",
    "app/main.py": "composition; every test of tests/service runs it",
    "app/serving/http_request.py": "tests/service/test_protocol.py and test_odd_callers.py, over sockets",
    "app/serving/parent.py": "tests/service/test_supervisor.py, with real processes",
    "app/serving/worker.py": "tests/service/test_supervisor.py, with real processes",
    "app/security/clients/migrations/versions/v0004_rows_deleted_by_hand.py": "test_migrations.py, test_postgres_database.py",
    "app/security/clients/migrations/versions/v0005_many_machines.py": "tests/unit/security/clients/test_postgres_database.py",
    "app/security/token_errors.py": "constants; tests/unit/security/tokens/test_verifier.py raises each",
    "app/wiring/news.py": "tests/unit/wiring/test_nodes.py: machines hear of each other through it",
    "app/settings/endpoints.py": "tests/unit/settings/test_settings.py: each value",
    "app/settings/identity.py": "tests/unit/settings/test_settings.py: each value",
    "app/settings/models.py": "tests/unit/settings/test_settings.py: each value",
    "app/telemetry/forwarding/event.py": "a protocol; tests/unit/telemetry/forwarding/test_forwarder.py uses all of it",
    "app/telemetry/metrics/catalogue.py": "declarations; tests/unit/telemetry/metrics/test_exposition.py shows them",
    "app/upstream/call.py": "dataclasses without behaviour",
    "app/upstream/model_server.py": "protocols; tests/unit/upstream/test_client.py and langchain_servers/test_server.py",
    **dict.fromkeys(
        (f"app/web/{name}.py" for name in ("admin_bodies", "admin_clients", "admin_routes", "export", "records")),
        "tests/service/test_console_api.py: each endpoint, over sockets",
    ),
    **dict.fromkeys(
        (f"app/web/{name}.py" for name in ("console", "usage")),
        "tests/service/test_console_api.py and test_console_browser.py: each page, as each role",
    ),
    "app/wiring/services.py": "composition; every test of tests/service runs it",
}
"""Files of app/ without a unit test of their own, each with the reason."""


@cache
def text_of(path: Path) -> str:
    return path.read_text()


@cache
def tree_of(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of the syntax tree."""
    return tuple(ast.walk(ast.parse(text_of(path))))


def functions_in(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in tree_of(path) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def lines_of(path: Path) -> int:
    return len(text_of(path).splitlines())


def found_in(files: dict[str, Path], look: Callable[[Path], Any]) -> dict[str, Any]:
    """What *look* finds, by file; nothing for a file that keeps the rule."""
    return {name: found for name, path in files.items() if (found := look(path))}


def test_a_file_is_at_most_250_lines_long() -> None:
    too_long = found_in(FILES, lambda path: lines_of(path) > MAX_FILE_LINES)
    assert too_long == {}


def test_the_median_file_is_under_120_lines() -> None:
    assert statistics.median(map(lines_of, FILES.values())) < MAX_MEDIAN_LINES


def long_functions(path: Path) -> dict[str, int]:
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions_in(path)}
    return {one: length for one, length in lengths.items() if length > MAX_FUNCTION_LINES and one != "_prove"}


@pytest.mark.slow
def test_a_function_is_at_most_50_lines_long() -> None:
    assert found_in(FILES, long_functions) == {}


def comments(path: Path) -> Iterator[tuple[int, str, bool]]:
    """Line number, text, and whether the comment has its line for itself."""
    for token in tokenize.generate_tokens(io.StringIO(text_of(path)).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string, token.line[: token.start[1]].strip() == ""


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Line number and line of every string that stands alone as a statement."""
    lines = text_of(path).splitlines()
    for node in tree_of(path):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            assert node.end_lineno is not None
            for number in range(node.lineno, node.end_lineno + 1):
                yield number, lines[number - 1]


def comment_lines(path: Path) -> list[int]:
    return [number for number, _, is_alone in comments(path) if is_alone]


def long_comments(path: Path) -> list[int]:
    """The lines at which a comment goes on for too long."""
    numbers, run, found = comment_lines(path), 1, []
    for before, after in pairwise(numbers):
        run = run + 1 if after == before + 1 else 1
        if run > MAX_COMMENT_LINES:
            found.append(after)
    return found


def wide_prose(path: Path) -> list[int]:
    lines = text_of(path).splitlines()
    prose = [(number, lines[number - 1]) for number in comment_lines(path)] + list(docstrings(path))
    return [number for number, line in prose if len(line) > MAX_PROSE_COLUMNS]


@pytest.mark.slow
def test_comments_are_one_or_two_lines_of_at_most_100_columns() -> None:
    """A longer explanation belongs into docs/, named in the comment."""
    assert found_in(FILES, long_comments) == {}
    assert found_in(FILES, wide_prose) == {}


def unplain(path: Path) -> list[tuple[int, str]]:
    if not NOT_PLAIN.search(text_of(path)):
        return []
    prose = [(number, comment) for number, comment, _ in comments(path)] + list(docstrings(path))
    return [(number, line.strip()) for number, line in prose if NOT_PLAIN.search(line)]


def test_prose_is_plain() -> None:
    assert found_in({**FILES, **OTHERS}, unplain) == {}


# --- imports -----------------------------------------------------------------------------------------


def test_no_import_is_hidden_from_the_import_contracts() -> None:
    hidden = found_in(FILES, lambda path: "TYPE_CHECKING" in text_of(path))
    assert hidden.keys() <= TYPE_CHECKING_ALLOWED.keys()


def unexplained_imports(path: Path) -> list[str]:
    """Those inside a function that do not say why they are late."""
    lines, functions = text_of(path).splitlines(), functions_in(path)
    nodes = [node for function in functions for node in ast.walk(function)]
    inside = {node.lineno for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)}
    return [lines[number - 1].strip() for number in sorted(inside) if "late: " not in lines[number - 1].partition("#")[2]]


def test_an_import_inside_a_function_says_why_it_is_late() -> None:
    assert found_in(FILES, unexplained_imports) == {}


FROM_A_TEST = re.compile(r"^\s*(?:from\s+[\w.]*\btest_|(?:from\s+\S+\s+)?import\s.*\btest_)", re.MULTILINE)


def test_nothing_imports_from_a_test_module() -> None:
    assert [name for name, path in OTHERS.items() if FROM_A_TEST.search(text_of(path))] == []


# --- tests -------------------------------------------------------------------------------------------

TESTS = {name: path for name, path in files_of("tests").items() if path.name.startswith("test_")}
TEST_NAME = re.compile(r"^ *(?:async )?def (test_\w+)", re.MULTILINE)


def test_the_name_of_a_test_has_at_most_70_characters() -> None:
    names = [name for path in TESTS.values() for name in TEST_NAME.findall(text_of(path))]
    assert [name for name in names if len(name) > MAX_TEST_NAME] == []


def mirrored(name: str) -> Path:
    return ROOT / "app" / Path(name).relative_to("tests/unit").parent / Path(name).stem.removeprefix("test_")


def test_every_unit_test_mirrors_a_file_of_the_application() -> None:
    units = [name for name in TESTS if name.startswith("tests/unit/")]
    exists = {name: mirrored(name).with_suffix(".py").is_file() or (mirrored(name) / "__init__.py").is_file() for name in units}
    assert [name for name, is_there in exists.items() if not is_there] == []


def unit_test_of(name: str) -> Path:
    """A package with code in its `__init__.py` is tested beside its folder, under its own name."""
    path = Path(name).relative_to("app")
    path = path.parent if path.name == "__init__.py" else path.with_suffix("")
    return ROOT / "tests" / "unit" / path.parent / f"test_{path.name}.py"


def test_every_file_above_40_lines_has_a_unit_test_or_a_reason() -> None:
    untested = {name for name, path in FILES.items() if lines_of(path) > MAX_UNTESTED_LINES and not unit_test_of(name).is_file()}
    assert untested == set(TESTED_ELSEWHERE)
