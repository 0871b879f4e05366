"""What goes to the model: the chain and the shorter path send the same bytes, to our server only."""

from __future__ import annotations

import hashlib
import json

import pytest

from app.upstream.language_model import LanguageModel

from ...support.asking import make, send, use
from ...support.fake_openai import FakeOpenAI, completion_text

ODD = "{query} {{}} {0} %s $x \" ' \\ \n\r\t\x01 \u2028 \ufeff é 漢字 🏳️‍🌈 \U0010ffff </s><|im_end|> "
QUERIES = [
    "hi",
    "{query}",
    "{",
    "{{x}} {0!r}",
    "\"quoted\" 'twice' \\n",
    "line\nline\r\n",
    "🙂 e\u0301 \u202e",
    "\x7f\x01",
    ODD,
]


@pytest.mark.parametrize("system", ["Be {brief}.", ""])
def test_the_chain_sends_the_same_bytes_and_gives_the_same_answer(fake: FakeOpenAI, system: str) -> None:
    model = make(fake.base_url, system=system)

    async def both_ways(model: LanguageModel) -> None:
        for query in [*QUERIES, (ODD * 100)[:2000]]:
            short = await send(model, query)
            assert short.text == await model.chain.ainvoke({"query": query}) == completion_text(query)
            assert json.loads(model.build_body(query))["messages"][-1] == {"role": "user", "content": query}

    use(model, both_ways)
    digests = fake.seen()["sha256"]
    assert len(digests) == 2 * (len(QUERIES) + 1)
    assert digests[::2] == digests[1::2]


@pytest.mark.parametrize("system", ["Be {brief}.", ""])
def test_the_chain_streams_over_our_own_connection_with_the_same_bytes(fake: FakeOpenAI, system: str) -> None:
    """LangChain's own streaming would use the SDK's connection."""

    async def stream(model: LanguageModel) -> list[str]:
        return [piece async for piece in model.chain.astream({"query": ODD})]

    model = make(fake.base_url, system=system)
    body = model.build_body(ODD, stream=True)
    pieces = [piece for piece in use(model, stream) if piece]
    assert len(pieces) > 1
    assert "".join(pieces) == completion_text(ODD)
    assert fake.seen()["sha256"] == [hashlib.sha256(body).hexdigest()]
    assert json.loads(body) | {"messages": []} == {
        "model": "small-1",
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.7,
        "max_tokens": 1000,
        "messages": [],
    }


def test_the_chain_cannot_bypass_our_own_connection(fake: FakeOpenAI) -> None:
    with pytest.raises(NotImplementedError):
        make(fake.base_url).chain.invoke({"query": "hi"})
    assert fake.calls() == 0
