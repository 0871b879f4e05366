"""What a model's server may send: the short version of `python -m tests.faults pieces`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from . import pieces
from .shapes import SHAPES, Shape


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pieces.Target]:
    with pieces.target_in(tmp_path_factory.mktemp("pieces")) as target:
        yield target


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_hostile_answer_ends_clearly_and_others_are_answered(target: pieces.Target, shape: Shape) -> None:
    begun, body = len(target.service.records()), pieces.answer_with(target, shape, share=0.05)
    told = pieces.ask_bad(target, shape, seconds=0)
    assert not told.unclear, told.answers
    pieces.verify_records(target, body, begun)
    assert target.service.ask(target.token).status_code == 200
