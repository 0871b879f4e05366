"""Every parameter of the SDK's three `create` methods, and unknown ones, with values that are easily altered."""

from __future__ import annotations

from typing import Any

from .sdk import PARAMETERS, PIXEL, TOOLS

ODD_NUMBERS = [0.1, 1e-7, 1.0, -0.0, 5e-324, 1.7976931348623157e308, 0.30000000000000004, 1e16, 123456789.125]
BIG_NUMBERS = [2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1, 0, -1]
ODD_TEXTS = ["", "zwölf Bücher 🐈‍⬛", "\u2028\u2029\ufeff", 'quote " and \\ back', "\t\n\r\x00\x1f\x7f", "e\u0301 é", "</script>"]
SCHEMA: Any = {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": PARAMETERS}}

UNKNOWN: Any = {
    "guided_choice": ["yes", "no"],
    "chat_template_kwargs": {"enable_thinking": False, "deeper": {"null": None, "empty": {}, "list": [[], [None], {}]}},
    "x_numbers": ODD_NUMBERS,
    "x_big_numbers": BIG_NUMBERS,
    "x_texts": ODD_TEXTS,
    "x_null": None,
    "x_true": True,
    "x_one": 1,
    "x_one_point_nought": 1.0,
    "ünbekannt 🐈": {"z": 1, "a": 2, "ä": 3, "": 4},
    "receipt": {"seq": 1, "hash": "of somebody else"},
}
"""Parameters of other servers, and names that we use elsewhere."""

CHAT_PARAMETERS: Any = {
    "messages": [
        {"role": "developer", "content": "Answer briefly.", "name": None},
        {
            "role": "user",
            "content": [{"type": "text", "text": "\n".join(ODD_TEXTS)}, {"type": "image_url", "image_url": {"url": PIXEL}}],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "Sunny"}], "x_unknown": {"b": 1, "a": 2}},
    ],
    "audio": {"format": "mp3", "voice": "alloy"},
    "frequency_penalty": -0.1,
    "function_call": {"name": "weather"},
    "functions": [{"name": "weather", "parameters": PARAMETERS}],
    "logit_bias": {"50256": -100, "9": 1e-7},
    "logprobs": True,
    "max_completion_tokens": 20,
    "max_tokens": 20,
    "metadata": {"ключ": "значение"},
    "modalities": ["text"],
    "moderation": {"model": "omni-moderation-latest", "policy": {"input": {"mode": "score"}, "output": None}},
    "n": 2,
    "parallel_tool_calls": False,
    "prediction": {"type": "content", "content": [{"type": "text", "text": "def f():\n\treturn 1\n"}]},
    "presence_penalty": 1.0,
    "prompt_cache_key": "key-1",
    "prompt_cache_options": {"mode": "explicit", "ttl": "30m"},
    "prompt_cache_retention": "24h",
    "reasoning_effort": "minimal",
    "response_format": SCHEMA,
    "safety_identifier": "user-1",
    "seed": 2**53 + 1,
    "service_tier": "flex",
    "stop": ["\n\n", "END", "🛑"],
    "store": True,
    "stream_options": {"include_obfuscation": False},
    "temperature": 1e-7,
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "tools": TOOLS,
    "top_logprobs": 3,
    "top_p": 1.0,
    "user": "zwölf",
    "verbosity": "low",
    "web_search_options": {
        "search_context_size": "low",
        "user_location": {"type": "approximate", "approximate": {"city": "Köln"}},
    },
}

RESPONSES_PARAMETERS: Any = {
    "input": [
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "\n".join(ODD_TEXTS)}, {"type": "input_image", "image_url": PIXEL}],
        },
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Paris"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "Sunny"},
    ],
    "access_programs": [{"type": "x"}],
    "background": False,
    "background_options": {"x": 1},
    "context_management": [{"type": "compaction", "compact_threshold": 1000}],
    "conversation": None,
    "image": {"x": 1.0},
    "include": ["reasoning.encrypted_content"],
    "instructions": "Answer briefly.",
    "max_output_tokens": 40,
    "max_tool_calls": 3,
    "metadata": {"ключ": "значение"},
    "moderation": {"model": "omni-moderation-latest"},
    "parallel_tool_calls": False,
    "previous_response_id": None,
    "prompt": None,
    "prompt_cache_key": "key-1",
    "prompt_cache_options": {"mode": "implicit"},
    "prompt_cache_retention": "in-memory",
    "reasoning": {"effort": "low", "summary": None},
    "safety_identifier": "user-1",
    "service_tier": "auto",
    "store": False,
    "stream_options": {"include_obfuscation": False},
    "temperature": 0.30000000000000004,
    "text": {"format": {"type": "text"}, "verbosity": "low"},
    "tool_choice": "auto",
    "tools": [{"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": True}],
    "top_logprobs": 2,
    "top_p": 0.1,
    "truncation": "auto",
    "user": "zwölf",
}

EMBEDDINGS_PARAMETERS: Any = {
    "input": ODD_TEXTS,
    "dimensions": 16,
    "encoding_format": "float",
    "user": "zwölf",
}
