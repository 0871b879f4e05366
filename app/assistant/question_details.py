"""What `ask.received` holds of a question, and of who asks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..audit.format.record import Receipt
from ..security.models import Principal
from ..upstream.call import PreparedCall
from .models import Origin


def details_of(
    call: PreparedCall,
    principal: Principal,
    origin: Origin,
    previous: Receipt | None,
    reserved: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """*previous*: the record of the answer that the question continues. *reserved*: of budgets."""
    return {
        **call.asked,
        "roles": list(principal.roles),
        "model": call.model,
        "address": origin.address,
        **call.digests,
        **({"policy": call.policy} if call.policy else {}),
        **({"client_request_id": origin.client_request_id} if origin.client_request_id else {}),
        **({"trace_id": origin.trace.trace_id} if origin.trace else {}),
        **({"asked_model": call.asked_model} if call.asked_model is not None else {}),
        **({"clamped": asdict(call.clamped)} if call.clamped else {}),
        **({"previous": previous._asdict()} if previous else {}),
        **asserted_user(origin),
        **({"claimed_user": origin.claimed_user.members()} if origin.claimed_user else {}),
        **({"reserved": reserved} if reserved else {}),
        "credential": principal.credential,
    }


def asserted_user(origin: Origin) -> dict[str, Any]:
    user = origin.asserted_user
    return {"asserted_user": user.members()} if user else {}
