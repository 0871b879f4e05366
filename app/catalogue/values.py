"""What a value may be in the policy file and in the settings: bounds, addresses, names, roles.

The checks raise ValueError with the end of a sentence that begins with the name of the setting or
key.
"""

from __future__ import annotations

import ipaddress
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from yarl import URL

from ..kit.postgres_url import is_postgres
from .caps import MAX_PER_MINUTE
from .role_names import MAX_ROLE_LENGTH, is_role

T = TypeVar("T")

PLACEHOLDERS = frozenset({"your_openai_api_key_here", "32_char_random_string_here"})
"""Values of present and older examples, to be replaced before the service starts."""

API_VERSION = "api-version"
"""The one parameter that an address may carry: Azure's, and that of its clients."""
NEVER_SERVER_SIDE = frozenset({"background", "conversation", "prompt"})
"""No record can hold what these do, or the service cannot read what comes of them."""
_APPENDED = re.compile(
    r"/(?:chat/completions|completions|responses|messages(?:/count_tokens)?|embeddings|(?<=/v[0-9]/)models)/*(?=\?|$)"
)
"""What is appended to a base URL. Azure has one that ends in /models, but no version before it."""
_IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_]*"


class ServerAddress(NamedTuple):
    """Where a model's server listens."""

    url: str
    is_tls: bool
    host: str
    """In ASCII; an IPv6 address without its brackets."""
    port: int
    host_header: str
    path: str
    """Without a slash at its end."""
    query: str
    """With its question mark, or empty."""


def server_address(base_url: str) -> ServerAddress:
    """Raises ValueError."""
    url = URL(base_url)
    if url.scheme not in ("http", "https") or not url.raw_host or url.port is None or url.user or url.password:
        raise ValueError("takes http(s)://host/path, without a user")
    path = url.raw_path.rstrip("/")
    query = f"?{url.raw_query_string}" if url.raw_query_string else ""
    plain = str(url.with_path(path, encoded=True, keep_query=True))
    return ServerAddress(plain, url.scheme == "https", url.raw_host, url.port, url.host_port_subcomponent or "", path, query)


def is_key(value: str) -> bool:
    """Whether *value* can be sent as a key, in a header. Empty is no key."""
    return re.fullmatch(r"[\x21-\x7e]*", value) is not None


def of_form(pattern: str, what: str) -> AfterValidator:
    """A check that the whole value matches *pattern*; *what* is the end of the sentence."""

    def verify(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(what)
        return value

    return AfterValidator(verify)


def _verify_http_address(value: str) -> str:
    return _verified_address(value, "http://127.0.0.1:11434/v1")


def _verified_address(value: str, example: str) -> str:
    try:
        parts = urlsplit(value)
        is_address = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and URL(value).host
    except ValueError:  # a port that is no number, a bracket that is never closed, a name that is no host's
        is_address = False
    if not is_address or re.search(r"[\s\x00-\x1f\x7f]", value):
        raise ValueError(f"takes an address such as {example}")
    if "@" in parts.netloc:  # addresses are logged, and this one would hold a password
        raise ValueError("takes an address without a user name: keys have settings of their own")
    return value


def _verify_base_url(value: str) -> str:
    """Azure's addresses end in ?api-version=…, which stays at the end of every path."""
    query = value.partition("?")[2]
    if "#" in value or (query and not re.fullmatch(API_VERSION + r"=[\w.-]+", query)) or value.endswith("?"):
        raise ValueError(f"takes an address with no parameter but ?{API_VERSION}=…, because paths are appended to it")
    _verify_http_address(value)
    if appended := _APPENDED.search(value):
        raise ValueError(f"takes an address to which {appended[0].rstrip('/')} is appended: write {_APPENDED.sub('', value)}")
    return value


def _verify_public_url(value: str) -> str:
    """It stands in headers, and paths are appended to it."""
    if not re.fullmatch(r"[!$-;=@-\[\]_a-z~]+", value):
        raise ValueError("takes an address such as https://ai.example.com, without ? and #")
    return _verified_address(value, "https://ai.example.com").rstrip("/")


def _verify_network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        raise ValueError("takes addresses or networks such as 10.0.0.0/8, separated by commas") from None
    return value


def _verify_role(value: str) -> str:
    if not is_role(value):
        raise ValueError(f"takes roles of a-z and dots, such as ai.playground.user, of at most {MAX_ROLE_LENGTH} characters")
    return value


def _verify_not_empty(value: list[T]) -> list[T]:
    if not value:
        raise ValueError("is empty, so nobody could use the model: name at least one, or leave the key out for all")
    return value


def _verify_server_side(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_:.-]{0,99}", value) or value in NEVER_SERVER_SIDE:
        never = ", ".join(sorted(NEVER_SERVER_SIDE))
        raise ValueError(f"takes names such as mcp, code_interpreter or previous_response_id, and never {never}")
    return value


def _as_float(value: object) -> object:
    """TOML's numbers with a point are read as Decimal, because some of them are money."""
    return float(value) if isinstance(value, Decimal) else value


def _verify_database_url(value: str) -> str:
    if sqlite_path(value) is None and not is_postgres(value):
        raise ValueError("takes sqlite+aiosqlite:///path/to/file, without options, or postgresql://user@host/database")
    return value


def sqlite_path(url: str) -> Path | None:
    """The absolute path that a SQLAlchemy URL of aiosqlite names; None for every other URL."""
    match = re.fullmatch(r"sqlite\+aiosqlite:///([^?]+)", url)
    database = unquote(match[1]) if match else ""
    return Path(database).absolute() if database and database != ":memory:" and "\0" not in database else None


BaseUrl = Annotated[str, AfterValidator(_verify_base_url)]
PublicUrl = Annotated[str, AfterValidator(_verify_public_url)]
"""http(s)://host, maybe with a path; no slash at its end."""
ServerSideName = Annotated[str, AfterValidator(_verify_server_side)]
"""A tool that runs on a model's server, or what is kept there."""
HeaderName = Annotated[str, of_form(r"([A-Za-z0-9-]{1,100})?", "takes the name of one header, such as X-User")]
LogName = Annotated[str, of_form(r"[^\s+]{0,200}", "takes at most 200 characters without spaces and without +")]
"""C2SP signed-note: a key name holds neither white space nor a plus sign."""
NodeName = Annotated[str, of_form(r"[A-Za-z0-9._-]{0,63}", "takes at most 63 letters, digits, dots, dashes and underscores")]
DatabaseUrl = Annotated[str, AfterValidator(_verify_database_url)]
VariableName = Annotated[
    str, of_form(_IDENTIFIER, "takes the name of an environment variable, such as OPENAI_API_KEY, and never the key itself")
]
ParamName = Annotated[str, of_form(_IDENTIFIER, "takes names of parameters such as logit_bias, separated by commas")]
Network = Annotated[str, AfterValidator(_verify_network)]
Name = Annotated[str, of_form(r"[\x21-\x7e]{1,200}", "takes a name of 1 to 200 visible ASCII characters, without spaces")]
Role = Annotated[str, AfterValidator(_verify_role)]
NonEmpty = Annotated[list[T], AfterValidator(_verify_not_empty)]

BodyBytes = Annotated[int, Field(ge=1024, le=1 << 30)]
"""At least 1 KiB, so that a short question fits; at most 1 GiB, as memory holds the body."""
MessageCount = Annotated[int, Field(ge=1, le=1_000_000)]
CharacterCount = Annotated[int, Field(ge=1, le=1 << 30)]
"""No more than a body of the largest size can hold."""
TokenCount = Annotated[int, Field(ge=1, le=1_000_000)]
MAX_CONTEXT_TOKENS = 1_000_000_000
ContextTokens = Annotated[int, Field(ge=1, le=MAX_CONTEXT_TOKENS)]
TokenParam = Literal["max_tokens", "max_completion_tokens"]
PerMinute = Annotated[int, Field(ge=1, le=MAX_PER_MINUTE)]
Real = BeforeValidator(_as_float)
Seconds = Annotated[float, Real, Field(gt=0, le=3600)]
"""For an answer that is not streamed, and for the silence of a stream."""
StreamSeconds = Annotated[float, Real, Field(gt=0, le=86_400)]
OverCap = Literal["refuse", "clamp"]
"""What to do with a request for more tokens than the ceiling."""
