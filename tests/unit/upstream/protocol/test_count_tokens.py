"""POST /messages/count_tokens: the count is the answer."""

from __future__ import annotations

from typing import Any

import pytest

from app.upstream.completion import Completion
from app.upstream.protocol.count_tokens import COUNT_TOKENS


def test_the_record_holds_all_of_the_answer_and_no_usage() -> None:
    document = {"input_tokens": 12, "context_management": {"original_input_tokens": 99}}
    assert COUNT_TOKENS.read(document, "alias") == Completion(None, "alias", None, answer=document)


@pytest.mark.parametrize("document", [{}, [], {"error": {}, "x": 1}, {"error": {"message": "x"}, "input_tokens": 1}])
def test_anything_else_is_no_answer(document: Any) -> None:
    with pytest.raises((LookupError, TypeError, AttributeError)):
        COUNT_TOKENS.read(document, "alias")
