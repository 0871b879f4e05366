"""Issued tokens have the header and claims of the contract, and are issued for good names only."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from app.security import token_errors

from ....support.tables import for_each
from ....support.tokens import ASK, CLAIMS, HEADER, HOUR, NOTHING_REVOKED, NOW, issuer, verifier


def test_a_generated_token_proves_its_bearer() -> None:
    issued = issuer().issue("alice", [ASK, "ai.audit.reader"])
    principal = verifier().verify(issued.access_token, NOTHING_REVOKED)
    assert (principal.user_id, principal.client_id) == ("alice", "alice")
    assert principal.roles == (ASK, "ai.audit.reader")
    assert principal.expires_at == NOW + HOUR
    assert (issued.jti, issued.expires_in, issued.scope) == (principal.credential_id, HOUR, f"{ASK} ai.audit.reader")


def test_a_generated_token_has_the_header_and_claims_of_the_contract() -> None:
    token = issuer().issue("alice", [ASK]).access_token
    header, claims = (json.loads(base64.urlsafe_b64decode(one + "==")) for one in token.split(".")[:2])
    assert header == HEADER
    assert set(claims) == set(CLAIMS)
    assert len(bytes.fromhex(claims["nonce"])) == 16
    assert claims == CLAIMS | {"nonce": claims["nonce"], "jti": claims["nonce"]}


def test_no_two_tokens_share_a_nonce() -> None:
    assert len({issuer().issue("alice", [ASK]).jti for _ in range(200)}) == 200


@for_each("user_id", ["", "al", "x" * 33, "alice\n", "al ice", "älice", "a/b", "ali\0ce", None, 7, ["alice"]])
def test_no_token_is_made_for_what_is_no_user_id(user_id: Any) -> None:
    with pytest.raises(token_errors.InvalidUser) as caught:
        issuer().issue(user_id, [ASK])
    assert isinstance(caught.value, ValueError)


@for_each("roles", [[], (), None, ASK, [""], ["Admin"], ["ai playground"], [ASK + "\n"], [7], [None], [["x"]], {ASK: 1}])
def test_no_token_is_made_for_what_are_no_roles(roles: Any) -> None:
    with pytest.raises(token_errors.InvalidRoles) as caught:
        issuer().issue("alice", roles)
    assert isinstance(caught.value, ValueError)
