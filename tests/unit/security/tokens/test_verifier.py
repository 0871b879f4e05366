"""Which tokens prove a caller, and with which error each other one is refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.security import proof_cache, token_errors
from app.security.models import Principal, Revocations
from app.security.token_errors import TokenError
from app.security.tokens.keys import SigningKey
from app.security.tokens.verifier import MAX_TOKEN_BYTES

from ....support.paths import CORPORA
from ....support.tables import for_each
from ....support.tokens import (
    ASK,
    CLAIMS,
    HEADER,
    HOUR,
    KEY,
    NONCE,
    NOTHING_REVOKED,
    NOW,
    OTHER_KEY,
    b64,
    issuer,
    part,
    sign,
    verifier,
)

VECTORS = CORPORA / "wycheproof" / "json_web_signature_hs256.json"


def prove(token: str, now: float = NOW) -> Principal:
    """The bearer of *token*, who must be proven."""
    return verifier(lambda: now).verify(token, NOTHING_REVOKED)


def verdict(token: Any, now: float = NOW) -> type[Exception]:
    """The class of error that *token* meets; every one is a TokenError and a ValueError."""
    with pytest.raises(TokenError) as caught:
        prove(token, now)
    assert isinstance(caught.value, ValueError)
    return type(caught.value)


def without(members: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in members.items() if key != name}


GOOD = sign()


# --- good tokens -----------------------------------------------------------------------------------


def test_a_hand_made_token_of_the_same_contract_is_good() -> None:
    assert prove(GOOD) == Principal("alice", (ASK,), "alice", NONCE, NOW + HOUR)


# --- the clock ---------------------------------------------------------------------------------------


@for_each(
    ("claims", "now", "error"),
    [
        ({}, NOW + HOUR - 0.001, None),
        ({}, NOW + HOUR, token_errors.TokenExpired),
        ({}, NOW + HOUR + 1, token_errors.TokenExpired),
        ({}, NOW - 5, None),
        ({}, NOW - 5.001, token_errors.TokenNotYetValid),
        ({"nbf": NOW + 5}, NOW, None),
        ({"nbf": NOW + 6}, NOW, token_errors.TokenNotYetValid),
        ({"iat": NOW + 5}, NOW, None),
        ({"iat": NOW + 6}, NOW, token_errors.TokenNotYetValid),
        ({"exp": NOW + HOUR + 1}, NOW, token_errors.TokenTooLong),
        ({"iat": NOW - 1}, NOW, token_errors.TokenTooLong),
        ({"exp": NOW - 10, "iat": NOW, "nbf": NOW}, NOW, token_errors.TokenExpired),
    ],
)
def test_a_token_is_good_within_its_times_and_for_the_set_lifetime(
    claims: dict[str, int], now: float, error: type[Exception] | None
) -> None:
    token = sign(CLAIMS | claims)
    if error is None:
        assert prove(token, now).user_id == "alice"
    else:
        assert verdict(token, now) is error


def test_lowering_the_lifetime_ends_the_tokens_that_live_longer() -> None:
    token = issuer().issue("alice", [ASK]).access_token
    with pytest.raises(token_errors.TokenTooLong):
        verifier(lifetime=HOUR - 1).verify(token, NOTHING_REVOKED)


# --- claims ------------------------------------------------------------------------------------------


@for_each("name", CLAIMS)
def test_every_claim_must_be_there(name: str) -> None:
    assert verdict(sign(without(CLAIMS, name))) is token_errors.TokenMissingClaim


NO_TEXTS: list[Any] = [None, 1, True, [], {}]
NO_TIMES: list[Any] = [None, "1", 1.5, float(NOW), True, [], -1, 2**53, 10**30]
MISTYPED: list[tuple[str, Any]] = [
    *((name, value) for name in ("iss", "aud", "sub", "client_id", "user_id", "jti", "scope") for value in NO_TEXTS),
    *((name, value) for name in ("iat", "nbf", "exp") for value in NO_TIMES),
    ("aud", ["secure-ai-assistant"]),
]


@for_each(("name", "value"), MISTYPED)
def test_every_claim_must_be_of_its_type(name: str, value: object) -> None:
    assert verdict(sign(CLAIMS | {name: value})) is token_errors.TokenInvalidClaim


WRONG: list[tuple[dict[str, Any], type[TokenError]]] = [
    ({"iss": "somebody-else"}, token_errors.TokenWrongIssuer),
    ({"iss": "Secure-AI-Assistant"}, token_errors.TokenWrongIssuer),
    ({"iss": ""}, token_errors.TokenWrongIssuer),
    ({"aud": "somebody-else"}, token_errors.TokenWrongAudience),
    ({"aud": "secure-ai-assistant "}, token_errors.TokenWrongAudience),
    ({"nonce": NONCE[:-1], "jti": NONCE[:-1]}, token_errors.InvalidNonce),
    ({"nonce": NONCE + "0", "jti": NONCE + "0"}, token_errors.InvalidNonce),
    ({"nonce": NONCE + "\n", "jti": NONCE + "\n"}, token_errors.InvalidNonce),
    ({"nonce": NONCE.upper(), "jti": NONCE.upper()}, token_errors.InvalidNonce),
    ({"nonce": 7}, token_errors.InvalidNonce),
    ({"nonce": None}, token_errors.InvalidNonce),
    ({"jti": "f" * 32}, token_errors.InvalidNonce),
    ({"roles": []}, token_errors.InvalidRoles),
    ({"roles": ASK}, token_errors.InvalidRoles),
    ({"roles": None}, token_errors.InvalidRoles),
    ({"roles": {ASK: 1}}, token_errors.InvalidRoles),
    ({"roles": [ASK, 7]}, token_errors.InvalidRoles),
    ({"roles": [ASK + "\n"], "scope": ASK + "\n"}, token_errors.InvalidRoles),
    ({"roles": ["Admin"], "scope": "Admin"}, token_errors.InvalidRoles),
    ({"roles": ["a"] * 33, "scope": "a"}, token_errors.InvalidRoles),
    ({"scope": "ai.audit.reader"}, token_errors.InvalidRoles),
    ({"scope": ""}, token_errors.InvalidRoles),
    ({"user_id": "al", "sub": "al"}, token_errors.InvalidUser),
    ({"user_id": "alice\n", "sub": "alice\n"}, token_errors.InvalidUser),
    ({"user_id": "mallory"}, token_errors.InvalidUser),
    ({"sub": "mallory"}, token_errors.InvalidUser),
    ({"client_id": "a b"}, token_errors.InvalidUser),
]


@for_each(("claims", "error"), WRONG)
def test_every_claim_must_say_what_we_say(claims: dict[str, Any], error: type[TokenError]) -> None:
    assert verdict(sign(CLAIMS | claims)) is error


# --- header, key and algorithm -----------------------------------------------------------------------


@for_each("name", ["jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64", "zip", "enc"])
def test_a_header_that_brings_or_names_a_key_or_an_extension_is_refused(name: str) -> None:
    for value in ("https://evil.example/key", ["exp"], {"kty": "oct", "k": b64(KEY.secret)}, None, ""):
        assert verdict(sign(header=HEADER | {name: value})) is token_errors.TokenBadHeader


@pytest.mark.parametrize("typ", ["JWT", "jwt", "AT+JWT", "application/at+jwt", "", None, 7])
def test_another_type_of_token_is_refused(typ: object) -> None:
    assert verdict(sign(header=HEADER | {"typ": typ})) is token_errors.TokenBadHeader
    assert verdict(sign(header=without(HEADER, "typ"))) is token_errors.TokenBadHeader


@pytest.mark.parametrize("kid", ["", "0" * 16, OTHER_KEY.kid, KEY.kid.upper(), KEY.kid + "\n", None, 7, [KEY.kid]])
def test_an_unknown_key_is_refused(kid: object) -> None:
    assert verdict(sign(header=HEADER | {"kid": kid})) is token_errors.TokenUnknownKey
    assert verdict(sign(header=without(HEADER, "kid"))) is token_errors.TokenUnknownKey


@for_each("alg", ["none", "None", "HS384", "HS512", "RS256", "ES256", "EdDSA", "hs256", "", None, 256, ["HS256"]])
def test_the_algorithm_is_the_settings_and_never_the_tokens(alg: object) -> None:
    for token in (sign(header=HEADER | {"alg": alg}), sign(header=HEADER | {"alg": alg}).rpartition(".")[0] + "."):
        assert verdict(token) in (token_errors.TokenWrongAlgorithm, token_errors.TokenMalformed)
    assert verdict(sign(header=without(HEADER, "alg"))) is token_errors.TokenWrongAlgorithm


def test_a_true_signature_of_another_hash_is_refused() -> None:
    assert verdict(sign(header=HEADER | {"alg": "HS512"}, digest="sha512")) is token_errors.TokenWrongAlgorithm
    assert verdict(sign(digest="sha512")) is token_errors.TokenBadSignature
    assert verdict(sign(digest="sha384")) is token_errors.TokenBadSignature


def test_a_service_set_to_hs512_signs_and_takes_hs512_only() -> None:
    key = SigningKey("HS512", b"k" * 64)
    token = issuer(key=key).issue("alice", [ASK]).access_token
    assert verifier(key=key).verify(token, NOTHING_REVOKED).user_id == "alice"
    with pytest.raises(token_errors.TokenWrongAlgorithm):
        verifier(key=key).verify(sign(header=HEADER | {"kid": key.kid}, key=key), NOTHING_REVOKED)


def test_the_signature_must_be_of_our_key_over_these_parts() -> None:
    header, claims, signature = GOOD.split(".")
    assert verdict(sign(key=OTHER_KEY)) is token_errors.TokenBadSignature
    assert verdict(f"{header}.{part(CLAIMS | {'user_id': 'root', 'sub': 'root'})}.{signature}") is token_errors.TokenBadSignature
    assert verdict(f"{part(HEADER | {'x': 1})}.{claims}.{signature}") is token_errors.TokenBadSignature
    assert verdict(f"{header}.{claims}.{signature[:-3]}") is token_errors.TokenBadSignature


# --- form --------------------------------------------------------------------------------------------

HEAD, BODY, SIGNATURE = GOOD.split(".")
FORMS = {
    "nothing": "",
    "one part": HEAD,
    "two parts": f"{HEAD}.{BODY}",
    "four parts": GOOD + ".e30",
    "four parts, the last empty": GOOD + ".",
    "five parts, as JWE": f"{HEAD}.{BODY}.{SIGNATURE}.AA.AA",
    "no header": f".{BODY}.{SIGNATURE}",
    "no claims": f"{HEAD}..{SIGNATURE}",
    "no signature": f"{HEAD}.{BODY}.",
    "dots": "..",
    "padded signature": GOOD + "=",
    "padded header": sign(header=HEAD + "="),
    "final newline": GOOD + "\n",
    "leading space": " " + GOOD,
    "inner newline": f"{HEAD}.{BODY}\n.{SIGNATURE}",
    "plus and slash": f"{HEAD}.{BODY}.+/{SIGNATURE[2:]}",
    "not ASCII": GOOD[:-1] + "é",
    "full-width": GOOD[:-1] + "\uff21",
    "lone surrogate": GOOD[:-1] + "\ud800",
    "NUL": GOOD + "\0",
    "JSON serialisation": json.dumps({"payload": BODY, "protected": HEAD, "signature": SIGNATURE}),
    "impossible length of a part": sign(claims=BODY + "A" if len(BODY) % 4 == 0 else BODY + "A" * (5 - len(BODY) % 4)),
}


@for_each("form", FORMS)
def test_what_is_not_three_parts_of_base64url_is_malformed(form: str) -> None:
    assert verdict(FORMS[form]) is token_errors.TokenMalformed


@pytest.mark.parametrize("token", [None, 7, b"bytes", ["a.b.c"]], ids=str)
def test_what_is_no_text_is_malformed(token: Any) -> None:
    assert verdict(token) is token_errors.TokenMalformed


def test_a_token_has_at_most_4_kib() -> None:
    sizes = {len(token): token for token in (sign(CLAIMS | {"pad": "x" * n}) for n in range(2500, 2800))}
    longest, too_long = max(n for n in sizes if n <= MAX_TOKEN_BYTES), min(n for n in sizes if n > MAX_TOKEN_BYTES)
    assert too_long - longest <= 4
    assert prove(sizes[longest]).user_id == "alice"
    assert verdict(sizes[too_long]) is token_errors.TokenMalformed
    assert verdict("a" * 10_000_000) is token_errors.TokenMalformed


def respelled(text: str) -> list[str]:
    """The other spellings of the same bytes: the bits of the last character that stand for nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    free = {0: 1, 2: 16, 3: 4}[len(text) % 4]
    at = alphabet.index(text[-1])
    return [text[:-1] + alphabet[at // free * free + n] for n in range(free) if at // free * free + n != at]


def test_each_part_has_one_spelling_only() -> None:
    header, claims = (next(p for n in range(3) if len(p := part(m | {"pad": "x" * n})) % 4) for m in (HEADER, CLAIMS))
    assert prove(sign(claims, header)).user_id == "alice"
    others = [sign(claims, other) for other in respelled(header)] + [sign(other, header) for other in respelled(claims)]
    others += [f"{HEAD}.{BODY}.{other}" for other in respelled(SIGNATURE)]
    assert len(others) >= 9
    assert {verdict(token) for token in others} == {token_errors.TokenMalformed}


def doubled(members: dict[str, Any], name: str, value: object) -> bytes:
    return json.dumps(members)[:-1].encode() + f", {json.dumps(name)}: {json.dumps(value)}}}".encode()


@for_each(
    "inside",
    [
        doubled(CLAIMS, "user_id", "alice"),
        doubled(CLAIMS, "user_id", "mallory"),
        json.dumps(CLAIMS | {"x": {"a": 1}}).replace('"a": 1', '"a": 1, "a": 2').encode(),
        b"\xef\xbb\xbf" + json.dumps(CLAIMS).encode(),
        json.dumps(CLAIMS).encode("utf-16"),
        json.dumps(CLAIMS | {"x": float("nan")}).encode(),
        json.dumps(CLAIMS).replace("alice", "alic\udce9").encode("utf-8", "surrogateescape"),
        json.dumps([CLAIMS]).encode(),
        json.dumps(CLAIMS).encode() + b" {}",
        *(b"null", b"[]", b'"text"', b"7", b"{", b"foo"),
        b"[" * 2900,
        b'{"a":' * 500,
    ],
)
def test_parts_that_are_not_one_strict_json_object_are_malformed(inside: bytes) -> None:
    assert verdict(sign(inside)) is token_errors.TokenMalformed
    assert verdict(sign(CLAIMS, inside)) is token_errors.TokenMalformed


def test_a_header_with_a_member_twice_is_malformed() -> None:
    assert verdict(sign(header=doubled(HEADER, "alg", "HS256"))) is token_errors.TokenMalformed
    assert verdict(sign(header=doubled(HEADER, "kid", KEY.kid))) is token_errors.TokenMalformed


# --- taken back --------------------------------------------------------------------------------------


def test_a_revoked_token_is_refused_the_first_time_it_is_seen_too() -> None:
    with pytest.raises(token_errors.TokenRevoked):
        verifier().verify(GOOD, Revocations(1, frozenset([NONCE]), frozenset()))
    with pytest.raises(token_errors.ClientDisabled):
        verifier().verify(GOOD, Revocations(1, frozenset(), frozenset(["alice"])))


@pytest.mark.parametrize(
    ("current", "left"),
    [
        ({"alice": {"a.b", "c.d"}}, ("a.b", "c.d")),
        ({"alice": {"c.d", "e.f"}}, ("c.d",)),
        ({"alice": {"e.f"}}, ()),
        ({"carol": set()}, ("a.b", "c.d")),
    ],
)
def test_a_token_gives_only_roles_that_its_client_still_has(current: dict[str, set[str]], left: tuple[str, ...]) -> None:
    one = verifier()
    token = sign(CLAIMS | {"roles": ["a.b", "c.d"], "scope": "a.b c.d"})
    roles = {name: frozenset(names) for name, names in current.items()}
    for _ in range(2):  # proven, then cached
        assert one.verify(token, Revocations(1, frozenset(), frozenset(), roles)).roles == left
    assert one.verify(token, NOTHING_REVOKED).roles == ("a.b", "c.d"), "the proof itself is kept whole"


def test_a_token_refused_once_is_refused_again() -> None:
    one = verifier()
    for _ in range(3):
        with pytest.raises(token_errors.TokenBadSignature):
            one.verify(sign(key=OTHER_KEY), NOTHING_REVOKED)


def test_the_cache_is_bounded_and_what_fell_out_is_proven_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof_cache, "CACHE_SIZE", 20)
    one = verifier()
    many = [sign(CLAIMS | {"nonce": f"{n:032x}", "jti": f"{n:032x}"}) for n in range(100)]
    assert [one.verify(token, NOTHING_REVOKED).credential_id for token in many] == [f"{n:032x}" for n in range(100)]
    assert len(one._proven) == 20
    assert one.verify(many[0], NOTHING_REVOKED).credential_id == "0" * 32


# --- nobody gets in by chance ------------------------------------------------------------------------


@settings(deadline=None)
@given(
    at=st.integers(0, len(GOOD) - 1),
    other=st.characters(exclude_categories=[]),
    how=st.sampled_from(["replace", "insert", "delete"]),
)
def test_no_change_of_one_character_is_accepted(at: int, other: str, how: str) -> None:
    one = verifier()
    one.verify(GOOD, NOTHING_REVOKED)
    changed = GOOD[:at] + (other if how != "delete" else "") + GOOD[at + (how != "insert") :]
    assume(changed != GOOD)
    with pytest.raises(TokenError):
        one.verify(changed, NOTHING_REVOKED)


@settings(deadline=None)
@given(st.text())
def test_no_text_raises_anything_but_a_token_error(text: str) -> None:
    assert issubclass(verdict(text), TokenError)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(name=st.sampled_from(sorted(CLAIMS)), value=JSON)
def test_whatever_we_might_sign_is_proven_as_it_is_or_a_token_error(name: str, value: object) -> None:
    try:
        principal = prove(sign(CLAIMS | {name: value}))
    except TokenError:
        return
    assert (principal.user_id, principal.roles, principal.credential_id) == ("alice", (ASK,), NONCE)
    assert NOW < principal.expires_at <= NOW + HOUR


# --- vectors that nobody here wrote ------------------------------------------------------------------


def wycheproof() -> list[Any]:
    groups = json.loads(VECTORS.read_text())["testGroups"]
    cases = [(group["private"]["k"], test) for group in groups for test in group["tests"]]
    return [pytest.param(k, test, id=f"{test['tcId']}-{test['comment']}") for k, test in cases]


@for_each(("k", "test"), wycheproof())
def test_wycheproofs_cases_hold_and_none_is_a_token_of_ours(k: str, test: dict[str, Any]) -> None:
    secret = base64.urlsafe_b64decode(k + "=")
    library = jwt.PyJWS(options={"verify_signature": True, "enforce_minimum_key_length": True})
    try:
        library.decode(test["jws"], secret, algorithms=["HS256"])
        assert test["result"] == "valid"
    except (jwt.InvalidTokenError, ValueError):
        assert test["result"] == "invalid"
    with pytest.raises(TokenError):
        verifier(key=SigningKey("HS256", secret)).verify(test["jws"], NOTHING_REVOKED)
