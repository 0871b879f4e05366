"""Which tokens prove somebody, and how each of the others is told apart."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app import errors
from app.audit.log import AuditLog
from app.audit.storage.jsonl import JsonlStore
from app.errors import TokenError
from app.security import SecurityManager
from app.security.clients.migrations import create_or_upgrade_database
from app.security.clients.store import ClientStore, open_clients
from app.security.models import Principal, Revocations
from app.security.security_log import SecurityLog
from app.security.tokens import verifier as tokens
from app.security.tokens.issuer import TokenIssuer
from app.security.tokens.keys import SigningKey
from app.security.tokens.verifier import MAX_TOKEN_BYTES, TokenVerifier

from ....support.paths import CORPORA
from ....support.tokens import ASK, CLAIMS, HEADER, HOUR, KEY, NONCE, NOW, b64, part, sign

VECTORS = CORPORA / "wycheproof" / "json_web_signature_hs256.json"
OTHER_KEY = SigningKey("HS256", b"fedcba9876543210fedcba9876543210")


class Clock:
    def __init__(self) -> None:
        self.now: float = NOW

    def __call__(self) -> float:
        return self.now


class Desk:
    """A SecurityManager over real rooms, whose clock a test can set."""

    def __init__(self, clients: ClientStore, audit: AuditLog, events: SecurityLog) -> None:
        self.clients, self.audit, self.events = clients, audit, events

    def manager(
        self,
        clock: Callable[[], float] = lambda: NOW,
        *,
        key: SigningKey = KEY,
        lifetime: int = HOUR,
        revocations: Revocations | None = None,
    ) -> SecurityManager:
        names: dict[str, Any] = {"issuer": "secure-ai-assistant", "audience": "secure-ai-assistant", "clock": clock}
        return SecurityManager(
            issuer=TokenIssuer(key, **names, lifetime_seconds=lifetime),
            verifier=TokenVerifier(key, **names, lifetime_seconds=lifetime),
            clients=self.clients,
            audit=self.audit,
            events=self.events,
            revocations=revocations,
        )

    def verdict(self, token: str, now: float = NOW) -> type[Exception]:
        """The class of error that *token* meets; every one is a TokenError and a ValueError."""
        with pytest.raises(TokenError) as caught:
            self.manager(lambda: now).verify_token(token)
        assert isinstance(caught.value, ValueError)
        return type(caught.value)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    path = folder / "clients.sqlite3"
    create_or_upgrade_database(path)
    audit, events = AuditLog(JsonlStore(folder / "audit_log.jsonl")), SecurityLog(folder / "security.log")
    yield Desk(open_clients(path, now=lambda: NOW), audit, events)
    audit.close()
    events.close()


def without(members: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in members.items() if key != name}


GOOD = sign()


# --- good tokens -------------------------------------------------------------------------------------


def test_a_generated_token_proves_its_bearer(desk: Desk) -> None:
    manager = desk.manager()
    token = manager.generate_token("alice", [ASK, "ai.audit.reader"])
    principal = manager.verify_token(token)
    assert (principal.user_id, principal.client_id) == ("alice", "alice")
    assert principal.roles == (ASK, "ai.audit.reader")
    assert principal.expires_at == NOW + HOUR


def test_a_generated_token_has_the_header_and_claims_of_the_contract(desk: Desk) -> None:
    token = desk.manager().generate_token("alice", [ASK])
    header, claims = (json.loads(base64.urlsafe_b64decode(one + "==")) for one in token.split(".")[:2])
    assert header == HEADER
    assert set(claims) == set(CLAIMS)
    assert len(bytes.fromhex(claims["nonce"])) == 16
    assert claims == CLAIMS | {"nonce": claims["nonce"], "jti": claims["nonce"]}


def test_no_two_tokens_share_a_nonce(desk: Desk) -> None:
    manager = desk.manager()
    assert len({manager.verify_token(manager.generate_token("alice", [ASK])).jti for _ in range(200)}) == 200


def test_a_hand_made_token_of_the_same_contract_is_good(desk: Desk) -> None:
    assert desk.manager().verify_token(GOOD) == Principal("alice", (ASK,), "alice", NONCE, NOW + HOUR)


@pytest.mark.parametrize("user_id", ["", "al", "x" * 33, "alice\n", "al ice", "älice", "a/b", "ali\0ce", None, 7, ["alice"]])
def test_no_token_is_made_for_what_is_no_user_id(desk: Desk, user_id: Any) -> None:
    with pytest.raises(errors.InvalidUser) as caught:
        desk.manager().generate_token(user_id, [ASK])
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "roles", [[], (), None, ASK, [""], ["Admin"], ["ai playground"], [ASK + "\n"], [7], [None], [["x"]], {ASK: 1}]
)
def test_no_token_is_made_for_what_are_no_roles(desk: Desk, roles: Any) -> None:
    with pytest.raises(errors.InvalidRoles) as caught:
        desk.manager().generate_token("alice", roles)
    assert isinstance(caught.value, ValueError)


# --- the clock ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "now", "verdict"),
    [
        ({}, NOW + HOUR - 0.001, None),
        ({}, NOW + HOUR, errors.TokenExpired),
        ({}, NOW + HOUR + 1, errors.TokenExpired),
        ({}, NOW - 5, None),
        ({}, NOW - 5.001, errors.TokenNotYetValid),
        ({"nbf": NOW + 5}, NOW, None),
        ({"nbf": NOW + 6}, NOW, errors.TokenNotYetValid),
        ({"iat": NOW + 5}, NOW, None),
        ({"iat": NOW + 6}, NOW, errors.TokenNotYetValid),
        ({"exp": NOW + HOUR + 1}, NOW, errors.TokenTooLong),
        ({"iat": NOW - 1}, NOW, errors.TokenTooLong),
        ({"exp": NOW - 10, "iat": NOW, "nbf": NOW}, NOW, errors.TokenExpired),
    ],
)
def test_a_token_is_good_from_its_first_second_to_its_last_and_never_longer_than_the_setting(
    desk: Desk, claims: dict[str, int], now: float, verdict: type[Exception] | None
) -> None:
    token = sign(CLAIMS | claims)
    if verdict is None:
        assert desk.manager(lambda: now).verify_token(token).user_id == "alice"
    else:
        assert desk.verdict(token, now) is verdict


def test_lowering_the_lifetime_ends_the_tokens_that_live_longer(desk: Desk) -> None:
    token = desk.manager(lifetime=HOUR).generate_token("alice", [ASK])
    with pytest.raises(errors.TokenTooLong):
        desk.manager(lifetime=HOUR - 1).verify_token(token)


# --- claims ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLAIMS)
def test_every_claim_must_be_there(desk: Desk, name: str) -> None:
    assert desk.verdict(sign(without(CLAIMS, name))) is errors.TokenMissingClaim


NO_TEXTS: list[Any] = [None, 1, True, [], {}]
NO_TIMES: list[Any] = [None, "1", 1.5, float(NOW), True, [], -1, 2**53, 10**30]
MISTYPED: list[tuple[str, Any]] = [
    *((name, value) for name in ("iss", "aud", "sub", "client_id", "user_id", "jti", "scope") for value in NO_TEXTS),
    *((name, value) for name in ("iat", "nbf", "exp") for value in NO_TIMES),
    ("aud", ["secure-ai-assistant"]),
]


@pytest.mark.parametrize(("name", "value"), MISTYPED)
def test_every_claim_must_be_of_its_type(desk: Desk, name: str, value: object) -> None:
    assert desk.verdict(sign(CLAIMS | {name: value})) is errors.TokenInvalidClaim


WRONG: list[tuple[dict[str, Any], type[TokenError]]] = [
    ({"iss": "somebody-else"}, errors.TokenWrongIssuer),
    ({"iss": "Secure-AI-Assistant"}, errors.TokenWrongIssuer),
    ({"iss": ""}, errors.TokenWrongIssuer),
    ({"aud": "somebody-else"}, errors.TokenWrongAudience),
    ({"aud": "secure-ai-assistant "}, errors.TokenWrongAudience),
    ({"nonce": NONCE[:-1], "jti": NONCE[:-1]}, errors.InvalidNonce),
    ({"nonce": NONCE + "0", "jti": NONCE + "0"}, errors.InvalidNonce),
    ({"nonce": NONCE + "\n", "jti": NONCE + "\n"}, errors.InvalidNonce),
    ({"nonce": NONCE.upper(), "jti": NONCE.upper()}, errors.InvalidNonce),
    ({"nonce": 7}, errors.InvalidNonce),
    ({"nonce": None}, errors.InvalidNonce),
    ({"jti": "f" * 32}, errors.InvalidNonce),
    ({"roles": []}, errors.InvalidRoles),
    ({"roles": ASK}, errors.InvalidRoles),
    ({"roles": None}, errors.InvalidRoles),
    ({"roles": {ASK: 1}}, errors.InvalidRoles),
    ({"roles": [ASK, 7]}, errors.InvalidRoles),
    ({"roles": [ASK + "\n"], "scope": ASK + "\n"}, errors.InvalidRoles),
    ({"roles": ["Admin"], "scope": "Admin"}, errors.InvalidRoles),
    ({"roles": ["a"] * 33, "scope": "a"}, errors.InvalidRoles),
    ({"scope": "ai.audit.reader"}, errors.InvalidRoles),
    ({"scope": ""}, errors.InvalidRoles),
    ({"user_id": "al", "sub": "al"}, errors.InvalidUser),
    ({"user_id": "alice\n", "sub": "alice\n"}, errors.InvalidUser),
    ({"user_id": "mallory"}, errors.InvalidUser),
    ({"sub": "mallory"}, errors.InvalidUser),
    ({"client_id": "a b"}, errors.InvalidUser),
]


@pytest.mark.parametrize(("claims", "verdict"), WRONG)
def test_every_claim_must_say_what_we_say(desk: Desk, claims: dict[str, Any], verdict: type[TokenError]) -> None:
    assert desk.verdict(sign(CLAIMS | claims)) is verdict


def test_every_reason_has_a_code_of_its_own() -> None:
    reasons = TokenError.__subclasses__()
    assert len({one.code for one in reasons}) == len(reasons) > 15
    assert all(issubclass(one, ValueError) for one in reasons)


# --- header, key and algorithm -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64", "zip", "enc"])
def test_a_header_that_brings_or_names_a_key_or_an_extension_is_refused(desk: Desk, name: str) -> None:
    for value in ("https://evil.example/key", ["exp"], {"kty": "oct", "k": b64(KEY.secret)}, None, ""):
        assert desk.verdict(sign(header=HEADER | {name: value})) is errors.TokenBadHeader


@pytest.mark.parametrize("typ", ["JWT", "jwt", "AT+JWT", "application/at+jwt", "", None, 7])
def test_another_type_of_token_is_refused(desk: Desk, typ: object) -> None:
    assert desk.verdict(sign(header=HEADER | {"typ": typ})) is errors.TokenBadHeader
    assert desk.verdict(sign(header=without(HEADER, "typ"))) is errors.TokenBadHeader


@pytest.mark.parametrize("kid", ["", "0" * 16, OTHER_KEY.kid, KEY.kid.upper(), KEY.kid + "\n", None, 7, [KEY.kid]])
def test_an_unknown_key_is_refused(desk: Desk, kid: object) -> None:
    assert desk.verdict(sign(header=HEADER | {"kid": kid})) is errors.TokenUnknownKey
    assert desk.verdict(sign(header=without(HEADER, "kid"))) is errors.TokenUnknownKey


@pytest.mark.parametrize("alg", ["none", "None", "HS384", "HS512", "RS256", "ES256", "EdDSA", "hs256", "", None, 256, ["HS256"]])
def test_the_algorithm_is_the_settings_and_never_the_tokens(desk: Desk, alg: object) -> None:
    for token in (sign(header=HEADER | {"alg": alg}), sign(header=HEADER | {"alg": alg}).rpartition(".")[0] + "."):
        assert desk.verdict(token) in (errors.TokenWrongAlgorithm, errors.TokenMalformed)
    assert desk.verdict(sign(header=without(HEADER, "alg"))) is errors.TokenWrongAlgorithm


def test_a_true_signature_of_another_hash_is_refused_whatever_the_header_says(desk: Desk) -> None:
    assert desk.verdict(sign(header=HEADER | {"alg": "HS512"}, digest="sha512")) is errors.TokenWrongAlgorithm
    assert desk.verdict(sign(digest="sha512")) is errors.TokenBadSignature
    assert desk.verdict(sign(digest="sha384")) is errors.TokenBadSignature


def test_a_service_set_to_hs512_signs_and_takes_hs512_only(desk: Desk) -> None:
    key = SigningKey("HS512", b"k" * 64)
    manager = desk.manager(key=key)
    assert manager.verify_token(manager.generate_token("alice", [ASK])).user_id == "alice"
    with pytest.raises(errors.TokenWrongAlgorithm):
        manager.verify_token(sign(header=HEADER | {"kid": key.kid}, key=key))


def test_the_signature_must_be_of_our_key_over_these_parts(desk: Desk) -> None:
    header, claims, signature = GOOD.split(".")
    assert desk.verdict(sign(key=OTHER_KEY)) is errors.TokenBadSignature
    assert desk.verdict(f"{header}.{part(CLAIMS | {'user_id': 'root', 'sub': 'root'})}.{signature}") is errors.TokenBadSignature
    assert desk.verdict(f"{part(HEADER | {'x': 1})}.{claims}.{signature}") is errors.TokenBadSignature
    assert desk.verdict(f"{header}.{claims}.{signature[:-3]}") is errors.TokenBadSignature


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


@pytest.mark.parametrize("form", FORMS)
def test_what_is_not_three_parts_of_base64url_is_malformed(desk: Desk, form: str) -> None:
    assert desk.verdict(FORMS[form]) is errors.TokenMalformed


@pytest.mark.parametrize("token", [None, 7, b"bytes", ["a.b.c"]], ids=str)
def test_what_is_no_text_is_malformed(desk: Desk, token: Any) -> None:
    assert desk.verdict(token) is errors.TokenMalformed


def test_a_token_has_at_most_4_kib(desk: Desk) -> None:
    sizes = {len(token): token for token in (sign(CLAIMS | {"pad": "x" * n}) for n in range(2500, 2800))}
    longest, too_long = max(n for n in sizes if n <= MAX_TOKEN_BYTES), min(n for n in sizes if n > MAX_TOKEN_BYTES)
    assert too_long - longest <= 4
    assert desk.manager().verify_token(sizes[longest]).user_id == "alice"
    assert desk.verdict(sizes[too_long]) is errors.TokenMalformed
    assert desk.verdict("a" * 10_000_000) is errors.TokenMalformed


def respelled(text: str) -> list[str]:
    """The other spellings of the same bytes: the bits of the last character that stand for nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    free = {0: 1, 2: 16, 3: 4}[len(text) % 4]
    at = alphabet.index(text[-1])
    return [text[:-1] + alphabet[at // free * free + n] for n in range(free) if at // free * free + n != at]


def test_each_part_has_one_spelling_only(desk: Desk) -> None:
    header, claims = (next(p for n in range(3) if len(p := part(m | {"pad": "x" * n})) % 4) for m in (HEADER, CLAIMS))
    assert desk.manager().verify_token(sign(claims, header)).user_id == "alice"
    others = [sign(claims, other) for other in respelled(header)] + [sign(other, header) for other in respelled(claims)]
    others += [f"{HEAD}.{BODY}.{other}" for other in respelled(SIGNATURE)]
    assert len(others) >= 9
    assert {desk.verdict(token) for token in others} == {errors.TokenMalformed}


def doubled(members: dict[str, Any], name: str, value: object) -> bytes:
    return json.dumps(members)[:-1].encode() + f", {json.dumps(name)}: {json.dumps(value)}}}".encode()


@pytest.mark.parametrize(
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
def test_parts_that_are_not_one_strict_json_object_are_malformed(desk: Desk, inside: bytes) -> None:
    assert desk.verdict(sign(inside)) is errors.TokenMalformed
    assert desk.verdict(sign(CLAIMS, inside)) is errors.TokenMalformed


def test_a_header_with_a_member_twice_is_malformed(desk: Desk) -> None:
    assert desk.verdict(sign(header=doubled(HEADER, "alg", "HS256"))) is errors.TokenMalformed
    assert desk.verdict(sign(header=doubled(HEADER, "kid", KEY.kid))) is errors.TokenMalformed


# --- taken back --------------------------------------------------------------------------------------


def test_revoking_disabling_and_expiry_look_through_the_cache(desk: Desk) -> None:
    clock = Clock()

    async def road() -> None:
        manager = desk.manager(clock)
        for name in ("carol", "david"):
            await desk.clients.add(name, [ASK])
        carol, david, erika = (manager.generate_token(name, [ASK]) for name in ("carol", "david", "erika"))
        jti = [manager.verify_token(token).jti for token in (carol, david, erika)]
        await desk.clients.revoke(jti[0], NOW + HOUR)
        await desk.clients.disable("david")
        assert manager.verify_token(carol).user_id == "carol", "the set in memory is as old as its last load"
        await manager.load_revocations()
        with pytest.raises(errors.TokenRevoked):
            manager.verify_token(carol)
        with pytest.raises(errors.ClientDisabled):
            manager.verify_token(david)
        assert manager.verify_token(erika).user_id == "erika"
        clock.now = NOW + HOUR
        for _ in range(2):
            with pytest.raises(errors.TokenExpired):
                manager.verify_token(erika)
        await desk.clients.aclose()

    asyncio.run(road())


def test_a_revoked_token_is_refused_the_first_time_it_is_seen_too(desk: Desk) -> None:
    with pytest.raises(errors.TokenRevoked):
        desk.manager(revocations=Revocations(1, frozenset([NONCE]), frozenset())).verify_token(GOOD)
    with pytest.raises(errors.ClientDisabled):
        desk.manager(revocations=Revocations(1, frozenset(), frozenset(["alice"]))).verify_token(GOOD)


def test_a_token_refused_once_is_refused_again(desk: Desk) -> None:
    manager = desk.manager()
    for _ in range(3):
        with pytest.raises(errors.TokenBadSignature):
            manager.verify_token(sign(key=OTHER_KEY))


def test_the_cache_is_bounded_and_what_fell_out_is_proven_anew(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "CACHE_SIZE", 20)
    verifier = TokenVerifier(
        KEY, issuer="secure-ai-assistant", audience="secure-ai-assistant", lifetime_seconds=HOUR, clock=lambda: NOW
    )
    nobody = Revocations(0, frozenset(), frozenset())
    many = [sign(CLAIMS | {"nonce": f"{n:032x}", "jti": f"{n:032x}"}) for n in range(100)]
    assert [verifier.verify(token, nobody).jti for token in many] == [f"{n:032x}" for n in range(100)]
    assert len(verifier._proven) == 20
    assert verifier.verify(many[0], nobody).jti == "0" * 32


# --- nobody gets in by chance ------------------------------------------------------------------------


@settings(deadline=None)
@given(
    at=st.integers(0, len(GOOD) - 1),
    other=st.characters(exclude_categories=[]),
    how=st.sampled_from(["replace", "insert", "delete"]),
)
def test_no_change_of_one_character_is_accepted(desk: Desk, at: int, other: str, how: str) -> None:
    manager = desk.manager()
    manager.verify_token(GOOD)
    changed = GOOD[:at] + (other if how != "delete" else "") + GOOD[at + (how != "insert") :]
    assume(changed != GOOD)
    with pytest.raises(TokenError):
        manager.verify_token(changed)


@settings(deadline=None)
@given(st.text())
def test_no_text_raises_anything_but_a_token_error(desk: Desk, text: str) -> None:
    assert issubclass(desk.verdict(text), TokenError)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(name=st.sampled_from(sorted(CLAIMS)), value=JSON)
def test_whatever_we_might_sign_is_proven_as_it_stands_or_a_token_error(desk: Desk, name: str, value: object) -> None:
    try:
        principal = desk.manager().verify_token(sign(CLAIMS | {name: value}))
    except TokenError:
        return
    assert (principal.user_id, principal.roles, principal.jti) == ("alice", (ASK,), NONCE)
    assert NOW < principal.expires_at <= NOW + HOUR


# --- vectors that nobody here wrote ------------------------------------------------------------------


def wycheproof() -> list[Any]:
    groups = json.loads(VECTORS.read_text())["testGroups"]
    cases = [(group["private"]["k"], test) for group in groups for test in group["tests"]]
    return [pytest.param(k, test, id=f"{test['tcId']}-{test['comment']}") for k, test in cases]


@pytest.mark.parametrize(("k", "test"), wycheproof())
def test_wycheproofs_hs256_cases_hold_in_the_library_and_none_is_a_token_of_ours(
    desk: Desk, k: str, test: dict[str, Any]
) -> None:
    secret = base64.urlsafe_b64decode(k + "=")
    library = jwt.PyJWS(options={"verify_signature": True, "enforce_minimum_key_length": True})
    try:
        library.decode(test["jws"], secret, algorithms=["HS256"])
        assert test["result"] == "valid"
    except (jwt.InvalidTokenError, ValueError):
        assert test["result"] == "invalid"
    verifier = TokenVerifier(
        SigningKey("HS256", secret), issuer="secure-ai-assistant", audience="secure-ai-assistant", lifetime_seconds=HOUR
    )
    with pytest.raises(TokenError):
        verifier.verify(test["jws"], Revocations(0, frozenset(), frozenset()))


def test_the_key_name_tells_nothing_of_the_key() -> None:
    assert KEY.kid not in hashlib.sha256(KEY.secret).hexdigest()
    assert KEY.secret.decode() not in repr(KEY)
