"""How long an answer may be: the ceiling, the default, and the name that the server honours."""

from __future__ import annotations

from typing import Any

from ..catalogue.caps import OutputLimit
from ..errors import InvalidParameter
from ..upstream.call import Clamped
from ..upstream.protocol.endpoint import Endpoint
from ..upstream.protocol.members import MAX_TOKENS
from .v1_refusals import wrong_type

MAX_CHOICES = 128


def cap_tokens(
    endpoint: Endpoint, params: dict[str, Any], limit: OutputLimit, token_param: str | None, messages: Any = None
) -> Clamped | None:
    """Hold *params* to *limit*, for all answers to *messages* together. Raises InvalidParameter.

    *token_param*: the only name that the server honours; None: it takes the caller's. What is
    lowered stays in *params* as it was asked for, for the record.
    """
    if not endpoint.token_caps:
        return None
    choices = len(messages) if endpoint.answers_each and _is_batch(messages) else 1
    if choices > limit.most:
        raise InvalidParameter(endpoint.messages, f"has more entries than the {limit.most} tokens that you may get.")
    if params.get("n") is not None:
        wanted_choices = _verify_count(params["n"], "n")
        _verify_most(wanted_choices, "n", min(MAX_CHOICES, limit.most // choices))
        choices *= wanted_choices
    most = limit.most // choices
    asked = {name: _verify_count(params[name], name) for name in endpoint.token_caps if params.get(name) is not None}
    above = [name for name, count in asked.items() if count > most]
    if above and (len(above) > 1 or not limit.clamps or asked[above[0]] > MAX_TOKENS):  # no record could hold it
        _verify_most(asked[above[0]], above[0], most)
    wanted = token_param if token_param in endpoint.token_caps else None
    name = wanted or next(iter(above or asked), endpoint.token_caps[0])
    if not asked:
        if limit.default:
            params[name] = min(limit.default, most)
        return None
    if wanted is not None and asked.keys() != {wanted}:
        for other in asked:
            del params[other]
        params[name] = asked[name] = min(asked.values())
    return Clamped(name, asked[name], most) if asked[name] > most else None


def _is_batch(messages: Any) -> bool:
    """Whether there are several prompts: a list of numbers is one, in tokens."""
    return isinstance(messages, list) and type(messages[0]) is not int


def _verify_count(value: Any, name: str) -> int:
    if type(value) is not int:
        raise wrong_type(name, "a whole number")
    if value < 1:
        raise InvalidParameter(name, "must be 1 or more.", reason="integer_below_min_value")
    return value


def _verify_most(value: int, name: str, most: int) -> None:
    if value > most:
        what = f"is at most {most} for you here (all choices together)."
        raise InvalidParameter(name, what, reason="integer_above_max_value")
