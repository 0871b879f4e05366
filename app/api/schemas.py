"""The bodies of the public contract. No other file of app.api uses pydantic."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from ..assistant.models import Answer
from ..audit.format.record import Receipt
from ..audit.format.tiles import ADDRESS
from ..errors import InvalidRequest
from ..security.models import NEVER, Principal
from ..settings import Settings
from ..upstream.completion import Usage
from .receipts import receipt_member


def _sayable(value: str) -> str:
    if not value.strip():
        raise ValueError("is only white space")
    if "\x00" in value:
        raise ValueError("holds U+0000")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("holds a lone surrogate") from None
    return value


SAYABLE = r"^[^\u0000]*[^\u0000\t-\r\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000][^\u0000]*$"
"""What `_sayable` takes, in words of JSON Schema: some character that is no white space."""

SEQ_DIGITS = 18
RecordNumber = Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^(0|[1-9][0-9]{{0,{SEQ_DIGITS - 1}}})$"})]
TileAddress = Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^{ADDRESS.pattern}$"})]
BundleAddress = Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^{ADDRESS.pattern.partition('/')[2]}$"})]
"""Described only: any other spelling is an address at which there is nothing."""


class AskRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    query: Annotated[str, Field(min_length=1, max_length=2000, json_schema_extra={"pattern": SAYABLE}), AfterValidator(_sayable)]
    """1 to 2,000 Unicode code points."""


def read_ask(document: Any) -> AskRequest:
    """The request in a parsed body. Raises InvalidRequest, which repeats no piece of *document*."""
    try:
        return AskRequest.model_validate(document)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
    kind = problem["type"]
    if not problem["loc"]:
        raise InvalidRequest('Send one JSON object: {"query": "…"}.')
    if kind == "missing":
        raise InvalidRequest("The member query is missing.")
    if kind == "extra_forbidden":
        raise InvalidRequest("The only member is query.")
    reasons = {
        "string_type": "is not a string",
        "string_unicode": "holds a lone surrogate",
        "string_too_short": "is empty",
        "string_too_long": "is longer than 2,000 characters",
    }
    raise InvalidRequest(f"The query {reasons.get(kind, str(problem['msg']).removeprefix('Value error, '))}.")


class UsageBody(BaseModel):
    input_tokens: int
    output_tokens: int


class ReceiptBody(BaseModel):
    seq: int = Field(description="The number of the answer's record in the audit log.")
    hash: str = Field(description="Its SHA-256, 64 hex digits. Keep both: audit verify --receipt SEQ:HASH.")


class AskResponse(BaseModel):
    answer: str
    model: str
    usage: UsageBody | None = Field(description="Tokens as the model's server counted them; null if it did not.")
    request_id: str
    receipt: ReceiptBody
    finish_reason: str | None = Field(
        None, description="Only where the answer was cut off: length (LLM_MAX_TOKENS was reached) or another word of the server."
    )


class BudgetBody(BaseModel):
    id: str = Field(description="Such as principal=alice/day/money.")
    per: str = Field(description="minute, day or month.")
    period: str = Field(description="The present one, such as 2026-11-26.")
    unit: str = Field(description="tokens, or the currency.")
    most: int | str = Field(description="What it has for the period, with what was added: tokens, or money as decimal text.")
    spent: int | str
    reserved: int | str = Field(description="By questions in progress.")
    left: int | str
    begins_anew: str


class BudgetsBody(BaseModel):
    budgets: list[BudgetBody]


class TokenResponse(BaseModel):
    """RFC 6749, section 5.1."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - a scheme, not a secret
    expires_in: int = Field(description="Seconds.")
    scope: str


class IntrospectionResponse(BaseModel):
    """RFC 7662, section 2.2. Of a token or key that is not active, `active` is the only member."""

    active: bool
    scope: str | None = Field(None, description="The roles that it gives now, separated by spaces.")
    client_id: str | None = None
    token_type: str | None = None
    exp: int | None = Field(None, description="Unix seconds; not there for a key without an end.")
    sub: str | None = None
    aud: str | None = None
    iss: str | None = None
    jti: str | None = Field(None, description="Of a token its jti, of a key its id.")
    credential: str | None = Field(None, description="As records name it: token:JTI or key:ID.")


class AuthorizationServer(BaseModel):
    """RFC 8414, section 2."""

    issuer: str
    token_endpoint: str
    scopes_supported: list[str]
    response_types_supported: list[str] = Field(description="Empty: there is no authorization endpoint.")
    grant_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    revocation_endpoint: str
    revocation_endpoint_auth_methods_supported: list[str]
    introspection_endpoint: str
    introspection_endpoint_auth_methods_supported: list[str]
    service_documentation: str | None = Field(None, description="Unless DOCS_ENABLED=false.")


class ProtectedResource(BaseModel):
    """RFC 9728, section 2."""

    resource: str
    authorization_servers: list[str]
    scopes_supported: list[str]
    bearer_methods_supported: list[str]
    resource_name: str
    resource_documentation: str | None = Field(None, description="Unless DOCS_ENABLED=false.")


class ProblemBody(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str


PROBLEM: dict[str, Any] = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}}
"""A refusal in this style, as the description has it."""


class OpenAIError(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIErrorBody(BaseModel):
    """OpenAI's envelope."""

    error: OpenAIError


class AnthropicError(BaseModel):
    type: str
    message: str
    details: dict[str, str | None] = Field(description="`error_code`, and for some errors `param` and `reason`.")


class AnthropicErrorBody(BaseModel):
    """Anthropic's envelope."""

    type: str
    error: AnthropicError
    request_id: str


class OAuthErrorBody(BaseModel):
    """RFC 6749, section 5.2."""

    error: str
    error_description: str


def introspection_body(principal: Principal | None, settings: Settings) -> dict[str, Any]:
    """The members of IntrospectionResponse that are known. None: the credential is not active."""
    if principal is None:
        return {"active": False}
    return {
        "active": True,
        "scope": " ".join(principal.roles),
        "client_id": principal.client_id,
        "token_type": "Bearer",
        **({} if principal.expires_at == NEVER else {"exp": principal.expires_at}),
        "sub": principal.user_id,
        "aud": settings.jwt_audience,
        "iss": settings.jwt_issuer,
        "jti": principal.credential_id,
        "credential": principal.credential,
    }


def answer_body(answer: Answer) -> dict[str, Any]:
    """The members of AskResponse, in its order."""
    rest = without_text(answer.model, answer.usage, answer.request_id, answer.receipt, answer.stopped_by)
    return {"answer": answer.answer, **rest}


def without_text(model: str, usage: Usage | None, request_id: str, receipt: Receipt, stopped_by: str | None) -> dict[str, Any]:
    """All members but `answer`, as a stream's last event has them."""
    return {
        "model": model,
        "usage": usage.members() if usage else None,
        "request_id": request_id,
        "receipt": receipt_member(receipt),
        **({"finish_reason": stopped_by} if stopped_by else {}),
    }
