"""What changes, and for which callers, when one policy takes the place of another."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.admin.policy_diff import changes, text_of

from ...support.policies import LAB, SMALL, read

OTHER = "[models.other]\nserver = 'lab'\n"
PRICE = "[prices.small]\ninput = {}\noutput = 1\n"
BUDGET = "[[budgets]]\nprincipal = 'alice'\nmoney = {}\nper = 'day'\n"
CAPS = "[caps.'a.b']\nrequests_per_minute = {}\n"


def said(tmp_path: Path, before: str, after: str) -> list[str]:
    old, new = (read(tmp_path / "policy.toml", LAB + SMALL + text) for text in (before, after))
    return [change.sentence() for change in changes(old, new)]


@pytest.mark.parametrize(
    ("before", "after", "sentences"),
    [
        ("", "", []),
        ("# a comment", "", []),
        ("", OTHER, ["everyone may now use other."]),
        (OTHER, "", ["everyone may no longer use other."]),
        ("", "roles = ['a.b']", ["everyone may no longer use small."]),
        ("", OTHER + "roles = ['a.b']", ["a.b may now use other."]),
        ("", PRICE.format(1), ["questions to small: price is new: input 1, output 1."]),
        (PRICE.format(1), PRICE.format(0.5), ["questions to small: price was input 1, output 1 and is input 0.5, output 1."]),
        ("", BUDGET.format(1.5), ["alice: budget of money a day is new: 1.5 USD a day."]),
        (BUDGET.format(1.5), BUDGET.format(2), ["alice: budget of money a day was 1.5 USD a day and is 2 USD a day."]),
        (BUDGET.format(1.5), "", ["alice: budget of money a day is gone; it was 1.5 USD a day."]),
        (CAPS.format(5), CAPS.format(6000), ["a.b: requests_per_minute was 5 and is 6,000."]),
        ("", "fallback = ['other']\n" + OTHER, ["everyone may now use other.", "questions to small: fallback is new: other."]),
        ("", "[retries]\nmost = 0", ["all: [retries] most was 2 and is 0."]),
        ("", "context_tokens = 9", ["questions to small: context_tokens is new: 9."]),
    ],
)
def test_each_change_is_a_sentence_that_says_for_whom(tmp_path: Path, before: str, after: str, sentences: list[str]) -> None:
    assert said(tmp_path, before, after) == sentences


def test_what_changes_for_everyone_is_not_repeated_for_each_role(tmp_path: Path) -> None:
    assert said(tmp_path, CAPS.format(5), CAPS.format(5) + OTHER) == ["everyone may now use other."]


def test_servers_are_shown_with_their_weights() -> None:
    assert text_of({"server": "lab", "model": "m", "weight": 2}) == "lab (m) x 2"
    assert text_of([{"server": "lab", "model": "m", "weight": 1}, True]) == "lab (m), yes"
