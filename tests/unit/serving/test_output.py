"""What a process of the service says: log lines, tracebacks and warnings, none of which can hold it up."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ...support.paths import ROOT

PREAMBLE = "import logging, os, sys, threading, warnings\nfrom app.serving.output import open_output\noutput = open_output()\n"
LOG = "LOG = logging.getLogger('app.test')\n"


def run(code: str, stderr: int = subprocess.PIPE, **environment: str) -> subprocess.CompletedProcess[str]:
    command, env = [sys.executable, "-c", PREAMBLE + code], os.environ | environment
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True, timeout=60, env=env)


def test_what_is_logged_and_printed_arrives_in_order_before_the_end() -> None:
    code = (
        "LOG.info('one')\nprint('two', file=sys.stderr)\nLOG.error('three %s', '\\ud800')\noutput.say('document')\noutput.flush()"
    )
    done = run(LOG + code)
    lines = done.stderr.splitlines()
    assert [line.split(" ", 2)[-1] for line in lines] == ["INFO app.test one", "two", "ERROR app.test three \\ud800"]
    assert (done.stdout, done.returncode) == ("document\n", 0)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("warnings.warn('odd')", "UserWarning: odd"),
        ("t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()", "ZeroDivisionError"),
        (LOG + "LOG.info('%d', 'x')", "--- Logging error ---"),
    ],
)
def test_tracebacks_and_warnings_arrive_too(code: str, said: str) -> None:
    assert said in run(code).stderr


@pytest.mark.parametrize(
    ("code", "member", "said"),
    [
        ("1 / 0", "error", "ZeroDivisionError"),
        ("warnings.warn('odd')", "message", "UserWarning: odd"),
        ("t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()", "error", "ZeroDivisionError"),
        (LOG + "LOG.info('one\\ntwo')", "message", "one\ntwo"),
        ("print('one\\ntwo', file=sys.stderr)", "message", "two"),
    ],
)
def test_all_of_it_is_json_where_that_is_wanted(code: str, member: str, said: str) -> None:
    lines = [json.loads(line) for line in run(code, LOG_FORMAT="json").stderr.splitlines()]
    assert said in lines[-1][member]


@pytest.mark.parametrize(
    "code",
    [
        LOG + "for number in range(20000): LOG.info('line ' + 'abcdefghij' * 20 + chr(97 + number % 26) * (number // 26))",
        "for number in range(20000): print('x' * 200, file=sys.stderr)",
        "for number in range(3000): warnings.warn(f'{number}' + 'x' * 200)",
        "for number in range(20000): output.say('x' * 200)",
    ],
    ids=["log", "print", "warnings", "stdout"],
)
@pytest.mark.slow
def test_a_pipe_that_nobody_reads_stops_nothing(code: str) -> None:
    reader, full = os.pipe()
    command = [sys.executable, "-c", PREAMBLE + code]
    try:
        assert subprocess.run(command, cwd=ROOT, stdout=full, stderr=full, timeout=60).returncode == 0
    finally:
        os.close(reader)
        os.close(full)


def test_what_was_lost_is_counted_and_said_once_somebody_reads_again() -> None:
    code = (
        "lost = []; output.count_losses(lost.append)\n"
        "for number in range(20000): print('x' * 200, file=sys.stderr)\n"
        "output.say(str(sum(lost))); sys.stdin.read(); [output.flush() for _ in range(30)]"  # a second each, if it takes so long
    )
    reader, full = os.pipe()
    command = [sys.executable, "-c", PREAMBLE + code]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=full, text=True) as process:
        os.close(full)
        assert process.stdout
        assert process.stdin
        lost = int(process.stdout.readline())
        process.stdin.close()
        with os.fdopen(reader) as pipe:
            lines = pipe.read().splitlines()
    assert 0 < lost < 20000
    assert lines == ["x" * 200] * (20000 - lost) + [f"{lost} message(s) were lost here: this output took no more."]
