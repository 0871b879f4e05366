"""A question as the class is asked: what of it stands in the call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import Field

from app.upstream.langchain_servers.question import ask
from app.upstream.langchain_servers.sending import Sending

BODY: Any = {"model": "x", "messages": [{"role": "user", "content": "hi", "reasoning_content": "hm"}]}
TOOL: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


class Noting(BaseChatModel):
    """Keeps what it is asked."""

    temperature: float | None = None
    asked: list[Any] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "noting"

    def _generate(self, *given: Any, **more: Any) -> ChatResult:
        raise NotImplementedError

    def bind_tools(self, tools: Any, **more: Any) -> Any:
        return self.bind(tools=tools, **more)

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **more: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        self.asked.append((messages, stop, self.temperature, more))
        yield ChatGenerationChunk(message=AIMessageChunk(content="yes"))


class Keeping(Sending):
    """Keeps the copy of the model that is asked."""

    def __init__(self, kept: list[Any]) -> None:
        super().__init__()
        self._kept = kept

    def watch(self, model: BaseChatModel) -> None:
        self._kept.append(model)
        super().watch(model)


def asked(**members: Any) -> Any:
    model = Noting(asked=[])

    async def read() -> None:
        async for _ in ask(model, {"temperature": "temperature"}, {**BODY, **members}, Sending()):
            pass

    asyncio.run(read())
    return model.asked[0]


def test_messages_are_langchains_own() -> None:
    messages, stop, temperature, more = asked()
    assert (messages, stop, temperature, more) == ([HumanMessage("hi")], None, None, {})


def test_settings_stop_and_a_schema_go_with_the_call() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}
    _, stop, temperature, more = asked(temperature=0.5, stop=["a", "b"], response_format=form)
    assert (stop, temperature, more) == (["a", "b"], 0.5, {"response_format": form})


def test_a_setting_that_says_nothing_is_left_out() -> None:
    """Some of Gemini's models refuse a penalty, even of 0."""

    class Punished(Noting):
        presence_penalty: float | None = None

    model = Punished(asked=[])

    async def read(penalty: float) -> float | None:
        kept: list[Any] = []
        given = ask(model, {"presence_penalty": "presence_penalty"}, {**BODY, "presence_penalty": penalty}, Keeping(kept))
        async for _ in given:
            pass
        return kept[0].presence_penalty  # type: ignore[no-any-return]

    assert [asyncio.run(read(penalty)) for penalty in (0.0, 0.5)] == [None, 0.5]


def test_a_format_that_says_nothing_is_left_out() -> None:
    assert asked(response_format={"type": "text"}, stop="a", temperature=None)[1:] == (["a"], None, {})


@pytest.mark.parametrize(
    ("choice", "told"),
    [(None, {}), ("auto", "auto"), ("required", "any"), ({"type": "function", "function": {"name": "f"}}, "f")],
)
def test_tools_are_bound_with_the_choice_in_langchains_words(choice: Any, told: Any) -> None:
    more = asked(tools=[TOOL], tool_choice=choice)[3]
    assert more == {"tools": [TOOL], **({"tool_choice": told} if told else {})}


def test_the_result_of_a_tool_keeps_its_id() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    history = [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "1", "content": "2"}]
    calling, result = asked(messages=history)[0]
    assert calling.tool_calls == [{"name": "f", "args": {"x": 1}, "id": "1", "type": "tool_call"}]
    assert result == ToolMessage("2", tool_call_id="1")
