"""Real names are no secrets, real secrets are, and what looks like one is written as a digest."""

from __future__ import annotations

import base64
import hashlib
import random
import string
import uuid
from collections.abc import Callable

import pytest

from app.kit.secret_look import looks_secret, masked, masked_path

from ...support.tables import for_each

ALPHABET = string.ascii_letters + string.digits
Randomness = random.Random
NAMES = [
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4o-2024-08-06",
    "gpt-3.5-turbo-instruct-0914",
    "o3-deep-research-2025-06-26",
    "text-embedding-3-large",
    "whisper-large-v3-turbo",
    "ft:gpt-4o-mini-2024-07-18:acme-corp::AbC12xYz",
    "meta-llama/Llama-3.1-70B-Instruct",
    "mistralai/Mixtral-8x7B-Instruct-v0.1",
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B",
    "Qwen/Qwen3-235B-A22B-Instruct-2507-FP8",
    "Qwen/Qwen2.5-Coder-32B-Instruct-GPTQ-Int8",
    "microsoft/Phi-3-mini-128k-instruct-q4f16_1-MLC",
    "neuralmagic/Meta-Llama-3.1-70B-Instruct-quantized.w4a16",
    "hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:IQ4_XS",
    "mradermacher/DeepSeek-R1-Distill-Llama-8B-Abliterated-i1-GGUF",
    "nvidia/Llama-3_3-Nemotron-Super-49B-v1_5",
    "DeepSeekCoderV2LiteInstructAWQ",
    "anthropic.claude-3-5-sonnet-20241022-v2:0",
    "sentence-transformers/all-MiniLM-L6-v2",
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-3-5-sonnet-20241022-v2:0",
    "550e8400-e29b-41d4-a716-446655440000",
    "urn:uuid:7F3A9C2E-5B1D-4E8F-A6C0-9D2B8E4F1A7C",
    "alice@example.com",
    "my-service-account-client-production",
    "this-is-a-client-id-of-the-wrong-form",
    "oauth-authorization-server",
    "context_window_fallbacks",
    "previous_response_id",
    "1234567890123456789",
    "correct-horse-battery-staple",
    "千问大模型通义千问三代旗舰版本超长名字测试一二三四五",
    "Модель-Яндекс-ДлинноеИмяМодели",
]
SECRETS: dict[str, Callable[[Randomness], str]] = {
    "of a client here": lambda r: base64.urlsafe_b64encode(r.randbytes(32)).rstrip(b"=").decode(),
    "base64": lambda r: base64.b64encode(r.randbytes(30)).decode(),
    "hex": lambda r: r.randbytes(16).hex(),
    "a UUID without hyphens": lambda r: uuid.UUID(bytes=r.randbytes(16)).hex,
    "OpenAI's": lambda r: "sk-" + "".join(r.choices(ALPHABET, k=48)),
    "OpenAI's of a project": lambda r: "sk-proj-" + base64.urlsafe_b64encode(r.randbytes(90)).decode(),
    "GitHub's": lambda r: "ghp_" + "".join(r.choices(ALPHABET, k=36)),
    "Hugging Face's": lambda r: "hf_" + "".join(r.choices(string.ascii_letters, k=34)),
    "Amazon's": lambda r: "AKIA" + "".join(r.choices(string.ascii_uppercase + "234567", k=16)),
    "a token": lambda r: "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9." + base64.urlsafe_b64encode(r.randbytes(90)).decode(),
    "a password": lambda r: "".join(r.choices(ALPHABET + "!#$%&*+=?", k=24)),
}


@for_each("name", NAMES)
def test_a_real_name_is_no_secret(name: str) -> None:
    assert not looks_secret(name)
    assert masked(name, 200) == name


@for_each("kind", SECRETS)
def test_a_real_secret_looks_like_one(kind: str) -> None:
    """All but a few in a thousand, whose random letters happen to read like words."""
    r = Randomness(11)
    missed = [one for one in (SECRETS[kind](r) for _ in range(1_000)) if not looks_secret(one)]
    assert len(missed) <= 15, missed


@pytest.mark.parametrize("text", ["", "x" * 60, "a" * 60, "ab" * 40, "-" * 60, "0" * 15, "sk-test", "hunter2"])
def test_short_and_repeated_texts_are_no_secrets(text: str) -> None:
    assert not looks_secret(text)


def test_a_secret_is_written_as_the_digest_of_all_of_it() -> None:
    secret = SECRETS["OpenAI's"](Randomness(1))
    assert masked(secret, 10) == "sha256:" + hashlib.sha256(secret.encode()).hexdigest()


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("short", "short"),
        ("exactly 10", "exactly 10"),
        ("eleven char", "eleven ch…"),
        ("\ud800", "\\ud800"),
        ("a\x00\x1b\n", "a\\x00\\x1b…"),
        ("a\u202eb", "a\\u202eb"),
        ("né", "né"),
    ],
)
def test_everything_else_is_cut_and_printable(text: str, written: str) -> None:
    assert masked(text, 10) == written
    assert len(masked(text * 50, 10)) <= 10


def test_a_path_is_masked_segment_by_segment() -> None:
    secret = SECRETS["of a client here"](Randomness(2))
    digest = "sha256:" + hashlib.sha256(secret.encode()).hexdigest()
    assert masked_path(f"/v1/files/{secret}/content", 300) == f"/v1/files/{digest}/content"
    assert masked_path("/wp-admin/setup-config.php", 300) == "/wp-admin/setup-config.php"
    assert masked_path("/a b/\n\x07", 300) == "/a b/\\n\\x07"
    assert masked_path("/tell me more/x", 300) == f"/sha256:{hashlib.sha256(b'tell me more').hexdigest()}/x"


@pytest.mark.parametrize("path", ["/" + "a/" * 5_000, "/" + "word-" * 5_000, "/" + "\x00" * 5_000, "/x/" + "9Zq" * 3_000])
def test_a_long_path_is_cut(path: str) -> None:
    written = masked_path(path, 300)
    assert len(written) <= 300
    assert written.isprintable()
