"""How a member of a /v1 body is refused: by its name, with what to do instead."""

from __future__ import annotations

from ..errors import InvalidParameter
from ..kit.secret_look import masked

MAX_SHOWN = 100


def unsupported(param: str, what: str) -> InvalidParameter:
    return InvalidParameter(param, what, reason="unsupported_parameter")


def wrong_type(name: str, wanted: str) -> InvalidParameter:
    return InvalidParameter(name, f"is not {wanted}.", reason="invalid_type")


def missing(name: str, what: str) -> InvalidParameter:
    return InvalidParameter(name, f"is missing: {what}.", reason="missing_required_parameter")


def foreign(place: str) -> InvalidParameter:
    return unsupported(place, "names content on the model's server that no record here holds: send the content itself.")


def shown(name: str) -> str:
    """A member's name as a body and a record may show it: short, printable, and never a secret."""
    return masked(name, MAX_SHOWN)
