"""`serve`: the parent process holds the socket and restarts its children when they die.

Its children: the workers that answer, the notary process that signs checkpoints, the process that
builds the index of the records, and the embedded model. The parent opens neither log nor database.
It imports what workers need once: they share its memory, and one that is started again is there at
once.
"""

from __future__ import annotations

import gc
import importlib
import json
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from ..api.scoreboard import Scoreboard
from ..audit.evidence.health import LogHealth
from ..audit.index.demand import Demand
from ..errors import ConfigError
from ..kit.process import EXIT_CONFIG, ask_child, fork, keep_memory_private, spawn
from ..upstream import embedded
from ..upstream.embedded import EmbeddedAddress
from ..wiring.log_files import LogFiles
from .child import ReadyFlag
from .listener import begin_no_more, listen
from .output import ServiceOutput, open_output
from .plan import ServicePlan
from .shared_parts import SharedParts, SharedPolicy
from .supervisor import Supervisor

LOG = logging.getLogger("app.serving")
MODEL = "model"
MODEL_READY_SECONDS = 60


class Metrics(NamedTuple):
    """Where they are served, and the Board where workers count."""

    listener: socket.socket
    board: object


def serve(output: ServiceOutput, *, host: str, port: int, workers: int, as_json: bool = False) -> int:
    """Serve until SIGTERM or SIGINT, then finish what is in flight; the exit status.

    Raises ConfigError, or SystemExit(EXIT_CONFIG) where a child found a problem and logged it.
    """
    # Process 1 of a container has no default action for SIGTERM. Until `Supervisor.run` takes over:
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))  # a fork's hooks could swallow an exception
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    plan = ServicePlan.decode(ask_child(_preflight))
    os.environ |= plan.otel  # whose readers know no .env
    listener, scoreboard, metrics = listen(host, port), Scoreboard(workers), _open_metrics(plan, workers)
    supervisor = Supervisor(
        grace_seconds=plan.grace_seconds,
        on_ready=partial(_announce, output, listener, host, workers, as_json, plan.first_step, metrics),
        on_stopping=partial(_accept_no_more, scoreboard, listener, plan.notice_seconds),
    )
    model = _start_model(supervisor) if plan.is_embedded else None
    from . import worker  # noqa: F401 - late: while the model loads; once for all workers, and for each one's successor

    if plan.has_console:
        from ..web import console  # noqa: F401 - late: where it is switched off, nothing of it is loaded
    for module in plan.modules:
        importlib.import_module(module)
    gc.freeze()
    if model:
        _wait_for_model(supervisor, *model)
    common = (_address_of(model, workers), listener, scoreboard, metrics.board if metrics else None)
    shared = SharedParts(plan.settings, SharedPolicy(plan.catalogue), *common)
    for number in range(workers):
        ready = ReadyFlag()
        work = partial(fork, partial(_without, metrics and metrics.listener, partial(_work, shared, output, ready, number)))
        supervisor.add(f"worker {number + 1}", work, ready=ready, pulse=scoreboard.pulse(number))
    if plan.has_console:
        ready = ReadyFlag()
        index = partial(_without, listener, partial(_index, plan.log_files, scoreboard.demand, ready))
        supervisor.add("index", partial(fork, index), ready=ready)
    # The notary stops last: it signs what the workers recorded at the end.
    ready = ReadyFlag()
    sign = partial(_without, listener, partial(_sign, plan.log_files, scoreboard.log, ready))
    supervisor.add("notary", partial(fork, sign), last=True, ready=ready)
    if metrics:
        ready = ReadyFlag()
        show = partial(_without, listener, partial(_show_metrics, metrics, scoreboard, plan.node, ready))
        supervisor.add("metrics", partial(fork, show), last=True, ready=ready)
    if plan.has_policy_file:
        supervisor.on_hangup(partial(fork, partial(_reload, plan.settings, shared.policy)))
    return supervisor.run()


# --- the children; each imports what it alone needs -----------------------------------------


def _preflight() -> bytes:
    from .preflight import preflight  # late: in a child

    return preflight()


def _work(shared: SharedParts, output: ServiceOutput, ready: ReadyFlag, number: int) -> int:
    from .worker import run_worker  # late: in a child

    return run_worker(shared, output, ready, number)


def _without(listener: socket.socket | None, work: Callable[[], int]) -> int:
    """For a child that would keep open a socket that it does not use."""
    if listener is not None:
        listener.close()
    return work()


def _sign(log_files: LogFiles, health: LogHealth, ready: ReadyFlag) -> int:
    from .notary_process import run_notary  # late: in a child

    return run_notary(log_files, health, ready)


def _show_metrics(metrics: Metrics, scoreboard: Scoreboard, node: str, ready: ReadyFlag) -> int:
    from .metrics_process import run_metrics  # late: in a child

    return run_metrics(metrics.listener, metrics.board, scoreboard, node, ready)


def _index(log_files: LogFiles, demand: Demand, ready: ReadyFlag) -> int:
    from .index_process import run_index  # late: in a child

    return run_index(log_files, demand, ready)


def _reload(settings: bytes, policy: SharedPolicy) -> int:
    from .policy_reload import reload_policy  # late: in a child

    return reload_policy(settings, policy)


def _open_metrics(plan: ServicePlan, workers: int) -> Metrics | None:
    """None: nobody wants them. Raises ConfigError."""
    if plan.metrics_port is None:
        return None
    from ..telemetry.metrics.board import Board  # late: only where they are wanted

    return Metrics(listen(plan.metrics_host, plan.metrics_port, ("METRICS_HOST", "METRICS_PORT")), Board(workers))


def _start_model(supervisor: Supervisor) -> tuple[int, str]:
    """Its port and its key. It loads while the workers' modules are imported."""
    LOG.warning("No OPENAI_API_KEY and no OPENAI_BASE_URL: the small embedded model answers, for trying the service out.")
    port, key = embedded.free_port(), secrets.token_urlsafe(32)
    argv, environment = embedded.child_command(port, key)
    supervisor.add(MODEL, lambda: spawn(argv, environment), last=True)
    supervisor.start()
    return port, key


def _wait_for_model(supervisor: Supervisor, port: int, key: str) -> None:
    """So that the first question finds it. If it is not ready in time, serve all the same."""

    def verify_alive(waited: float) -> None:
        if supervisor.reap(MODEL) is not None:
            raise ConfigError("The embedded model could not be started; see above. Set OPENAI_API_KEY or OPENAI_BASE_URL.")

    if not embedded.wait_until_ready(port, key, MODEL_READY_SECONDS, verify_alive):
        LOG.error("The embedded model is not ready after %d s; serving without it until it is.", MODEL_READY_SECONDS)


def _address_of(model: tuple[int, str] | None, workers: int) -> EmbeddedAddress | None:
    if model is None:
        return None
    port, key = model
    max_waiting = max(1, embedded.MAX_EMBEDDED_QUESTIONS // workers)
    return EmbeddedAddress(f"http://{embedded.HOST}:{port}/v1", key, embedded.MODEL_NAME, max_waiting)


def _accept_no_more(scoreboard: Scoreboard, listener: socket.socket, notice_seconds: float) -> None:
    """A stop begins: /readyz says so. Then the workers accept what waits, and nothing further."""
    scoreboard.is_stopping = True
    time.sleep(notice_seconds)
    begin_no_more(listener)
    listener.close()


def _announce(
    output: ServiceOutput,
    listener: socket.socket,
    host: str,
    workers: int,
    as_json: bool,
    first_step: str | None,
    metrics: Metrics | None,
) -> None:
    """Called when all workers are ready. *first_step*: of ServicePlan."""
    url, shown = _address_at(host, listener), {}
    LOG.info("Serving on %s with %d worker(s).", url, workers)
    if metrics:
        shown = {"metrics": _address_at(metrics.listener.getsockname()[0], metrics.listener) + "/metrics"}
        LOG.info("Metrics for Prometheus are at %s.", shown["metrics"])
    if as_json:
        output.say(json.dumps({"url": url, "workers": workers, **shown}))
    if first_step is not None:
        LOG.warning("Nobody can ask yet. In another terminal, make a client:\n  %s", first_step)


def _address_at(host: str, listener: socket.socket) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def main(host: str, port: str, workers: str, *options: str) -> int:
    """`python -m app.serving.parent HOST PORT WORKERS [--json]`; `serve` becomes this process."""
    keep_memory_private()
    output = open_output()
    try:
        return serve(output, host=host, port=int(port), workers=int(workers), as_json="--json" in options)
    except ConfigError as error:
        print(error.detail, file=sys.stderr)  # noqa: T201
        return EXIT_CONFIG
    finally:
        output.flush()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
