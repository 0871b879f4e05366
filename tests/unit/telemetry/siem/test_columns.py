"""Records as a table: CSV that no spreadsheet runs, and Parquet with types."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet  # type: ignore[import-untyped]  # it has no stubs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidRequest
from app.telemetry.siem.columns import COLUMNS, FORMULA, row_of, write_csv, write_parquet

from ....support.logged import every_action, records


def rows(*actions: str, **details: Any) -> list[dict[str, str]]:
    file = io.StringIO(newline="")
    assert write_csv(records(*actions, **details), file) == len(actions)
    return list(csv.DictReader(io.StringIO(file.getvalue(), newline="")))


def test_each_record_is_a_row_with_its_details() -> None:
    received, answered = rows("ask.received", "ask.answered")
    assert list(received) == list(COLUMNS)
    assert (received["seq"], received["action"], received["model"]) == ("0", "ask.received", "small")
    assert (answered["input_tokens"], answered["output_tokens"], answered["elapsed_ms"]) == ("3", "5", "7")
    assert json.loads(answered["details"])["answer"] == "flour"
    assert answered["prev_hash"] == received["hash"]


@given(
    st.sampled_from(FORMULA), st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
)
def test_no_cell_begins_as_a_formula(start: str, rest: str) -> None:
    said = start + rest
    (row,) = rows("ask.received", model=said, code=said, address=said, elapsed_ms=said)
    assert row["model"].replace("\r\n", "\n") == f"'{said}".replace("\r\n", "\n")
    assert not any(value.startswith(FORMULA) for value in row.values())
    assert row["elapsed_ms"] == ""
    assert json.loads(row["details"])["model"] == said


@pytest.mark.parametrize("odd", [True, 1 << 70, 1.5, [1], {"a": 1}])
def test_what_does_not_fit_a_column_of_numbers_is_in_the_details_alone(odd: Any) -> None:
    (record,) = records("ask.failed", elapsed_ms=odd if odd != 1 << 70 else str(odd))
    assert row_of(record)["elapsed_ms"] is None


def test_parquet_has_types_and_every_action(tmp_path: Path) -> None:
    every = records(*every_action())
    assert write_parquet(every, tmp_path / "x.parquet") == len(every)
    table = pyarrow.parquet.read_table(tmp_path / "x.parquet")
    assert table.column_names == list(COLUMNS)
    assert str(table.schema.field("timestamp").type) == "timestamp[us, tz=UTC]"
    assert str(table.schema.field("seq").type) == "int64"
    assert table.column("hash").to_pylist() == [record.hash for record in every]
    assert table.column("timestamp").to_pylist()[0] == every[0].moment


def test_parquet_of_nothing_is_an_empty_table(tmp_path: Path) -> None:
    assert write_parquet([], tmp_path / "x.parquet") == 0
    assert pyarrow.parquet.read_table(tmp_path / "x.parquet").num_rows == 0


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InvalidRequest, match="install the extra `parquet`"):
        write_parquet([], tmp_path / "x.parquet")
