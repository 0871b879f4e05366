"""`token get --print` as other programs run it: the token alone, one for all at once, renewed in time."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.fake_openai import FakeOpenAI
from ..support.service import Service

LIFETIME = 12
GET = ["token", "get", "--print"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Service]:
    """With one client, whose name and secret are in the environment of every command."""
    folder: Path = tmp_path_factory.mktemp("token_get")
    with Service(folder, OPENAI_BASE_URL=fake.base_url, TOKEN_EXPIRY_HOURS=str(LIFETIME / 3600)) as service:
        secret = service.add_client()
        service.env |= {"SECURE_AI_URL": service.url, "SECURE_AI_CLIENT_ID": "alice", "SECURE_AI_CLIENT_SECRET": secret}
        yield service


@pytest.fixture(autouse=True)
def empty_cache(service: Service, tmp_path: Path) -> None:
    service.env["XDG_CACHE_HOME"] = str(tmp_path)


def issued(service: Service) -> int:
    return sum(record["action"] == "token.issued" for record in service.records())


def test_of_eight_programs_at_once_one_fetches_the_token_for_all(service: Service) -> None:
    before, command = issued(service), [sys.executable, "-m", "app", *GET]
    started = [subprocess.Popen(command, cwd=service.folder, env=service.env, stdout=subprocess.PIPE) for _ in range(8)]
    printed = {one.communicate(timeout=60)[0] for one in started}
    assert [one.returncode for one in started] == [0] * 8
    (line,) = printed
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert issued(service) - before == 1


def test_a_program_that_asks_again_and_again_is_never_refused(service: Service) -> None:
    before, end, statuses = issued(service), time.monotonic() + 1.5 * LIFETIME, set()
    while time.monotonic() < end:
        done = service.run(*GET)
        assert done.stderr == ""
        statuses.add(service.ask(done.stdout.strip()).status_code)
    assert statuses == {200}
    assert 2 <= issued(service) - before <= 3


def test_a_service_that_is_down_or_refuses_is_a_sentence_and_a_status(service: Service) -> None:
    down = service.run(*GET, "--url", "http://127.0.0.1:1", status=2)
    assert (down.stdout, "cannot be reached" in down.stderr) == ("", True)
    refused = service.run(*GET, "--client-id", "nobody", status=2)
    assert (refused.stdout, refused.stderr.startswith("401 invalid_client: ")) == ("", True)
    assert service.cli("token", "get", "--client-id", "nobody", status=2)["error"] == "call_failed"
    unusable = service.run(*GET, "--scope", "a.role", status=2)
    assert unusable.stderr.startswith("400 invalid_scope: ")


def test_a_revoked_token_is_replaced_by_renew(service: Service) -> None:
    first = service.run(*GET).stdout
    assert service.run(*GET).stdout == first
    second = service.run(*GET, "--renew").stdout
    assert second != first
    assert service.run(*GET).stdout == second
