"""`make bench-guard BASE=commit`: the CPU of each part of the work tree against a commit, interleaved, in about three minutes.

Twice the same code stands beside it: what differs less than that is noise.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from .before import extract_before, has_history
from .guard_parts import PARTS
from .peers import Peer, Upstream, open_upstream
from .process import ROOT, clean_environment
from .rounds import measure
from .service import Service, set_up

ROAD_CLIENTS = (16, 64)
Figures = dict[str, dict[str, list[float]]]
"""CPU microseconds a call: by part, then by tree."""


class Tree:
    """One version of the service: its code, and a folder in which it is set up."""

    def __init__(self, name: str, code: Path, folder: Path, upstream: Upstream) -> None:
        self.name, self._code, self._upstream = name, code, upstream
        self.service: Service = set_up(folder / name, upstream.url, code)

    def time(self, part: str, seconds: float) -> float:
        argument = {"audit": str(self.service.log), "client": self._upstream.url}.get(part, "")
        done = subprocess.run(
            [sys.executable, "-P", str(ROOT / "bench/guard_parts.py"), part, str(seconds), argument],
            cwd=self.service.folder,
            env=clean_environment() | self.service.env,
            stdout=subprocess.PIPE,
            text=True,
            timeout=60 + 3 * seconds,
            check=True,
        )
        return float(done.stdout)


def guard(base: str, rounds: int, seconds: float) -> Figures:
    figures: Figures = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory(prefix="guard-", dir=ROOT / "logs") as work, ExitStack() as stack:
        folder = Path(work)
        upstream = stack.enter_context(open_upstream(folder))
        codes = {"base": extract_before(folder / "base-code", base), "now": ROOT, "again": ROOT}
        trees = [Tree(name, code, folder, upstream) for name, code in codes.items()]
        peers = []
        for tree in trees:
            process, port, ready = stack.enter_context(tree.service.served())
            peers.append(
                Peer(tree.name, process, port, "/ask", tree.service.token(port), None, ready, receipt=True).at_v1(tree.name)
            )
        for number in range(1, rounds + 1):
            print(f"round {number} of {rounds}", file=sys.stderr)
            for cell in measure(peers, upstream, clients=ROAD_CLIENTS, rounds=1, seconds=seconds, progress=lambda text: None):
                if cell.cpu_ms is not None:
                    figures[f"road, {cell.clients} clients"][cell.server].append(1000 * cell.cpu_ms)
            for part in PARTS:
                for tree in trees:
                    figures[part][tree.name].append(tree.time(part, seconds))
    return figures


def table(figures: Figures, base: str) -> Sequence[str]:
    lines = [
        f"CPU microseconds a call, medians; base is {base}",
        f"{'part':<18}{'base':>9}{'now':>9}{'now/base':>10}{'now/now':>10}",
    ]
    for part, by_tree in figures.items():
        before, now, again = (statistics.median(by_tree[name]) for name in ("base", "now", "again"))
        lines.append(f"{part:<18}{before:>9.1f}{now:>9.1f}{now / before:>10.2f}{again / now:>10.2f}")
    return lines


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m bench.guard", description=__doc__)
    arguments.add_argument("base", help="a commit, at least as new as decision 47")
    arguments.add_argument("--rounds", type=int, default=5, help="each figure is their median")
    arguments.add_argument("--seconds", type=float, default=1.0, help="for one part of one version")
    given = arguments.parse_args()
    if not has_history(given.base):
        print(f"{given.base} is not in this folder's git history.", file=sys.stderr)
        return 2
    print("\n".join(table(guard(given.base, given.rounds, given.seconds), given.base)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
