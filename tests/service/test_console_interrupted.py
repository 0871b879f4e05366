"""The console where something is cut, overtaken or left midway: nobody takes a part for the whole, and nothing stays behind."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from ..support.console_service import ConsoleService, console_service
from ..support.fake_openai import FakeOpenAI
from ..support.optional import NODE_FOLDER, chromium, node_with

BROKE_OFF = "The answer broke off: what came is not the whole of it. Try again."


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[ConsoleService]:
    """Its log is longer than what sockets and a browser take at once."""
    folder = tmp_path_factory.mktemp("interrupted")
    with console_service(folder / "service", fake.base_url, days=3, a_day=1_000, RATE_LIMIT="10000000") as running:
        yield running


@pytest.fixture(scope="module")
def seen(console: ConsoleService, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    command = [node_with("playwright-core"), str(NODE_FOLDER / "console_interrupted.js"), chromium(), console.url]
    home = str(tmp_path_factory.mktemp("home"))
    environment = {"PATH": os.environ["PATH"], "HOME": home, "SECRETS": json.dumps(console.secrets)}
    done = subprocess.run([*command, str(console.service.log)], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_an_export_whose_log_goes_away_is_said_to_be_no_whole_file(seen: dict[str, Any]) -> None:
    assert seen["cutExport"] == f"Nothing was saved. {BROKE_OFF}"
    assert seen["savedOfCut"] == 0


def test_a_program_sees_that_an_export_was_cut(console: ConsoleService) -> None:
    service = console.service
    bearer = {"Authorization": f"Bearer {service.token('olga', console.secrets['olga'])}"}
    with httpx.stream("GET", console.url + "/audit/export?format=ocsf", headers=bearer, timeout=30) as answer:
        pieces = answer.iter_raw(65_536)
        next(pieces)
        away = service.log.rename(service.log.with_suffix(".away"))
        try:
            time.sleep(0.5)
            with pytest.raises(httpx.RemoteProtocolError):
                list(pieces)
        finally:
            away.rename(service.log)
    output = (service.log.parent.parent / "serve.log").read_text()
    assert f"request {answer.headers['x-request-id']}: its answer broke off: " in output
    assert "Traceback" not in output


def test_an_answer_that_ends_early_is_said_to_be_no_whole_one(seen: dict[str, Any]) -> None:
    assert seen["cutAnswer"] == "The answer broke off before its end. The log says how much of it was sent."
    assert not seen["factsOfCut"]


def test_nothing_comes_after_a_sign_out(seen: dict[str, Any]) -> None:
    assert (seen["leftOfAnswer"], seen["leftOfPage"], seen["dialogsAfter"]) == (0, 0, 0)


def test_a_computer_that_slept_is_signed_out_at_the_first_key(seen: dict[str, Any]) -> None:
    assert seen["afterSleep"] == "You were signed out, because nothing was done for a while."


def test_a_record_that_does_not_come_says_so(seen: dict[str, Any]) -> None:
    assert seen["noRecord"] == "The service cannot be reached. Is it running, and is the network there?"
    assert not seen["actionsOfNone"]


def test_a_record_that_comes_late_does_not_take_the_place_of_another(seen: dict[str, Any]) -> None:
    assert seen["overtaken"] == 4


def test_a_number_above_2_to_the_53rd_keeps_its_digits(seen: dict[str, Any]) -> None:
    assert seen["longNumber"] == '[{"n":9007199254740993}]'


def test_a_role_that_the_policy_does_not_know_stays_when_others_change(seen: dict[str, Any]) -> None:
    assert set(seen["roles"].split()) == {"ai.playground.user", "ai.token.introspect", "of.old"}


def test_a_form_that_is_sent_twice_makes_one_key(seen: dict[str, Any]) -> None:
    assert seen["keys"] == 1


def test_a_choice_cuts_no_request_off_and_the_last_one_is_shown(seen: dict[str, Any]) -> None:
    assert (set(seen["chosen"]), seen["ofChoices"]) == ({"log.opened"}, [])


def test_a_service_that_does_not_answer_is_not_shown_as_it_was(seen: dict[str, Any]) -> None:
    assert seen["silent"] == "It has not answered in time. Is it running, and is the network there?"


def test_a_feed_that_breaks_off_says_so_and_is_off(seen: dict[str, Any]) -> None:
    assert seen["feed"] == "The feed broke off. Switch it on again to go on; the search finds what came meanwhile."
    assert seen["feedIsOn"] == "false"


def test_a_client_that_is_disabled_is_signed_out_in_words_for_people(seen: dict[str, Any]) -> None:
    said = "You were signed out: what you signed in with is no longer valid."
    assert seen["disabled"] == f"{said} Sign in again, or ask the person who gave it to you."


def test_what_did_not_work_is_no_question(seen: dict[str, Any]) -> None:
    assert seen["buttonsOfProblem"] == ["Close"]


def test_no_script_fails_meanwhile(seen: dict[str, Any]) -> None:
    assert (seen["complaints"], seen["violations"]) == ([], [])
