"""A body of OpenAI's chat completions, as LangChain's chat models are asked."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, convert_to_messages

from .parameters import MESSAGE, NEUTRAL, tool_named
from .sending import Sending
from .vendors import vendor_of


def ask(model: BaseChatModel, fields: Mapping[str, str], body: Mapping[str, Any], sending: Sending) -> AsyncGenerator[Any]:
    """The answer to *body*, in pieces. Nothing is sent before the first is waited for.

    *fields*: those of the model that a caller may set, by the names that set them. Raises what
    LangChain raises for messages and tools that it cannot convert.
    """
    given = {fields[name]: body[name] for name in fields.keys() & body.keys() if body[name] not in (None, NEUTRAL.get(name))}
    asked = model.model_copy(update=given)
    sending.watch(asked)
    more = {}
    if (form := body.get("response_format")) not in (None, NEUTRAL["response_format"]):
        more["response_format"] = form
    if body.get("tools"):
        more |= _tool_choice(model, body)
        pieces = asked.bind_tools(body["tools"], **more).astream(_messages(body), stop=_stop(body))
    else:
        pieces = asked.astream(_messages(body), stop=_stop(body), **more)
    return cast(AsyncGenerator[Any], pieces)


def _messages(body: Mapping[str, Any]) -> list[BaseMessage]:
    members = [{name: message[name] for name in MESSAGE & message.keys()} for message in body["messages"]]
    return convert_to_messages([{"content": "", **message} for message in members])


def _stop(body: Mapping[str, Any]) -> list[str] | None:
    stop = body.get("stop")
    return [stop] if isinstance(stop, str) else stop


def _tool_choice(model: BaseChatModel, body: Mapping[str, Any]) -> dict[str, Any]:
    """In LangChain's words: a function's name, `auto`, or `any`."""
    choice = body.get("tool_choice")
    chosen: dict[str, Any] = {}
    if choice == "none":
        chosen["tool_choice"] = vendor_of(type(model)).no_tool
    elif choice == "required":
        chosen["tool_choice"] = "any"
    elif choice is not None:
        chosen["tool_choice"] = tool_named(choice) or choice
    if body.get("parallel_tool_calls") is False:
        chosen["parallel_tool_calls"] = False
    return chosen
