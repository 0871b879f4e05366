"""The shape of user ids and roles: whole values, exact types, bounded."""

import pytest

from app.security.models import Principal
from app.security.roles import ASK, AUDIT_READER, verify_roles, verify_user_id
from app.security.token_errors import InvalidRoles, InvalidUser

from ...support.tables import for_each

NO_USER_IDS = (
    "", "al", "x" * 33, "x" * 200, "alice\n", "al ice", "älice", "ali\0ce", "\ud800abc", "٣٣٣", "alice'--",
    '"; DROP TABLE clients', "a%b", None, 7, True, b"alice", ["alice"],
)  # fmt: skip
NO_ROLES: tuple[object, ...] = (
    [], (), None, True, "ai.playground.user", b"ai", {"ai"}, {"ai": 1}, [""], ["AI"], ["ai\n"], ["ai user"], ["ai1"],
    ["aï"], ["a\0"], ["ai", None], [True], [b"ai"], [["ai"]], ["a" * 65], ["a"] * 33, ["ai'; --"],
)  # fmt: skip


@for_each("value", NO_USER_IDS, ids=ascii)
def test_what_is_no_user_id_is_refused(value: object) -> None:
    with pytest.raises(InvalidUser):
        verify_user_id(value)


@for_each("value", NO_ROLES, ids=lambda value: ascii(value)[:40])
def test_what_is_no_list_of_roles_is_refused(value: object) -> None:
    with pytest.raises(InvalidRoles):
        verify_roles(value)


def test_roles_are_folded_in_order_and_a_principal_has_no_others() -> None:
    roles = verify_roles([AUDIT_READER, ASK, AUDIT_READER])
    assert roles == (AUDIT_READER, ASK)
    assert len(verify_roles(["a" * n for n in range(33, 65)])) == 32
    assert verify_user_id("a_-") == "a_-"
    assert verify_user_id("Z" * 32)
    principal = Principal("alice", (ASK,), "alice", "0" * 32, 1)
    assert principal.has(ASK)
    assert not principal.has(AUDIT_READER)
