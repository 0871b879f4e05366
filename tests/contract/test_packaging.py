"""The promises of Dockerfile and compose.yaml, as far as they can be read; no image is built."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatch
from typing import Any

import yaml  # type: ignore[import-untyped]  # stubs for one file are not worth a dependency

from app.settings import Settings

from ..support.dockerfile import instructions, last_stage
from ..support.paths import ROOT as PROJECT

IGNORED = [line for line in (PROJECT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((PROJECT / "compose.yaml").read_text()))


def test_every_base_image_is_pinned_by_a_slim_tag() -> None:
    bases = [text.split()[0] for name, text in instructions() if name == "FROM"]
    assert len(bases) == 2, "two stages: what builds does not run"
    assert all(re.fullmatch(r"python:3\.1[1-4](\.\d+)?-slim-\w+", base) for base in bases), bases


def test_the_image_installs_only_what_is_locked_by_hash() -> None:
    installs = [text for name, text in instructions() if name == "RUN" and " install --no-cache" in text]
    locked, own = installs
    locks = [f"-r requirements{name}.lock" for name in ("", "-postgres", "-valkey")]
    assert " ".join(["--no-deps --require-hashes", *locks]) in locked
    assert own.endswith("--no-deps --no-build-isolation .")


def test_everything_that_is_copied_exists_and_is_in_the_context() -> None:
    copies = [text.split()[:-1] for name, text in instructions() if name == "COPY" and not text.startswith("--from")]
    sources = [source.rstrip("/") for copy in copies for source in copy]
    assert {"app", "requirements.lock", "pyproject.toml"} <= set(sources)
    admitted = [line.removeprefix("!").rstrip("/") for line in IGNORED if line.startswith("!")]
    assert sorted(sources) == sorted(admitted)
    assert all((PROJECT / source).exists() for source in sources)


def test_secrets_logs_and_history_are_not_in_the_context() -> None:
    assert IGNORED[0] == "*", "everything is left out that is not let in"
    admitted = [line.removeprefix("!").rstrip("/") for line in IGNORED if line.startswith("!")]
    assert not [name for name in (".env", "logs", ".git", ".venv", "tests") if any(fnmatch(name, one) for one in admitted)]


def test_the_container_runs_as_a_numbered_user_without_rights() -> None:
    assert last_stage()["USER"] == compose()["services"]["assistant"]["user"].replace('"', "") == "10001:10001"
    order = [name for name, _ in instructions()]
    assert order.index("USER") > max(index for index, name in enumerate(order) if name == "RUN")


def test_signals_reach_the_service() -> None:
    stage = last_stage()
    assert json.loads(stage["ENTRYPOINT"]) == ["python", "-m", "app"], "exec form: no shell between"
    assert json.loads(stage["CMD"])[:3] == ["serve", "--host", "0.0.0.0"]
    assert stage["STOPSIGNAL"] == "SIGTERM"


def test_there_is_time_to_finish_what_is_in_flight() -> None:
    needed = Settings.model_fields["shutdown_grace_seconds"].default
    assert int(compose()["services"]["assistant"]["stop_grace_period"].removesuffix("s")) == needed + 10 == 40


def test_one_volume_is_all_that_is_written_to() -> None:
    stage, service = last_stage(), compose()["services"]["assistant"]
    assert json.loads(stage["VOLUME"]) == [stage["WORKDIR"]] == ["/data"], "relative paths of the settings live in the volume"
    assert service["volumes"] == ["data:/data"]
    assert "data" in compose()["volumes"]
    assert service["read_only"] is True
    assert [mount.partition(":")[0] for mount in service["tmpfs"]] == ["/tmp"]


def test_compose_takes_every_right_away() -> None:
    service = compose()["services"]["assistant"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices"} & set(service)


def test_compose_opens_the_port_to_this_machine_only() -> None:
    assert compose()["services"]["assistant"]["ports"] == ["127.0.0.1:8000:8000"]


def test_settings_may_come_from_the_environment_alone() -> None:
    assert compose()["services"]["assistant"]["env_file"] == [{"path": ".env", "required": False}]


def test_the_proxy_is_trusted_by_its_own_address_alone() -> None:
    edge, service = compose()["services"]["edge"], compose()["services"]["assistant"]
    address = edge["networks"]["default"]["ipv4_address"]
    assert service["environment"]["TRUSTED_PROXIES"] == f"${{TRUSTED_PROXIES:-{address}}}"
    assert edge["profiles"] == ["edge"]
    assert (edge["read_only"], edge["cap_drop"]) == (True, ["ALL"])
    assert all(volume.endswith(":ro") for volume in edge["volumes"])
