"""The model of /ask: the exact body of a question, and LangChain's chain, which sends the same one.

The service builds the body by hand, and imports LangChain only for who asks for the chain: that
import takes a second and 50 MB. A test holds both equal, byte for byte.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

import orjson

from ..catalogue.models import ModelEntry, ServedBy
from ..errors import InvalidRequest
from .client import NEWER_NAME, OPENAI_URL
from .model_server import ModelServer
from .tracing import forget_tracing_settings

_USAGE = {"include_usage": True}


class LanguageModel:
    """Behind the OpenAI protocol. Bound to the event loop that sends first."""

    def __init__(
        self,
        upstream: ModelServer,
        *,
        model: str,
        alias: str | None = None,
        base_url: str | None = None,
        temperature: float,
        max_tokens: int,
        system_prompt: str,
    ) -> None:
        """*alias*: the name that callers use, if not *model*.

        An empty *system_prompt* sends no system message.
        """
        forget_tracing_settings()
        self.name = alias or model
        self.upstream = upstream
        self._model, self._base_url = model, base_url or OPENAI_URL
        self._temperature, self.max_tokens, self._system_prompt = float(temperature), max_tokens, system_prompt
        self._siblings: dict[tuple[str, str, int], LanguageModel] = {}
        # Only the query changes between calls: the bytes around it are made once.
        self._around = [orjson.dumps(self._payload("", stream=stream)).rsplit(b'""', 1) for stream in (False, True)]

    def build_body(self, query: str, *, stream: bool = False) -> bytes:
        """The body that `chain` sends for *query*. Raises InvalidRequest for a lone surrogate."""
        before, after = self._around[stream]
        try:
            return before + orjson.dumps(query) + after
        except orjson.JSONEncodeError:
            raise InvalidRequest("The query is not valid Unicode.") from None

    def at(self, entry: ModelEntry, served: ServedBy, upstream: ModelServer, most: int | None = None) -> LanguageModel:
        """The same for the model *entry*, at one of its servers, with its ceiling or *most*.

        Made once for each.
        """
        name, ceilings = entry.name, (self.max_tokens, entry.max_output_tokens, entry.context_tokens, most)
        most = min(filter(None, ceilings))
        if (name, upstream, most) == (self.name, self.upstream, self.max_tokens):  # nearly always
            return self
        found = self._siblings.get((name, upstream.name, most))
        if found is None:
            found = self._siblings[name, upstream.name, most] = LanguageModel(
                upstream,
                model=served.model,
                alias=name,
                base_url=served.server.base_url,
                temperature=self._temperature,
                max_tokens=most,
                system_prompt=self._system_prompt,
            )
        return found

    @cached_property
    def chain(self) -> Any:
        """LangChain's `prompt | model | parser`."""
        from .langchain import open_chain  # late: see above

        chain, _ = open_chain(
            self.upstream,
            model=self._model,
            base_url=self._base_url,
            temperature=self._temperature,
            max_tokens=self.max_tokens,
            system_prompt=self._system_prompt,
        )
        return chain

    def _payload(self, query: str, *, stream: bool) -> dict[str, Any]:
        """As LangChain orders and chooses the members.

        OpenAI's o models call the system prompt the developer's; its gpt-5 models, but for those
        that chat, take no temperature but 1.
        """
        model, is_newer = self._model, self.upstream.token_param == NEWER_NAME
        role = "developer" if re.match(r"o\d", model) else "system"
        takes_temperature = self._temperature == 1 or not model.lower().startswith("gpt-5") or "chat" in model.lower()
        system = [{"content": self._system_prompt, "role": role}] if self._system_prompt else []
        return {
            "model": model,
            "stream": stream,
            **({"temperature": self._temperature} if takes_temperature else {}),
            **({NEWER_NAME: self.max_tokens} if is_newer else {}),
            **({"stream_options": _USAGE} if stream and self.upstream.stream_usage else {}),
            "messages": [*system, {"content": query, "role": "user"}],
            **({} if is_newer else {"max_tokens": self.max_tokens}),
        }
