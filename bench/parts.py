"""What can be measured, which servers each part needs, and what is left out because it is not installed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

from .audit import aegis_python
from .before import BEFORE, has_history
from .peers import ferro_executable, litellm_executable


class Part(StrEnum):
    SERVICE = "service"
    CHAT = "chat"
    UNSIGNED = "unsigned"
    AGAIN = "again"
    TWO = "two"
    BEFORE = "before"
    STARLETTE = "starlette"
    LITELLM = "litellm"
    FERRO = "ferro"
    STREAMS = "streams"
    DELAYED = "delayed"
    AUDIT = "audit"
    STARTUP = "startup"


SERVERS: dict[Part, Sequence[Part]] = {
    Part.CHAT: (Part.SERVICE,),
    Part.STREAMS: (Part.SERVICE, Part.STARLETTE, Part.LITELLM, Part.FERRO),
    Part.DELAYED: (Part.SERVICE, Part.STARLETTE, Part.LITELLM, Part.FERRO),
    Part.AUDIT: (),
    Part.STARTUP: (),
}
"""The servers of a part; any other part is itself a server and needs only that."""


def available(parts: Sequence[Part]) -> list[Part]:
    """Those of *parts* that can be measured, in the order of measurement."""
    return [one for one in Part if one in parts and one not in _missing()]


def servers_for(parts: Sequence[Part]) -> list[Part]:
    """The available servers that *parts* need."""
    return available([server for part in parts for server in SERVERS.get(part, (part,))])


def left_out(parts: Sequence[Part]) -> Iterator[tuple[str, str]]:
    """What is missing from the comparison, and why."""
    needed = {server for part in parts for server in SERVERS.get(part, (part,))}
    for part, reason in _missing().items():
        if part in needed:
            yield reason
    if Part.AUDIT in parts and not aegis_python().exists():
        yield "aegis-latent-core", f"there is no {aegis_python()}. `make bench-peers` installs it."


def _missing() -> dict[Part, tuple[str, str]]:
    missing = {}
    if not litellm_executable().exists():
        missing[Part.LITELLM] = ("LiteLLM", f"there is no {litellm_executable()}. `make bench-peers` installs it.")
    if not ferro_executable().exists():
        missing[Part.FERRO] = ("Ferro", f"there is no {ferro_executable()}. `make bench-peers` installs it.")
    if not has_history():
        missing[Part.BEFORE] = ("The service before", f"commit {BEFORE} is not in this folder's git history.")
    return missing
