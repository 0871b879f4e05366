"""Time zones: known to the system or to the package tzdata; UTC always."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo, reset_tzpath

import pytest

from app.catalogue.policy_values import zone_named


def test_utc_needs_no_database() -> None:
    assert zone_named("UTC") is UTC


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "/etc/passwd", "Europe", "Europe/Berlin\n", "a\0b"])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="takes the name of a time zone"):
        zone_named(name)


def test_a_machine_without_time_zones_has_those_of_the_package() -> None:
    ZoneInfo.clear_cache()
    reset_tzpath(())
    try:
        assert str(zone_named("Europe/Berlin")) == "Europe/Berlin"
    finally:
        reset_tzpath()
        ZoneInfo.clear_cache()
