"""LIMITS_URL: where a Valkey or Redis server, a cluster, or sentinels of one listen."""

from __future__ import annotations

import re
from typing import Annotated, Literal, NamedTuple
from urllib.parse import unquote

from pydantic import AfterValidator, SecretStr

DEFAULT_PORT, SENTINEL_PORT = 6379, 26379
_FORM = re.compile(r"(?:valkey|redis)(s?)(?:\+(cluster|sentinel))?://(?:([^@/]*)@)?([^@/?#\s]+)(?:/([^?#\s]*))?")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
EXAMPLES = "valkey://HOST:6379, valkeys:// for TLS, valkey+cluster://HOST,HOST, or valkey+sentinel://HOST,HOST/NAME"

Shape = Literal["single", "cluster", "sentinel"]


class LimitsAddress(NamedTuple):
    """What LIMITS_URL names."""

    shape: Shape
    is_tls: bool
    user: str | None
    password: str | None
    hosts: tuple[tuple[str, int], ...]
    name: str
    """Of the primary, as the sentinels know it; else empty."""
    database: int

    @property
    def shown(self) -> str:
        """Without a user and a password."""
        return ", ".join(f"{host}:{port}" for host, port in self.hosts)


def limits_address(url: str) -> LimitsAddress:
    """Raises ValueError with the end of a sentence that begins with the setting's name."""
    form = _FORM.fullmatch(url)
    if form is None:
        raise ValueError(f"takes {EXAMPLES}, without options")
    shape: Shape = form[2] or "single"  # type: ignore[assignment]  # mypy does not read the pattern
    hosts = tuple(_host(one, SENTINEL_PORT if shape == "sentinel" else DEFAULT_PORT) for one in form[4].split(","))
    if shape == "single" and len(hosts) > 1:
        raise ValueError("names several servers: write valkey+cluster:// or valkey+sentinel://")
    name = unquote(form[5] or "")
    if shape == "sentinel" and not name:
        raise ValueError("needs the name of the primary at its end: valkey+sentinel://HOST,HOST/NAME")
    if shape == "cluster" and name not in ("", "0"):
        raise ValueError("names a database, and a cluster has none: leave out what follows the hosts")
    if shape == "single" and not re.fullmatch(r"[0-9]{0,5}", name):
        raise ValueError("ends in something else than the number of a database: valkey://HOST:6379/0")
    user, _, password = (form[3] or "").partition(":")
    known = (unquote(user) or None, unquote(password) or None)
    database = int(name or 0) if shape == "single" else 0
    return LimitsAddress(shape, bool(form[1]), *known, hosts, name if shape == "sentinel" else "", database)


def _host(text: str, default: int) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    port = int(found[2] or default) if found else 0
    if found is None or not 0 < port < 65536:
        raise ValueError(f"takes {EXAMPLES}")
    return found[1].strip("[]"), port


def _verify(value: SecretStr) -> SecretStr:
    limits_address(value.get_secret_value())
    return value


LimitsUrl = Annotated[SecretStr, AfterValidator(_verify)]
"""A secret, because it may hold a password."""
