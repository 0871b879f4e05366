"""The tables of `policy check`."""

from __future__ import annotations

from pathlib import Path

from app.cli.policy_report import tables_of

from ...support.policies import read

POLICY = """
[servers.lab]
base_url = "http://127.0.0.1:9/v1"
[servers.spare]
base_url = "http://127.0.0.1:10/v1"
[models.fast]
servers = ["lab", { name = "spare", weight = 2 }]
aliases = ["gpt-5-mini"]
endpoints = ["chat", "responses"]
max_output_tokens = 16384
default_output_tokens = 4096
tokens_per_minute = 2000000
fallback = ["slow"]
[models.slow]
server = "lab"
model = "slow-1"
[caps."ai.research"]
requests_per_minute = 600
[prices.fast]
input = 0.15
output = 0.6
[[budgets]]
principal = "alice"
money = 1.50
per = "day"
"""
TABLES = """
model               for       at               served by       answer          context  tokens/min  input/output  falls back to
fast, =gpt-5-mini   everyone  chat, responses  lab, spare x 2  16,384 (4,096)  -        2,000,000   0.15/0.6 USD  slow
slow                everyone  all              lab (slow-1)    -               -        -           no price      -

who               models      requests/min  tokens/min  answer   wait   on the server
everyone          fast, slow  60            -           131,072  600 s  -
with ai.research  fast, slow  600           -           131,072  600 s  -

budget for  most (UTC)     id
alice       1.5 USD a day  principal=alice/day/money
"""


def test_who_may_use_what_and_how_much_is_shown(tmp_path: Path) -> None:
    shown = tables_of(read(tmp_path / "policy.toml", POLICY))
    assert [line.split() for line in shown.splitlines()] == [line.split() for line in TABLES.strip().splitlines()]
