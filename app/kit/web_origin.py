"""Web origins (RFC 6454): one spelling for each, and which of a list another matches."""

from __future__ import annotations

import re
from collections.abc import Collection

_DEFAULT_PORTS = {"http": "80", "https": "443"}
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^\s/?#@:*\\\[\]]+|\*)(?::([0-9]{1,5}))?/?", re.IGNORECASE)


def normal_origin(value: str) -> str:
    """*value* in lower case, without a default port. Raises ValueError if it is no scheme://host.

    The host may be `*` where a browser or a system makes it up (`moz-extension://*`): a host of
    http and https has an owner, and each must be named.
    """
    match = _ORIGIN.fullmatch(value)
    if match is None or (match[2] == "*" and match[1].lower() in _DEFAULT_PORTS):
        raise ValueError("no origin")
    scheme, host, port = match[1].lower(), match[2].lower(), match[3]
    if not host.isascii():
        host = host.encode("idna").decode()
    is_default = port is None or port.lstrip("0") == _DEFAULT_PORTS.get(scheme)
    return f"{scheme}://{host}" if is_default else f"{scheme}://{host}:{port}"


def is_origin_among(value: str, allowed: Collection[str]) -> bool:
    """Whether the header *value* is one of *allowed*, which are normal. `null` never is."""
    try:
        origin = normal_origin(value)
    except ValueError:
        return False
    return "*" not in origin and (origin in allowed or f"{origin.partition('://')[0]}://*" in allowed)
