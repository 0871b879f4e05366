"""A role that nothing asks for is refused: a client with it could do nothing, and nobody would see why."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.admin.known_roles import verify_known
from app.errors import ConfigError, InvalidRequest
from app.security.roles import ADMIN, ASK, AUDIT_READER, INTROSPECT

MODELS = """
[servers.lab]
base_url = "http://127.0.0.1:9/v1"
api_key_env = "KEY_OF_THE_SERVICE_ALONE"
[models.small]
server = "lab"
roles = ["team.research"]
[caps."team.trainee"]
tokens = 10
[server_side]
"team.agents" = ["mcp"]
"""


@pytest.fixture
def models_file(tmp_path: Path) -> Path:
    path = tmp_path / "models.toml"
    path.write_text(MODELS)
    return path


def test_roles_of_endpoints_models_and_caps_are_known(models_file: Path) -> None:
    verify_known([ASK, AUDIT_READER, INTROSPECT], None)
    verify_known([ASK, "team.research", "team.trainee", "team.agents"], models_file)


@pytest.mark.parametrize(
    ("role", "advice"),
    [
        ("ai.playground.usr", f"Did you mean {ASK}? "),
        ("team.researc", "Did you mean team.research? "),
        ("x", f"Use one of {ADMIN}, {AUDIT_READER}, {ASK}, {INTROSPECT}, team.agents, team.research, team.trainee, "),
    ],
)
def test_another_role_is_refused_with_what_may_stand_there(role: str, advice: str, models_file: Path) -> None:
    with pytest.raises(InvalidRequest) as refused:
        verify_known([ASK, role], models_file)
    assert f"asks for the role {role}: " in refused.value.detail
    assert advice in refused.value.detail
    assert "--allow-unknown-role" in refused.value.detail


def test_the_models_file_is_read_only_where_it_is_needed(tmp_path: Path) -> None:
    verify_known([ASK], tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="cannot be read"):
        verify_known(["team.research"], tmp_path / "nowhere")
