"""Client commands: what they print for people, and as JSON for programs."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from app.admin import clients as operator_tasks
from app.admin.clients import ClientSecret
from app.cli.main import app
from app.cli.usage import WrongUsage
from app.errors import InvalidRequest
from app.security.api_keys.form import NewKey
from app.security.models import Client, ClientSettings
from app.security.token_errors import InvalidRoles, InvalidUser

from ...support.commands import returning, run
from ...support.tables import for_each

ROLES = ("ai.playground.user", "ai.audit.reader")
CLIENTS = [
    Client("alice", ROLES, False, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
    Client("carol", ROLES[:1], True, datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)),
]


def test_a_new_client_is_shown_with_its_secret_and_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(operator_tasks, "add_client", returning(ClientSecret("carol", "the-secret", ROLES), calls))
    command = ["clients", "add", "carol", "--role", ROLES[0], "--role", ROLES[1]]
    assert run(*command) == (
        "client_id      carol\nclient_secret  the-secret   (shown only now)\nroles          ai.playground.user ai.audit.reader\n"
    )
    assert json.loads(run(*command, "--json")) == {"client_id": "carol", "client_secret": "the-secret", "roles": [*ROLES]}
    run(*command, "--allow-unknown-role")
    run("clients", "add", "carol", "--rpm", "600", "--token-lifetime", "12h")
    plain = ClientSettings()
    assert calls == [
        ("carol", [*ROLES], plain, False, False),
        ("carol", [*ROLES], plain, False, False),
        ("carol", [*ROLES], plain, False, True),
        ("carol", [ROLES[0]], ClientSettings(43_200, 600), False, False),
    ]


def test_a_new_client_can_be_shown_with_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    added = ClientSecret("carol", "the-secret", ROLES[:1], NewKey("a" * 11, "saa_the-key"))
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(operator_tasks, "add_client", returning(added, calls))
    assert run("clients", "add", "carol", "--key").splitlines()[-2:] == [
        "key_id         aaaaaaaaaaa",
        "key            saa_the-key   (shown only now)",
    ]
    document = json.loads(run("clients", "add", "carol", "--key", "--json"))
    assert list(document.items())[3:] == [("key_id", "a" * 11), ("key", "saa_the-key")]
    assert calls[0] == ("carol", [ROLES[0]], ClientSettings(), True, False)


def test_settings_of_a_client_are_set_or_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    changes: list[tuple[object, ...]] = []
    monkeypatch.setattr(operator_tasks, "change_settings", returning(ClientSettings(None, 600), changes))
    lines = ["token_seconds  default", "rpm            600", "front_end      no"]
    assert run("clients", "set", "carol", "--rpm", "600").splitlines()[1:] == lines
    document = {"client_id": "carol", "token_seconds": None, "rpm": 600, "front_end": False}
    assert json.loads(run("clients", "set", "carol", "--rpm", "default", "--token-lifetime", "90m", "--json")) == document
    assert changes == [("carol", 600), ("carol", 5400, None)]


def test_a_client_is_marked_as_a_front_end_or_not_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    changes: list[tuple[object, ...]] = []
    monkeypatch.setattr(operator_tasks, "change_settings", returning(ClientSettings(rpm=1, front_end=True), changes))
    assert run("clients", "set", "webui", "--front-end").splitlines()[2:] == ["rpm            1", "front_end      yes"]
    assert json.loads(run("clients", "set", "webui", "--no-front-end", "--json"))["front_end"] is True
    assert changes == [("webui", True), ("webui", False)]
    added: list[tuple[object, ...]] = []
    secret = ClientSecret("webui", "s", (ROLES[0],))
    monkeypatch.setattr(operator_tasks, "add_client", returning(secret, added))
    run("clients", "add", "webui", "--front-end")
    assert added == [("webui", [ROLES[0]], ClientSettings(front_end=True), False, False)]


@for_each(
    "options",
    [
        [],
        *(["--rpm", value] for value in ("0", "-1", "x", "10000001", "٣", "1.5", "00000001" + 30 * "9")),
        *(["--token-lifetime", value] for value in ("31d", "0s", "12", "h", "1w", "")),
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_is_refused(options: list[str]) -> None:
    done = CliRunner().invoke(app, ["clients", "set", "carol", *options])
    assert isinstance(done.exception, WrongUsage)


def test_two_secrets_are_added_and_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_tasks, "add_secret", returning(ClientSecret("carol", "the-secret", ROLES)))
    removed: list[tuple[object, ...]] = []
    monkeypatch.setattr(operator_tasks, "remove_secret", returning(None, removed))
    assert json.loads(run("clients", "add-secret", "carol", "--json")) == {"client_id": "carol", "client_secret": "the-secret"}
    assert run("clients", "remove-secret", "carol") == "carol has one secret: the newer one\n"
    assert run("clients", "remove-secret", "carol", "--newer") == "carol has one secret: the older one\n"
    assert removed == [("carol", False), ("carol", True)]


def test_a_rotated_client_is_shown_with_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_tasks, "rotate_client", returning(ClientSecret("carol", "the-secret", ROLES)))
    assert run("clients", "rotate", "carol") == "client_id      carol\nclient_secret  the-secret   (shown only now)\n"
    assert json.loads(run("clients", "rotate", "carol", "--json")) == {"client_id": "carol", "client_secret": "the-secret"}


def test_clients_are_a_table_or_a_list_of_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_tasks, "list_clients", returning(CLIENTS))
    assert run("clients", "list") == (
        f"{'alice':<32}  active    2026-01-02T03:04:05Z  ai.playground.user ai.audit.reader\n"
        f"{'carol':<32}  disabled  2026-01-02T03:04:06Z  ai.playground.user\n"
    )
    assert json.loads(run("clients", "list", "--json"))[1] == {
        "client_id": "carol",
        "roles": ["ai.playground.user"],
        "disabled": True,
        "created_at": "2026-01-02T03:04:06Z",
        "token_seconds": None,
        "rpm": None,
        "secrets": 1,
        "front_end": False,
    }


def test_an_empty_list_says_how_to_add_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_tasks, "list_clients", returning([]))
    assert "clients add alice --key" in run("clients", "list")
    assert run("clients", "list", "--json") == "[]\n"


def test_what_was_refused_from_now_on_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_tasks, "disable_client", returning(None))
    assert run("clients", "disable", "carol") == "carol is disabled\n"
    assert json.loads(run("clients", "disable", "carol", "--json")) == {"client_id": "carol", "disabled": True}


def test_an_enabled_client_and_its_new_roles_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_tasks, "enable_client", returning(None))
    monkeypatch.setattr(operator_tasks, "set_roles", returning(ROLES))
    assert run("clients", "enable", "carol").startswith("carol is enabled")
    assert json.loads(run("clients", "enable", "carol", "--json")) == {"client_id": "carol", "disabled": False}
    command = ["clients", "set-roles", "carol", "--role", ROLES[0], "--role", ROLES[1]]
    assert run(*command) == "carol has the roles ai.playground.user ai.audit.reader\n"
    assert json.loads(run(*command, "--json")) == {"client_id": "carol", "roles": [*ROLES]}


@pytest.mark.parametrize(
    ("error", "command", "sentence"),
    [
        (InvalidUser(), ["add", "al", "--role", ROLES[0]], "Invalid value for CLIENT_ID: A client's name is 3 to 32"),
        (InvalidRoles(), ["add", "carol", "--role", "A"], "Invalid value for --role: Roles are"),
        (InvalidRoles(), ["set-roles", "carol", "--role", "A"], "Invalid value for --role: Roles are"),
    ],
)
def test_a_refused_argument_is_named(
    error: Exception, command: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise error

    for name in ("add_client", "set_roles"):
        monkeypatch.setattr(operator_tasks, name, refuse)
    with pytest.raises(type(error), match=sentence):
        run("clients", *command)


def test_an_error_of_ours_passes_through_to_the_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise InvalidRequest("There is no such client.")

    monkeypatch.setattr(operator_tasks, "disable_client", refuse)
    with pytest.raises(InvalidRequest):
        run("clients", "disable", "nobody")
