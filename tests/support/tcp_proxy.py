"""A proxy for TCP whose connections can be held, so that nothing comes through, or cut."""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import suppress

from .service import free_port


class TcpProxy:
    """On a thread of its own; use it as a context manager. It begins by letting all through."""

    def __init__(self, port: int, postgres_tls: ssl.SSLContext | None = None) -> None:
        """*port*: of the server behind it, on this machine.

        *postgres_tls*: speaks TLS as PostgreSQL does once it is asked for it.
        """
        self.port, self._behind, self._tls = free_port(), port, postgres_tls
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._writers = set[asyncio.StreamWriter]()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> TcpProxy:
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def hold(self) -> None:
        """From now on bytes are taken and not passed on; connections stay open."""
        self._call(self._set(is_open=False))

    def let_through(self) -> None:
        self._call(self._set(is_open=True))

    def cut(self) -> None:
        """Close every connection that is there now."""
        self._call(self._cut())

    # --- on the thread ---------------------------------------------------------------------------

    def _call(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)  # type: ignore[arg-type]  # coroutines of this class

    async def _start(self) -> None:
        self._open.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _stop(self) -> None:
        self._server.close()
        self._open.set()
        await self._cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _set(self, *, is_open: bool) -> None:
        (self._open.set if is_open else self._open.clear)()

    async def _cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError):  # asyncio reports the end of its own tasks as errors
            await self._forward(reader, writer)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._tls is not None:
            await reader.readexactly(8)  # SSLRequest
            writer.write(b"S")
            try:
                await writer.start_tls(self._tls)
            except OSError:
                return
        try:
            behind, to_behind = await asyncio.open_connection("127.0.0.1", self._behind)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, to_behind}
        self._writers |= both
        try:
            await asyncio.gather(self._pass(reader, to_behind), self._pass(behind, writer))
        finally:
            self._writers -= both
            for one in both:
                one.transport.abort()

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(1 << 16):
                await self._open.wait()
                target.write(data)
                await target.drain()
        target.transport.abort()
