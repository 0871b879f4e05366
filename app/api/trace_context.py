"""The caller's trace (W3C Trace Context): taken where it is valid, ignored where it is not."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..assistant.models import Trace

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_STATE = re.compile(rb"[\x20-\x7e]{1,512}")
NO_VERSION, FIRST_VERSION = b"ff", b"00"


def trace_of(headers: Iterable[tuple[bytes, bytes]]) -> Trace | None:
    """None where there is no `traceparent`, more than one, or one that is malformed."""
    parent, states = None, []
    for name, value in headers:
        if name == b"traceparent":
            if parent is not None:
                return None
            parent = value
        elif name == b"tracestate":
            states.append(value)
    if parent is None or not (found := _PARENT.fullmatch(parent)):
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == NO_VERSION or (version == FIRST_VERSION and more) or not trace_id.strip(b"0") or not span_id.strip(b"0"):
        return None
    state = b",".join(states)
    is_state = _STATE.fullmatch(state) is not None
    return Trace(trace_id.decode(), span_id.decode(), flags.decode(), state.decode() if is_state else "")
