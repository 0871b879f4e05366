"""Each record, page and tile has one spelling of its address."""

from __future__ import annotations

import pytest

from app.api.routes.audit import DEFAULT_LINES, parse_seq, range_of, tile_of
from app.audit.evidence.reader import MAX_LINES
from app.audit.format.tiles import Tile
from app.errors import InvalidRequest, NotFound

from ....support.http_request import request_of
from ....support.tables import for_each


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("10", 10), ("9" * 18, 10**18 - 1)])
def test_a_record_is_named_by_its_number(text: str, number: int) -> None:
    assert parse_seq(text) == number


@for_each("text", ["", "00", "01", "-1", "+1", "1.0", "1e3", "0x1", " 1", "1\n", "١", "²", "9" * 19, "x"])
def test_no_other_spelling_names_a_record(text: str) -> None:
    with pytest.raises(NotFound):
        parse_seq(text)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", (0, DEFAULT_LINES)),
        ("from=7", (7, DEFAULT_LINES)),
        ("limit=1", (0, 1)),
        (f"limit={MAX_LINES}&from=0", (0, MAX_LINES)),
    ],
)
def test_a_page_is_named_by_its_first_record_and_its_length(query: str, expected: tuple[int, int]) -> None:
    assert range_of(request_of("/audit/entries", query=query)) == expected


@pytest.mark.parametrize(
    "query",
    ["from=1&from=1", "from=-1", "from=", "limit=0", f"limit={MAX_LINES + 1}", "limit=01", "start=1", "from=1&x", "from=%D9%A1"],
)
def test_no_other_parameters_name_a_page(query: str) -> None:
    with pytest.raises(InvalidRequest):
        range_of(request_of("/audit/entries", query=query))


def test_a_tile_is_named_by_the_whole_path() -> None:
    assert tile_of(request_of("/audit/tile/0/000.p/1")) == Tile.parse("0/000.p/1")
    assert tile_of(request_of("/audit/tile/entries/x001/067")) == Tile.parse("entries/x001/067")


@pytest.mark.parametrize("address", ["", "0", "0/0", "0/000.p/0", "0/000\n", "0/000/", "/0/000", "64/000", "entries/000.p/1\n"])
def test_no_other_address_names_a_tile(address: str) -> None:
    with pytest.raises(NotFound):
        tile_of(request_of(f"/audit/tile/{address}"))
