"""Responses that may be continued on every machine, known to their owner alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.assistant.known_responses import Owner
from app.assistant.postgres_responses import PostgresResponses
from app.audit.format.record import Receipt
from app.errors import Unavailable
from app.kit.postgres_url import PostgresUrl

from ...support.postgres_clients import make_clients
from ...support.postgres_server import PostgresServer

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
ALICE: Owner = ("https://a/v1", "alice", None)
OTHERS: list[Owner] = [("https://b/v1", "alice", None), ("https://a/v1", "bob", None), ("https://a/v1", "alice", "")]
RECEIPT = Receipt(7, "a" * 64)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def machines(postgres: PostgresServer) -> Iterator[tuple[PostgresResponses, PostgresResponses]]:
    url = make_clients(postgres)
    both = PostgresResponses(url, 3), PostgresResponses(url, 3)
    yield both
    for one in both:
        one.close()


async def test_a_response_of_one_machine_is_continued_on_another(machines: tuple[PostgresResponses, PostgresResponses]) -> None:
    one, other = machines
    await one.remember(ALICE, "resp_1", RECEIPT)
    assert await other.find(ALICE, "resp_1") == RECEIPT
    assert [await other.find(owner, "resp_1") for owner in OTHERS] == [None] * len(OTHERS)
    await other.remember(ALICE, "resp_1", Receipt(8, "b" * 64))
    assert await one.find(ALICE, "resp_1") == Receipt(8, "b" * 64), "the later one counts"


async def test_the_oldest_are_forgotten(machines: tuple[PostgresResponses, PostgresResponses]) -> None:
    one, other = machines
    for number in range(5):
        await (one, other)[number % 2].remember(ALICE, f"resp_{number}", RECEIPT)
    assert [await one.find(ALICE, f"resp_{number}") is not None for number in range(5)] == [False, False, True, True, True]


async def test_a_connection_that_died_is_opened_again(
    machines: tuple[PostgresResponses, PostgresResponses], postgres: PostgresServer
) -> None:
    one, _ = machines
    await one.remember(ALICE, "resp_1", RECEIPT)
    users = "FROM pg_stat_activity WHERE query LIKE '%assistant.responses%' AND pid <> pg_backend_pid()"
    postgres.query(f"SELECT pg_terminate_backend(pid) {users}")
    assert await one.find(ALICE, "resp_1") == RECEIPT


async def test_what_cannot_be_looked_up_is_said_and_what_cannot_be_kept_is_left() -> None:
    gone = PostgresResponses(PostgresUrl("postgresql://u@127.0.0.1:1/d", "DATABASE_URL"))
    with pytest.raises(Unavailable, match="Earlier responses cannot be looked up now"):
        await gone.find(ALICE, "resp_1")
    await gone.remember(ALICE, "resp_1", RECEIPT)
    gone.close()
