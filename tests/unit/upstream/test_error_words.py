"""Which error a server means, in the words of the servers that people use: no money, too long a prompt, or neither."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.errors import UpstreamError, UpstreamUnavailable
from app.upstream.error_words import MAX_NAMES, MAX_SENT_BYTES, read_words
from app.upstream.errors import (
    ContextLengthExceeded,
    UpstreamDenied,
    UpstreamOutOfQuota,
    UpstreamRefused,
    error_of_document,
    error_of_status,
)

from ...support.error_shapes import CHINESE, IN_AN_ANSWER, IN_CHINESE
from ...support.tables import for_each

TOO_LONG = """
This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (8000 in the messages).
Your input exceeds the context window of this model. Please adjust your input and try again.
The decoder prompt (length 9000) is longer than the maximum model length of 8192. Make sure that `max_model_len` is no smaller.
request (33056 tokens) exceeds the available context size (32768 tokens)
the request exceeds the available context size. try increasing the context size or enable context shift
the input length exceeds the context length
prompt too long; exceeded max context length by 12 tokens
Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length
prompt is too long: 210000 tokens > 200000 maximum
input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again
The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).
Input is too long for requested model.
Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: 5000 `inputs` tokens and 20 `max_new_tokens`
Input validation error: `inputs` must have less than 1024 tokens. Given: 3000
too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000
Trying to keep the first 5000 tokens when context the overflows. However, the model has a context length of only 4096 tokens.
The number of tokens to keep from the initial prompt is greater than the context length.
The input (9000 tokens) is longer than the model's context length (8192 tokens).
This model's maximum prompt length is 131072 but the request contains 537812 tokens.
Range of input length should be [1, 30720]
Prompt exceeds max length
Invalid request: Your request exceeded model token limit: 8192
invalid params, context window exceeds limit (2013)
Request body too large for gpt-4o model. Max size: 8000 tokens.
Please reduce the length of the messages or completion. Current length is 10000 while limit is 8192
Prompt length (9000) exceeds maximum input length (8192). Set log level to info
max_tokens=9000 cannot be greater than max_model_len=8192 with 20 input tokens
""".strip().splitlines()
NO_MONEY = """
Insufficient Balance
Your credit balance is too low to access the API. Please go to Plans & Billing to upgrade or purchase credits.
Your team has either used all available credits or reached its monthly spending limit.
Insufficient balance or no resource package. Please recharge.
Your account is suspended due to insufficient balance, please recharge your account or check your plan and billing details
This request requires more credits, or fewer max_tokens. You requested up to 64000 tokens, but can only afford 100.
Billing hard limit has been reached
Account has unpaid invoices
User quota is insufficient, remaining quota: $0.00
Not enough credits
""".strip().splitlines()
NEITHER = """
max_tokens is too large: 100000. This model supports at most 16384 completion tokens, whereas you provided 100000.
max_tokens: 100000 > 64000, which is the maximum allowed number of output tokens for this model
Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29000, Requested 4000. Please try again in 6s.
Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 40000. The input or output tokens must be reduced.
You exceeded your current quota, please check your plan and billing details. Please retry in 39.8s.
Invalid 'input[0].id': string too long. Expected a string with maximum length 64, but got a string with length 80 instead.
Image exceeds 5 MB maximum: 6291456 bytes > 5242880 bytes
Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.
Invalid value: 'insufficient balance'. Supported values are: 'a', 'b'.
Invalid value: "the prompt is too long, 9 tokens". Supported values are: 'a', 'b'.
messages: at least one message is required
stop: list too long, at most 4 items
prompt_logprobs must not be negative
Invalid schema for function 'pay': no balance given
Requests with more than 10 images are not supported
Server overloaded, please retry later
""".strip().splitlines()
WORDS: dict[str | None, str] = {
    "no_money": """insufficient_quota billing_hard_limit_reached billing_not_active insufficient_balance InsufficientBalance
        exceeded_current_quota_error
        Arrearage insufficient_user_quota payment_required credit_balance_too_low insufficient_credits billing_error
        budget_exceeded""",
    "too_long": """context_length_exceeded exceed_context_size_error ContextWindowExceededError prompt_too_long
        model_context_window_exceeded""",
    None: """rate_limit_exceeded invalid_request_error BadRequestError RESOURCE_EXHAUSTED QuotaExceeded tokens
        string_above_max_length load_balancer_error server_error overloaded_error thinking_budget_invalid""",
}
SAID: dict[str | None, list[str]] = {"too_long": TOO_LONG, "no_money": NO_MONEY, None: NEITHER}
MESSAGES = [(told, text) for told, texts in SAID.items() for text in [*texts, *IN_CHINESE[told].split()]]
FORMS: list[Any] = [
    lambda text: {"error": {"message": text, "type": "BadRequestError", "param": None, "code": 400}},
    lambda text: {"error": text, "error_type": "validation"},
    lambda text: {"object": "error", "message": text, "code": 400},
    lambda text: {"object": "error", "message": {"detail": [{"msg": text}]}},
    lambda text: {"detail": text},
    lambda text: [{"error": {"code": 400, "message": text, "status": "INVALID_ARGUMENT"}}],
    lambda text: {"type": "error", "error": {"type": "invalid_request_error", "message": text}},
    lambda text: {"error": {"message": "Provider returned error", "metadata": {"raw": json.dumps({"error": {"message": text}})}}},
    lambda text: {"error": {"message": json.dumps({"error": {"message": text}}), "code": "400"}},
    lambda text: {"type": "response.failed", "response": {"error": {"code": "x", "message": text}}},
]


@for_each(("meaning", "text"), MESSAGES)
def test_a_message_means_what_it_says(meaning: str | None, text: str) -> None:
    for form in FORMS:
        assert read_words(json.dumps(form(text)).encode()).meaning == meaning, form(text)


@for_each(("meaning", "word"), [(meaning, word) for meaning, words in WORDS.items() for word in words.split()])
@for_each("member", ["code", "type"])
def test_a_word_means_the_same_in_code_and_in_type(meaning: str | None, word: str, member: str) -> None:
    for document in ({"error": {member: word}}, {member: word}, {"error": {"innererror": {member: word}}}):
        assert read_words(json.dumps(document).encode()).meaning == meaning


@for_each(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"[1]",
        b'"x"',
        b"<html>",
        b"{" * 100_000,
        b'{"error":' * 500,
        b'{"error": [[]]}',
        b'{"error": "\xff"}',
    ],
)
def test_anything_else_means_nothing(raw: bytes) -> None:
    words = read_words(raw)
    assert (words.code, words.type, words.param, words.status, words.meaning) == (None,) * 5


@for_each(("status", "document", "kind"), CHINESE)
def test_status_codes_and_messages_of_chinese_servers_are_understood(
    status: int, document: Any, kind: type[UpstreamError]
) -> None:
    for raw in (json.dumps(document), json.dumps(document, ensure_ascii=False)):
        assert type(error_of_status(status, raw.encode(), None)) is kind


@for_each(("document", "kind", "reason"), IN_AN_ANSWER)
def test_an_error_in_a_form_of_their_own_is_one(document: Any, kind: type[UpstreamError], reason: str | None) -> None:
    error = error_of_document(json.dumps(document).encode(), "unusable answer")
    assert (type(error), getattr(error, "reason", None)) == (kind, reason)


def test_the_operator_sees_a_code_that_is_a_number() -> None:
    for document in ({"error": {"code": "1113"}}, {"base_resp": {"status_code": 1113}}, {"error_code": 1113}, {"errCode": 1113}):
        assert read_words(json.dumps(document).encode()).shown() == "code=1113"


def body(**error: object) -> bytes:
    return json.dumps({"error": error}).encode()


@pytest.mark.parametrize("status", [400, 404, 413, 422, 500, 503])
def test_a_context_that_is_too_short_is_one_error_whatever_the_status(status: int) -> None:
    error = error_of_status(status, body(message=TOO_LONG[0], param="messages"), "7", b'{"messages":[]}')
    assert isinstance(error, ContextLengthExceeded)
    assert (error.status, error.reason, error.param, error.retry_after) == (400, "context_length_exceeded", "messages", None)
    assert error.detail == ContextLengthExceeded.detail


@pytest.mark.parametrize(
    ("status", "kind"), [(401, UpstreamDenied), (403, UpstreamDenied), (408, UpstreamUnavailable), (429, UpstreamUnavailable)]
)
def test_a_status_may_say_something_else_than_too_long_a_prompt(status: int, kind: type[UpstreamError]) -> None:
    assert type(error_of_status(status, body(message=TOO_LONG[0]), None)) is kind


@pytest.mark.parametrize("status", [400, 403, 429, 500])
def test_an_unpaid_bill_is_one_error_whatever_the_status(status: int) -> None:
    assert type(error_of_status(status, body(message=NO_MONEY[0]), "7")) is UpstreamOutOfQuota


def test_geminis_word_for_a_wrong_key_is_about_us_whatever_the_status() -> None:
    told = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
    error = body(code=400, message="API key not valid.", status="INVALID_ARGUMENT", details=[told])
    assert type(error_of_status(400, error, None)) is UpstreamDenied
    assert type(error_of_status(400, b"[" + error + b"]", None)) is UpstreamDenied
    assert type(error_of_status(400, body(message="API_KEY_INVALID"), None)) is UpstreamRefused  # may quote a question


def test_the_reason_of_a_refusal_is_its_code_or_the_word_in_its_type() -> None:
    told: list[tuple[dict[str, Any], str | None]] = [
        ({"code": "bad_thing", "type": "other"}, "bad_thing"),
        ({"code": 400, "type": "not_supported_error"}, "not_supported_error"),
        ({"type": "not_supported_error"}, "not_supported_error"),
        ({"code": None, "type": "a_class_of_errors"}, None),
        ({"code": 400, "type": "invalid_request_error"}, None),
        ({"code": "Two words", "type": "BadRequestError"}, None),
    ]
    for error, reason in told:
        refusal = error_of_status(400, body(**error), None)
        assert isinstance(refusal, UpstreamRefused)
        assert refusal.reason == reason


@for_each(
    ("document", "kind"),
    [
        (body(code=402, message="x"), UpstreamOutOfQuota),
        (body(code=429), UpstreamUnavailable),
        (body(code=401), UpstreamDenied),
        (body(code=404, message="no such model"), UpstreamRefused),
        (body(code="context_length_exceeded"), ContextLengthExceeded),
        (b'{"object": "error", "message": "x", "type": "NotFoundError", "code": 404}', UpstreamRefused),  # older vLLM, Mistral
        (b'{"type": "response.failed", "response": {"error": {"code": "insufficient_quota"}}}', UpstreamOutOfQuota),
        (body(message="odd"), UpstreamError),
        (b'{"message": "Insufficient Balance"}', UpstreamError),  # of an answer: it does not say that it is an error
        (b'{"code": 429}', UpstreamError),
        (b"", UpstreamError),
    ],
)
def test_an_answer_that_is_an_error_is_the_error_that_it_says(document: bytes, kind: type[UpstreamError]) -> None:
    assert type(error_of_document(document, "unusable answer")) is kind


SENT = (
    rb'{"messages":[{"role":"user","content":"say \"merger\": now, sk9Qx7Lm2Vt4Rz8Wp1"}],"max_tokens" : 5,"tools":[{"name":"n"}]}'
)


@pytest.mark.parametrize("param", ["messages", "messages[0].content", "messages.0.role", "max_tokens", "tools[0].name"])
def test_a_param_that_names_members_of_what_was_sent_is_kept(param: str) -> None:
    assert read_words(body(param=param), SENT).param == param


@pytest.mark.parametrize(
    "param", ["merger", "user", "sk9Qx7Lm2Vt4Rz8Wp1", "messages[0].merger", "0", "[0]", "temperature", "a b", ""]
)
def test_a_param_that_could_be_a_value_is_not(param: str) -> None:
    assert read_words(body(param=param), SENT).param is None
    assert read_words(body(param="messages")).param is None, "nothing is known of what was sent"


@pytest.mark.parametrize("word", ["sk_live_9f8b2c7d1e4a6f3b", "d41d8cd98f00b204e9800998ecf8427e"])
def test_a_word_that_looks_like_a_secret_is_none(word: str) -> None:
    words = read_words(body(code=word, type=word))
    assert (words.code, words.type, words.reason) == (None, None, None)


def test_a_param_of_many_names_or_far_into_the_request_is_not_kept() -> None:
    names = ".".join(["messages"] * MAX_NAMES)
    assert read_words(body(param=names), SENT).param == names
    assert read_words(body(param=f"{names}.messages"), SENT).param is None
    assert read_words(body(param="messages"), b" " * MAX_SENT_BYTES + SENT).param is None
