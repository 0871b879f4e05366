"""What is read and checked before anything is started."""

from __future__ import annotations

import asyncio
import hashlib
import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.admin import clients
from app.errors import AppError, AuditUnavailable
from app.security.roles import ASK
from app.serving.plan import ServicePlan
from app.serving.policy_record import PolicyRecord
from app.serving.preflight import preflight
from app.settings import load_settings
from app.wiring.catalogue import read_catalogue

from ...support import installation
from ...support.clean_settings import use_defaults
from ...support.windows import remove_windows


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    use_defaults(monkeypatch, tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    installation.init()
    yield
    remove_windows(installation.LOG)


def test_the_plan_holds_the_settings_and_the_catalogue() -> None:
    plan = ServicePlan.decode(preflight())
    settings = load_settings()
    assert pickle.loads(plan.settings) == settings
    assert pickle.loads(plan.catalogue) == read_catalogue(settings)
    assert (plan.is_embedded, plan.has_policy_file, plan.grace_seconds) == (False, False, 30)
    assert plan.log_files.audit_log_path == settings.audit_log_path


def test_the_plan_names_the_command_that_makes_a_client_if_none_can_ask() -> None:
    add = "python -m app clients add alice --key"
    assert ServicePlan.decode(preflight()).first_step == add
    asyncio.run(clients.add_client("alice", [ASK]))
    assert ServicePlan.decode(preflight()).first_step is None
    asyncio.run(clients.disable_client("alice"))
    assert ServicePlan.decode(preflight()).first_step == add


def damage_database() -> None:
    path = Path("logs/clients.sqlite3")
    path.write_bytes(path.read_bytes()[:4096] + b"x" * (path.stat().st_size - 4096))


def empty_log() -> None:
    installation.LOG.write_bytes(b"")


@pytest.mark.parametrize(
    "harm", [damage_database, installation.LOG.unlink, installation.KEY.unlink, empty_log, Path("logs/clients.sqlite3").unlink]
)
def test_what_no_worker_could_use_ends_the_start(harm: object) -> None:
    assert callable(harm)
    harm()
    with pytest.raises(AppError):
        preflight()


# --- the policy --------------------------------------------------------------------------------------

POLICY = '[servers.lab]\nbase_url = "http://127.0.0.1:9/v1"\n[models.small]\nserver = "lab"\n'


def changes() -> list[dict[str, object]]:
    records = map(json.loads, installation.LOG.read_bytes().splitlines())
    return [record["details"] for record in records if record["action"] == "policy.changed"]


def test_a_policy_that_was_not_recorded_is_recorded_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    preflight()
    assert changes() == [], "there is no policy file"
    Path("policy.toml").write_text(POLICY)
    monkeypatch.setenv("POLICY_FILE", "policy.toml")
    monkeypatch.setenv("LLM_MODEL", "small")
    first = hashlib.sha256(POLICY.encode()).hexdigest()
    for _ in range(2):
        preflight()
        assert changes() == [{"file": "policy.toml", "sha256": first, "previous": "", "by": "operator"}]
    Path("policy.toml").write_text(POLICY + "\n")
    second = hashlib.sha256((POLICY + "\n").encode()).hexdigest()
    preflight()
    assert changes()[1:] == [{"file": "policy.toml", "sha256": second, "previous": first, "by": "operator"}]
    monkeypatch.delenv("POLICY_FILE")
    preflight()
    assert changes()[2:] == [{"file": None, "sha256": "", "previous": second, "by": "operator"}]


def test_a_policy_that_cannot_be_recorded_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(self: PolicyRecord, details: dict[str, object]) -> None:
        raise AuditUnavailable("The disk is full.")

    Path("policy.toml").write_text(POLICY)
    monkeypatch.setenv("POLICY_FILE", "policy.toml")
    monkeypatch.setenv("LLM_MODEL", "small")
    monkeypatch.setattr(PolicyRecord, "record", fail)
    with pytest.raises(AuditUnavailable):
        preflight()
