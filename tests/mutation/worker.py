"""Runs in a copy of the project: each job is a fork that runs tests.

What is foreign is imported once, for mutants that change what runs at import; for the others, all tests are collected once.
A job is a line of JSON on stdin, its result a line on stdout; the output of the tests goes to a file.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TextIO

from .coverage_map import CoverageMap
from .jobs import Job, Result
from .selection import Selection

HERE = Path.cwd()
OPTIONS = ["-q", "-p", "no:cacheprovider", "--hypothesis-profile=fast", "--hypothesis-seed=0", "--tb=line", "--disable-warnings"]
OURS = ("app", "tests")
OTHER_VARIABLES = 99
"""An exit status: the function cannot get the mutant's code, since it closes over other variables."""


PASSED = (0, 5)
"""pytest's statuses where no test failed. Then all is imported once more: a test may have made its objects at import."""


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import_what_is_foreign()
    collected: tuple[TextIO, TextIO] | None = None
    changes = 0
    for line in sys.stdin:
        job, changes = Job(**json.loads(line)), changes + 1
        with changed(job, changes):
            if not job.line:
                result = run(job, tests_of)
            else:
                collected = collected or start_collected()
                print(line, end="", file=collected[0], flush=True)
                result = Result(**json.loads(collected[1].readline()))
                if result.status in (OTHER_VARIABLES, *PASSED):
                    result = run(job, tests_of)
        print(json.dumps(asdict(result)), file=answers, flush=True)


def import_what_is_foreign() -> None:
    """A child finds out what an import of everything brings."""
    reading, writing = os.pipe()
    if not (child := os.fork()):
        for name in ("app.main", "app.cli.main", "tests.conftest", "coverage"):
            importlib.import_module(name)
        names = [name for name in list(sys.modules) if name.split(".")[0] not in (*OURS, "__main__")]
        with os.fdopen(writing, "w") as pipe:
            json.dump(names, pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        names = json.load(pipe)
    os.waitpid(child, 0)
    for name in names:
        with suppress(ImportError):
            importlib.import_module(name)


def start_collected() -> tuple[TextIO, TextIO]:
    """Where its jobs are written, and where its results are read. It ends with this process."""
    (job_end, to_jobs), (from_results, result_end) = os.pipe(), os.pipe()
    if not os.fork():
        os.close(to_jobs)
        os.close(from_results)
        with suppress(BrokenPipeError), os.fdopen(job_end) as jobs, os.fdopen(result_end, "w") as results:
            from .collected import Collected  # late: imports pytest, which the tests' own options configure

            pytest = importlib.import_module("pytest")
            pytest.main([*OPTIONS, "-s", *sys.argv[1:]], plugins=[Collected(HERE, partial(serve, jobs, results))])
        os._exit(0)
    os.close(job_end)
    os.close(result_end)
    return os.fdopen(to_jobs, "w"), os.fdopen(from_results)


def serve(jobs: TextIO, results: TextIO, run_here: Callable[[Job], int]) -> None:
    with suppress(BrokenPipeError):  # nobody waits for more
        for line in jobs:
            print(json.dumps(asdict(run(Job(**json.loads(line)), run_here))), file=results, flush=True)


@contextmanager
def changed(job: Job, number: int) -> Iterator[None]:
    """The mutant stands in the file. No two have one modification time, so that no compiled one outlives its turn."""
    if not job.file:
        yield
        return
    path = HERE / job.file
    text, times = path.read_bytes(), path.stat()
    path.write_text(job.code)
    os.utime(path, (0, 1_000_000_000 + number))
    try:
        yield
    finally:
        path.write_bytes(text)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def run(job: Job, tests: Callable[[Job], int]) -> Result:
    """In a fork, which gets the status that *tests* returns."""
    started, output = time.monotonic(), HERE.parent / f"{HERE.name}.out"
    if not (child := os.fork()):
        os.setpgid(0, 0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        written = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        for descriptor, to in ((nothing, 0), (written, 1), (written, 2)):
            os.dup2(descriptor, to)
        code = 1
        try:
            code = tests(job)
        except ValueError:
            code = OTHER_VARIABLES
        finally:
            os._exit(code)
    status = wait(child, started + job.seconds)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    return Result(job.key, status, time.monotonic() - started, output.read_bytes()[-3000:].decode(errors="replace"))


def wait(child: int, end: float) -> int | None:
    """The exit status; None at the timeout."""
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def tests_of(job: Job) -> int:
    """pytest's exit status, with everything of ours imported once more."""
    pytest = importlib.import_module("pytest")
    if job.map_to:
        return int(pytest.main([*OPTIONS, *job.files], plugins=[CoverageMap(HERE, Path(job.map_to))]))
    return int(pytest.main([*OPTIONS, "-x", *job.files], plugins=[Selection(job.files, job.left_out)]))


if __name__ == "__main__":
    main()
