"""A policy file with one model, one price and one budget, for a service in front of the fake."""

from __future__ import annotations

from pathlib import Path

from .fake_openai import FakeOpenAI

ANSWER_TOKENS = 7
"""What the fake counts for every answer."""
POLICY = """
[servers.local]
base_url = "{base_url}"
[models.fast]
server = "local"
[prices.fast]
input = 0
output = 1000
[[budgets]]
principal = "{principal}"
money = {money}
per = "month"
"""
"""A token of an answer costs a thousandth."""


def policy_for(
    folder: Path, fake: FakeOpenAI, tokens: int, *, cap: int = 2 * ANSWER_TOKENS, principal: str = "alice", more: str = ""
) -> dict[str, str]:
    """The settings of a service where *principal* has money for so many *tokens* of answers, each of at most *cap*."""
    folder.mkdir(parents=True, exist_ok=True)
    policy = folder / "policy.toml"
    policy.write_text(POLICY.format(base_url=fake.base_url, money=f"{tokens / 1000:.3f}", principal=principal) + more)
    return {"POLICY_FILE": str(policy), "LLM_MODEL": "fast", "LLM_MAX_TOKENS": str(cap)}
