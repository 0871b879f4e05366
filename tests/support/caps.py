"""Caps as the settings give them by default."""

from __future__ import annotations

from app.catalogue.caps import Caps

CAPS = Caps(
    body_bytes=8_388_608,
    messages=1000,
    message_chars=500_000,
    max_output_tokens=131_072,
    default_output_tokens=0,
    clamps=False,
    requests_per_minute=60,
    timeout_seconds=600,
    stream_timeout_seconds=3600,
)
