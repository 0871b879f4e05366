"""What the id of a key shows."""

from __future__ import annotations

import hashlib

from ....support.tokens import KEY, OTHER_KEY


def test_the_id_of_a_key_reveals_nothing_of_it() -> None:
    assert KEY.kid not in hashlib.sha256(KEY.secret).hexdigest()
    assert KEY.secret.decode() not in repr(KEY)


def test_every_key_has_an_id_of_its_own_that_does_not_change() -> None:
    assert KEY.kid == "aec1334b5ba0b42e"
    assert OTHER_KEY.kid != KEY.kid
