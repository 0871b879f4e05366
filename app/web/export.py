"""GET /audit/export: all records that a filter finds, as one file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from io import StringIO
from typing import Literal, cast, get_args

from fastapi import APIRouter, Request, Response

from ..api.context import AppContext, app_context
from ..api.dependencies import ServicesDep
from ..errors import InvalidRequest, Unavailable
from ..security.record_search import allowed
from .dependencies import InquiryDep
from .filters import OF_AN_EXPORT, PARAMETERS, filter_of
from .records import REFUSALS, Feed, caught_up, newest, record_search, taken

router = APIRouter(prefix="/audit", tags=["audit"])
Format = Literal["jsonl", "csv", "ocsf"]
FORMATS = get_args(Format)
KINDS = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8", "ocsf": "application/x-ndjson"}
AT_ONCE = 64
"""Records that are read together, off the loop."""
FORMAT = {"name": "format", "in": "query", "schema": {"type": "string", "enum": [*FORMATS, ""], "default": "jsonl"}}
FILES = {"content": {kind: {"schema": {"type": "string"}} for kind in sorted(set(KINDS.values()))}}


@router.get(
    "/export",
    summary="All records that a filter finds, oldest first; your own, or all with ai.audit.reader",
    responses={200: FILES, **REFUSALS},
    openapi_extra={"parameters": [*PARAMETERS[:6], FORMAT]},
)
async def export(inquiry: InquiryDep, services: ServicesDep, request: Request) -> Response:
    """`jsonl`: the stored lines, byte for byte. `x-records`: how many; at most 100,000.

    One `audit.read` before the first byte, with the filter; none for your own.
    """
    app, form = app_context(request), request.query_params.get("format") or "jsonl"
    if form not in FORMATS:
        raise InvalidRequest(f"format is one of {', '.join(FORMATS)}.")
    wanted = allowed(inquiry.principal, filter_of(request, OF_AN_EXPORT))
    closed = taken(request, inquiry.principal.user_id)
    try:
        end = newest(app)
        await caught_up(app)
        seqs = await record_search(services).open_export(inquiry, wanted, form, end)
    except BaseException:
        closed()
        raise
    headers = {"content-type": KINDS[form], "cache-control": "no-store", "x-records": str(len(seqs))}
    return Feed(_written(app, cast(Format, form), seqs), closed, headers)


async def _written(app: AppContext, form: Format, seqs: list[int]) -> AsyncIterator[bytes]:
    """Ends in an error, not in order, where a record cannot be read any more."""
    access, origin = record_search(app.services), app.services.evidence.vkey.name

    def piece(start: int) -> bytes:
        wanted = seqs[start : start + AT_ONCE]
        lines = list(access.lines(wanted))
        if len(lines) < len(wanted):
            raise Unavailable("The log was replaced meanwhile.")
        return _rows(form, lines, origin, names=not start)

    for start in range(0, max(1, len(seqs)), AT_ONCE):
        yield await access.access.off_the_loop(partial(piece, start))


def _rows(form: Format, lines: list[bytes], origin: str, *, names: bool) -> bytes:
    from ..admin.export_records import line_of  # late: few processes ever export
    from ..telemetry.siem.columns import write_csv  # late: as above
    from ..telemetry.siem.ocsf import Chain  # late: as above
    from ..telemetry.siem.record import LoggedRecord  # late: as above

    records = [LoggedRecord.read(line) for line in lines]
    if form != "csv":
        return b"".join(line_of(form, record, Chain(origin)) + b"\n" for record in records)
    text = StringIO()
    write_csv(records, text, names=names)
    return text.getvalue().encode("utf-8", "replace")
