"""GET /audit/search and /audit/feed: records by their time, model, action and words; new ones."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from ..api.context import AppContext, app_context, request_context
from ..api.dependencies import ServicesDep, bearer_token
from ..api.error_bodies import public_detail
from ..api.schemas import PROBLEM
from ..audit.index.schema import index_path
from ..audit.index.search import Filter, known_names, size_of
from ..errors import AppError, Unavailable
from ..kit.event_stream import KEEP_ALIVE, Event, encode
from ..security.audit_access import Inquiry
from ..security.record_search import RecordSearch, allowed, verify_still_allowed
from ..wiring.services import Services
from .dependencies import InquiryDep
from .filters import OF_A_FEED, PARAMETERS, filter_of
from .summaries import summary_of

LOG = logging.getLogger("app.api")
router = APIRouter(prefix="/audit", tags=["audit"])
CATCH_UP_SECONDS = 2.0
"""How long a search waits for the newest records."""
POLL_SECONDS = 0.4
ALIVE_SECONDS = 10.0
"""So often a silent feed says that it lives."""
MAX_BEHIND = 2_000
"""A feed that is further behind goes on with the newest records, and says how many it left out."""
MAX_FEEDS = 64
"""With exports, in one worker. A principal takes as many as are still free: alone half of them."""
REFUSALS: dict[int | str, dict[str, Any]] = dict.fromkeys((401, 403, 422, 429, 503), PROBLEM)
EVENT = {"event": {"enum": ["record", "skipped", "end"]}, "data": {"type": "string", "description": "A JSON object."}}
EVENTS = {"content": {"text/event-stream": {"schema": {"type": "object", "required": [*EVENT], "properties": EVENT}}}}
"""Of each event."""


def record_search(services: Services) -> RecordSearch:
    return RecordSearch(services.audit_access, index_path(services.settings.audit_log_path))


@router.get(
    "/search",
    summary="Search records; your own, or all with ai.audit.reader",
    responses=REFUSALS,
    openapi_extra={"parameters": PARAMETERS},
)
async def search_records(inquiry: InquiryDep, services: ServicesDep, request: Request) -> Response:
    """Newest first. `more`: there are older ones; ask again with `before` the last number.

    `behind`: so many of the newest records are not in the index yet. `unsigned`: so many were left
    out because no checkpoint covers them yet.
    """
    body = await search_body(app_context(request), inquiry, allowed(inquiry.principal, filter_of(request)))
    return Response(orjson.dumps(body), media_type="application/json")


async def search_body(app: AppContext, inquiry: Inquiry, wanted: Filter) -> dict[str, Any]:
    await caught_up(app)
    result = await record_search(app.services).search(inquiry, wanted)
    found = result.found
    return {
        "records": [summary_of(line) for line in result.lines],
        "count": found.count,
        "more": found.count > len(found.seqs),
        "indexed": found.indexed,
        "behind": max(0, newest(app) - found.indexed),
        "unsigned": result.unsigned,
    }


async def names_body(app: AppContext, user: str | None) -> dict[str, list[str]]:
    path = index_path(app.services.settings.audit_log_path)
    try:
        return await app.services.audit_access.off_the_loop(partial(known_names, path, user))
    except Unavailable:
        return {"models": [], "users": []}


def newest(app: AppContext) -> int:
    """Records that are signed, as far as known."""
    return app.scoreboard.log.size


async def caught_up(app: AppContext) -> None:
    """Wait for the index, but not for long."""
    app.scoreboard.demand.want()
    path, end, wanted = index_path(app.services.settings.audit_log_path), time.monotonic() + CATCH_UP_SECONDS, newest(app)
    while time.monotonic() < end:
        try:
            if await app.services.audit_access.off_the_loop(partial(size_of, path)) >= wanted:
                return
        except Unavailable:
            pass
        await asyncio.sleep(0.05)


@router.get(
    "/feed",
    summary="New records as they come, as server-sent events",
    responses={200: EVENTS, **REFUSALS},
    openapi_extra={"parameters": PARAMETERS[: len(OF_A_FEED)]},
)
async def feed(inquiry: InquiryDep, services: ServicesDep, request: Request) -> Response:
    """Events: `record` (as in a search), `skipped` (a count), `end` (credential or role lost)."""
    app, token = app_context(request), bearer_token(request)
    wanted = allowed(inquiry.principal, filter_of(request, OF_A_FEED))
    closed = taken(request, inquiry.principal.user_id)
    try:
        start = newest(app)
        await record_search(services).open_feed(inquiry, wanted, start)
    except BaseException:
        closed()
        raise
    headers = {"content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no"}
    return Feed(_feed(app, wanted, token, start), closed, headers)


def taken(request: Request, user: str) -> Callable[[], None]:
    """A place among the feeds and exports; the result gives it free. Raises Unavailable."""
    feeds: Counter[str] = request.app.state.feeds
    if feeds.total() + feeds[user] >= MAX_FEEDS:
        raise Unavailable("As many feeds are open as this service allows: close one, or try again later.", retry_after=10)
    feeds[user] += 1

    def closed() -> None:
        nonlocal feeds
        feeds[user] -= 1
        feeds += Counter()  # forgets those who have none

    return closed


class Feed(StreamingResponse):
    """*closed* is called whatever ends it, also before its first byte.

    What breaks off has no last chunk: the caller sees a connection that was cut, and no whole file.
    """

    def __init__(self, content: AsyncIterator[bytes], closed: Callable[[], None], headers: Mapping[str, str]) -> None:
        super().__init__(content, headers=headers)
        self._closed = closed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except AppError as error:
            origin = request_context(Request(scope)).origin
            LOG.warning("request %s: its answer broke off: %s", origin.request_id, public_detail(error))
        finally:
            self._closed()


async def _feed(app: AppContext, wanted: Filter, token: str, at: int) -> AsyncIterator[bytes]:
    access, said = record_search(app.services), time.monotonic()
    try:
        yield KEEP_ALIVE
        while not app.scoreboard.is_stopping:
            verify_still_allowed(await app.services.security.verify_bearer(token), wanted)
            if time.monotonic() - said > ALIVE_SECONDS:
                said = time.monotonic()
                app.scoreboard.demand.want()
                yield KEEP_ALIVE
            end = newest(app)
            if end - at > MAX_BEHIND:
                yield encode(Event(b"skipped", orjson.dumps({"count": end - at - MAX_BEHIND // 10})))
                at = end - MAX_BEHIND // 10
            if end <= at:
                await asyncio.sleep(POLL_SECONDS)
                continue
            page = await access.news(wanted, at, end)
            for line in page.lines:
                record = summary_of(line)
                at = max(at, record["seq"] + 1)
                if _is_wanted(record, wanted):
                    yield encode(Event(b"record", orjson.dumps(record)))
            at = max(at, end if page.next is None else page.next)
    except AppError as error:
        yield encode(Event(b"end", orjson.dumps({"code": error.code, "detail": public_detail(error)})))


def _is_wanted(record: dict[str, Any], wanted: Filter) -> bool:
    return wanted.action in (None, record["action"]) and wanted.model in (None, record["model"])
