"""Connections to the server of limits: TLS that is verified, users, passwords, databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509

from app.catalogue.limits_url import limits_address
from app.limits.valkey.client import Client, open_client

from ....support.certificates import LOOPBACK, Authority
from ....support.valkey_server import ValkeyServer
from ....support.waiting import on_a_loop


@asynccontextmanager
async def connected(url: str, password: str | None = None) -> AsyncIterator[Client]:
    client = open_client(limits_address(url), None if password is None else lambda: password)
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def behind_tls(authority: Authority, name: x509.GeneralName, valkey: ValkeyServer) -> AsyncIterator[int]:
    """The port at which *valkey* answers with a certificate for *name*."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(valkey.host, valkey.port)
        await asyncio.gather(pump(reader, there[1]), pump(there[0], writer), return_exceptions=True)

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=authority.server(name)) as server:
        yield server.sockets[0].getsockname()[1]


@on_a_loop
async def test_a_server_must_prove_its_name(valkey: ValkeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority.in_folder(tmp_path)
    async with behind_tls(authority, LOOPBACK, valkey) as right, behind_tls(authority, x509.DNSName("other"), valkey) as wrong:
        async with connected(f"valkeys://127.0.0.1:{right}") as client:
            with pytest.raises(Exception, match="certificate verify failed"):
                await client.ping()
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
        async with connected(f"valkeys://127.0.0.1:{right}") as client:
            assert await client.ping()
        async with connected(f"rediss://127.0.0.1:{wrong}") as client:
            with pytest.raises(Exception, match="is not valid"):
                await client.ping()


@on_a_loop
async def test_a_user_and_a_database_of_the_url_are_used(valkey: ValkeyServer) -> None:
    valkey.command("ACL", "SETUSER", "ann", "on", ">s3cret", "~*", "+@all")
    async with connected(valkey.url.replace("://", "://ann@") + "/3", "s3cret") as client:
        assert await client.acl_whoami() == "ann"
        await client.set("here", "1")
        assert "db3" in await client.info("keyspace")
