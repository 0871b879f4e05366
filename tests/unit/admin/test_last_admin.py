"""Two admins who disable each other at the same time: one of them stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.admin.clients import add_client, disable_client, list_clients, set_roles
from app.admin.last_admin import LastAdmin, RemoteOperator
from app.admin.operator import Operator, operating
from app.admin.setup import set_up

from ...support.clean_settings import use_defaults

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def remotely(known_roles: Sequence[str] | None = None) -> AsyncIterator[Operator]:
    async with operating(known_roles) as local:
        yield RemoteOperator(local.store, local.audit, local.events)


async def test_of_two_admins_who_disable_each_other_one_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_defaults(monkeypatch, tmp_path)
    set_up()
    for name in ("anna", "otto"):
        await add_client(name, ["ai.admin"])
    ended = await asyncio.gather(*(disable_client(name, remotely) for name in ("anna", "otto")), return_exceptions=True)
    assert {type(one) for one in ended} == {LastAdmin, type(None)}
    (left,) = [one.client_id for one in await list_clients() if not one.disabled]
    with pytest.raises(LastAdmin):
        await set_roles(left, ["ai.playground.user"], by=remotely)
    assert await set_roles(left, ["ai.admin", "ai.audit.reader"], by=remotely) == ("ai.admin", "ai.audit.reader")
