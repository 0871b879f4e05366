"""GET /usage: questions, tokens, money, refusals and times, by day, principal or model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from ..api.context import AppContext, app_context
from ..api.dependencies import Proven
from ..api.schemas import PROBLEM
from ..audit.index.schema import index_path
from ..audit.index.sums import BY, refusals, sums, unpriced
from ..catalogue.models import Catalogue
from ..catalogue.prices import cost, decimal_text
from ..errors import InvalidRequest
from ..security.record_search import whose_sums
from .filters import DAY, USER, day_of, user_of
from .records import caught_up

router = APIRouter(tags=["usage"])
DAYS = 30
PARAMETERS: list[dict[str, Any]] = [
    {"name": "by", "in": "query", "schema": {"type": "string", "enum": sorted(BY), "default": "day"}},
    {"name": "user", "in": "query", "schema": USER, "description": "Another's need ai.audit.reader or ai.admin."},
    {"name": "since", "in": "query", "schema": DAY, "description": "The first day, in UTC; 30 days ago if left out."},
    {"name": "until", "in": "query", "schema": DAY, "description": "The last day; today if left out."},
]


@dataclass(frozen=True, slots=True)
class Span:
    """Whose sums (None: of all), from which day to which day, both included."""

    user: str | None
    since: str
    until: str


@router.get(
    "/usage",
    summary="Sums of your questions; of all with ai.audit.reader or ai.admin",
    responses=dict.fromkeys((401, 403, 422, 429, 503), PROBLEM),
    openapi_extra={"parameters": PARAMETERS},
)
async def usage(principal: Proven, request: Request) -> Response:
    """`money` is decimal text: what the records say, else the tokens at the prices of today."""
    by = request.query_params.get("by", "day")
    if by not in BY:
        raise InvalidRequest(f"by is one of {', '.join(sorted(BY))}.")
    app = app_context(request)
    span = span_of(request, whose_sums(principal, user_of(request.query_params.get("user"))))
    await caught_up(app)
    body = {"by": by, "currency": _catalogue(app).currency, "rows": await rows_of(app, by, span)}
    return Response(orjson.dumps({**body, "refusals": await refusals_of(app, span)}), media_type="application/json")


def span_of(request: Request, user: str | None) -> Span:
    """Raises InvalidRequest."""
    today = datetime.now(UTC).date()
    since = day_of(request, "since", (today - timedelta(days=DAYS - 1)).isoformat())
    return Span(user, since, day_of(request, "until", today.isoformat()))


async def rows_of(app: AppContext, by: str, span: Span) -> list[dict[str, Any]]:
    """One for each day, principal or model that there is."""
    found = await _read(app, span, sums, by)
    estimated = _priced(await _read(app, span, unpriced, by), _catalogue(app))
    for row in found:
        nano = row.pop("nano")
        row["money"] = decimal_text(nano + estimated[row["name"]])
        row["is_estimated"] = estimated[row["name"]] > 0
    return found


async def refusals_of(app: AppContext, span: Span) -> list[dict[str, Any]]:
    return await _read(app, span, refusals)


async def _read(app: AppContext, span: Span, what: Callable[..., list[Any]], *by: str) -> list[Any]:
    path = index_path(app.services.settings.audit_log_path)
    read = partial(what, path, *by, user=span.user, since=span.since, until=span.until)
    return await app.services.audit_access.off_the_loop(read)


def _priced(unpriced_tokens: list[tuple[str, str, int, int]], catalogue: Catalogue) -> Counter[str]:
    """10^-9 of the currency at the prices of today, by the first member."""
    money = Counter[str]()
    for name, model, input_tokens, output_tokens in unpriced_tokens:
        price = catalogue.prices.get(model)
        if price is not None:
            money[name] += cost(price, input_tokens, output_tokens)
    return money


def _catalogue(app: AppContext) -> Catalogue:
    return app.services.assistant.v1_requests.catalogue
