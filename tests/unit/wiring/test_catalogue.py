"""The catalogue that is served: read with the settings, once, with a sentence for everything that stops the start."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from app.catalogue.models import ENDPOINTS, ModelEntry, Server
from app.errors import ConfigError
from app.settings import load_settings
from app.wiring.catalogue import LANGCHAIN_SERVERS, modules_of, read_catalogue

from ...support.caps import CAPS
from ...support.clean_settings import use_defaults


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_defaults(monkeypatch, tmp_path)
    return tmp_path


def refusal() -> str:
    """The sentences with which the start is refused."""
    with pytest.raises(ConfigError) as refused:
        read_catalogue(load_settings())
    return refused.value.detail


MODELS = """
[servers.lab]
base_url = "http://127.0.0.1:9/v1"
api_key_env = "Lab_Key"
[models.small]
server = "lab"
[models.embed]
server = "lab"
endpoints = ["embeddings"]
"""


@pytest.fixture
def models_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings that name a models file, with the key of its server in the environment."""
    (here / "models.toml").write_text(MODELS)
    monkeypatch.setenv("MODELS_FILE", "models.toml")
    monkeypatch.setenv("LLM_MODEL", "small")
    monkeypatch.setenv("Lab_Key", "sk-lab-planted")
    return here / "models.toml"


def test_without_a_models_file_llm_model_is_there_alone_for_everyone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-key")
    monkeypatch.setenv("LLM_MODEL", "qwen3:8b")
    monkeypatch.setenv("V1_MAX_TOKENS", "77")
    monkeypatch.setenv("V1_REFUSED_PARAMS", "user")
    monkeypatch.setenv("V1_SERVER_SIDE", "mcp, web_fetch")
    found = read_catalogue(load_settings())
    server = Server("default", "http://127.0.0.1:11434/v1", "sk-planted-key")
    assert found.visible_to(["x.y"]) == [ModelEntry("qwen3:8b", "qwen3:8b", server, None, frozenset(ENDPOINTS))]
    assert found.caps_for(["x.y"]) == replace(CAPS, max_output_tokens=77)
    assert found.refused_params == {"user"}
    assert found.server_side_for(["x.y"]) == {"mcp", "web_fetch"}
    assert found.created == 0


def test_with_a_models_file_its_models_count_and_the_settings_caps(models_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    monkeypatch.setenv("V1_SERVER_SIDE", "mcp")
    found = read_catalogue(load_settings())
    lab = Server("lab", "http://127.0.0.1:9/v1", "sk-lab-planted")
    assert [entry.server for entry in found.visible_to([])] == [lab, lab]
    assert found.caps == CAPS
    assert found.server_side_for([]) == {"mcp"}
    assert found.created == int(models_file.stat().st_mtime)


def test_a_servers_key_may_be_in_env_file_below_the_environment(
    models_file: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / ".env").write_text("Lab_Key=sk-from-the-file\nlab_key=sk-another\n")
    assert read_catalogue(load_settings()).models["small"].server.api_key == "sk-lab-planted"
    monkeypatch.delenv("Lab_Key")
    assert read_catalogue(load_settings()).models["small"].server.api_key == "sk-from-the-file"


@pytest.mark.parametrize("name", ["gpt-4o-mini", "embed"])
def test_what_ask_uses_must_be_a_chat_model_of_the_file(models_file: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("LLM_MODEL", name)
    assert refusal() == (
        "LLM_MODEL, which /ask uses, is no model of the policy file with the endpoint chat: set it to one, such as small."
    )


def test_a_file_without_a_chat_model_leaves_ask_nothing(models_file: Path) -> None:
    models_file.write_text(MODELS.replace("[models.small]", "[models.small]\nendpoints = ['responses']"))
    assert refusal().endswith("with the endpoint chat: add one to models.toml.")


def test_what_is_wrong_in_the_file_stops_the_start(models_file: Path) -> None:
    models_file.write_text(MODELS + "colour = 'red'\n")
    assert refusal() == "Policy file models.toml: [models.embed] colour is unknown: policy.example.toml shows all keys."
    models_file.unlink()
    assert refusal().startswith("Policy file models.toml cannot be read (No such file or directory)")


def test_every_worker_gets_the_catalogue_that_was_read_at_the_start(models_file: Path) -> None:
    found = read_catalogue(load_settings())
    models_file.unlink()
    carried = pickle.loads(pickle.dumps(found))
    assert carried == found
    assert [entry.name for entry in carried.visible_to([])] == ["small", "embed"]


def test_the_servers_keys_stay_out_of_what_is_printed(models_file: Path) -> None:
    settings = load_settings()
    found = read_catalogue(settings)
    assert found.models["small"].server.api_key == "sk-lab-planted"
    assert "sk-lab-planted" not in f"{settings!r}{settings}{settings.model_dump()}{found!r}"


def test_only_servers_that_langchain_asks_need_modules(models_file: Path) -> None:
    assert modules_of(read_catalogue(load_settings())) == ()
    models_file.write_text(MODELS + "[servers.other]\nlangchain = 'unused'\n")
    assert modules_of(read_catalogue(load_settings())) == (), "no model names it"
    models_file.write_text(MODELS.replace('base_url = "http://127.0.0.1:9/v1"', 'langchain = "anthropic"'))
    assert modules_of(read_catalogue(load_settings())) == (LANGCHAIN_SERVERS, "langchain_anthropic")


def test_a_package_that_is_missing_prevents_the_start(models_file: Path) -> None:
    models_file.write_text(MODELS.replace('base_url = "http://127.0.0.1:9/v1"', 'langchain = "nothing"'))
    assert "needs the package langchain-nothing, which is not installed" in refusal()
