"""What stays of a revocation: never less than before, and a day longer than its token."""

from __future__ import annotations

import pytest

from app.security.clients.database import Where
from app.security.clients.store import open_clients

pytestmark = pytest.mark.anyio
NOW = 1_790_000_000
JTI = "0123456789abcdef" * 2


async def test_a_revocation_is_only_ever_lengthened_and_outlives_its_token(where: Where) -> None:
    clock = [NOW]
    store = open_clients(where, now=lambda: clock[0])
    await store.revoke(JTI, NOW + 100)
    await store.revoke(JTI, NOW + 50)
    assert (await store.current_revocations()).expiries == {JTI: NOW + 100}
    clock[0] = NOW + 3600
    await store.revoke("f" * 32, NOW + 10**6)
    assert (await store.current_revocations()).revoked == {JTI, "f" * 32}, "a clock that is set back revives no token"
    clock[0] = NOW + 2 * 24 * 3600
    await store.revoke("e" * 32, NOW + 10**6)
    assert (await store.current_revocations()).revoked == {"e" * 32, "f" * 32}
    await store.aclose()
