"""Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint): text that anyone can verify.

A note is verified byte for byte as it was received. Its text is used only after that.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ...errors import VerificationFailed
from ...kit.base64 import decode_base64
from .merkle import HASH_BYTES, MAX_SIZE

ED25519 = b"\x01"
"""The signature type of plain Ed25519 over the note's text."""
MAX_NOTE_BYTES = 64 * 1024
MAX_SIGNATURES = 64
"""More than the 16 that a verifier must accept: witnesses sign too."""
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
DASH = "— "
PRIVATE = "PRIVATE+KEY+"


# --- keys --------------------------------------------------------------------------------------


def is_key_name(name: str) -> bool:
    """Whether *name* may name a key: not empty; no white space, plus sign or control character."""
    return bool(name) and not any(c.isspace() or c == "+" or c < " " or "\ud800" <= c <= "\udfff" for c in name)


def key_id(name: str, public: bytes) -> bytes:
    """Four bytes that, with the name, identify the key that signed."""
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + public).digest()[:4]


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """An Ed25519 public key (32 bytes) and its name in notes. Raises ValueError for bad ones."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        if not is_key_name(self.name) or len(self.public) != 32:
            raise ValueError("a verifier key has a name without white space or plus, and 32 bytes")

    def text(self) -> str:
        """`name+<8 hex: key id>+<base64>`, as `GET /audit/vkey` shows it."""
        public = base64.b64encode(ED25519 + self.public).decode()
        return f"{self.name}+{key_id(self.name, self.public).hex()}+{public}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Accepts what `text` gives, and one newline after it. Raises VerificationFailed."""
        name, _, rest = text.removesuffix("\n").partition("+")
        encoded = rest.partition("+")[2]
        public = _decoded(encoded, "the verifier key")
        if len(public) == 33 and public[:1] == ED25519 and is_key_name(name):
            key = cls(name, public[1:])
            if key.text() == text.removesuffix("\n"):
                return key
        raise VerificationFailed("This is not an Ed25519 verifier key in the form name+hash+key (C2SP signed-note).")


@dataclass(frozen=True, slots=True)
class Signer:
    """The log's private key and name: the origin of its checkpoints. Signing is deterministic."""

    name: str
    private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls, name: str) -> Signer:
        return cls(name, Ed25519PrivateKey.generate())

    @property
    def verifier_key(self) -> VerifierKey:
        return VerifierKey(self.name, self.private.public_key().public_bytes_raw())

    def text(self) -> str:
        """`PRIVATE+KEY+name+<8 hex: key id>+<base64>`, as in Go's sumdb/note. This is a secret."""
        public = self.verifier_key
        private = base64.b64encode(ED25519 + self.private.private_bytes_raw()).decode()
        return f"{PRIVATE}{public.name}+{key_id(public.name, public.public).hex()}+{private}"

    @classmethod
    def parse(cls, text: str) -> Signer:
        """Like `VerifierKey.parse`. The error never shows the key."""
        name, _, rest = text.removesuffix("\n").removeprefix(PRIVATE).partition("+")
        private = _decoded(rest.partition("+")[2], "the log key")
        if text.startswith(PRIVATE) and len(private) == 33 and private[:1] == ED25519 and is_key_name(name):
            signer = cls(name, Ed25519PrivateKey.from_private_bytes(private[1:]))
            if signer.text() == text.removesuffix("\n"):
                return signer
        raise VerificationFailed("This is not an Ed25519 log key in the form PRIVATE+KEY+name+hash+key (Go's sumdb/note).")

    def sign(self, text: str) -> bytes:
        """The note of *text*. Raises ValueError if no note can hold this text."""
        if not text.endswith("\n") or CONTROL.search(text) or len(text.encode()) > MAX_NOTE_BYTES // 2:
            raise ValueError("the text of a note ends in a newline and holds no other control characters")
        key = self.verifier_key
        signature = base64.b64encode(key_id(key.name, key.public) + self.private.sign(text.encode())).decode()
        return f"{text}\n{DASH}{key.name} {signature}\n".encode()


# --- notes -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Signature:
    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A parsed note, unverified."""

    text: str
    signatures: tuple[Signature, ...]


def parse_note(data: bytes) -> Note:
    """Parse without verifying. Raises VerificationFailed if the format does not allow it."""
    if len(data) > MAX_NOTE_BYTES:
        _refuse(f"it is longer than {MAX_NOTE_BYTES} bytes")
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        _refuse("it is not UTF-8")
    if CONTROL.search(whole):
        _refuse("it holds a control character")
    text, blank, signatures = whole.rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        _refuse("it has no blank line with signature lines after it")
    lines = signatures[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        _refuse(f"it has more than {MAX_SIGNATURES} signatures")
    return Note(text + "\n", tuple(_parse_signature(line) for line in lines))


def verify_note(data: bytes, keys: Iterable[VerifierKey]) -> str:
    """The text of the note. Raises VerificationFailed unless one of *keys* signed it.

    A wrong signature of any of *keys* is an error. Those of other keys (witnesses, a rotated key)
    are ignored, as the format requires.
    """
    note = parse_note(data)
    known = {(key.name, key_id(key.name, key.public)): key for key in keys}
    verified = False
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is not None:
            _verify_signature(key, signature.signature, note.text.encode())
            verified = True
    if not verified:
        raise VerificationFailed("The note is not signed by the key that is trusted here.")
    return note.text


def _parse_signature(line: str) -> Signature:
    name, space, encoded = line.removeprefix(DASH).partition(" ")
    if not line.startswith(DASH) or not space or not is_key_name(name):
        _refuse("a signature line is not: dash, space, key name, space, base64")
    data = _decoded(encoded, "a signature")
    if len(data) < 5:
        _refuse("a signature is too short")
    return Signature(name, data[:4], data[4:])


def _verify_signature(key: VerifierKey, signature: bytes, message: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    except InvalidSignature:
        raise VerificationFailed(f"The signature of {key.name} is wrong: the text is not what that key signed.") from None


# --- checkpoints -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The size of a log and the root of its tree. Our own checkpoints have no extension lines."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        return "\n".join((self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)) + "\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Parse a checkpoint of any log, with any hash, unverified. `verify_checkpoint` is stricter."""
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop():
        _refuse("a checkpoint is three lines or more, each with its newline")
    origin, size, root, *extensions = lines
    if not origin or CONTROL.search(text):
        _refuse("a checkpoint's origin is empty, or it holds a control character")
    if not NUMBER.fullmatch(size) or int(size) > MAX_SIZE:
        _refuse("a checkpoint's size is not a number in decimal digits, or too large")
    decoded = _decoded(root, "the root hash")
    if not decoded:
        _refuse("a checkpoint's root hash is empty")
    return Checkpoint(origin, int(size), decoded, tuple(extensions))


def sign_checkpoint(size: int, root: bytes, signer: Signer) -> bytes:
    """The signed checkpoint. The caller must ensure that it contradicts no other one."""
    if len(root) != HASH_BYTES or not 0 <= size <= MAX_SIZE:
        raise ValueError("a checkpoint has a size and a root of 32 bytes")
    return signer.sign(Checkpoint(signer.name, size, root).text())


def verify_checkpoint(data: bytes, key: VerifierKey) -> Checkpoint:
    """Raises VerificationFailed unless *key* signed it, for the log of the key's name."""
    checkpoint = parse_checkpoint(verify_note(data, [key]))
    if checkpoint.origin != key.name:
        raise VerificationFailed("The checkpoint is of another log: its origin is not the name of the key.")
    if len(checkpoint.root) != HASH_BYTES or not all(checkpoint.extensions):
        _refuse("a checkpoint's root hash does not have 32 bytes, or one of its lines is empty")
    return checkpoint


def _decoded(encoded: str, what: str) -> bytes:
    try:
        return decode_base64(encoded)
    except ValueError as error:
        _refuse(f"{what} is {error}")


def _refuse(reason: str) -> NoReturn:
    raise VerificationFailed(f"This is not a signed note or checkpoint as C2SP defines it: {reason}.")
