"""Run a module that may speak to this machine only: `python -m tests.clients.loopback_only MODULE ARGUMENT…`.

Clients have telemetry, and swallow its errors. So an attempt is refused, told, and ends the process with status 3.
"""

from __future__ import annotations

import atexit
import ipaddress
import os
import runpy
import sys

REACHED_OUT = 3
attempts: list[str] = []


def is_here(host: object) -> bool:
    """Whether *host* (as given to connect or getaddrinfo; None and "" are the wildcard) is this machine."""
    name = host.decode() if isinstance(host, bytes) else str(host or "localhost")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def refuse_the_world(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook (PEP 578): it sees what any Python code asks of a socket."""
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        if not isinstance(address, tuple):  # a socket of this machine's file system
            return
        host = address[0]
    else:
        return
    if not is_here(host):
        attempts.append(f"{event} {host!r}")
        raise PermissionError(f"{host!r} is not this machine")


def tell() -> None:
    if attempts:
        print(f"it reached out: {', '.join(attempts)}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(REACHED_OUT)  # an exit status cannot be changed here in a gentler way


if __name__ == "__main__":
    atexit.register(tell)
    sys.addaudithook(refuse_the_world)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
