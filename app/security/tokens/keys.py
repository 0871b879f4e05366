"""The signing key of access tokens and its name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A symmetric key (RFC 7518, section 3.2). *kid* names it in a token's header and tells nothing of it."""

    algorithm: str
    secret: bytes = field(repr=False)

    @property
    def kid(self) -> str:
        return hashlib.sha256(b"secure-ai-assistant signing key\n" + self.secret).hexdigest()[:16]
