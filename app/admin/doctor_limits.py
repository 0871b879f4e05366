"""`doctor`: whether the server of LIMITS_URL counts, and forgets nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from ipaddress import ip_address

from ..catalogue.limits_url import LimitsAddress, limits_address
from ..settings import Settings
from .doctor_findings import Finding, note, ok, trouble


def look(settings: Settings) -> Iterator[Finding]:
    """Nothing where this machine counts alone."""
    if settings.limits_url is None:
        return
    address = limits_address(settings.limits_url.get_secret_value())
    try:
        from ..limits.valkey.facts import server_facts  # late: only where it is configured
    except ModuleNotFoundError as error:
        yield trouble(f"LIMITS_URL needs a package that is not installed ({error.name}): install the extra valkey.")
        return
    facts = asyncio.run(server_facts(settings, address))
    if facts.problem is not None:
        yield trouble(f"LIMITS_URL ({address.shown}) cannot count: {facts.problem}. Until it can, LIMITS_DOWN decides.")
        return
    if facts.evicts is not None:
        yield trouble(
            f"LIMITS_URL ({address.shown}) forgets hits once it is full ({facts.evicts}): set maxmemory-policy noeviction."
        )
    if not address.is_tls and not _is_local(address):
        yield note(f"LIMITS_URL ({address.shown}): others on its way can reset limits. Use valkeys://.")
    if facts.evicts is None:
        yield ok(f"The server of LIMITS_URL ({address.shown}) counts hits.")


def _is_local(address: LimitsAddress) -> bool:
    for host, _ in address.hosts:
        try:
            if not ip_address(host).is_loopback:
                return False
        except ValueError:
            if host != "localhost":
                return False
    return True
