"""Bad API keys at a live service: none is accepted, all get one answer, and its time tells no unknown id from a wrong secret."""

from __future__ import annotations

import asyncio
import math
import random
import secrets
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from app.security.api_keys.form import DIGITS, ID_DIGITS, PREFIX, NewKey, checksum, make_key
from app.security.clients.store import open_clients
from app.security.models import NEVER

from ..support.service import Service
from .figures import Figures

KINDS = ("forged", "cut", "swapped", "expired", "revoked")
POOL = 20
MAX_T = 4.5
"""Welch's |t| from which on two times differ, as the side-channel field's TVLA has it."""
OFFLINE: dict[str, Any] = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_API_KEY": "k"}
UNLIMITED: dict[str, Any] = {"ADDRESS_RATE_LIMIT": "10000000", "AUDIT_REFUSALS_PER_MINUTE": "1"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
OF_ONE_ANSWER = ("x-request-id", "date")
Send = Callable[[], None]


class Pool:
    """Keys in a client database, some of which are expired or revoked."""

    def __init__(self, service: Service) -> None:
        self.good, self.expired, self.revoked = asyncio.run(_fill(service.folder / "logs/clients.sqlite3"))

    def bad(self, kind: str, chance: random.Random) -> str:
        one, other = chance.sample(self.good, 2)
        if kind == "forged":
            return make_key(secrets.token_bytes).key
        if kind == "cut":
            return one.key[: chance.randrange(len(PREFIX), len(one.key))]
        if kind == "swapped":
            return chance.choice([_with_secret_of(one, other), _exchanged(one.key, chance)])
        return chance.choice(self.expired if kind == "expired" else self.revoked).key


async def _fill(path: Path) -> tuple[list[NewKey], list[NewKey], list[NewKey]]:
    store = open_clients(path)
    made: dict[int, list[NewKey]] = {}
    for expires_at in (NEVER, int(time.time()) - 1, NEVER - 1):
        made[expires_at] = [store.keys.make() for _ in range(POOL)]
        for new in made[expires_at]:
            await store.keys.add(new, "alice", ("ai.playground.user",), expires_at=None if expires_at > 2**50 else expires_at)
    good, expired, revoked = made.values()
    for new in revoked:
        await store.revoke(new.key_id, NEVER)
    await store.aclose()
    return good, expired, revoked


def _with_secret_of(one: NewKey, other: NewKey) -> str:
    """The id of *one* before the secret of *other*, with a checksum that fits."""
    text = PREFIX + one.key_id + other.key[len(PREFIX) + ID_DIGITS : -6]
    return text + checksum(text)


def _exchanged(key: str, chance: random.Random) -> str:
    """Two neighbours that differ change places."""
    at = chance.choice([at for at in range(len(PREFIX), len(key) - 1) if key[at] != key[at + 1]])
    return key[:at] + key[at + 1] + key[at] + key[at + 2 :]


class Caller:
    """One connection that is kept."""

    def __init__(self, service: Service) -> None:
        self._connection = HTTPConnection("127.0.0.1", service.port)

    def bear(self, key: str) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers of GET /v1/models with *key*; without what no two answers share."""
        self._connection.request("GET", "/v1/models", headers={"Authorization": f"Bearer {key}"})
        response = self._connection.getresponse()
        body = response.read()
        return (
            response.status,
            body,
            {name: value for name, value in response.getheaders() if name not in ("x-request-id", "date")},
        )

    def get_token(self, client_id: str, secret: str) -> None:
        form = urlencode({"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret})
        self._connection.request("POST", "/token", form, FORM)
        response = self._connection.getresponse()
        response.read()
        assert response.status == 401

    def close(self) -> None:
        self._connection.close()


def refuse(folder: Path, keys: int, workers: int = 1) -> Figures:
    """Send *keys* bad keys of all kinds, and between them good ones."""
    service = Service(folder, workers=workers, **OFFLINE, **UNLIMITED)
    service.add_client()
    pool, chance, answers = Pool(service), random.Random(keys), set()
    with service:
        caller, started = Caller(service), time.monotonic()
        for number in range(keys):
            status, body, headers = caller.bear(pool.bad(KINDS[number % len(KINDS)], chance))
            answers.add((status, body, str(sorted(headers.items()))))
            if number % 100 == 0:
                assert caller.bear(pool.good[number // 100 % POOL].key)[0] == 200
        seconds = time.monotonic() - started
        caller.close()
    [(status, body, _)] = answers
    assert status == 401, body
    records = service.records()
    expired = [record["details"]["key_id"] for record in records if record["action"] == "key.expired"]
    assert len(expired) <= POOL * workers, "once for each, or once more for each worker that sees it at the same time"
    assert {new.key_id for new in pool.expired} == set(expired)
    log = service.log.read_bytes()
    assert not [new for new in pool.good + pool.expired + pool.revoked if new.key[15:].encode() in log]
    return Figures(keys, len(records), seconds)


def time_keys(folder: Path, pairs: int) -> Figures:
    """An unknown id against the wrong secret of a known one."""
    with Service(folder, **OFFLINE, **UNLIMITED) as service:
        service.add_client()
        pool, caller = Pool(service), Caller(service)

        def sends() -> Iterator[tuple[Send, Send]]:
            for number in range(pairs):
                known = _with_secret_of(pool.good[number % POOL], make_key(secrets.token_bytes))
                unknown = make_key(secrets.token_bytes).key
                yield (lambda key=unknown: _refused(caller, key)), (lambda key=known: _refused(caller, key))  # type: ignore[misc]

        figures = _compare("unknown id", "wrong secret", sends())
        caller.close()
    return figures


def time_clients(folder: Path, pairs: int) -> Figures:
    """At /token: an unknown client against the wrong secret of a known one."""
    with Service(folder, **OFFLINE, **UNLIMITED) as service:
        names = [_name() for _ in range(POOL)]
        asyncio.run(_register(service.folder / "logs/clients.sqlite3", names))
        caller = Caller(service)

        def sends() -> Iterator[tuple[Send, Send]]:
            for number in range(pairs):
                ids, secret = (_name(), names[number % POOL]), secrets.token_urlsafe(32)
                unknown, known = (lambda name=name, secret=secret: caller.get_token(name, secret) for name in ids)
                yield unknown, known

        figures = _compare("unknown client", "wrong secret", sends())
        caller.close()
    return figures


async def _register(path: Path, names: Sequence[str]) -> None:
    store = open_clients(path)
    for name in names:
        await store.add(name, ["ai.playground.user"])
    await store.aclose()


def _name() -> str:
    return "client-" + "".join(secrets.choice(DIGITS) for _ in range(8))


def _refused(caller: Caller, key: str) -> None:
    assert caller.bear(key)[0] == 401


def _compare(first: str, second: str, sends: Iterator[tuple[Send, Send]]) -> Figures:
    """Time both of each pair, in an order that is drawn for each. Fails where the times differ."""
    times: tuple[list[float], list[float]] = ([], [])
    chance, started = random.Random(), time.monotonic()
    for pair in sends:
        for which in chance.sample((0, 1), 2):
            begun = time.perf_counter()
            pair[which]()
            times[which].append(1e6 * (time.perf_counter() - begun))
    t, within = welch(*times), paired_t(*times)
    medians = ", ".join(f"{name} {statistics.median(one):.1f} us" for name, one in zip((first, second), times, strict=True))
    remark = f"Welch's t {t:+.2f}, within the pairs {within:+.2f}; medians: {medians}"
    assert abs(t) < MAX_T, remark
    return Figures(2 * len(times[0]), 0, time.monotonic() - started, remarks=[remark])


def welch(first: Sequence[float], second: Sequence[float]) -> float:
    """Welch's t: the difference of the means in units of its standard error."""
    errors = [statistics.variance(one) / len(one) for one in (first, second)]
    return (statistics.fmean(first) - statistics.fmean(second)) / math.sqrt(sum(errors))


def paired_t(first: Sequence[float], second: Sequence[float]) -> float:
    """Student's t of the differences within the pairs, without the largest tenth at either end.

    Shown beside Welch's t: on a busy machine, whose noise both of a pair share, it sees differences of 2 us.
    """
    differences = sorted(one - other for one, other in zip(first, second, strict=True))
    cut = len(differences) // 10
    kept = differences[cut : len(differences) - cut]
    return statistics.fmean(kept) / math.sqrt(statistics.variance(kept) / len(kept))
