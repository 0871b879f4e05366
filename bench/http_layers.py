"""HTTP layers beside ours: what hostile callers do to each, and CPU a request.

`python -m bench.http_layers ours h11 httptools`; granian and hypercorn where their commands are in PATH. The application
is the same small one for all, so what the service itself bounds (bodies, answers) is not measured here.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

BIG, HUGE = b"x" * 100_000, b"x" * (8 << 20)
ANSWERS = {"/big": BIG, "/huge": HUGE}
NAME = "bench.http_layers:app"
COMMANDS = {
    "ours": [sys.executable, "-m", "bench.http_layers", "--serve"],
    "httptools": [sys.executable, "-m", "uvicorn", NAME, "--http", "httptools", "--no-access-log", "--log-level", "critical"],
    "h11": [sys.executable, "-m", "uvicorn", NAME, "--http", "h11", "--no-access-log", "--log-level", "critical"],
    "granian": ["granian", NAME, "--interface", "asgi", "--no-ws", "--log-level", "critical", "--host", "127.0.0.1"],
    "hypercorn": ["hypercorn", NAME, "-k", "uvloop", "--log-level", "critical"],
}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Reads the body whole, and answers."""
    if scope["type"] != "http":
        return
    while scope["method"] == "POST" and (message := await receive()).get("more_body"):
        if message["type"] == "http.disconnect":
            return
    body = ANSWERS.get(scope["path"], b'{"answer":"ok"}')
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def serve(port: int) -> None:
    """Our protocol, as a worker uses it."""
    import uvicorn  # late: other layers run without our packages

    from app.limits.bounds import Bounds, raise_descriptor_limit
    from app.serving.connections import Connections
    from app.serving.http_protocol import HttpProtocol

    connections = Connections(Bounds().within(raise_descriptor_limit()))
    config = uvicorn.Config(
        app, http=cast(Any, partial(HttpProtocol, connections)), port=port, access_log=False, log_level="critical", lifespan="off"
    )
    uvicorn.Server(config).run()


class Layer:
    """One server that runs."""

    def __init__(self, name: str, descriptors: int = 8192) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        port = [f"127.0.0.1:{self.port}"] if name == "hypercorn" else [str(self.port)]
        option = {"ours": [], "hypercorn": ["--bind"]}.get(name, ["--port"])
        limit = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (descriptors, 8192))
        self.process = subprocess.Popen([*COMMANDS[name], *option, *port], preexec_fn=limit, start_new_session=True)
        while self.wait() is None and self.process.poll() is None:
            time.sleep(0.05)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def talk(self, request: bytes) -> bytes:
        """The beginning of the answer."""
        with suppress(OSError), self.connect() as caller:
            caller.sendall(request)
            return caller.recv(100)
        return b""

    def wait(self) -> float | None:
        """Seconds to an honest answer; None without one."""
        begun = time.perf_counter()
        said = self.talk(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return time.perf_counter() - begun if b" 200 " in said else None

    def stop(self) -> float:
        """Seconds to its end after SIGTERM, 15 at most."""
        begun = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(15)
        took = time.perf_counter() - begun
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return took

    def pids(self) -> list[str]:
        groups = [(pid, f"/proc/{pid}/stat") for pid in os.listdir("/proc") if pid.isdigit()]
        return [pid for pid, stat in groups if os.path.exists(stat) and self._is_ours(int(pid))]

    def _is_ours(self, pid: int) -> bool:
        with suppress(ProcessLookupError):
            return os.getpgid(pid) == self.process.pid
        return False

    def cpu(self) -> float:
        stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self.pids()]
        return sum(int(one[11]) + int(one[12]) for one in stats) / os.sysconf("SC_CLK_TCK")

    def megabytes(self) -> float:
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids()) * 4096 / 1e6


@contextmanager
def running(name: str, descriptors: int = 8192) -> Iterator[Layer]:
    layer = Layer(name, descriptors)
    try:
        yield layer
    finally:
        layer.stop()


def waits_during(layer: Layer, attack: Callable[[], Any]) -> str:
    """The longest wait of an honest caller while *attack* runs, and two seconds more."""
    waits: list[float | None] = []
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.is_set():
            waits.append(layer.wait())
            time.sleep(0.01)

    asking = threading.Thread(target=ask)
    asking.start()
    attack()
    time.sleep(2)
    is_over.set()
    asking.join()
    return f"{max(one or 30.0 for one in waits):.2f} s, {waits.count(None)} of {len(waits)} refused"


def reset(caller: socket.socket) -> None:
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    caller.close()


def pipeline(layer: Layer, seconds: float = 0.0, callers: int = 4) -> float:
    """250 KB of requests on each connection, closed unread. The most memory seen."""
    request, most, end = b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n", 0.0, time.monotonic() + seconds
    while True:
        opened = [layer.connect() for _ in range(callers)]
        for one in opened:
            one.sendall(request * (250_000 // len(request)))
        time.sleep(0.05)
        for one in opened:
            reset(one)
        most = max(most, layer.megabytes())
        if time.monotonic() >= end:
            return most


def pour(layer: Layer, begin: bytes, more: bytes, seconds: float = 4.0) -> str:
    sent, end = 0, time.monotonic() + seconds
    with suppress(OSError), layer.connect() as caller:
        caller.settimeout(0.5)
        caller.sendall(begin)
        while time.monotonic() < end:
            sent += caller.send(more)
    return f"{sent / 1e6:.1f} MB taken"


# --- the rows ------------------------------------------------------------------------------------


def cpu(name: str) -> str:
    request = b'POST /ask HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\nContent-Length: 100\r\n\r\n{"query":"%b"}' % (
        b"x" * 88
    )

    async def ask(layer: Layer, times: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", layer.port)
        for _ in range(times):
            writer.write(request)
            await reader.readuntil(b'"ok"}')
        writer.close()

    async def all_ask(layer: Layer) -> None:
        await asyncio.gather(*(ask(layer, 1000) for _ in range(16)))

    with running(name) as layer:
        asyncio.run(all_ask(layer))
        before = layer.cpu()
        asyncio.run(all_ask(layer))
        return f"{(layer.cpu() - before) / 16_000 * 1e6:.0f} us"


def once(name: str) -> str:
    with running(name) as layer:
        return waits_during(layer, partial(pipeline, layer))


def repeated(name: str) -> str:
    with running(name) as layer:
        before, most = layer.megabytes(), []
        waits = waits_during(layer, lambda: most.append(pipeline(layer, 8.0, 8)))
        return f"{waits}, +{most[0] - before:.0f} MB, stop {layer.stop():.1f} s"


def idle(name: str) -> str:
    with running(name, 1024) as layer:
        opened = []
        for _ in range(1200):
            with suppress(OSError):
                opened.append(layer.connect())
        answered = [layer.wait() for _ in range(20)]
        for one in opened:
            one.close()
        return f"{20 - answered.count(None)} of 20 answered"


def slow(name: str) -> str:
    with running(name) as layer:
        opened = [layer.connect() for _ in range(300)]
        for one in opened:
            one.sendall(b"GET / HT")
            one.settimeout(0.02)
        time.sleep(12)
        return f"{sum(map(is_open, opened))} of 300 open after 12 s"


def is_open(caller: socket.socket) -> bool:
    try:
        while caller.recv(4096):
            pass
    except TimeoutError:
        return True
    except OSError:
        pass
    return False


def silent(name: str) -> str:
    with running(name) as layer, layer.connect() as caller:
        caller.sendall(b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nab")
        caller.settimeout(12)
        is_cut = not is_open(caller)
        with layer.connect() as other:
            other.sendall(b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nab")
            time.sleep(0.2)
            return f"{'cut' if is_cut else 'open'} after 12 s, stop {layer.stop():.1f} s"


def endless(name: str) -> str:
    head = b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1"
    trailers = head + b"\r\na\r\n0\r\n"
    with running(name) as layer:
        extensions = pour(layer, head, b";a=b" * 16_384)
        return f"{extensions}, trailers {pour(layer, trailers, b'a: b ' * 10_000)}"


def hosts(name: str) -> str:
    lines = {"none": b"", "two": b"Host: a\r\nHost: b\r\n", "malformed": b"Host: a/b\r\n"}
    with running(name) as layer:
        said = {one: layer.talk(b"GET / HTTP/1.1\r\n" + line + b"\r\n")[9:12].decode() for one, line in lines.items()}
    return ", ".join(f"{one} {status}" for one, status in said.items())


def unread(name: str) -> str:
    with running(name) as layer:
        before, opened = layer.megabytes(), [layer.connect() for _ in range(50)]
        for one in opened:
            one.sendall(b"GET /huge HTTP/1.1\r\nHost: x\r\n\r\n")
        waits = waits_during(layer, lambda: None)
        return f"{waits}, +{layer.megabytes() - before:.0f} MB, stop {layer.stop():.1f} s"


ROWS = {
    "CPU a request": cpu,
    "4 x 250 KB pipelined, closed unread": once,
    "8 of them again for 8 s": repeated,
    "1,200 idle at 1,024 descriptors": idle,
    "300 unfinished heads": slow,
    "POST, 2 of 100 bytes, silence": silent,
    "endless chunk extensions": endless,
    "Host": hosts,
    "50 callers who read nothing": unread,
}


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m bench.http_layers", description=__doc__)
    arguments.add_argument("layers", nargs="*", choices=[*COMMANDS, []], default=[])
    arguments.add_argument("--serve", type=int, help="(the server itself)")
    arguments.add_argument("--row", choices=[*ROWS])
    given = arguments.parse_args()
    if given.serve:
        serve(given.serve)
        return
    for row, measure in ROWS.items():
        for layer in given.layers or COMMANDS:
            if given.row in (None, row):
                print(f"{row:<38} {layer:<10} {measure(layer)}", flush=True)


if __name__ == "__main__":
    main()
