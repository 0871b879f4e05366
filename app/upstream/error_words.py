"""What the words of a server's error say, whichever of the many forms it has.

Servers agree on neither the status nor the words of two errors that a caller must tell from all
others: the bill is not paid, and the prompt does not fit into the model's context. What is read:
the status, then the words in codes and types, then the message, in English or Chinese.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ..kit.foreign_json import loads
from ..kit.secret_look import looks_secret

MAX_READ_BYTES = 1024 * 1024
MAX_MESSAGE = 2_000
"""What follows in a longer message is not looked at."""
Meaning = Literal["no_money", "too_long"]

_WORD = re.compile(r"[a-z][a-z0-9_]{0,63}")
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,63}|[0-9]{1,7}")
"""A server's code: words as it joins them, or a number of its own."""
MAX_SENT_BYTES, MAX_NAMES = 256 * 1024, 8
"""What is looked for a `param` in, and how many names one may have."""
_PARAM = re.compile(r"[A-Za-z0-9_.\[\]]{1,100}")
_PASSING = re.compile(r"rate_?limit|too_?many_?requests|overloaded|throttl", re.IGNORECASE)
_SERVER_FAULT = re.compile(r"server|internal|timeout|overload|unavailable|unknown|[0-9]$", re.IGNORECASE)
_MAX_NESTING = 4

# What a member is, by the end of its name: error_msg, status_code, errCode, base_resp, …
_IS_NESTED = re.compile(r".*(?:err(?:ors?)?|resp(?:onse)?|details?|message|metadata|header|raw)", re.IGNORECASE)
_IS_CODE = re.compile(r".*code|err_?no", re.IGNORECASE)
_IS_STATUS = re.compile(r".*(?:code|status)", re.IGNORECASE)
_IS_WORD = re.compile(r".*(?:code|type|status|reason)", re.IGNORECASE)
_IS_TEXT = re.compile(r".*(?:message|msg|error|detail|description)", re.IGNORECASE)
_NO_ERROR = (0, 200, "0", "200", "")

_QUOTED = re.compile(r"(?<!\w)'[^']*'(?!\w)|\"[^\"]*\"|“[^”]*”|「[^」]*」")
"""A message may quote what was asked, and a prompt may speak of money, too."""

_MONEY = frozenset(
    {"billing", "balance", "credit", "credits", "payment", "arrears", "arrearage", "unpaid", "prepaid", "recharge"}
    | {"overdue", "charge", "funds"}
)
_SPENT_WORDS = (
    *({"insufficient", "quota"}, {"exceeded", "current", "quota"}, {"budget", "exceeded"}, {"pack", "exhausted"}),
    {"consume", "quota"},
)
_LACKING = r"insufficient|not enough|out of|used all|more|negative"
_FUNDS = r"(?:balance|credits?|funds|quota|free tier|resource pack(?:age)?)"
_SPENT = r"insufficient|too low|not enough|exhausted|depleted|used up|negative|run out|ran out"
_NO_MONEY = re.compile(
    rf"\b(?:{_LACKING})\b[^.;]{{0,40}}\b{_FUNDS}\b|\b{_FUNDS}\b[^.;]{{0,40}}\b(?:{_SPENT})\b"
    r"|\bbilling hard limit\b|\bspend(?:ing)? limit\b|\bpayment required\b"
    r"|\b(?:recharge|top[ -]?up|unpaid|overdue|in arrears)\b"
    r"|欠费|欠費|充值|儲值|[余餘][额額]|[额額]度|预扣费|资源包"
)
_PASSES = re.compile(
    r"\b(?:per|every) (?:second|minute|min|hour|day)\b|\b(?:retry|try again|wait)\b[^.;]{0,20}\b(?:in|after|for)\b"
    r"|\b(?:rate|requests?|qps) limit|每(?:秒|分|小[时時]|天|日)|[频頻速]率|[并並][发發]|限流|[频頻]繁|[请請]求[数數]?[过過太]"
)
"""A message that names a time speaks of a limit that passes."""
_LATER = re.compile(rf"{_PASSES.pattern}|\blater\b|稍[后後]|繁忙")

_PROMPT = r"(?:prompts?|inputs?|messages|request|conversation|decoder prompt)"
_LENGTH = r"(?:tokens?|length|max_num_tokens)"
_PROMPT_ZH = r"(?:上下文|[输輸]入|提示[词詞]|消息|[对對][话話]|(?<![a-z_])(?:prompt|input|tokens?)(?![a-z_]))"
_EXCESS_ZH = r"(?:超[长長过過出限]|[过過太][长長])"
_TOO_LONG = (
    re.compile(
        r"\bcontext[ _-]?(?:length|size|window|limit)|\bsize of the context\b|\bcontext\b[^.;]{0,12}\boverflow"
        r"|\bmax(?:imum)? (?:model|prompt|input|sequence) (?:length|tokens)|\bmodel token limit\b"
    ),
    re.compile(
        rf"\b{_PROMPT}\b[^.;]{{0,40}}\btoo long\b|\brange of {_PROMPT} length\b"
        rf"|{_PROMPT_ZH}[^。；]{{0,40}}{_EXCESS_ZH}|{_EXCESS_ZH}[^。；]{{0,40}}{_PROMPT_ZH}"
    ),
    re.compile(rf"\b{_PROMPT}\b[^;]{{0,100}}\b{_LENGTH}\b|\b{_LENGTH}\b[^;]{{0,100}}\b{_PROMPT}\b"),
)
"""The last of them needs a word of excess, too."""
_EXCEEDS = re.compile(
    r"exceed|too (?:long|large|big|many)|(?:longer|larger|greater|more|less|fewer) than|max|limit|overflow|reduce|[<>]"
)


@dataclass(frozen=True, slots=True)
class ErrorWords:
    """What may be kept and told of a server's error: plain words, never its text."""

    code: str | None = None
    type: str | None = None
    param: str | None = None
    reason: str | None = None
    """The word for what is wrong. Where `code` is the status again, or missing, it is in `type`."""
    status: int | None = None
    """The status that the document itself names, where `code` or `status` is a number."""
    meaning: Meaning | None = None
    is_error: bool = False
    """Whether the document says that it is an error, whatever its status."""
    is_of_protocol: bool = False
    """Whether it says so as OpenAI's, Anthropic's and similar servers do."""
    is_anthropic: bool = False
    """Whether it has the form of Anthropic's errors."""
    is_passing: bool = False
    """Whether the words say that too much was asked in too short a time."""
    is_wrong_key: bool = False
    """Whether a word says so: Gemini's does, with a status of 400."""
    is_failed_response: bool = False
    """Whether it is a response of /responses that failed; its code is a word of that API."""

    @property
    def is_about_request(self) -> bool:
        """Whether a failed response says that the request is what it cannot take."""
        return self.is_failed_response and self.code is not None and not _SERVER_FAULT.search(self.code)

    def shown(self) -> str:
        """For the operator's log."""
        known = {"code": self.code, "type": self.type, "param": self.param}
        return " ".join(f"{name}={word}" for name, word in known.items() if word)


def read_words(raw: bytes, sent: bytes = b"") -> ErrorWords:
    """The words in *raw*, the body of an error or of an answer that cannot be used.

    `param` is kept only if it names members of *sent*, the body that was refused: anything else
    could be a value, such as a key or what somebody asked.
    """
    try:
        document = loads(raw, errors="replace") if len(raw) <= MAX_READ_BYTES else None
    except (ValueError, RecursionError):
        return ErrorWords()
    if isinstance(document, list) and document:
        document = document[0]  # Gemini's errors
    if not isinstance(document, dict):
        return ErrorWords()
    errors = list(_errors_in(document))
    error = document.get("error")
    own = error if isinstance(error, dict) else next((one for one in errors if _code_in(one)), document)
    code, kind = _code_in(own), _plain(_WORD, own.get("type"))
    has_word_in_type = own.get("code", 0) is not None and kind != "invalid_request_error"  # a null says: no word
    numbers = [int(value) for one in errors for value in _values(one, _IS_STATUS) if re.fullmatch("[45][0-9]{2}", str(value))]
    is_of_protocol = bool(error) or document.get("type") in ("error", "response.failed") or document.get("object") == "error"
    return ErrorWords(
        code=code,
        type=kind,
        param=_param(own.get("param"), sent),
        reason=code or (kind if has_word_in_type else None),
        status=next(iter(numbers), None),
        meaning=_meaning(errors),
        is_error=is_of_protocol or any(map(_is_error, errors)),
        is_of_protocol=is_of_protocol,
        is_anthropic=isinstance(error, dict) and document.get("type") == "error",
        is_passing=any(_PASSING.search(word) for word in (code, kind) if word) or any(map(_LATER.search, _texts(errors))),
        is_wrong_key=any(_parts(word) >= {"api", "key", "invalid"} for word in _words(errors)),
        is_failed_response=document.get("type") == "response.failed" or document.get("status") == "failed",
    )


def _values(error: dict[str, Any], names: re.Pattern[str]) -> list[Any]:
    return [value for name, value in error.items() if names.fullmatch(name)]


def _is_error(one: dict[str, Any]) -> bool:
    """Whether *one* names a fault by a code, and says in a text what it is."""
    texts = [value for value in _values(one, _IS_TEXT) if isinstance(value, str) and value]
    codes = [value for value in _values(one, _IS_STATUS) if type(value) is int] + _values(one, _IS_CODE)
    return bool(texts) and any(isinstance(code, int | str) and code not in _NO_ERROR for code in codes)


def _code_in(error: dict[str, Any]) -> str | None:
    """The first code that is not the status again."""
    codes = [_plain(_CODE, str(value)) for value in _values(error, _IS_CODE) if type(value) in (int, str)]
    return next((code for code in codes if code and not re.fullmatch("[1-5][0-9]{2}", code)), None)


def _errors_in(value: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    """*value* and the objects nested in it, also as JSON in a text, as gateways wrap errors."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = loads(value.encode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict):
        return
    yield value
    if depth < _MAX_NESTING:
        for inner in _values(value, _IS_NESTED):
            yield from _errors_in(inner, depth + 1)


def _meaning(errors: list[dict[str, Any]]) -> Meaning | None:
    meanings = [*map(_meaning_of_word, _words(errors)), *map(_meaning_of_message, _texts(errors))]
    return next((meaning for meaning in meanings if meaning), None)


def _words(errors: list[dict[str, Any]]) -> list[str]:
    return [word for error in errors for word in _values(error, _IS_WORD) if isinstance(word, str)]


def _texts(errors: list[dict[str, Any]]) -> list[str]:
    """What the messages say, without what they quote."""
    texts = [text for error in errors for text in _values(error, _IS_TEXT) if isinstance(text, str) and not text.startswith("{")]
    return [_QUOTED.sub(" ", text[:MAX_MESSAGE].lower()) for text in texts]


def _parts(word: str) -> frozenset[str]:
    """Of `insufficient_quota`, `InsufficientBalance`, `exceed_context_size_error`, …"""
    return frozenset(re.split("[-_.]", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word[:100]).lower()))


def _meaning_of_word(word: str) -> Meaning | None:
    parts = _parts(word)
    if not parts.isdisjoint(_MONEY) or any(parts >= words for words in _SPENT_WORDS):
        return "no_money"
    if "context" in parts and not parts.isdisjoint(("length", "size", "window", "limit", "exceeded", "overflow")):
        return "too_long"
    return "too_long" if "long" in parts and not parts.isdisjoint(("prompt", "input")) else None


def _meaning_of_message(text: str) -> Meaning | None:
    if _PASSES.search(text):
        return None
    if _NO_MONEY.search(text):
        return "no_money"
    context, long_prompt, tokens = (form.search(text) for form in _TOO_LONG)
    return "too_long" if long_prompt or ((context or tokens) and _EXCEEDS.search(text)) else None


def _plain(form: re.Pattern[str], value: Any) -> str | None:
    return value if isinstance(value, str) and form.fullmatch(value) and not looks_secret(value) else None


def _param(value: Any, sent: bytes) -> str | None:
    param = _plain(_PARAM, value)
    names = re.findall(r"[A-Za-z_]\w*", param or "", re.ASCII)
    if not 0 < len(names) <= MAX_NAMES:
        return None
    sent = sent[:MAX_SENT_BYTES]
    return param if all(re.search(rb'(?<!\\)"%b" ?:' % name.encode(), sent) for name in names) else None
