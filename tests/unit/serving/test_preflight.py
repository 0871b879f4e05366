"""What is read and checked before anything is started."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.admin import clients
from app.errors import AppError
from app.security.roles import ASK
from app.serving.plan import ServicePlan
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
    assert (plan.is_embedded, plan.has_models_file, plan.grace_seconds) == (False, False, 30)
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
