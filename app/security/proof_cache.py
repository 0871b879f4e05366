"""What was proven lately, by the SHA-256 of the token or key: bounded, and without a secret."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

T = TypeVar("T")
CACHE_SIZE = 10_000
"""The oldest proof is dropped first."""


class ProofCache(OrderedDict[bytes, T]):
    def keep(self, digest: bytes, proof: T) -> None:
        self[digest] = proof
        if len(self) > CACHE_SIZE:
            self.popitem(last=False)
