"""Checkpoints as a verification reads them: signed by the trusted key, unsigned, refused."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.audit.format.note import Signer, sign_checkpoint
from app.audit.verification.expected import read_checkpoint
from app.errors import VerificationFailed

from ....support.evidence import SIGNER, Evidence

LOG = Evidence(24, (9,))
THIEF = Signer(SIGNER.name, Ed25519PrivateKey.from_private_bytes(b"t" * 32))


def test_with_a_key_the_signature_is_verified() -> None:
    read = read_checkpoint("mine", LOG.checkpoint(9), SIGNER.verifier_key, given=True)
    assert (read.name, read.size, read.root, read.given, read.signed) == ("mine", 9, LOG.roots[9], True, True)
    with pytest.raises(VerificationFailed):
        read_checkpoint("stolen", sign_checkpoint(9, LOG.roots[9], THIEF), SIGNER.verifier_key, given=True)


def test_without_a_key_a_checkpoint_is_not_signed() -> None:
    read = read_checkpoint("mine", sign_checkpoint(9, LOG.roots[9], THIEF), None, given=False)
    assert (read.size, read.root, read.given, read.signed) == (9, LOG.roots[9], False, False)


ROOT = base64.b64encode(LOG.roots[9]).decode()


@pytest.mark.parametrize("text", ["a\n9\nAAAA\n", f"a\n9\n{ROOT}\n\nmore\n", f"a\nnine\n{ROOT}\n"])
def test_without_a_key_too_a_wrong_root_or_line_is_refused(text: str) -> None:
    with pytest.raises(VerificationFailed):
        read_checkpoint("broken", SIGNER.sign(text), None, given=True)
