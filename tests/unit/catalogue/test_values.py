"""What a value in the models file or the settings may be."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from app.catalogue.values import BaseUrl, Name, NonEmpty, PublicUrl, Role, ServerAddress, VariableName, server_address
from app.upstream.protocol.chat import CHAT
from app.upstream.protocol.completions import COMPLETIONS
from app.upstream.protocol.count_tokens import COUNT_TOKENS
from app.upstream.protocol.embeddings import EMBEDDINGS
from app.upstream.protocol.messages import MESSAGES
from app.upstream.protocol.responses import RESPONSES

from ...support.tables import for_each

PATHS = [one.path for one in (CHAT, COMPLETIONS, RESPONSES, MESSAGES, COUNT_TOKENS, EMBEDDINGS)]


def sentence(kind: Any, value: object) -> str | None:
    """How *value* is refused; None if it is taken as it is."""
    try:
        assert TypeAdapter(kind).validate_python(value) == value
    except ValidationError as error:
        (problem,) = error.errors()
        return problem["msg"].removeprefix("Value error, ")
    return None


@pytest.mark.parametrize("value", ["http://127.0.0.1:11434/v1", "https://[::1]/", "https://models.example.com"])
def test_an_address_of_http_is_taken(value: str) -> None:
    assert sentence(BaseUrl, value) is None


@for_each(
    "value",
    [
        "",
        "host:80",
        "ftp://h/v1",
        "http:///v1",
        "http://h:port/",
        "http://h:0/",
        "http://h:99999/v1",
        "nowhere",
        "http://[::1/",
        "http://h/a b",
        "http://h/\n",
    ],
)
def test_an_address_of_something_else_is_refused(value: str) -> None:
    assert sentence(BaseUrl, value) == "takes an address such as http://127.0.0.1:11434/v1"


def test_an_address_with_a_password_is_refused_without_it() -> None:
    found = sentence(BaseUrl, "http://me:planted@host/v1")
    assert found is not None
    assert found.startswith("takes an address without a user name")
    assert "planted" not in found


@pytest.mark.parametrize(
    "value", ["https://x.openai.azure.com/openai/deployments/gpt-4o?api-version=2024-10-21", "http://h?api-version=v1"]
)
def test_a_base_url_may_end_in_azures_version(value: str) -> None:
    assert sentence(BaseUrl, value) is None


@pytest.mark.parametrize(
    "query", ["?", "?key=b", "?api-version", "?api-version=", "?api-version=1&key=b", "?api-version=a/b", "#b"]
)
def test_a_base_url_carries_no_other_parameter(query: str) -> None:
    assert (sentence(BaseUrl, "http://h/v1" + query) or "").startswith("takes an address with no parameter but ?api-version=")


@pytest.mark.parametrize("path", ["/models", *PATHS])
def test_a_base_url_does_not_end_in_what_is_appended_to_it(path: str) -> None:
    for rest in ("", "/", "?api-version=1"):
        right = "https://h.example/v1" + rest.strip("/")
        told = f"takes an address to which {path} is appended: write {right}"
        assert sentence(BaseUrl, f"https://h.example/v1{path}{rest}") == told
        assert sentence(BaseUrl, right) is None
    assert (sentence(BaseUrl, f"http://me:planted@h/v1{path}") or "").startswith("takes an address without a user name")


@pytest.mark.parametrize(
    "value", ["https://x.services.ai.azure.com/models", "http://h/messages/v1", "http://h/openai/responses2"]
)
def test_a_base_url_may_hold_such_a_word(value: str) -> None:
    assert sentence(BaseUrl, value) is None


@pytest.mark.parametrize(("kind", "good"), [(Name, "org/Model-7B"), (VariableName, "Lab_Key2"), (Role, "ai.research")])
def test_a_name_is_checked_to_its_last_character(kind: Any, good: str) -> None:
    assert sentence(kind, good) is None
    for bad in ("", good + "\n", " " + good, good + "\u00e9", good * 100):
        if kind is not VariableName or bad != good * 100:  # which has no longest one
            assert sentence(kind, bad), bad


def test_an_empty_list_is_refused() -> None:
    assert sentence(NonEmpty[Role], ["a", "b"]) is None
    assert (sentence(NonEmpty[Role], []) or "").startswith("is empty, so nobody could use the model")


@pytest.mark.parametrize("value", ["https://ai.example.com", "http://127.0.0.1:8000", "https://[::1]:8443/ai", "https://h/a/~b"])
def test_a_public_address_is_taken_without_a_slash_at_its_end(value: str) -> None:
    assert sentence(PublicUrl, value) is None
    assert TypeAdapter(PublicUrl).validate_python(value + "/") == value


@for_each(
    "value",
    [
        *("", "ai.example.com", "ftp://h", "https://", "https://h?", "https://h/?a=b", "https://h#a", "https://me:p@h"),
        *('https://h/"', "https://h/\\", "https://h/ a", "https://h\r\nX: y", "https://\xfcber.example", "https://h:0"),
    ],
)
def test_a_public_address_that_no_header_can_hold_is_refused(value: str) -> None:
    found = sentence(PublicUrl, value) or ""
    assert found.startswith(("takes an address such as https://ai.example.com", "takes an address without a user name"))


ADDRESSES = {
    "http://127.0.0.1:11434/v1/": ("http://127.0.0.1:11434/v1", False, "127.0.0.1", 11434, "127.0.0.1:11434", "/v1", ""),
    "https://H.example:443//": ("https://h.example", True, "h.example", 443, "h.example", "", ""),
    "http://[::1]:8080": ("http://[::1]:8080", False, "::1", 8080, "[::1]:8080", "", ""),
    "https://stra\u00dfe.de/a b?api-version=1": (
        *("https://xn--strae-oqa.de/a%20b?api-version=1", True, "xn--strae-oqa.de", 443, "xn--strae-oqa.de"),
        *("/a%20b", "?api-version=1"),
    ),
}


@for_each("url", ADDRESSES)
def test_an_address_is_taken_apart_as_a_connection_needs_it(url: str) -> None:
    assert server_address(url) == ServerAddress(*ADDRESSES[url])


@for_each("url", ["ftp://h/v1", "http:///v1", "http://me@h/v1", "http://h:x/v1", "http://[::1", "v1", ""])
def test_what_is_no_address_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        server_address(url)
