"""How often a question was sent, and the digest of what came back for the last time."""

from __future__ import annotations

import hashlib

from app.upstream.attempts import Attempts


def test_the_digest_is_of_the_pieces_of_the_last_answer() -> None:
    attempts = Attempts()
    assert (attempts.count, attempts.retried, attempts.response_sha256, attempts.digest()) == (1, None, None, None)
    attempts.begin_answer()
    assert attempts.response_sha256 == hashlib.sha256().hexdigest()
    attempts.add(b"lost")
    attempts.retry("idle_close")
    assert (attempts.count, attempts.retried, attempts.digest()) == (2, "idle_close", None)
    attempts.begin_answer()
    attempts.add(b"one")
    early = attempts.digest()
    attempts.add(b"two")
    assert attempts.response_sha256 == hashlib.sha256(b"onetwo").hexdigest()
    assert early.hexdigest() == hashlib.sha256(b"one").hexdigest(), "what follows does not change it"
