"""GET /audit/…: the signed checkpoint, the tree as C2SP tlog-tiles, records and their receipts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from ...audit.evidence.reader import MAX_LINES
from ...audit.format.tiles import ENTRIES, Tile
from ...errors import InvalidRequest, NotFound, VerificationFailed
from ...security.audit_access import AuditAccess, Inquiry
from ..context import request_context
from ..dependencies import Auditor, Proven, ServicesDep
from ..schemas import PROBLEM, SEQ_DIGITS, BundleAddress, RecordNumber, TileAddress

router = APIRouter(prefix="/audit", tags=["audit"], default_response_class=Response)
TEXT: dict[str, Any] = {"content": {"text/plain": {"schema": {"type": "string"}}}}
BYTES: dict[str, Any] = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
LINE: dict[str, Any] = {"content": {"application/json": {"schema": {"type": "object"}}}}
LINES: dict[str, Any] = {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}
PARAMETERS = [
    {"name": "from", "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": 10**SEQ_DIGITS - 1, "default": 0}},
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LINES, "default": 100}},
]
DEFAULT_LINES = 100
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
"""A tile never changes: one of another width has another address."""


def responses(ok: dict[str, Any], *refusals: int) -> dict[int | str, dict[str, Any]]:
    return {200: ok, **dict.fromkeys(refusals, PROBLEM)}


async def audit_access_of(services: ServicesDep) -> AuditAccess:
    return services.audit_access


AuditAccessDep = Annotated[AuditAccess, Depends(audit_access_of)]


@router.get("/checkpoint", summary="The signed checkpoint of the log (C2SP tlog-checkpoint)", responses=responses(TEXT, 503))
async def checkpoint(audit_access: AuditAccessDep) -> Response:
    """Keep it. It shows later whether the log of that moment is still the beginning of this one."""
    return Response(await audit_access.checkpoint(), media_type="text/plain")


@router.get("/vkey", summary="The key that verifies the checkpoint (C2SP signed-note)", responses=responses(TEXT))
async def vkey(services: ServicesDep) -> Response:
    return Response(f"{services.evidence.vkey.text()}\n", media_type="text/plain")


@router.get(
    "/tile/entries/{address:path}",
    summary="An entry bundle (C2SP tlog-tiles); needs ai.audit.reader",
    responses=responses(BYTES, 401, 403, 404, 429, 503),
)
async def bundle(principal: Auditor, audit_access: AuditAccessDep, request: Request, address: BundleAddress) -> Response:
    data = await audit_access.bundle(_inquiry(request, principal), tile_of(request))
    return Response(data, media_type="application/octet-stream")


@router.get(
    "/tile/{address:path}", summary="A hash tile (C2SP tlog-tiles): <L>/<N>[.p/<W>]", responses=responses(BYTES, 404, 503)
)
async def tile(audit_access: AuditAccessDep, request: Request, address: TileAddress) -> Response:
    """Each record holds 128 random bits, so the hashes reveal only the number of records."""
    wanted = tile_of(request)
    if wanted.level == ENTRIES:
        raise NotFound
    return Response(await audit_access.tile(wanted), media_type="application/octet-stream", headers=FOREVER)


@router.get(
    "/entries",
    summary="Records, as they are stored; your own, or all with ai.audit.reader",
    responses=responses(LINES, 401, 422, 429, 503),
    openapi_extra={"parameters": PARAMETERS},
)
async def entries(principal: Proven, audit_access: AuditAccessDep, request: Request) -> Response:
    """One JSON document per line. Where there may be more, a Link header (RFC 8288) says where."""
    start, limit = range_of(request)
    page = await audit_access.page(_inquiry(request, principal), start, limit)
    headers = {} if page.next is None else {"Link": f'</audit/entries?from={page.next}&limit={limit}>; rel="next"'}
    return Response(b"".join(page.lines), media_type="application/x-ndjson", headers=headers)


@router.get("/entries/{seq}", summary="One record: the exact bytes of its line", responses=responses(LINE, 401, 404, 429, 503))
async def entry(principal: Proven, audit_access: AuditAccessDep, request: Request, seq: RecordNumber) -> Response:
    """The SHA-256 of the bytes before `,"hash":"` is the record's hash."""
    line = await audit_access.entry(_inquiry(request, principal), parse_seq(seq))
    return Response(line, media_type="application/json")


@router.get("/receipts/{seq}", summary="A record's receipt (C2SP tlog-proof)", responses=responses(TEXT, 401, 404, 429, 503))
async def receipt(principal: Proven, audit_access: AuditAccessDep, request: Request, seq: RecordNumber) -> Response:
    """Proof that the record is in the signed log.

    `audit verify-receipt FILE --vkey FILE` checks it offline.
    """
    proof = await audit_access.receipt(_inquiry(request, principal), parse_seq(seq))
    return Response(proof, media_type="text/plain")


def _inquiry(request: Request, principal: Proven) -> Inquiry:
    origin = request_context(request).origin
    return Inquiry(principal, origin.request_id, origin.address)


def tile_of(request: Request) -> Tile:
    """The tile that the address names. Raises NotFound for any other spelling of it."""
    try:
        return Tile.parse(request.scope["path"].partition("/audit/tile/")[2])  # the router's `address` lacks a final newline
    except VerificationFailed as error:
        raise NotFound(error.detail) from None


def parse_seq(text: str) -> int:
    """The number of a record. Raises NotFound for any other spelling of it."""
    if not _is_number(text):
        raise NotFound("A record is named by its number, in decimal digits.")
    return int(text)


def range_of(request: Request) -> tuple[int, int]:
    """`from` and `limit`. Raises InvalidRequest."""
    given = request.query_params.multi_items()
    values = dict(given)
    if len(values) != len(given) or not set(values) <= {"from", "limit"} or not all(map(_is_number, values.values())):
        raise InvalidRequest("The parameters are from and limit, each at most once, each a number in decimal digits.")
    limit = int(values.get("limit", DEFAULT_LINES))
    if not 1 <= limit <= MAX_LINES:
        raise InvalidRequest(f"The limit is from 1 to {MAX_LINES}.")
    return int(values.get("from", 0)), limit


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= SEQ_DIGITS and (text == "0" or text[0] != "0")
