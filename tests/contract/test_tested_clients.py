"""The page of tested clients, the recipes, and the lock files of `make clients-all` agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ..clients.catalogue import CLIENTS
from ..clients.recipe import BLOCK, PAGE, section
from ..support.paths import ROOT
from ..support.tables import for_each

LOCKS = sorted([*ROOT.glob("tests/clients/environments/*.lock"), *ROOT.glob("tests/clients/*/package-lock.json")])
TABLE = re.compile(r"^\| ([^|]+?) \| (\d[\d.]+) \|", re.MULTILINE)


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_each_lock_has_hashes_and_names_no_registry(path: Path) -> None:
    text = re.sub(r'"(url|funding)": .*', "", path.read_text())
    assert "://" not in text
    if path.suffix == ".lock":
        assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=\S)", text.strip()))


def test_the_page_names_the_versions_that_are_pinned() -> None:
    pinned = "".join(path.read_text() for path in [*LOCKS, ROOT / "requirements.lock", ROOT / "tests/clients/requirements.lock"])
    named = TABLE.findall((ROOT / "docs/reference/clients.md").read_text())
    assert len(named) > 20
    assert [(name, version) for name, version in named if not re.search(rf'(=="?|: "){re.escape(version)}\b', pinned)] == []


@for_each("recipe", sorted({client.recipe for client in CLIENTS if client.recipe}))
def test_each_recipe_says_what_to_type(recipe: str) -> None:
    assert any(language == "sh" for language, _, _ in BLOCK.findall(section(recipe)))


def test_each_recipe_is_run_for_longer_than_a_token_lives() -> None:
    recipes = re.findall(r"^### (.+)$", PAGE.read_text(), re.MULTILINE)
    assert {client.recipe for client in CLIENTS if client.is_long and client.recipe} == set(recipes)
