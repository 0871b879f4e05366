"""What can help after an error: the same again, another model, nothing; and whose fault it is."""

from __future__ import annotations

from ...errors import UpstreamError, UpstreamTimeout, UpstreamUnavailable
from ..attempts import REFUSING, Try
from ..errors import UpstreamRefused

IDLE_CLOSE = "idle_close"
TOO_MANY_REQUESTS = 429
OVERLOADED = frozenset({TOO_MANY_REQUESTS, *REFUSING})


class BreakerOpen(UpstreamUnavailable):
    """The server was not asked, because it failed again and again."""

    detail = "The model's server has failed several times in a row and is not asked for a moment. Try again later."


def may_retry(error: UpstreamError, asked: Try, *, after_generation: bool) -> bool:
    """Whether the same question may be answered if it is sent again, and may be sent twice."""
    return isinstance(error, UpstreamUnavailable) and (asked.is_free or after_generation)


def may_fall_back(error: UpstreamError) -> bool:
    """Whether another model may answer: not where the request itself is wrong.

    A server that does not know its own model answers with 404.
    """
    return not isinstance(error, UpstreamRefused) or error.status == 404


def is_servers_fault(error: UpstreamError, asked: Try) -> bool:
    """Whether the server is in a bad state. Too many requests are the fault of who sends them."""
    is_bad = isinstance(error, UpstreamUnavailable | UpstreamTimeout) or type(error) is UpstreamError
    return is_bad and asked.status != TOO_MANY_REQUESTS


def is_overload(error: UpstreamError, asked: Try) -> bool:
    """Whether the server says that it is asked too much at once."""
    return isinstance(error, UpstreamUnavailable) and asked.status in OVERLOADED
