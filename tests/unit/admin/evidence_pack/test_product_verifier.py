"""The product's own verifier as one file: the same bytes each time, whole, and without what it does not need."""

from __future__ import annotations

import ast
import io
import sys
from pathlib import PurePosixPath
from zipfile import ZipFile

from app.admin.evidence_pack.product_verifier import product_verifier

FOREIGN = {"cryptography", "orjson", "app", "__future__"}


def test_it_holds_the_modules_that_it_needs_and_their_packages() -> None:
    with ZipFile(io.BytesIO(product_verifier())) as archive:
        names = set(archive.namelist())
    assert {"__main__.py", "app/__init__.py", "app/audit/format/slice.py", "app/audit/verification/slice_check.py"} <= names
    assert not [name for name in names if name.startswith(("app/api/", "app/cli/", "app/serving/", "app/wiring/"))]
    folders = {str(folder) for name in names for folder in PurePosixPath(name).parents if str(folder) != "."}
    assert {f"{folder}/__init__.py" for folder in folders} <= names


def test_it_needs_no_more_packages_than_its_help_names() -> None:
    with ZipFile(io.BytesIO(product_verifier())) as archive:
        trees = [ast.parse(archive.read(name)) for name in archive.namelist()]
    imported = {name for tree in trees for node in ast.walk(tree) for name in _names(node)}
    assert imported - sys.stdlib_module_names <= FOREIGN


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [one.name.split(".")[0] for one in node.names]
    return [str(node.module).split(".")[0]] if isinstance(node, ast.ImportFrom) and not node.level else []


def test_the_bytes_are_the_same_each_time() -> None:
    assert product_verifier() == product_verifier()
