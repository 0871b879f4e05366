"""The response that a question continues: its record, if it is the caller's own."""

from __future__ import annotations

from ..audit.format.record import Receipt
from ..security.models import Principal
from ..upstream.call import PreparedCall
from .known_responses import Owner, Responses
from .models import Origin
from .v1_policy import INSTEAD, PREVIOUS
from .v1_refusals import unsupported


def owner_of(call: PreparedCall, principal: Principal, origin: Origin) -> Owner:
    """Of the response to *call*."""
    user = origin.asserted_user
    return call.upstream.address, principal.user_id, user.id if user else None


async def previous_of(call: PreparedCall, principal: Principal, origin: Origin, responses: Responses | None) -> Receipt | None:
    """None: the question continues nothing. Raises InvalidParameter: it is not the caller's."""
    response_id = call.previous_response_id
    if response_id is None:
        return None
    found = await responses.find(owner_of(call, principal, origin), response_id) if responses else None
    if found is None:
        instead = INSTEAD[PREVIOUS].format(call.endpoint.messages)
        raise unsupported(PREVIOUS, f"names no response that was recorded here for you: {instead}.")
    return found
