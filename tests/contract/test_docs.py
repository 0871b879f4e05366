"""The documents say what is so: links lead somewhere, files exist, generated pages are current."""

from __future__ import annotations

import re
import runpy
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.audit.format.record import ACTIONS
from app.cli.main import COMMANDS, load_command
from app.settings import Settings

from ..support.paths import ROOT
from ..support.tables import for_each

DOCS = ROOT / "docs"
AT_THE_TOP = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES = {path.relative_to(ROOT).as_posix(): path for path in (*AT_THE_TOP, *sorted(DOCS.rglob("*.md")))}
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
NAMED_FILE = re.compile(r"`((?:app|docs|tests|tools|bench|postman)/[A-Za-z0-9_./-]*[A-Za-z0-9_/])`")
NOT_PLAIN = re.compile(r"\b(he|his|him|himself|whoever|whom|thereof|likewise|anew|hung up|torture)\b", re.IGNORECASE)
OTHER_VARIABLES = {
    "LD_PRELOAD",
    "MALLOC_CONF",
    "MALLOC_MMAP_THRESHOLD_",
    "REQUIRE_ALL_TESTS",
    "FORWARD_USER_INFO_HEADER_JWT_SECRET",
}
MAX_README_LINES, MAX_README_COLUMNS = 130, 400


def prose(path: Path) -> str:
    """The page without its blocks of code."""
    return FENCED.sub("", path.read_text())


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings. Only headings for which GitHub and Python-Markdown agree are linked to."""
    found: Counter[str] = Counter()
    for title in re.findall(r"^#{1,6} (.+)$", prose(path), re.MULTILINE):
        text = title.replace("`", "")
        found[re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-")] += 1
    return {anchor for anchor, count in found.items() if count == 1 and "--" not in anchor}


def links(path: Path) -> Iterator[tuple[str, str]]:
    for target in LINK.findall(prose(path)):
        if not re.match(r"[a-z]+:", target):
            file, _, anchor = target.partition("#")
            yield file, anchor


@for_each("name", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(name: str) -> None:
    page = PAGES[name]
    for file, anchor in links(page):
        target = (page.parent / file).resolve() if file else page
        assert target.is_file(), f"{file} does not exist"
        if page.is_relative_to(DOCS):
            assert target.is_relative_to(DOCS), f"{file} is not a page of the site"
        if anchor:
            assert anchor in anchors(target), f"{file or name} has no heading #{anchor}"


def test_every_page_is_reached_from_the_index() -> None:
    reached, waiting = set[Path](), [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        pages = {(page.parent / file).resolve() for file, _ in links(page) if file.endswith(".md")}
        waiting += pages - reached
    assert set(DOCS.rglob("*.md")) - reached == set()


def test_every_page_stands_in_the_site_navigation_or_the_list_of_decisions() -> None:
    site = (ROOT / "zensical.toml").read_text()
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert {page for page in pages if not re.match(r"decisions/\d", page)} == set(re.findall(r'"([a-z/-]+\.md)"', site))
    decisions = (DOCS / "decisions" / "index.md").read_text()
    assert [page for page in pages if page.startswith("decisions/0") and f"({page.partition('/')[2]})" not in decisions] == []


@for_each("name", PAGES)
def test_every_file_that_a_page_names_exists(name: str) -> None:
    named = NAMED_FILE.findall(PAGES[name].read_text())
    assert [one for one in named if not (ROOT / one).exists()] == []


@for_each("name", PAGES)
def test_pages_are_in_plain_english(name: str) -> None:
    assert NOT_PLAIN.findall(prose(PAGES[name])) == [] or name == "CHANGELOG.md"


def test_contributing_names_a_file_for_at_least_twenty_concerns() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text().split("## Where things are", 1)[1].split("\n## ", 1)[0]
    rows = [row for row in table.splitlines() if row.startswith("| ") and "`app/" in row]
    assert len(rows) >= 20


def test_decisions_are_numbered_and_say_context_choice_and_cost() -> None:
    pages = sorted(DOCS.glob("decisions/0*.md"))
    for number, page in enumerate(pages, 1):
        text = page.read_text()
        assert page.name.startswith(f"{number:04d}-")
        assert text.startswith(f"# {number}. ")
        assert [word for word in ("**Context.**", "**Choice.**", "**Cost.**") if word not in text] == []
    assert len(pages) >= 34


def test_the_pages_that_are_written_from_the_code_are_current() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "generate_reference.py"))
    assert tool["main"](["--check"]) == 0, "run make docs-reference"


def test_the_page_of_records_names_every_action_and_no_other() -> None:
    section = (DOCS / "reference" / "records.md").read_text().split("## Actions", 1)[1].split("\n## ", 1)[0]
    first_cells = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    assert set(re.findall(r"`([a-z.]+[a-z_]+)`", " ".join(first_cells))) == ACTIONS


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES.values():
        text = page.read_text()
        commands = re.findall(r"`make ([a-z -]+)`", text)
        commands += [words for block in FENCED.findall(text) for words in re.findall(r"^make ([a-z-]+)", block, re.MULTILINE)]
        assert {word for words in commands for word in words.split()} <= targets, page


@for_each("name", PAGES)
def test_every_command_that_a_page_names_exists(name: str) -> None:
    named = re.findall(r"python -m app((?: [a-z][a-z-]*)+)", PAGES[name].read_text())
    for words in named:
        first, *others = words.split()
        assert first in COMMANDS, f"python -m app{words}"
        node: Any = load_command(first)
        for word in others:
            if not getattr(node, "commands", None):
                break
            assert word in node.commands, f"python -m app{words}"
            node = node.commands[word]


@for_each("name", [name for name in PAGES if not name.endswith("reference/cli.md")])
def test_every_setting_that_a_page_names_exists(name: str) -> None:
    named = set(re.findall(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+_?)\b", PAGES[name].read_text()))
    named = {one for one in named - OTHER_VARIABLES if not one.startswith(("SECURE_AI_", "OTEL_"))}
    settings = " ".join(field.upper() for field in Settings.model_fields)
    assert [one for one in named if one not in settings] == []


def test_the_readme_fits_one_screen_of_a_reader_who_decides() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= MAX_README_LINES
    assert max(map(len, lines)) <= MAX_README_COLUMNS


def test_the_lock_file_of_the_site_builder_names_hashes_and_no_host() -> None:
    text = (ROOT / "requirements-docs.lock").read_text()
    assert "://" not in text
    assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=\S)", text.strip()))
