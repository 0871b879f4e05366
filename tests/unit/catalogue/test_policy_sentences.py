"""What stands wrongly in the policy file is refused by table and key, with what may stand there."""

from __future__ import annotations

from pathlib import Path

import pytest

from ...support.policies import LAB, SMALL, refusal

PRICED = LAB + SMALL + "[prices.small]\ninput = 1\noutput = 1\n"
BUDGET = LAB + SMALL + "[[budgets]]\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (SMALL, "[servers] is missing: policy.example.toml shows it."),
        (LAB, "[models] is missing: policy.example.toml shows it."),
        (LAB + SMALL + "[extra]", "[extra] is unknown"),
        (LAB + SMALL + "rolls = ['a.b']", "[models.small] rolls is unknown: policy.example.toml shows all keys."),
        (LAB + SMALL + '"a\\nb" = 1', '[models.small] "a\\nb" is unknown'),
        (LAB + SMALL + "roles = []", "[models.small] roles is empty, so nobody could use the model"),
        (LAB + SMALL + "endpoints = []", "[models.small] endpoints is empty, so nobody could use the model"),
        (LAB + SMALL + "roles = 'a.b'", "[models.small] roles takes a list."),
        (LAB + SMALL + "roles = ['ai.User']", "[models.small] roles takes roles of a-z and dots"),
        (LAB + SMALL + 'roles = ["a.b\\n"]', "[models.small] roles takes roles of a-z and dots"),
        (LAB + SMALL + f"roles = ['{'a' * 65}']", "[models.small] roles takes roles of a-z and dots"),
        (
            LAB + SMALL + "endpoints = ['images']",
            "[models.small] endpoints takes chat, responses, embeddings, completions or messages.",
        ),
        (LAB + SMALL + "model = ''", "[models.small] model is empty."),
        (LAB + "[models.'a b']\nserver = 'lab'", '[models."a b"] takes a name of 1 to 200 visible ASCII characters'),
        (LAB + "[models.'']\nserver = 'lab'", '[models.""] takes a name of 1 to 200 visible ASCII characters'),
        (LAB + '[models."a\\n"]\nserver = "lab"', '[models."a\\n"] takes a name of 1 to 200 visible ASCII characters'),
        (LAB + f"[models.{'a' * 201}]\nserver = 'lab'", f'[models."{"a" * 200}"] takes a name of 1 to 200'),
        (LAB + "[models.'caf\u00e9']\nserver = 'lab'", '[models."caf\\u00e9"] takes a name of 1 to 200'),
        (LAB + "[models]\nsmall = 'lab'", "[models.small] is not a table: policy.example.toml shows it."),
        (LAB + "[[models]]\nserver = 'lab'", "[models] is not a table: policy.example.toml shows it."),
        (LAB + SMALL + "[servers.x]\nbase_url = 'ftp://h/v1'", "[servers.x] base_url takes an address such as http"),
        (LAB + SMALL + "[servers.x]\nbase_url = 7", "[servers.x] base_url takes text."),
        (LAB + SMALL + "[servers.x]\nbase_url = 'http://a:b@h/v1'", "[servers.x] base_url takes an address without a user name"),
        (
            LAB + SMALL + "[servers.x]\nbase_url = 'http://h/v1?key=b'",
            "[servers.x] base_url takes an address with no parameter but ?api-version=",
        ),
        (
            LAB + SMALL + "[servers.x]\nbase_url = 'http://h/v1#b'",
            "[servers.x] base_url takes an address with no parameter but ?api-version=",
        ),
        (LAB + "stream_usage = 1\n" + SMALL, "[servers.lab] stream_usage takes true or false."),
        (LAB + "retry_idle_close = 'no'\n" + SMALL, "[servers.lab] retry_idle_close takes true or false."),
        (LAB + "protocols = []\n" + SMALL, "[servers.lab] protocols is empty, so nobody could use the model"),
        (LAB + "protocols = ['grpc']\n" + SMALL, "[servers.lab] protocols takes openai or anthropic."),
        (LAB + "auth = 'basic'\n" + SMALL, "[servers.lab] auth takes bearer or x-api-key."),
        (LAB + SMALL + "[caps.Admin]\ntokens = 1", "[caps.Admin] takes roles of a-z and dots"),
        (LAB + SMALL + "[caps.'a.b']\ntokens = 0", '[caps."a.b"] tokens takes a number of at least 1.'),
        (LAB + SMALL + "[caps.a]\ntokens = 1000001", "[caps.a] tokens takes a number of at most 1,000,000."),
        (LAB + SMALL + "[caps.a]\ntokens = true", "[caps.a] tokens takes a whole number."),
        (LAB + SMALL + "[caps.a]\ntokens = '9'", "[caps.a] tokens takes a whole number."),
        (LAB + SMALL + "[caps.a]\nbody_bytes = 1023", "[caps.a] body_bytes takes a number of at least 1,024."),
        (LAB + SMALL + "[caps.a]\nmessages = 0", "[caps.a] messages takes a number of at least 1."),
        (LAB + SMALL + "[caps.a]\nmessage_chars = 0", "[caps.a] message_chars takes a number of at least 1."),
        (LAB + SMALL + "[caps.a]\ntokenz = 1", "[caps.a] tokenz is unknown"),
        (LAB + SMALL + "[caps.a]\nover_cap = 'cut'", "[caps.a] over_cap takes refuse or clamp."),
        (LAB + SMALL + "[caps.a]\nrequests_per_minute = 0", "[caps.a] requests_per_minute takes a number of at least 1."),
        (LAB + SMALL + "[caps.a]\ntimeout_seconds = 3601", "[caps.a] timeout_seconds takes a number of at most 3,600."),
        (LAB + SMALL + "max_output_tokens = 0", "[models.small] max_output_tokens takes a number of at least 1."),
        (LAB + SMALL + "max_tokens = 5", "[models.small] max_tokens is unknown"),
        (LAB + SMALL + "aliases = ['a b']", "[models.small] aliases takes a name of 1 to 200 visible ASCII characters"),
        (LAB + "token_param = 'n'\n" + SMALL, "[servers.lab] token_param takes max_tokens or max_completion_tokens."),
        (LAB + SMALL + "servers = ['lab', 7]", "[models.small] servers is not a table: policy.example.toml shows it."),
        (LAB + SMALL + "servers = [{ name = 'lab', weight = 0 }]", "[models.small] servers weight takes a number of at least 1."),
        (LAB + SMALL + "servers = [{ weight = 1 }]", "[models.small] servers name is missing: policy.example.toml shows it."),
        (LAB + SMALL + "servers = []", "[models.small] servers is empty"),
        (LAB + SMALL + "timeout_seconds = 0", "[models.small] timeout_seconds takes a number above 0."),
        (LAB + SMALL + "timeout_seconds = inf", "[models.small] timeout_seconds takes a number of at most 3,600."),
        (LAB + SMALL + "timeout_seconds = nan", "[models.small] timeout_seconds takes a number above 0."),
        (LAB + SMALL + "tokens_per_minute = 0", "[models.small] tokens_per_minute takes a number of at least 1."),
        (LAB + SMALL + "[caps.a]\ntokens_per_minute = 1.5", "[caps.a] tokens_per_minute takes a whole number."),
        (LAB + "langchain = 'No Such'\n" + SMALL, "[servers.lab] langchain takes the name of a provider as LangChain has it"),
        ("currency = 'Euro'\n" + LAB + SMALL, "currency takes three capital letters, such as USD or EUR."),
        ("time_zone = 'Europe/Nowhere'\n" + LAB + SMALL, "time_zone takes the name of a time zone such as Europe/Berlin"),
        ("time_zone = '../etc/passwd'\n" + LAB + SMALL, "time_zone takes the name of a time zone such as Europe/Berlin"),
        ("time_zone = 1\n" + LAB + SMALL, "time_zone takes text."),
        (LAB + SMALL + "[prices.small]\ninput = 1", "[prices.small] output is missing: policy.example.toml shows it."),
        (PRICED + "reasoning = -1", "[prices.small] reasoning takes a number from 0 to 1,000,000."),
        (PRICED + "reasoning = 1e999999999", "[prices.small] reasoning takes a number from 0 to 1,000,000."),
        (PRICED + "reasoning = 1e-999999999", "[prices.small] reasoning takes a number with at most 9 digits after the point."),
        (PRICED + "reasoning = nan", "[prices.small] reasoning takes a number from 0 to 1,000,000."),
        (PRICED + "reasoning = '1'", "[prices.small] reasoning takes a number such as 0.15, without quotes."),
        (PRICED + "reasoning = true", "[prices.small] reasoning takes a number such as 0.15, without quotes."),
        (PRICED + "reasoning = 0.0000000001", "[prices.small] reasoning takes a number with at most 9 digits after the point."),
        (PRICED + "per_call = { 'a b' = 1 }", '[prices.small] per_call "a b" takes names such as mcp'),
        (PRICED + "token = 1", "[prices.small] token is unknown: policy.example.toml shows all keys."),
        (BUDGET + "money = 1", "[[budgets]] number 1 per is missing: policy.example.toml shows it."),
        (BUDGET + "money = 0\nper = 'day'", "[[budgets]] number 1 money takes a number above 0."),
        (BUDGET + "money = 1000000001\nper = 'day'", "[[budgets]] number 1 money takes a number from 0 to 1,000,000,000."),
        (BUDGET + "tokens = 0.5\nper = 'day'", "[[budgets]] number 1 tokens takes a whole number."),
        (BUDGET + "tokens = 1\nper = 'week'", "[[budgets]] number 1 per takes minute, day or month."),
        (BUDGET + "tokens = 1\nper = 'day'\nprincipal = 'a b'", "[[budgets]] number 1 principal takes the name of a client"),
        (BUDGET + "tokens = 1\nper = 'day'\nuser = 'x'", "[[budgets]] number 1 user is unknown"),
        (LAB + SMALL + "[budgets]\nmoney = 1", "[budgets] is written with two brackets, [[budgets]], once for each budget."),
        (LAB + SMALL + "[retries]\nmost = -1", "[retries] most takes a number of at least 0."),
        (LAB + SMALL + "[retries]\nshare = 1.5", "[retries] share takes a number of at most 1."),
        (LAB + SMALL + "[retries]\ntimes = 1", "[retries] times is unknown"),
        (LAB + SMALL + "[breaker]\nopen_seconds = 0.5", "[breaker] open_seconds takes a number of at least 1."),
        ("retries = 3\n" + LAB + SMALL, "[retries] is not a table: policy.example.toml shows it."),
        ("api_key = 'sk-planted'\n" + LAB + SMALL, "[api_key] is refused, because keys belong in the environment"),
    ],
)
def test_what_cannot_hold_is_refused_by_table_and_key(file: Path, text: str, sentence: str) -> None:
    (found,) = refusal(file, text)
    assert found.startswith(sentence)
