"""Mutation testing of whole packages: how many of a seeded sample of small changes to the code does a test notice?

Unit and contract tests that run the changed statement come first; then, with --service, service tests for what survives.
Prints a dated table and every survivor. Works in copies of the project outside of it.
"""

from __future__ import annotations

import argparse
import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ..support.paths import ROOT
from .choice import Choice, file_of, service_tests_for
from .jobs import TEST_FOLDERS, Job, Result
from .tree import TOOLS, make_tree

LEAST_SECONDS, TIMES_SLOWER, MAP_SECONDS, SERVICE_SECONDS = 30.0, 10.0, 3600.0, 900.0
SAID_EVERY = 20
ALIVE = ("survived", "no test")
UNTRIED = "not tried"
NO_TESTS = 5
"""pytest's exit status where none was left to run."""


class Workers:
    """One process for each tree; a thread feeds each."""

    def __init__(self, trees: Sequence[Path], collect: Iterable[str] = ()) -> None:
        """*collect*: the files whose tests a worker collects once."""
        command = [".venv/bin/python", "-m", "tests.mutation.worker", *sorted(collect)]
        pipe = subprocess.PIPE
        self._processes = [subprocess.Popen(command, cwd=tree, stdin=pipe, stdout=pipe, text=True) for tree in trees]

    def run(self, jobs: Sequence[Job]) -> Iterator[Result]:
        """As they end. To get no more of them, close this iterator."""
        waiting: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        ended: queue.SimpleQueue[Result | None] = queue.SimpleQueue()
        for job in (*jobs, *(None for _ in self._processes)):
            waiting.put(job)
        for process in self._processes:
            threading.Thread(target=feed, args=(process, waiting, ended), daemon=True).start()
        for _ in jobs:
            result = ended.get()
            if result is None:
                raise SystemExit("a worker has ended")
            yield result

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
            process.wait()


def feed(process: subprocess.Popen[str], waiting: queue.SimpleQueue[Job | None], ended: queue.SimpleQueue[Result | None]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    while job := waiting.get():
        process.stdin.write(json.dumps(asdict(job)) + "\n")
        process.stdin.flush()
        if not (line := process.stdout.readline()):
            return ended.put(None)
        ended.put(Result(**json.loads(line)))
    return None


def coverage_map(trees: Sequence[Path], folder: Path, kept: Path | None) -> dict[str, dict[str, Any]]:
    """*kept*: the map of an earlier run, of which only tests in changed files are run again."""
    paths = sorted(path for name in TEST_FOLDERS for path in (ROOT / name).rglob("test_*.py"))
    tests: dict[str, dict[str, Any]] = {}
    if kept and kept.is_file():
        tests, made_at = json.loads(kept.read_text()), kept.stat().st_mtime
        paths = [path for path in paths if path.stat().st_mtime > made_at]
    files = [str(path.relative_to(ROOT)) for path in paths]
    tests = {test: one for test, one in tests.items() if file_of(test) not in files}
    shares = [share for number in range(len(trees)) if (share := files[number :: len(trees)])]
    jobs = [Job(n, share, (), MAP_SECONDS, map_to=str(folder / f"map-{n}.json")) for n, share in enumerate(shares)]
    for result in run_all(trees[: len(jobs)], jobs):
        tests |= json.loads((folder / f"map-{result.key}.json").read_text())
    if kept:
        kept.write_text(json.dumps(tests))
    return tests


def mutants_of(package: str, seed: int, size: int) -> list[dict[str, Any]]:
    command = [str(TOOLS / "bin/python"), "tools/mutants.py", package, "--seed", str(seed), "--size", str(size)]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


def jobs_for(mutants: Sequence[dict[str, Any]], choice: Choice, budget: float) -> Iterator[Job]:
    """None for a mutant whose statement no test runs. What only an import calls runs at import."""
    for key, mutant in enumerate(mutants):
        lines, at_import = range(mutant["first"], mutant["last"] + 1), mutant["at_import"]
        if not (tests := choice.tests_for(mutant["file"], lines, at_import)):
            tests, at_import = choice.tests_for(mutant["file"], lines, True), True
        if tests:
            files, left_out, seconds = choice.job_of(mutant["file"], tests, budget)
            line = 0 if at_import else mutant["first"]
            changes = mutant["file"], mutant["code"], (ROOT / mutant["file"]).read_text(), line
            yield Job(key, files, left_out, LEAST_SECONDS + TIMES_SLOWER * seconds, *changes)


def verdict(result: Result) -> str:
    return {None: "timeout", 0: "survived", NO_TESTS: "survived", 1: "killed"}.get(result.status, "does not import")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("packages", nargs="*", default=["app/security", "app/api"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=600, help="mutants of each package")
    parser.add_argument("--budget", type=float, default=30.0, help="seconds of tests for a mutant, besides its file's own")
    parser.add_argument("--service", action="store_true", help="try service tests, too, on what survives")
    parser.add_argument("--minutes", type=float, default=600.0, help="then stop, and report on what was tried: a smaller sample")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--map", type=Path, help="keeps which test runs which line: for the same code with other tests")
    parser.add_argument("--survivors", type=Path, help="keeps what survived; if the file is there, only that is tried again")
    given = parser.parse_args()
    if not TOOLS.is_dir():
        raise SystemExit("`make mutation` installs what this needs")
    before = json.loads(given.survivors.read_text()) if given.survivors and given.survivors.is_file() else None
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        trees = [make_tree(Path(name) / str(number)) for number in range(given.workers)]
        tests = coverage_map(trees, Path(name), given.map)
        print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, seed {given.seed}, {len(tests)} tests", flush=True)
        for test in (test for test, one in tests.items() if one["failed"]):
            print(f"  fails on unchanged code: {test}")
        samples = [mutants_of(package, given.seed, given.size) for package in given.packages]
        mutants = [one for several in zip_longest(*samples) for one in several if one]
        if before is not None:
            mutants = [one for one in mutants if [one["file"], one["before"], one["after"]] in before]
        verdicts = try_all(mutants, Choice(tests), given, trees)
    for package in given.packages:
        report(package, [(one, verdicts[key]) for key, one in enumerate(mutants) if one["file"].startswith(f"{package}/")])
    if given.survivors:
        alive = [one for key, one in enumerate(mutants) if verdicts[key] in ALIVE]
        given.survivors.write_text(json.dumps([[one["file"], one["before"], one["after"]] for one in alive]))


def try_all(mutants: Sequence[dict[str, Any]], choice: Choice, given: argparse.Namespace, trees: Sequence[Path]) -> list[str]:
    """A verdict on each; survivors are printed as they are found. Those in functions come first: they need no import."""
    jobs = sorted(jobs_for(mutants, choice, given.budget), key=lambda job: job.line == 0)
    verdicts, end = ["no test"] * len(mutants), time.monotonic() + 60 * given.minutes
    for job in jobs:
        verdicts[job.key] = UNTRIED
    for done, result in enumerate(run_all(trees, jobs), 1):
        verdicts[result.key] = verdict(result)
        if verdicts[result.key] in ALIVE:
            show(mutants[result.key], verdicts[result.key])
        if done % SAID_EVERY == 0:
            print(f"{done} of {len(jobs)} tried", file=sys.stderr, flush=True)
        if time.monotonic() > end:
            break
    for result in run_all(trees, list(service_jobs(mutants, verdicts))) if given.service else ():
        if result.status != 0:
            verdicts[result.key] = "killed by a service test"
    return verdicts


def service_jobs(mutants: Sequence[dict[str, Any]], verdicts: Sequence[str]) -> Iterator[Job]:
    for key, mutant in enumerate(mutants):
        if verdicts[key] in ALIVE:
            yield Job(key, service_tests_for(mutant["file"]), (), SERVICE_SECONDS, mutant["file"], mutant["code"])


def report(package: str, tried: Sequence[tuple[dict[str, Any], str]]) -> None:
    tried = [one for one in tried if one[1] != UNTRIED]
    counts = Counter(verdict for _, verdict in tried)
    share = 100 * (1 - sum(counts[one] for one in ALIVE) / max(1, len(tried)))
    print(f"{package}: {len(tried)} mutants, {share:.1f} % killed; " + ", ".join(f"{n} {name}" for name, n in counts.items()))
    for mutant, verdict in sorted(tried, key=lambda one: (one[0]["file"], one[0]["line"])):
        if verdict in ALIVE:
            show(mutant, verdict)


def show(mutant: dict[str, Any], verdict: str) -> None:
    print(f"  {mutant['file']}:{mutant['line']}: {verdict}\n    - {mutant['before']}\n    + {mutant['after']}", flush=True)


def run_all(trees: Sequence[Path], jobs: Sequence[Job]) -> Iterator[Result]:
    workers = Workers(trees, {file for job in jobs if job.line for file in job.files})
    try:
        yield from workers.run(jobs)
    finally:
        workers.close()


if __name__ == "__main__":
    main()
