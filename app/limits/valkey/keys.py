"""The keys of what is counted. No caller can be read from them, and none can choose its slot."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b


def _digest(text: str, size: int) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).hexdigest()


class Keys:
    """Of one service, so that others may use the same server."""

    def __init__(self, service: str) -> None:
        """*service*: the same on all its nodes."""
        prefix = f"limits1:{_digest(service, 6)}"

        @lru_cache(8192)
        def of(owner: str, name: str) -> str:
            return f"{prefix}{{{_digest(owner, 8)}}}{_digest(name, 12)}"

        self.of = of
        """What *owner* has is in one slot of a cluster: the braces are a hash tag."""
