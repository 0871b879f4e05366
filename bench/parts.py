"""What can be measured, which servers each part needs, and what is left out because it is not there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

from .audit import aegis_python
from .before import BEFORE, has_history
from .peers import litellm_executable


class Part(StrEnum):
    SERVICE = "service"
    CHAT = "chat"
    UNSIGNED = "unsigned"
    AGAIN = "again"
    BEFORE = "before"
    STARLETTE = "starlette"
    LITELLM = "litellm"
    STREAMS = "streams"
    AUDIT = "audit"
    STARTUP = "startup"


SERVERS: dict[Part, Sequence[Part]] = {
    Part.CHAT: (Part.SERVICE,),
    Part.STREAMS: (Part.SERVICE, Part.STARLETTE, Part.LITELLM),
    Part.AUDIT: (),
    Part.STARTUP: (),
}
"""Any other part is a server itself, and the only one that it needs."""


def available(parts: Sequence[Part]) -> list[Part]:
    """Those of *parts* that can be measured, in the order in which they are."""
    return [one for one in Part if one in parts and one not in _missing()]


def servers_for(parts: Sequence[Part]) -> list[Part]:
    """Those that are there of the servers that *parts* need."""
    return available([server for part in parts for server in SERVERS.get(part, (part,))])


def left_out(parts: Sequence[Part]) -> Iterator[tuple[str, str]]:
    """What will be missing from the comparison, and why."""
    needed = {server for part in parts for server in SERVERS.get(part, (part,))}
    for part, told in _missing().items():
        if part in needed:
            yield told
    if Part.AUDIT in parts and not aegis_python().exists():
        yield "aegis-latent-core", f"there is no {aegis_python()}. `make bench-peers` installs it."


def _missing() -> dict[Part, tuple[str, str]]:
    missing = {}
    if not litellm_executable().exists():
        missing[Part.LITELLM] = ("LiteLLM", f"there is no {litellm_executable()}. `make bench-peers` installs it.")
    if not has_history():
        missing[Part.BEFORE] = ("The service before", f"commit {BEFORE} is not in this folder's git history.")
    return missing
