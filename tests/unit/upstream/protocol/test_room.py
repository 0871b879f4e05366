"""The bound of what the record of one stream is made of."""

from __future__ import annotations

import pytest

from app.errors import UpstreamError
from app.upstream.bounds import LIGHT_PIECES, MAX_KEPT
from app.upstream.protocol.room import Room


def test_a_room_is_heavy_and_then_full() -> None:
    room = Room()
    room.take(LIGHT_PIECES)
    assert not room.is_heavy
    room.take()
    assert room.is_heavy
    room.take(MAX_KEPT - LIGHT_PIECES - 1)
    room.verify()
    room.take()
    with pytest.raises(UpstreamError):
        room.verify()
