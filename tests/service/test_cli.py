"""The command line: one JSON document on stdout, sentences on stderr, reliable exit statuses."""

from __future__ import annotations

import base64
import json
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from app import __version__

from ..support.evidence import SIGNER, Evidence
from ..support.fake_openai import FakeOpenAI
from ..support.service import Service

COMMANDS = [
    *([], ["init"], ["serve"], ["ask"], ["demo"]),
    *(["clients"], ["clients", "add"], ["clients", "list"], ["clients", "disable"], ["clients", "enable"]),
    *(["clients", "set-roles"], ["clients", "rotate"]),
    *(["token"], ["token", "revoke"], ["audit"], ["audit", "verify"], ["audit", "verify-receipt"]),
    *(["audit", "show"], ["audit", "tail"]),
]


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A service that is initialised and not running."""
    return Service(tmp_path_factory.mktemp("offline"))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app", *command, "--help"], cwd=tmp_path, env={}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout


def test_the_version_is_printed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app", "--version"]
    done = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"secure-ai-assistant {__version__}\n", "")


def test_init_makes_a_private_env_file_and_is_safe_to_repeat(tmp_path: Path) -> None:
    def init() -> dict[str, str]:
        command = [sys.executable, "-m", "app", "init", "--json"]
        done = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    first = init()
    env = tmp_path / ".env"
    assert first["env_file"] == ".env"
    assert re.fullmatch(r"0:[0-9a-f]{64}", first["receipt"])
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    assert re.search(r"^SECRET_KEY=[A-Za-z0-9_-]{43}$", env.read_text(), re.MULTILINE)
    assert re.search(r"^AUDIT_ORIGIN=secure-ai-assistant/[0-9a-f]{8}$", env.read_text(), re.MULTILINE)
    written, log = env.read_text(), (tmp_path / "logs/audit_log.jsonl").read_bytes()
    assert set(init().values()) == {None}
    assert env.read_text() == written
    assert (tmp_path / "logs/audit_log.jsonl").read_bytes() == log


def test_two_folders_have_two_secrets(tmp_path: Path) -> None:
    secrets = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        command = [sys.executable, "-m", "app", "init"]
        subprocess.run(command, cwd=tmp_path / name, env={}, check=True, capture_output=True, timeout=60)
        secrets.add((tmp_path / name / ".env").read_text())
    assert len(secrets) == 2


def test_clients_are_added_listed_rotated_and_disabled(offline: Service) -> None:
    added = offline.cli("clients", "add", "carol", "--role", "ai.playground.user", "--role", "ai.audit.reader")
    assert list(added) == ["client_id", "client_secret", "roles"]
    assert added["roles"] == ["ai.playground.user", "ai.audit.reader"]
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", added["client_secret"])
    rotated = offline.cli("clients", "rotate", "carol")
    assert rotated["client_secret"] != added["client_secret"]
    offline.cli("clients", "disable", "carol")
    [listed] = [one for one in offline.cli("clients", "list") if one["client_id"] == "carol"]
    assert listed["disabled"] is True
    actions = [record["action"] for record in offline.records() if record["details"].get("client_id") == "carol"]
    assert actions == ["client.added", "client.rotated", "client.disabled"]
    assert added["client_secret"] not in offline.log.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["clients", "add", "al", "--role", "ai.playground.user"], "3 to 32 characters"),
        (["clients", "add", "al ice", "--role", "ai.playground.user"], "3 to 32 characters"),
        (["clients", "add", "alice\n", "--role", "ai.playground.user"], "3 to 32 characters"),
        (["clients", "add", "dave", "--role", "Admin"], "Roles are"),
        (["clients", "disable", "nobody"], "no such client"),
        (["clients", "rotate", "nobody"], "no such client"),
        (["token", "revoke", "123"], "32 hex digits"),
        (["audit", "verify", "--receipt", "nonsense"], "SEQ:HASH"),
        (["audit", "verify", "--checkpoint", "nowhere"], "nowhere cannot be used"),
        (["audit", "verify", "--vkey", "nowhere"], "nowhere cannot be used"),
        (["audit", "verify", "--vkey", "logs/audit_log.key"], "does not hold a log's verifier key"),
        (["audit", "verify-receipt", "nowhere", "--vkey", "nowhere"], "nowhere cannot be used"),
        (["audit", "verify-receipt", "nowhere"], "--vkey"),
    ],
)
def test_what_cannot_be_done_ends_with_a_sentence_and_status_two(offline: Service, arguments: list[str], said: str) -> None:
    before = offline.log.read_bytes()
    done = offline.run(*arguments, "--json", status=2)
    assert said in done.stderr
    assert said in json.loads(done.stdout)["detail"]
    assert "Traceback" not in done.stderr
    assert offline.log.read_bytes() == before


def test_a_name_that_is_taken_is_refused(offline: Service) -> None:
    offline.add_client("erin")
    assert "already" in offline.run("clients", "add", "erin", "--role", "ai.playground.user", status=2).stderr


def test_token_and_ask_are_clients_of_a_running_service(service: Service) -> None:
    secret = service.add_client("frank")
    login = ["--client-id", "frank", "--client-secret", secret, "--url", service.url]
    token = service.cli("token", *login)
    assert set(token) == {"access_token", "token_type", "expires_in", "scope"}
    answer = service.cli("ask", "Hello?", "--token", token["access_token"], "--url", service.url)
    assert list(answer) == ["answer", "model", "usage", "request_id", "receipt"]
    receipt = f"{answer['receipt']['seq']}:{answer['receipt']['hash']}"
    assert service.verify(receipt)["ok"]
    plain = service.run("ask", "Hello?", "--token", token["access_token"], "--url", service.url)
    assert plain.stdout == answer["answer"] + "\n"
    assert "receipt" in plain.stderr
    streamed = service.run("ask", "--stream", "Hello?", "--token", token["access_token"], "--url", service.url)
    assert streamed.stdout == plain.stdout
    last = service.records()[-1]
    assert streamed.stderr == f"receipt {last['seq']}:{last['hash']}\n"


def test_a_refused_call_is_reported_with_its_code(service: Service) -> None:
    for options in ([], ["--stream"]):
        refused = service.run("ask", *options, "Hello?", "--token", "nonsense", "--url", service.url, status=2)
        assert "401 invalid_token" in refused.stderr
    done = service.run("ask", "Hello?", "--token", "nonsense", "--url", service.url, status=2)
    assert "401 invalid_token" in done.stderr
    done = service.run("token", "--client-id", "no", "--client-secret", "no", "--url", service.url, status=2)
    assert "invalid_client" in done.stderr


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense", "http://"])
def test_an_address_without_a_service_is_one_sentence(offline: Service, url: str) -> None:
    done = offline.run("ask", "Hello?", "--token", "x", "--url", url, status=2)
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_records_are_shown_by_request_and_from_the_end(service: Service, token: str) -> None:
    request_id = service.ask(token, "Show me this\x1b[31m one.").json()["request_id"]
    shown = service.cli("audit", "show", "--request-id", request_id)
    assert [record["action"] for record in shown] == ["ask.received", "ask.answered"]
    assert service.cli("audit", "tail", "--lines", "1")[0]["seq"] == service.records()[-1]["seq"]
    assert "\x1b" not in service.run("audit", "show", "--request-id", request_id).stdout


def test_tail_follows_new_records(service: Service, token: str) -> None:
    command = [sys.executable, "-m", "app", "audit", "tail", "--lines", "1", "--follow", "--json"]
    follower = subprocess.Popen(command, cwd=service.folder, env=service.env, stdout=subprocess.PIPE, text=True)
    try:
        assert follower.stdout is not None
        follower.stdout.readline()  # the newest record
        request_id = service.ask(token).json()["request_id"]
        records = [json.loads(follower.stdout.readline()) for _ in range(2)]
        assert [record["request_id"] for record in records] == [request_id, request_id]
    finally:
        follower.kill()
        follower.communicate()


def test_verify_exits_with_one_and_names_the_line(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.add_client()
    data = service.log.read_bytes()
    service.log.write_bytes(data.replace(b'"alice"', b'"alicf"', 1))
    verdict = service.cli("audit", "verify", status=1)
    assert list(verdict) == [
        *("ok", "entries", "head", "problems"),
        *("integrity", "signatures", "completeness", "open", "recovered"),
    ]
    assert verdict["ok"] is False
    assert [problem["seq"] for problem in verdict["problems"]] == [1]
    assert verdict["integrity"] == {"verdict": "failed", "up_to": 0}
    said = service.run("audit", "verify", status=1).stdout
    assert "record 1" in said
    assert "failed: right up to record 0" in said


def test_verify_prints_one_verdict_a_line_and_exits_with_zero(tmp_path: Path) -> None:
    service = Service(tmp_path)
    verdict = service.cli("audit", "verify")
    assert verdict["integrity"] == {"verdict": "ok", "up_to": 0}
    assert verdict["completeness"] == {"verdict": "not_checked", "up_to": None}
    assert verdict["open"] == verdict["recovered"] == {"verdict": "ok", "up_to": 0, "count": 0, "records": []}
    said = service.run("audit", "verify").stdout
    starts = ["integrity ", "signatures ", "completeness ", "open ", "recovered ", "OK: "]
    assert all(line.startswith(start) for line, start in zip(said.splitlines(), starts, strict=True))


def test_a_receipt_is_checked_by_itself_without_log_and_settings(tmp_path: Path) -> None:
    log = Evidence(24)
    (tmp_path / "receipt").write_bytes(log.receipt_file(5, 24))
    (tmp_path / "vkey").write_text(SIGNER.verifier_key.text() + "\n")
    command = [sys.executable, "-m", "app", "audit", "verify-receipt", "receipt", "--vkey", "vkey"]

    def verify_receipt(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *options], cwd=tmp_path, env={}, capture_output=True, text=True, timeout=60)

    done = verify_receipt("--json")
    assert done.returncode == 0, done.stderr
    root = base64.b64encode(log.roots[24]).decode()
    assert json.loads(done.stdout) == {
        "ok": True,
        "seq": 5,
        "record": json.loads(log.lines[5]),
        "checkpoint": {"origin": SIGNER.name, "size": 24, "root": root},
        "problem": None,
    }
    assert "OK: this is record 5" in verify_receipt().stdout
    (tmp_path / "receipt").write_bytes(log.receipt_file(5, 24).replace(b"index 5", b"index 6"))
    done = verify_receipt("--json")
    assert (done.returncode, json.loads(done.stdout)["ok"]) == (1, False)
    assert json.loads(done.stdout)["problem"]
    assert verify_receipt().stdout.startswith("PROVES NOTHING")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["receipt", "vkey"]


def test_commands_work_from_any_folder_and_read_the_env_of_that_folder(tmp_path: Path) -> None:
    elsewhere = tmp_path / "deep" / "er"
    elsewhere.mkdir(parents=True)
    subprocess.run([sys.executable, "-m", "app", "init"], cwd=elsewhere, env={}, check=True, capture_output=True, timeout=60)
    assert (elsewhere / "logs/audit_log.jsonl").exists()
    assert not (tmp_path / "logs").exists()


def test_before_init_every_command_says_so(tmp_path: Path, fake: FakeOpenAI) -> None:
    env = {"SECRET_KEY": "x" * 43, "OPENAI_BASE_URL": fake.base_url}
    for command in (["serve"], ["clients", "list"], ["clients", "add", "alice", "--role", "x.y"], ["audit", "verify"]):
        done = subprocess.run(
            [sys.executable, "-m", "app", *command], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 2
        assert "python -m app init" in done.stderr
        assert "Traceback" not in done.stderr
