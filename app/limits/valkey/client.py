"""The client of LIMITS_URL: of one server, of a cluster, or of the primary that sentinels name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from valkey.asyncio import Connection, ConnectionPool, SSLConnection, Valkey, ValkeyCluster
from valkey.asyncio.cluster import ClusterNode
from valkey.asyncio.retry import Retry
from valkey.asyncio.sentinel import Sentinel, SentinelConnectionPool
from valkey.backoff import NoBackoff
from valkey.credentials import CredentialProvider
from valkey.exceptions import ConnectionError as Disconnected

from ...catalogue.limits_url import LimitsAddress

CONNECT_SECONDS = 1.0
Client: TypeAlias = Valkey | ValkeyCluster


class _Credentials(CredentialProvider):
    """Asked at each connection, so that a password may be replaced in its file."""

    def __init__(self, user: str | None, password: Callable[[], str]) -> None:
        self._user, self._password = user, password

    def get_credentials(self) -> tuple[str, ...]:  # type: ignore[override]  # the library takes both
        return (self._user, self._password()) if self._user else (self._password(),)


def open_client(address: LimitsAddress, password: Callable[[], str] | None) -> Client:
    """Connects at its first call. *password*: None if the server wants none; sentinels get none."""
    options: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": CONNECT_SECONDS,
        "socket_keepalive": True,
        # Once more, at once: a server closes connections that are idle, and all when it restarts.
        "retry": Retry(NoBackoff(), 1),
        "retry_on_error": [Disconnected],
    }
    secure: dict[str, Any] = {"ssl": True, "ssl_check_hostname": True} if address.is_tls else {}
    sentinel_options = options | secure
    if password is not None:
        options["credential_provider"] = _Credentials(address.user, password)
    if address.shape == "cluster":
        nodes = [ClusterNode(host, port) for host, port in address.hosts]
        return ValkeyCluster(startup_nodes=nodes, **secure, **options)
    if address.shape == "sentinel":
        sentinels = Sentinel(list(address.hosts), sentinel_kwargs=sentinel_options)  # type: ignore[no-untyped-call]
        pool = SentinelConnectionPool(address.name, sentinels, **secure, **options)  # type: ignore[no-untyped-call]
        return Valkey.from_pool(pool)
    kind = SSLConnection if secure else Connection
    secure.pop("ssl", None)
    ((host, port),) = address.hosts
    return Valkey.from_pool(ConnectionPool(kind, host=host, port=port, db=address.database, **secure, **options))
