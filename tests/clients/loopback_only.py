"""Run a module that may connect to this machine only: `python -m tests.clients.loopback_only MODULE ARGUMENT…`.

Clients have telemetry and ignore its errors. So an attempt is refused and printed, and the process ends with status 3.
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
    """An audit hook (PEP 578), called for every socket operation of Python code."""
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        if not isinstance(address, tuple):  # a Unix domain socket
            return
        host = address[0]
    else:
        return
    if not is_here(host):
        attempts.append(f"{event} {host!r}")
        raise PermissionError(f"{host!r} is not this machine")


def report_attempts() -> None:
    if attempts:
        print(f"it tried to connect elsewhere: {', '.join(attempts)}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(REACHED_OUT)  # nothing else changes the exit status from here


if __name__ == "__main__":
    atexit.register(report_attempts)
    sys.addaudithook(refuse_the_world)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
