"""`doctor`: whether the models' servers take connections. Nothing is sent but the TLS handshake."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Iterator

from ..catalogue.models import Catalogue, Server
from ..catalogue.values import server_address
from ..kit.command import command
from ..settings import Settings
from ..upstream.client import OPENAI_URL
from ..upstream.pool import CONNECT_SECONDS, Pool
from .breakers import list_breakers
from .doctor_findings import Finding, note, ok, trouble


def look(catalogue: Catalogue) -> Iterator[Finding]:
    """One finding for each server that serves a model."""
    served = [one.server for entry in catalogue.models.values() for one in entry.servers]
    return iter(asyncio.run(_look_at_all(list(dict.fromkeys(served)))))


def look_at_breakers(settings: Settings) -> Iterator[Finding]:
    """Those that are open, one finding for each; or one for all."""
    are_open = [one for one in list_breakers() if one.is_open]
    for one in are_open:
        yield note(
            f"Server {one.server} is not asked for {one.seconds_left:.0f} s, after {one.failures} failure(s) in a row: "
            f"{command(f'breaker close {one.server}')} asks it at once."
        )
    if not are_open:
        yield ok("No server is left alone because it failed.")


async def _look_at_all(servers: list[Server]) -> list[Finding]:
    return list(await asyncio.gather(*map(_look_at, servers)))


async def _look_at(server: Server) -> Finding:
    if server.langchain is not None and server.base_url is None:
        return note(f"Server {server.name} was not tried: LangChain knows its address.")
    address = server_address(server.base_url or OPENAI_URL)
    where = f"Server {server.name} at {address.host} port {address.port}"
    pool = Pool(address.host, address.port, is_tls=address.is_tls)
    try:
        await pool.try_connection()
    except OSError as error:
        return trouble(f"{where} {_reason(error)}")
    finally:
        await pool.aclose()
    return ok(f"{where} takes connections.")


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"has a certificate that is not accepted ({error.verify_message}): renew it, or correct base_url."
    if isinstance(error, ssl.SSLError):
        return "speaks no TLS that is understood here: write http in base_url if it has none."
    if isinstance(error, socket.gaierror):
        return f"has no address ({error.strerror}): correct base_url, or the DNS of this machine."
    if isinstance(error, TimeoutError):
        return f"takes no connection within {CONNECT_SECONDS:.0f} s: see whether it runs, and whether a firewall is in between."
    why = os.strerror(error.errno) if error.errno else type(error).__name__
    return f"takes no connection ({why}): see whether it runs, and correct base_url."
