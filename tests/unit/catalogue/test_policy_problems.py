"""Tables of the policy file that contradict each other are refused, with one sentence for each problem."""

from __future__ import annotations

from pathlib import Path

import pytest

from ...support.policies import LAB, SMALL, read, refusal

PRICE = "input = 1\noutput = 1\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (LAB + "[models]", "[models] is empty: add a table [models.NAME] with its server."),
        (LAB + "[models.small]", "[models.small] has no server: name one in server, or several in servers."),
        (
            SMALL + "[servers]",
            "[models.small] server names a server without a table: add [servers.NAME] for it, or name one that exists.",
        ),
        (
            LAB + "[models.small]\nservers = ['lab', 'planted']",
            "[models.small] servers names a server without a table: add [servers.NAME] for it, or name one that exists.",
        ),
        (LAB + SMALL + "servers = ['lab']", "[models.small] has server and servers: keep one of them."),
        (
            LAB + "[models.small]\nservers = ['lab', { name = 'lab', weight = 2 }]",
            "[models.small] servers names one twice: give it a weight instead.",
        ),
        (SMALL + "[servers.lab]", "[servers.lab] is OpenAI, which needs a key: add api_key_env, or base_url for another server."),
        (
            LAB + SMALL + "hedge_after_seconds = 2",
            "[models.small] hedge_after_seconds needs a second server to ask: name several in servers, or remove it.",
        ),
        (
            LAB + SMALL + "max_output_tokens = 1000\ndefault_output_tokens = 1001",
            "[models.small] default_output_tokens is more than max_output_tokens, 1,000: lower it, or raise the other.",
        ),
        (
            LAB + SMALL + "[caps.'x.y']\ntokens = 5\ndefault_output_tokens = 6",
            '[caps."x.y"] default_output_tokens is more than max_output_tokens, 5: lower it, or raise the other.',
        ),
        (LAB + SMALL + "fallback = ['small']", "[models.small] fallback names the model itself: name others, or remove it."),
        (
            LAB + SMALL + "fallback = ['planted']",
            "[models.small] fallback names a model without a table: add [models.NAME] for it, or name one that exists.",
        ),
        (
            LAB + SMALL + "fallback = ['b', 'b']\n[models.b]\nserver = 'lab'",
            "[models.small] fallback names a model twice: name each once.",
        ),
        (
            LAB + SMALL + "[prices.planted]\n" + PRICE,
            "[prices.planted] is for a model without a table: name it as its [models.NAME] does.",
        ),
        (LAB + SMALL + "[[budgets]]\nper = 'day'", "[[budgets]] number 1 has neither money nor tokens: add one."),
        (
            LAB + SMALL + "[[budgets]]\nper = 'day'\nmoney = 1\ntokens = 1",
            "[[budgets]] number 1 has money and tokens: write two budgets.",
        ),
        (
            LAB + SMALL + "[[budgets]]\nper = 'day'\nmoney = 1\nrole = 'a.b'\nmodel = 'small'",
            "[[budgets]] number 1 has more than one of principal, role and model: "
            "keep one, or write several budgets, which must all agree.",
        ),
        (
            LAB + SMALL + "[[budgets]]\nper = 'day'\nmoney = 1\nmodel = 'planted'",
            "[[budgets]] number 1 model names a model without a table: add [models.NAME] for it, or name one that exists.",
        ),
        (
            LAB + SMALL + "[[budgets]]\nper = 'day'\nmoney = 1\n[[budgets]]\nper = 'day'\nmoney = 2",
            "[[budgets]] number 2 is for the same as number 1: keep one of them.",
        ),
    ],
)
def test_what_contradicts_another_table_is_refused(file: Path, text: str, sentence: str) -> None:
    assert refusal(file, text) == [sentence]


def test_fallbacks_in_a_circle_are_harmless(file: Path) -> None:
    text = LAB + SMALL + "fallback = ['b']\n[models.b]\nserver = 'lab'\nfallback = ['small']"
    assert [entry.fallback for entry in read(file, text).models.values()] == [("b",), ("small",)]


def test_one_server_may_serve_two_names_of_its_own(file: Path) -> None:
    text = LAB + "[models.small]\nservers = ['lab', { name = 'lab', model = 'other' }]"
    assert [one.model for one in read(file, text).models["small"].servers] == ["small", "other"]


def test_a_server_through_langchain_needs_neither_address_nor_key(file: Path) -> None:
    found = read(file, SMALL + "[servers.lab]\nlangchain = 'bedrock_converse'")
    assert found.models["small"].server.langchain == "bedrock_converse"
