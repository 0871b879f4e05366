"""The most that a question can use, before it is asked: what its budgets must bear.

A token is at least one byte of what is sent. What bytes do not bound (images, files, what a server
keeps) counts as the model's whole context, and is refused by name where that is not known.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ..catalogue.claims import Claim, Most, Terms, terms_of
from ..catalogue.models import Catalogue, ModelEntry
from ..catalogue.prices import NO_CALLS, Price
from ..errors import InvalidParameter
from ..limits.budgets.errors import ModelWithoutPrice
from ..security.models import Principal
from ..upstream.protocol.count_tokens import COUNT_TOKENS
from ..upstream.protocol.endpoint import Endpoint
from .v1_messages import BESIDE
from .v1_policy import PREVIOUS
from .v1_reach import RUN_THERE, foreign_name, is_data
from .v1_refusals import shown
from .v1_tools import runs_at_client, undated

TEMPLATE_TOKENS, TOOLS_TOKENS = 256, 1024
"""What a server adds to a question by itself: around messages, and where there are tools."""
TEXT_KINDS = frozenset(
    {"text", "input_text", "output_text", "summary_text", "reasoning_text", "refusal", "message", "ephemeral"}
    | {"function", "function_call", "function_call_output", "custom", "custom_tool_call", "custom_tool_call_output"}
    | {"tool_use", "tool_result", "thinking", "redacted_thinking", "reasoning", "additional_tools"}
    | {"local_shell_call", "local_shell_call_output", "shell_call", "shell_call_output", "exec"}
    | {"apply_patch_call", "apply_patch_call_output", "create_file", "update_file", "delete_file"}
)
"""Of parts of a message: those whose tokens their bytes bound. Any other kind may be an image."""
_MEDIA = re.compile(r".*(?:image|audio|video|file|document|media|screenshot|url|source)(?:s|_(?:data|b64|base64))?", re.DOTALL)
_BESIDE_TEXT = frozenset({"annotations", "citations", "cache_control"})
_MAY_BE_MEDIA = re.compile(rb'"type"|image|audio|video|file|document|media|screenshot|url|source|_id|_reference')
USUAL_TIERS = frozenset({None, "auto", "default", "flex", "standard", "standard_only"})
SEARCH_OPTIONS = "web_search_options"
_MAY_CALL = RUN_THERE | {SEARCH_OPTIONS, "tools"}
_PRICED = frozenset({"service_tier", "speed", "inference_geo", "modalities"})
MAX_KNOWN = 10_000


class TermsInForce:
    """Of one catalogue: whose questions to which model must fit into which budgets."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._known: dict[tuple[object, ...], Terms | None] = {}

    def of(self, principal: Principal, entry: ModelEntry, endpoint: Endpoint) -> Terms | None:
        """None: no budget applies. To count tokens costs nothing."""
        catalogue = self._catalogue
        if not catalogue.budgets or endpoint is COUNT_TOKENS:
            return None
        key = (principal.user_id, principal.roles, entry.name, principal.client_roles)
        if key not in self._known:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            budgets = catalogue.budgets_for(principal.user_id, principal.roles, entry.name, principal.client_roles)
            price = catalogue.prices.get(entry.name)
            self._known[key] = terms_of(budgets, price, catalogue.time_zone, catalogue.currency) if budgets else None
        return self._known[key]


def claim_on(terms: Terms, entry: ModelEntry, endpoint: Endpoint, members: Mapping[str, Any], body: bytes) -> Claim:
    """What *body* takes by *terms*. *members*: what is in it, a cap on tokens too.

    Raises ModelWithoutPrice, InvalidParameter.
    """
    if terms.counts_money:
        if terms.price is None:
            raise ModelWithoutPrice(entry.name)
        _verify_usual_price(members)
    calls: Mapping[str, int] = NO_CALLS
    if not _MAY_CALL.isdisjoint(members):
        calls = Counter[str]()
        for name, count in _server_calls(members, terms.price):
            calls[name] += count
    return Claim(terms, Most(_most_input(endpoint, entry, members, body, calls), _most_output(endpoint, members), calls))


def _most_output(endpoint: Endpoint, members: Mapping[str, Any]) -> int:
    """Of all choices. An answer that repeats a prediction may use as much again in vain."""
    caps = [members[name] for name in endpoint.token_caps if type(members.get(name)) is int]
    asked = members[endpoint.messages]
    each = len(asked) if endpoint.answers_each and isinstance(asked, list) and type(asked[0]) is not int else 1
    guessed = len(str(members["prediction"]).encode()) if members.get("prediction") else 0
    return max(caps, default=0) * each * (members.get("n") or 1) + guessed


def _most_input(endpoint: Endpoint, entry: ModelEntry, members: Mapping[str, Any], body: bytes, calls: Mapping[str, int]) -> int:
    place = PREVIOUS if members.get(PREVIOUS) else next(iter(calls), None) or _unbounded_in(endpoint, members, body)
    if place is not None:
        if entry.context_tokens is None:
            raise InvalidParameter(
                shown(place),
                "cannot be counted against a budget, because its tokens are not known before it is asked: "
                "leave it out, or ask the operator to set context_tokens of the model.",
                reason="unbounded_input",
            )
        return entry.context_tokens * (1 + sum(calls.values()))  # each call of a tool reads the context again
    most = len(body) + TEMPLATE_TOKENS + (TOOLS_TOKENS if members.get("tools") else 0)
    return most if entry.context_tokens is None else min(most, entry.context_tokens)


def _unbounded_in(endpoint: Endpoint, members: Mapping[str, Any], body: bytes) -> str | None:
    """The place of the first part of the messages whose tokens its bytes do not bound."""
    names = [name for name in (endpoint.messages, *BESIDE) if members.get(name)]
    if not names or not _MAY_BE_MEDIA.search(body):  # to look at each part of a long conversation takes longer
        return None
    for name in names:
        value = members.get(name)
        for number, message in enumerate(value if isinstance(value, list) else [value]):
            if any(map(_is_unbounded, _objects_in(message))):
                return f"{name}[{number}]" if isinstance(value, list) else name
    return None


def _objects_in(value: Any) -> Iterator[Mapping[str, Any]]:
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += value
        elif isinstance(value, dict):
            yield value
            pending += [item for key, item in value.items() if not is_data(key, item) and key not in _BESIDE_TEXT]


def _is_unbounded(part: Mapping[str, Any]) -> bool:
    kind = part.get("type")
    if kind is not None and kind not in TEXT_KINDS:
        return True
    return foreign_name(part) is not None or any(value and _MEDIA.fullmatch(key) for key, value in part.items())


def _server_calls(members: Mapping[str, Any], price: Price | None) -> Iterator[tuple[str, int]]:
    """How often each tool may run at the model's server. Raises InvalidParameter."""
    per_call = price.per_call if price else {}
    for name in RUN_THERE:
        if members.get(name):
            raise _unpriced(name)
    if members.get(SEARCH_OPTIONS) is not None:
        if "web_search" not in per_call:
            raise _unpriced(SEARCH_OPTIONS)
        yield "web_search", 1
    for place, tool in _tools_in(members.get("tools"), "tools"):
        if runs_at_client(tool):
            continue
        kind = str(tool.get("type"))
        name = kind if kind in per_call else undated(kind)
        if name not in per_call:
            raise _unpriced(f"{place}.type")
        most = tool.get("max_uses", members.get("max_tool_calls"))
        if type(most) is not int or not 0 <= most <= 1000:
            what = "may run any number of times, which no budget can bear: send max_uses or max_tool_calls, of at most 1,000."
            raise InvalidParameter(place, what, reason="unbounded_tool")
        yield name, most


def _tools_in(value: Any, place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, tool in enumerate(value if isinstance(value, list) else ()):
        where = f"{place}[{number}]"
        if isinstance(tool, dict):
            yield where, tool
            yield from _tools_in(tool.get("tools"), f"{where}.tools")
        else:
            yield from _tools_in(tool, where)


def _unpriced(place: str) -> InvalidParameter:
    what = "has no price here, so no budget can count it: leave it out, or ask the operator for a price of it (per_call)."
    return InvalidParameter(shown(place), what, reason="tool_without_price")


def _verify_usual_price(members: Mapping[str, Any]) -> None:
    """Raises InvalidParameter for what is billed by other prices than those of the policy."""
    if _PRICED.isdisjoint(members):
        return
    modalities = members.get("modalities")
    is_usual = {
        "service_tier": not isinstance(tier := members.get("service_tier"), str) or tier in USUAL_TIERS,
        "speed": members.get("speed") in (None, "standard"),
        "inference_geo": members.get("inference_geo") in (None, "global"),
        "modalities": not isinstance(modalities, list) or modalities in ([], ["text"]),
    }
    for name, is_so in is_usual.items():
        if not is_so:
            what = "is billed at another price than the budget counts with: leave it out."
            raise InvalidParameter(name, what, reason="other_price")
