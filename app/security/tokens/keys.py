"""The key that signs access tokens, and its id."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A symmetric key (RFC 7518, section 3.2)."""

    algorithm: str
    secret: bytes = field(repr=False)

    @property
    def kid(self) -> str:
        """Names the key in a token's header and reveals nothing about it."""
        return hashlib.sha256(b"secure-ai-assistant signing key\n" + self.secret).hexdigest()[:16]
