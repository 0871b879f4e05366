"""How many examples a property test tries: the usual number, fewer in `make test-fast`, far more in the long form."""

from __future__ import annotations

from hypothesis import settings

USUAL, FAST, LONG = 100, 20, 1_250
"""Of a test that names no number; hypothesis's option --hypothesis-profile chooses `usual`, `fast` or `long`."""


def register_profiles() -> None:
    for name, number in {"usual": USUAL, "fast": FAST, "long": LONG}.items():
        settings.register_profile(name, max_examples=number, deadline=None)  # a busy machine must not fail a test
    settings.load_profile("usual")


def scaled(usual: int) -> int:
    """*usual* examples, or as many fewer or more as the profile asks for."""
    return max(1, usual * settings.default.max_examples // USUAL)  # type: ignore[union-attr]  # a profile is loaded


def examples(usual: int) -> settings:
    return settings(max_examples=scaled(usual))
