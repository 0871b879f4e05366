"""What a replaced database lacks stays refused, until it expires or an operator decides otherwise."""

from __future__ import annotations

from app.security.models import Revocations
from app.security.surviving_revocations import SurvivingRevocations

NOW, HOUR = 1_000_000.0, 3_600
ASK, READ = "ai.playground.user", "ai.audit.reader"


def revocations(number: int, revoked: dict[str, int], disabled: set[str], **roles: str) -> Revocations:
    names = {name: frozenset(text.split()) for name, text in roles.items()}
    return Revocations(number, frozenset(revoked), frozenset(disabled), names, revoked)


OLD = revocations(9, {"a": 1_000_100, "b": 1_000_200, "c": 999_999}, {"bob"}, bob=ASK, carol=READ, david=ASK)
FRESH = revocations(3, {"b": 1_000_200}, set(), bob=ASK, carol=f"{ASK} {READ}", david=ASK)
KEPT = SurvivingRevocations().after(OLD, FRESH, NOW, NOW + HOUR)


def test_only_what_the_new_database_lacks_and_has_not_expired_is_kept() -> None:
    assert (dict(KEPT.revoked), set(KEPT.disabled), dict(KEPT.roles)) == ({"a": 1_000_100}, {"bob"}, {"carol": frozenset([READ])})
    assert len(KEPT) == 3
    assert KEPT.ends_at == NOW + HOUR
    assert len(SurvivingRevocations().after(OLD, OLD, NOW, NOW + HOUR)) == 0


def test_it_applies_over_the_new_database_until_it_expires() -> None:
    now = KEPT.over(FRESH, NOW)
    assert (now.generation, set(now.revoked), set(now.disabled)) == (3, {"a", "b"}, {"bob"})
    assert now.roles == {"bob": frozenset([ASK]), "carol": frozenset([READ]), "david": frozenset([ASK])}
    later = KEPT.over(FRESH, NOW + 101)
    assert (set(later.revoked), set(later.disabled)) == ({"b"}, {"bob"})
    last = KEPT.over(FRESH, NOW + HOUR)
    assert (last.disabled, last.roles) == (FRESH.disabled, FRESH.roles)


def test_a_token_stays_revoked_longer_than_clients_keep_their_state() -> None:
    last = SurvivingRevocations().after(OLD, FRESH, NOW, NOW + 50).over(FRESH, NOW + 60)
    assert (set(last.revoked), last.expiries, last.disabled) == ({"a", "b"}, {"a": 1_000_100, "b": 1_000_200}, frozenset())


def test_an_operators_later_decision_is_obeyed() -> None:
    stored = revocations(4, {"a": 1_000_100, "b": 1_000_200}, {"bob"}, bob=ASK, carol=f"{ASK} {READ}")
    enabled = revocations(5, dict(stored.expiries), set(), bob=ASK, carol=ASK)
    left = KEPT.without_decided(stored, enabled)
    assert (len(left.disabled), len(left.roles)) == (0, 0)
    assert left.revoked == KEPT.revoked


def test_a_second_replacement_keeps_what_the_first_one_lacked() -> None:
    again = KEPT.after(KEPT.over(FRESH, NOW), FRESH, NOW, NOW + HOUR)
    assert again == KEPT
