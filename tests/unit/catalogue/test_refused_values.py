"""What pydantic finds wrong with a value becomes the end of a sentence of ours, without the value."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from app.catalogue.refused_values import reason_of

from ...support.tables import for_each


def fail(value: str) -> str:
    raise ValueError("Takes a name")


@for_each(
    ("kind", "value", "reason"),
    [
        (int, "planted", "takes a whole number"),
        (int, 1.5, "takes a whole number"),
        (float, "planted", "takes a number"),
        (Annotated[float, Field(allow_inf_nan=False)], "inf", "takes a number"),
        (bool, "planted", "takes true or false"),
        (str, 7, "takes text"),
        (list[str], "planted", "takes a list"),
        (Path, 7, "takes the path of a file"),
        (Literal["live", "buffer"], "planted", "takes live or buffer"),
        (Annotated[int, Field(ge=1)], 0, "takes a number of at least 1"),
        (Annotated[int, Field(le=10_000_000)], 10_000_001, "takes a number of at most 10,000,000"),
        (Annotated[float, Field(gt=0)], 0, "takes a number above 0"),
        (Annotated[float, Field(lt=0.25)], 0.5, "takes a number below 0.25"),
        (Annotated[float, Field(le=86_400)], 1e9, "takes a number of at most 86,400"),
        (Annotated[str, Field(min_length=1)], "", "is empty"),
        (Annotated[str, Field(min_length=3)], "x", "takes at least 3 characters"),
        (Annotated[str, Field(max_length=2000)], "x" * 2001, "takes at most 2,000 characters"),
        (Annotated[str, AfterValidator(fail)], "planted", "takes a name"),
        (dict[str, int], 7, "takes another kind of value"),
    ],
)
def test_a_finding_says_what_the_value_may_be(kind: Any, value: object, reason: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(kind).validate_python(value)
    [problem] = refused.value.errors(include_input=False)
    assert reason_of(problem) == reason
    assert "planted" not in reason
