"""The policy file: what it may say, and what is refused with which sentence."""

from __future__ import annotations

import os
import pickle
import tomllib
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel

from app.catalogue.budgets import Budget
from app.catalogue.caps import Caps
from app.catalogue.models import ENDPOINTS, ModelEntry, ServedBy, Server
from app.catalogue.policy_file import MAX_FILE_BYTES, read_policy
from app.catalogue.prices import Price
from app.catalogue.rules import BreakerRules, RetryRules
from app.catalogue.tables import (
    BreakerTable,
    BudgetTable,
    CapsTable,
    ModelTable,
    PolicyFile,
    PriceTable,
    RetriesTable,
    ServerTable,
)
from app.errors import ConfigError

from ...support.caps import CAPS
from ...support.paths import ROOT
from ...support.policies import LAB, SMALL, read, refusal

EXAMPLE = ROOT / "policy.example.toml"
# --- what the file says ------------------------------------------------------------------------------


def test_a_file_is_read_whole_with_its_defaults(file: Path) -> None:
    text = """
    [servers.openai]
    api_key_env = "LAB_KEY"
    [servers.old]
    base_url = "https://10.0.0.7:8443/v1"
    stream_usage = false
    retry_idle_close = false
    protocols = ["anthropic"]
    auth = "x-api-key"
    [models."org/Model-7B"]
    server = "openai"
    [models.embed]
    server = "old"
    model = "bge m3"
    roles = ["ai.research"]
    endpoints = ["embeddings"]
    [caps."ai.research"]
    tokens = 9
    [server_side]
    "ai.research" = ["mcp", "openrouter:web_search"]
    """
    found = read(file, text, LAB_KEY=" sk-planted\n")
    openai = Server("openai", None, "sk-planted", stream_usage=True, retry_idle_close=True)
    old = Server(
        "old",
        "https://10.0.0.7:8443/v1",
        "",
        stream_usage=False,
        retry_idle_close=False,
        protocols=frozenset({"anthropic"}),
        auth="x-api-key",
    )
    assert list(found.models.values()) == [
        ModelEntry("org/Model-7B", "org/Model-7B", openai, None, frozenset(ENDPOINTS)),
        ModelEntry("embed", "bge m3", old, frozenset({"ai.research"}), frozenset({"embeddings"})),
    ]
    assert list(found.models) == ["org/Model-7B", "embed"]
    assert (found.caps, found.role_caps) == (CAPS, {"ai.research": replace(CAPS, max_output_tokens=9)})
    assert found.refused_params == {"user"}
    assert found.role_server_side == {"ai.research": {"mcp", "openrouter:web_search"}}


@pytest.mark.parametrize("name", ["conversation", "background", "prompt", "", "a b", "*", "mcp*"])
def test_what_no_record_can_hold_is_never_allowed(file: Path, name: str) -> None:
    (sentence,) = refusal(file, LAB + SMALL + f"[server_side]\n'ai.research' = ['{name}']\n")
    names = "takes names such as mcp, code_interpreter or previous_response_id, and never background, conversation, prompt"
    assert sentence == f'[server_side."ai.research"] {names}.'


def test_a_model_and_a_role_have_caps_of_their_own(file: Path) -> None:
    text = """
    [servers.lab]
    base_url = "http://127.0.0.1:9/v1"
    token_param = "max_completion_tokens"
    [models.small]
    server = "lab"
    aliases = ["gpt-5-mini", "o5"]
    max_output_tokens = 10
    default_output_tokens = 5
    context_tokens = 9_000_000
    over_cap = "clamp"
    [models.other]
    server = "lab"
    over_cap = "refuse"
    [caps."a.b"]
    max_output_tokens = 200
    default_output_tokens = 100
    over_cap = "clamp"
    requests_per_minute = 1000
    timeout_seconds = 5
    stream_timeout_seconds = 86400
    """
    found = read(file, text)
    small, other = found.models.values()
    assert small.server.token_param == "max_completion_tokens"
    assert (small.aliases, small.max_output_tokens, small.default_output_tokens) == (("gpt-5-mini", "o5"), 10, 5)
    assert (small.context_tokens, small.clamps) == (9_000_000, True)
    assert (other.aliases, other.max_output_tokens, other.context_tokens, other.clamps) == ((), None, None, False)
    assert found.aliases == {"gpt-5-mini": "small", "o5": "small"}
    assert found.role_caps["a.b"] == Caps(
        CAPS.body_bytes, CAPS.messages, CAPS.message_chars, 200, 100, clamps=True, requests_per_minute=1000,
        timeout_seconds=5, stream_timeout_seconds=86_400,
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "aliases = ['small']",
        "aliases = ['x', 'x']",
        "aliases = ['other']\n[models.other]\nserver = 'lab'",
        "aliases = ['x']\n[models.other]\nserver = 'lab'\naliases = ['x']",
    ],
)
def test_a_name_is_one_models(file: Path, text: str) -> None:
    (sentence,) = refusal(file, LAB + SMALL + text)
    assert sentence.endswith("aliases holds a name that stands twice in the file: each is one model's.")


def test_servers_fallbacks_prices_and_budgets_are_read(file: Path) -> None:
    text = """
    currency = "EUR"
    time_zone = "Europe/Berlin"
    [servers.lab]
    base_url = "http://127.0.0.1:9/v1"
    [servers.spare]
    langchain = "anthropic"
    [models.small]
    servers = ["lab", { name = "spare", weight = 2, model = "other" }]
    model = "usual"
    fallback = ["large"]
    timeout_seconds = 2.5
    tokens_per_minute = 5000
    [models.large]
    server = "lab"
    [caps."a.b"]
    tokens_per_minute = 7
    [prices.small]
    input = 0.1
    output = 2
    per_call = { web_search = 0.000000001 }
    [[budgets]]
    principal = "alice"
    money = 1.50
    per = "day"
    [[budgets]]
    tokens = 9
    per = "month"
    [retries]
    share = 0.25
    [breaker]
    window_seconds = 60
    """
    found = read(file, text)
    small, large = found.models.values()
    lab, spare = Server("lab", "http://127.0.0.1:9/v1", ""), Server("spare", None, "", langchain="anthropic")
    assert small.servers == (ServedBy(lab, 1, "usual"), ServedBy(spare, 2, "other"))
    assert (small.server, small.model, small.fallback) == (lab, "usual", ("large",))
    assert (small.timeout_seconds, small.tokens_per_minute) == (2.5, 5000)
    assert (large.servers, large.fallback, large.timeout_seconds) == ((ServedBy(lab, 1, "large"),), (), None)
    assert found.role_caps["a.b"] == replace(CAPS, tokens_per_minute=7)
    tenth, two = 100_000_000, 2_000_000_000
    assert found.prices == {"small": Price(tenth, two, tenth, tenth, two, {"web_search": 1})}
    assert found.budgets == (
        Budget("principal=alice/day/money", "day", principal="alice", money=1_500_000_000),
        Budget("all/month/tokens", "month", tokens=9),
    )
    assert (found.currency, found.time_zone) == ("EUR", ZoneInfo("Europe/Berlin"))
    assert (found.retries, found.breaker) == (RetryRules(share=0.25), BreakerRules(window_seconds=60))


def test_a_file_without_them_has_none(file: Path) -> None:
    found = read(file, LAB + SMALL)
    assert (found.prices, found.budgets, found.currency, found.time_zone) == ({}, (), "USD", UTC)
    assert (found.retries, found.breaker) == (RetryRules(), BreakerRules())
    assert pickle.loads(pickle.dumps(found)) == found


def test_its_age_is_that_of_its_last_change(file: Path) -> None:
    file.write_text(LAB + SMALL)
    os.utime(file, (1, 1_700_000_000.9))
    assert read_policy(file, {}, CAPS, frozenset()).created == 1_700_000_000


def test_the_example_can_be_used_as_it_is_and_shows_every_key() -> None:
    found = read_policy(EXAMPLE, {"OPENAI_API_KEY": "sk-planted", "ANTHROPIC_API_KEY": "sk-planted"}, CAPS, frozenset())
    assert next(iter(found.models)) == "gpt-4o-mini", "which LLM_MODEL is by default"
    shown: dict[str, Any] = tomllib.loads(EXAMPLE.read_text())
    several: dict[str, type[BaseModel]] = {
        "servers": ServerTable, "models": ModelTable, "caps": CapsTable, "prices": PriceTable
    }  # fmt: skip
    for table, model in several.items():
        assert {key for entry in shown[table].values() for key in entry} == set(model.model_fields), table
    assert {key for entry in shown["budgets"] for key in entry} == set(BudgetTable.model_fields)
    assert (set(shown["retries"]), set(shown["breaker"])) == (set(RetriesTable.model_fields), set(BreakerTable.model_fields))
    assert set(shown) == set(PolicyFile.model_fields)


# --- what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (LAB + SMALL + SMALL, "gives a table or a key twice, at line 5, column 14: correct it there."),
        (LAB + SMALL + "server = 'lab'", "gives a table or a key twice, at "),
        (LAB + "[models", "is not TOML, at "),
        (LAB + "x = sk-planted", "is not TOML, at line 3, column 5: correct it there."),
        (b"\xff\xfe", "is not UTF-8: save it again as UTF-8."),
        (LAB + "x = " + "[" * 5000, "holds a value that no policy file needs"),
        (LAB + "x = " + "9" * 5000, "holds a value that no policy file needs"),
        (b"#" * (MAX_FILE_BYTES + 1), "is larger than 1 MiB"),
    ],
    ids=["a table twice", "a key twice", "cut off", "no value", "UTF-16", "a tower", "a long number", "large"],
)
def test_what_is_no_toml_is_refused_with_the_place_and_not_the_text(file: Path, text: str | bytes, sentence: str) -> None:
    (found,) = refusal(file, text)
    assert found.startswith(sentence)
    assert "planted" not in found


def test_a_file_that_is_missing_a_folder_or_not_ours_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, reason in {file: "No such file or directory", Path("/"): "Is a directory", file / "x": "No such file"}.items():
        with pytest.raises(ConfigError) as refused:
            read_policy(path, {}, CAPS, frozenset())
        assert refused.value.detail.startswith(f"Policy file {path} cannot be read ({reason}"), path
    file.write_text(LAB + SMALL)
    file.chmod(0)
    if os.getuid():
        with pytest.raises(ConfigError, match="Permission denied"):
            read_policy(file, {}, CAPS, frozenset())


def test_every_problem_is_reported_at_once_a_line_each(file: Path) -> None:
    text = "[servers.lab]\n[servers.other]\napi_key_env = 'OTHER'\n[models.a]\nserver = 'x'\n[models.b]\nserver = 'y'"
    assert [line.split()[0] for line in refusal(file, text)] == ["[servers.lab]", "[models.a]", "[models.b]", "[servers.other]"]
    assert [line.split()[1] for line in refusal(file, f"{LAB}colour = 1\n{SMALL}shape = 2")] == ["colour", "shape"]


# --- keys --------------------------------------------------------------------------------------------

PLANTED = "sk_planted0123456789"


@pytest.mark.parametrize("name", ["api_key", "apiKey", "token", "secret", "password"])
def test_a_key_in_the_file_is_refused_with_where_keys_belong(file: Path, name: str) -> None:
    for text in (f"{LAB}{name} = '{PLANTED}'\n{SMALL}", f"{LAB}{SMALL}{name} = '{PLANTED}'"):
        (found,) = refusal(file, text)
        assert f"{name} is refused, because keys belong in the environment" in found
        assert PLANTED not in found


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({}, "is not set, or empty"),
        ({"LAB_KEY": " \n"}, "is not set, or empty"),
        ({"lab_key": "sk-planted"}, "is not set, or empty"),
        ({"LAB_KEY": "your_openai_api_key_here"}, "is still the placeholder"),
        ({"LAB_KEY": "sk-planted planted"}, "holds other than visible ASCII characters"),
        ({"LAB_KEY": "sk-plant\u00e9d"}, "holds other than visible ASCII characters"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused_without_its_value(file: Path, environment: dict[str, str], sentence: str) -> None:
    (found,) = refusal(file, LAB + "api_key_env = 'LAB_KEY'\n" + SMALL, **environment)
    assert found.startswith(f"[servers.lab] api_key_env names an environment variable that {sentence}")
    assert "plant" not in found
    assert "_here" not in found


def test_a_key_that_looks_like_a_variables_name_is_not_repeated(file: Path) -> None:
    (found,) = refusal(file, f"{LAB}api_key_env = '{PLANTED}'\n{SMALL}")
    assert found.startswith("[servers.lab] api_key_env names an environment variable that is not set, or empty")
    assert PLANTED not in found


@pytest.mark.parametrize("written", ["sk-proj-planted", "AIza planted", "${planted}", "planted\n", ""])
def test_a_key_where_the_name_of_its_variable_belongs_is_not_repeated(file: Path, written: str) -> None:
    (found,) = refusal(file, f'{LAB}api_key_env = """{written}"""\n{SMALL}')
    assert found.startswith("[servers.lab] api_key_env takes the name of an environment variable, such as OPENAI_API_KEY")
    assert "planted" not in found


@pytest.mark.parametrize(
    ("table", "line"),
    [
        (LAB + "[models.a]", "server = 'planted'"),
        (LAB + SMALL, "roles = ['sk-planted']"),
        (LAB + SMALL, "endpoints = ['planted']"),
        (SMALL + "[servers.lab]", "base_url = 'planted'"),
        (SMALL + LAB, "stream_usage = 'planted'"),
        (LAB + SMALL + "[caps.a]", "tokens = 'planted'"),
        (LAB + SMALL + "[servers.x]", "base_url = 'http://h/v1'\napi_key_env = 'PLANTED'"),
        (LAB + "[models.a]", "servers = ['planted']"),
        (LAB + "[models.a]", "servers = [{ name = 'lab', weight = 'planted' }]"),
        (LAB + SMALL, "fallback = ['planted']"),
        (LAB + SMALL, "fallback = ['planted planted']"),
        (SMALL + LAB, "langchain = 'sk-planted'"),
        (LAB + SMALL + "[prices.small]\noutput = 1", "input = 'planted'"),
        (LAB + SMALL + "[[budgets]]\nper = 'day'\ntokens = 1", "principal = 'sk_planted planted'"),
        (LAB + SMALL + "[[budgets]]\nper = 'day'\ntokens = 1", "model = 'sk-planted'"),
        (LAB + SMALL + "[[budgets]]\ntokens = 1", "per = 'planted'"),
        ("currency = 'planted'", LAB + SMALL),
        ("time_zone = 'planted'", LAB + SMALL),
        (LAB + SMALL + "[retries]", "share = 'planted'"),
    ],
)
def test_whatever_stands_in_the_wrong_place_is_not_repeated(file: Path, table: str, line: str) -> None:
    (found,) = refusal(file, f"{table}\n{line}")
    assert "planted" not in found.lower()
