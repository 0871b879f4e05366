"""Where callers reach this service: PUBLIC_URL, or the Host that a request names."""

from __future__ import annotations

import ipaddress
import re

from fastapi import Request

from .context import app_context
from .http_errors import MalformedHttp

HOST = re.compile(r"(?:([A-Za-z0-9._-]{1,253})|\[([0-9A-Fa-f:.]{2,45})\])(?::([0-9]{1,5}))?")
"""host[:port] of RFC 9110, section 7.2, without the characters that no host on a network has."""
RESOURCE = "/.well-known/oauth-protected-resource"
AUTHORIZATION_SERVER = "/.well-known/oauth-authorization-server"


def public_address(request: Request) -> str:
    """Without a slash at its end. Raises MalformedHttp for a Host that is no host[:port]."""
    set_one: str | None = app_context(request).services.settings.public_url
    if set_one is not None:
        return set_one
    hosts = request.headers.getlist("host")
    if len(hosts) != 1 or not _is_host(hosts[0]):
        raise MalformedHttp("Send one Host header with host or host:port (RFC 9112, section 3.2).")
    return f"{request.scope['scheme']}://{hosts[0]}"


def _is_host(value: str) -> bool:
    match = HOST.fullmatch(value)
    if match is None or (match[3] is not None and not 0 < int(match[3]) <= 65_535):
        return False
    try:
        return match[2] is None or bool(ipaddress.IPv6Address(match[2]))
    except ValueError:
        return False
