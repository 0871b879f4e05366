"""One task for an agent: what the upstream makes it do, and what its answers and its records must then hold."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

FILE, GATE = "made.txt", "gate"
"""What a tool makes; what it reads before, if it is there: see `mid_run.py`."""


def _call_of_reverse(word: str) -> tuple[dict[str, Any], str]:
    return {"text": word}, word[::-1]


@dataclass(frozen=True)
class Agent:
    """*tool*: its name, None if the client has none; *call*: of a word, the arguments and the result; *says*: in the end."""

    tool: str | None = "reverse"
    call: Callable[[str], tuple[dict[str, Any], str]] = _call_of_reverse
    says: str = "done {word}"
    streams: bool = True
    times: int = 1
    """How often the tool is called."""
    then: Sequence[tuple[str, Mapping[str, str]]] = ()
    """Tools called afterwards."""
    makes_file: bool = False
    """With what the tool gave, or else the word."""


def shell(tool: str, member: str = "command", then: str = "", **more: Any) -> Agent:
    """One whose *tool* takes a command as *member*. Only who runs it knows its result."""

    def call(word: str) -> tuple[dict[str, Any], str]:
        command = f"cat {GATE} 2> /dev/null; echo made-$(({word} + 1)) > {FILE}; cat {FILE}{then}"
        return {member: [command] if member == "commands" else command, **more}, f"made-{int(word) + 1}"

    return Agent(tool, call, makes_file=True)


def calls_in(answer: Any) -> Iterator[tuple[str, Any]]:
    """The names and arguments of the tools that a recorded *answer* calls, in any protocol's form."""
    if isinstance(answer, dict):
        given = answer.get("arguments", answer.get("input"))
        if "name" in answer and given is not None:
            yield answer["name"], json.loads(given) if isinstance(given, str) else given
    if isinstance(answer, dict | list):
        for part in answer.values() if isinstance(answer, dict) else answer:
            yield from calls_in(part)


@dataclass(frozen=True)
class Task:
    agent: Agent
    word: str = field(default_factory=lambda: str(100_000_000 + secrets.randbelow(900_000_000)))

    @property
    def text(self) -> str:
        return f"Use a tool on {self.word}, please."

    @property
    def says(self) -> str:
        return self.agent.says.format(word=self.word)

    @cached_property
    def call(self) -> tuple[dict[str, Any], str]:
        return self.agent.call(self.word)

    @property
    def calls(self) -> list[tuple[str, Any]]:
        first = [(self.agent.tool, self.call[0])] * self.agent.times if self.agent.tool else []
        return first + [
            (tool, {name: text.format(word=self.word) for name, text in given.items()}) for tool, given in self.agent.then
        ]

    def script(self) -> dict[str, Any]:
        """For the fake upstream."""
        return {"calls": self.calls, "says": self.says}

    def check_work(self, folder: Path) -> str | None:
        if not self.agent.makes_file:
            return None
        made = (folder / FILE).read_text() if (folder / FILE).exists() else ""
        return None if (self.call[1] if self.agent.tool else self.word) in made else f"{FILE} holds {made!r}"

    def check_records(self, records: Sequence[Mapping[str, Any]], is_cut: bool = False) -> str | None:
        """The first thing that the client's *records* do not hold, or None. *is_cut*: it was not to come to its end."""
        asked = [repr(record["details"]["messages"]) for record in records if record["action"] == "ask.received"]
        answers = [record["details"]["answer"] for record in records if record["action"] == "ask.answered"]
        called = [call for answer in answers for call in calls_in(answer)]
        wanted = {
            "the task": any(self.text in text for text in asked),
            "the calls, each once": called == self.calls,
            "the tool's result": self.agent.tool is None or any(self.call[1] in text for text in asked),
            "the last answer": is_cut or bool(self.agent.then) or self.says in answers,
        }
        return next((f"the records do not hold {what}" for what, is_there in wanted.items() if not is_there), None)
