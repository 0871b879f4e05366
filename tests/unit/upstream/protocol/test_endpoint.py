"""Every endpoint says whether it streams, and only those that do have a reader."""

from __future__ import annotations

import pytest

from app.upstream.protocol.chat import CHAT
from app.upstream.protocol.completions import COMPLETIONS
from app.upstream.protocol.count_tokens import COUNT_TOKENS
from app.upstream.protocol.embeddings import EMBEDDINGS
from app.upstream.protocol.endpoint import Endpoint
from app.upstream.protocol.messages import MESSAGES
from app.upstream.protocol.responses import RESPONSES


@pytest.mark.parametrize("endpoint", [CHAT, COMPLETIONS, COUNT_TOKENS, EMBEDDINGS, MESSAGES, RESPONSES], ids=lambda one: one.path)
def test_only_an_endpoint_that_streams_has_a_reader(endpoint: Endpoint) -> None:
    if endpoint.streams:
        assert not endpoint.reader("m", False).is_over
    else:
        with pytest.raises(AssertionError, match=f"{endpoint.path} does not stream"):
            endpoint.reader("m", False)
