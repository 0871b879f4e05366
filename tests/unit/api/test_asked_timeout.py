"""How long a caller waits: x-request-timeout, and what OpenAI's and Anthropic's SDKs send."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from app.api.asked_timeout import OURS, SDK, asked_timeout
from app.api.http_errors import InvalidTimeout


def timeout(*headers: tuple[str, str]) -> float | None:
    return asked_timeout(
        Request({"type": "http", "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers]})
    )


@pytest.mark.parametrize("value", ["30", "2.5", "0.001", "007"])
@pytest.mark.parametrize("name", [OURS, SDK])
def test_seconds_are_a_decimal_number(name: str, value: str) -> None:
    assert timeout((name, value)) == float(value)


def test_none_is_asked_for_by_most() -> None:
    assert timeout(("accept", "*/*")) is None


def test_the_smaller_one_of_both_counts() -> None:
    assert timeout((OURS, "30"), (SDK, "600.0")) == 30
    assert timeout((OURS, "700"), (SDK, "600")) == 600


@pytest.mark.parametrize(
    "value", ["", "0", "0.0", "-1", "-inf", "1s", "nan", "Infinity", "1,5", " 5", "\xb2", "1_0", "0x1", "1e", "1e-999", "9" * 40]
)
@pytest.mark.parametrize("name", [OURS, SDK])
def test_a_wrong_form_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidTimeout) as caught:
        timeout((name, value))
    assert (caught.value.code, caught.value.param) == ("invalid_timeout", name)


def test_a_header_that_is_sent_twice_is_refused() -> None:
    with pytest.raises(InvalidTimeout):
        timeout((OURS, "5"), (OURS, "5"))


@pytest.mark.parametrize("value", [600, 20, 20.5, 1e-05, 1e3, 1e20, 1e300, float("inf")])
@pytest.mark.parametrize("name", [OURS, SDK])
def test_what_pythons_numbers_look_like_is_read(name: str, value: float) -> None:
    """As an SDK writes them. What is longer than the deadline changes nothing."""
    assert timeout((name, str(value))) == value
