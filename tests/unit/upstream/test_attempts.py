"""What is known of one question while it is sent: each try, and the digest of the last one's answer."""

from __future__ import annotations

import hashlib

import pytest

from app.upstream.attempts import Attempts, Try


def test_it_follows_one_question_through_its_tries() -> None:
    attempts = Attempts()
    assert (attempts.count, attempts.retried, attempts.response_sha256, attempts.digest()) == (1, None, None, None)
    attempts.begin("lab", "5" * 64)
    attempts.begin_answer(200)
    assert attempts.response_sha256 == hashlib.sha256().hexdigest()
    attempts.add(b"lost")
    attempts.now.why = "idle_close"
    attempts.now.end("upstream_unavailable")
    attempts.begin("spare", "6" * 64)
    assert (attempts.count, attempts.retried, attempts.digest()) == (2, "idle_close", None)
    attempts.begin_answer(200)
    attempts.add(b"one")
    early = attempts.digest()
    attempts.add(b"two")
    assert attempts.response_sha256 == hashlib.sha256(b"onetwo").hexdigest()
    assert early.hexdigest() == hashlib.sha256(b"one").hexdigest()
    assert [one.received for one in attempts.tries] == [4, 6]
    attempts.now.end(None)
    assert [(one.server, one.status, one.why) for one in attempts.tries] == [("lab", 200, "idle_close"), ("spare", 200, None)]


def test_two_tries_at_one_time_are_followed_each_by_itself() -> None:
    attempts = Attempts({"traceparent": "x"})
    attempts.begin("lab", "5" * 64)
    beside = attempts.beside()
    beside.begin("spare", "6" * 64)
    for one, piece in ((attempts, b"slow"), (beside, b"fast")):
        one.begin_answer(200)
        one.add(piece)
    assert beside.headers == attempts.headers
    assert (attempts.now.server, attempts.count, attempts.retried) == ("lab", 2, "slow")
    assert attempts.response_sha256 == hashlib.sha256(b"slow").hexdigest()
    attempts.now = beside.now
    assert attempts.response_sha256 == hashlib.sha256(b"fast").hexdigest()
    attempts.fail("interrupted")
    assert [one.why for one in attempts.tries] == ["interrupted", "interrupted"]


def test_one_try_is_told_only_where_that_says_something() -> None:
    attempts = Attempts()
    assert attempts.members(are_told=True) == {"attempts": 1}, "nothing was sent yet"
    attempts.begin("lab", "5" * 64).end(None)
    assert attempts.members(are_told=False) == {"attempts": 1}
    (told,) = attempts.members(are_told=True)["tries"]
    assert list(told) == ["server", "status", "ms", "why", "upstream_sha256"]
    attempts.begin("lab", "5" * 64)
    assert len(attempts.members(are_told=False)["tries"]) == 2


def test_a_try_that_was_left_out_is_told_and_not_counted() -> None:
    attempts = Attempts()
    attempts.begin("lab", "5" * 64).is_skipped = True
    attempts.fail("breaker_open")
    members = attempts.members(are_told=True)
    assert (members["attempts"], members["tries"][0]["why"]) == (0, "breaker_open")


def test_the_end_of_a_question_is_why_its_last_try_came_to_nothing() -> None:
    attempts = Attempts()
    attempts.begin("lab", "")
    attempts.now.why = "dns"
    attempts.fail("upstream_unavailable")
    assert attempts.now.why == "dns"
    attempts.begin("lab", "")
    attempts.fail("client_gone")
    assert attempts.now.why == "client_gone"


@pytest.mark.parametrize(
    ("is_sent", "status", "is_free"),
    [
        (False, None, True),
        (True, None, False),
        (True, 200, False),
        (True, 307, True),
        (True, 400, True),
        (True, 429, True),
        (True, 500, False),
        (True, 502, False),
        (True, 504, False),
        (True, 503, True),
        (True, 529, True),
    ],
)
def test_a_server_that_was_not_reached_or_refused_has_generated_nothing(is_sent: bool, status: int | None, is_free: bool) -> None:
    one = Try("lab")
    one.is_sent, one.status = is_sent, status
    assert one.is_free is is_free
