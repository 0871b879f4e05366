"""POST /messages/count_tokens: the count is the answer."""

from __future__ import annotations

from typing import Any

import pytest

from app.upstream.completion import Completion
from app.upstream.protocol.count_tokens import COUNT_TOKENS


def test_the_record_holds_the_count_and_no_usage() -> None:
    found = COUNT_TOKENS.read({"input_tokens": 12, "context_management": None}, "alias")
    assert found == Completion(None, "alias", None, answer={"input_tokens": 12})


@pytest.mark.parametrize("document", [{}, [], {"error": {}, "x": 1}, {"error": {"message": "x"}, "input_tokens": 1}])
def test_anything_else_is_no_answer(document: Any) -> None:
    with pytest.raises((LookupError, TypeError, AttributeError)):
        COUNT_TOKENS.read(document, "alias")
