"""Who may read and write the files of an installation."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.admin.doctor_files import look
from app.admin.doctor_findings import Finding
from app.settings import load_settings

from ...support import installation


@pytest.fixture(autouse=True)
def installed(place: Path) -> None:
    installation.init()


def found() -> list[Finding]:
    return list(look(load_settings()))


def test_files_of_this_user_alone_are_well() -> None:
    (finding,) = found()
    assert finding.state == "ok"


@pytest.mark.parametrize("name", [".env", "logs/audit_log.key"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_secrets_that_others_may_read_or_change_are_trouble(name: str, mode: int) -> None:
    Path(name).touch()
    Path(name).chmod(mode)
    (finding,) = found()
    assert (finding.state, name in finding.says, f"chmod 600 {name}" in finding.says) == ("trouble", True, True)


@pytest.mark.parametrize(("mode", "state"), [(0o440, "ok"), (0o400, "ok"), (0o444, "trouble"), (0o660, "trouble")])
def test_a_password_file_is_for_the_service_and_its_group(mode: int, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("password").touch()
    Path("password").chmod(mode)
    monkeypatch.setenv("LIMITS_URL", "valkey://127.0.0.1")
    monkeypatch.setenv("LIMITS_PASSWORD_FILE", "password")
    (finding,) = found()
    assert (finding.state, "password holds a password" in finding.says) == (state, state == "trouble")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_file_that_cannot_be_written_is_trouble() -> None:
    installation.LOG.chmod(0o400)
    (finding,) = found()
    assert finding.says.startswith("logs/audit_log.jsonl cannot be written by ")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_root_is_told_whose_files_these_are() -> None:
    os.chown(installation.LOG, 65534, -1)
    (finding,) = found()
    assert finding.state == "note"
    assert "and root may do all: look as that user." in finding.says
