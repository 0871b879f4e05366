"""From the catalogue to what answers: the operator's models, or the embedded model alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.catalogue.models import Catalogue
from app.errors import ConfigError, ModelNotFound
from app.security.models import Principal
from app.settings import Settings, load_settings
from app.upstream.embedded import EmbeddedAddress
from app.wiring.catalogue import read_catalogue
from app.wiring.models import open_models

from ...support.clean_settings import use_defaults

MODELS = """
[servers.lab]
base_url = "http://127.0.0.1:9/v1"
[models.small]
server = "lab"
[models.large]
server = "lab"
[models.other]
server = "elsewhere"
[servers.elsewhere]
base_url = "http://127.0.0.1:10/v1"
"""
PRINCIPAL = Principal("alice", ("ai.playground.user",), "alice", "0" * 32, 2**40)
EMBEDDED = EmbeddedAddress("http://127.0.0.1:1/v1", "no-key", "tiny", max_waiting=1)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_defaults(monkeypatch, tmp_path)
    return tmp_path


def given_models(here: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Settings, Catalogue]:
    (here / "models.toml").write_text(MODELS)
    monkeypatch.setenv("MODELS_FILE", "models.toml")
    monkeypatch.setenv("LLM_MODEL", "large")
    settings = load_settings()
    return settings, read_catalogue(settings)


def test_models_of_one_server_share_its_connections(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = open_models(*given_models(here, monkeypatch), None)
    assert len(models.upstreams) == 2
    assert models.note == "large"


def test_with_the_embedded_model_no_other_is_served(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = open_models(*given_models(here, monkeypatch), EMBEDDED)
    assert len(models.upstreams) == 1
    assert models.note == "tiny (embedded: for trying the service out, not for its answers)"
    assert models.v1_requests.entry("tiny", PRINCIPAL).server.base_url == EMBEDDED.base_url
    with pytest.raises(ModelNotFound):
        models.v1_requests.entry("large", PRINCIPAL)


def test_without_a_model_and_without_the_embedded_one_nothing_starts() -> None:
    settings = load_settings()
    assert settings.is_embedded
    with pytest.raises(ConfigError, match="The embedded model is started by python -m app serve"):
        open_models(settings, read_catalogue(settings), None)
