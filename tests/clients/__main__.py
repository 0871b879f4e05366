"""`python -m tests.clients [--all] [NAME…]`: other people's clients against one service before the fake upstream.

A client is a program in its own environment with an API key of its own. It fails if it does not get the upstream's answers,
if it connects to anything but this machine (where that can be seen), or if not all of its calls are recorded. An agent must
also do its task: see `agent.py`. Exits with 1 if one failed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from .catalogue import CLIENTS, Client
from .run import Run, live_service

HOW = "`make clients` and `make clients-all` install what is needed, but node 18 or newer (Debian: apt-get install nodejs npm)"


def main(clients: Sequence[Client]) -> int:
    """The exit status."""
    if lack := next((client.lack for client in clients if client.lack), None):
        print(f"{lack}; {HOW}", file=sys.stderr)
        return 1
    failed = 0
    with live_service() as (service, fake, folder):
        for client in clients:
            started = time.monotonic()
            run = Run(client, service, fake, folder / client.name)
            reason = run.reason()
            failed += reason is not None
            took = time.monotonic() - started
            verdict = f"failed: {reason}" if reason else f"ok, {client.calls} calls, {took:.1f} s{run.note}"
            print(f"{client.name:<22} {verdict}", flush=True)
        report = service.verify()
    print(f"audit verify {'ok' if report['ok'] else f'failed: {report}'}")
    print(f"{len(clients) - failed} passed, {failed} failed")
    return 1 if failed or not report["ok"] else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.clients", description=__doc__)
    known = [client.name for client in CLIENTS]
    parser.add_argument("--all", action="store_true", help="also those that `make clients` leaves out")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; default: the light half")
    given = parser.parse_args()
    if unknown := set(given.names) - set(known):
        parser.error(f"{', '.join(sorted(unknown))}: none of {', '.join(known)}")
    sys.exit(main([one for one in CLIENTS if given.all or one.name in given.names or (one.is_light and not given.names)]))
