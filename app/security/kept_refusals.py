"""What stays refused although a replaced client database does not know it: kept in memory."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ..kit.shared_words import SharedWords
from .models import Revocations

FILE, CONTENT, CONTENT_AT, COUNT, UNTIL = range(5)
SAME_REPLACEMENT_SECONDS = 5
"""All workers see the same older content within this time."""


@dataclass(frozen=True, slots=True)
class KeptRefusals:
    """*revoked*: jtis and when they expire. The others hold until *until*, in Unix seconds."""

    revoked: Mapping[str, int] = field(default_factory=dict)
    disabled: frozenset[str] = frozenset()
    roles: Mapping[str, frozenset[str]] = field(default_factory=dict)
    until: float = 0.0

    def __len__(self) -> int:
        return len(self.revoked) + len(self.disabled) + len(self.roles)

    @property
    def ends_at(self) -> float:
        return max([self.until, *self.revoked.values()]) if len(self) else 0.0

    def after(self, old: Revocations, new: Revocations, now: float, until: float) -> KeptRefusals:
        """These, and what *old* refused and *new* does not."""
        revoked = {jti: at for jti, at in {**self.revoked, **old.expiries}.items() if at > now and jti not in new.revoked}
        disabled = (self.disabled | old.disabled) - new.disabled
        roles = {name: had for name, had in old.roles.items() if not had.issuperset(new.roles.get(name, frozenset()))}
        return KeptRefusals(revoked, disabled, {**self.roles, **roles}, until)

    def over(self, fresh: Revocations, now: float) -> Revocations:
        """*fresh*, and what stays refused in spite of it."""
        revoked = fresh.revoked.union(jti for jti, at in self.revoked.items() if at > now)
        expiries = {**self.revoked, **fresh.expiries}
        if now >= self.until:
            return replace(fresh, revoked=revoked, expiries=expiries)
        roles = {name: names & self.roles.get(name, names) for name, names in fresh.roles.items()}
        return replace(fresh, revoked=revoked, expiries=expiries, disabled=fresh.disabled | self.disabled, roles=roles)

    def without_decided(self, before: Revocations, after: Revocations) -> KeptRefusals:
        """Clients whose state an operator changed since are as the operator wants them."""
        changed = {name for name in after.roles if before.roles.get(name) != after.roles[name]}
        changed |= before.disabled - after.disabled
        roles = {name: names for name, names in self.roles.items() if name not in changed}
        return replace(self, disabled=self.disabled - changed, roles=roles)


class DatabaseNotice:
    """Shared by all workers, so that one of them records a replacement, and all of them tell it."""

    def __init__(self) -> None:
        self._words = SharedWords(5).words

    def is_first_to_see(self, identity: int) -> bool:
        """Whether no worker has seen this file yet. The very first file of a service is no news."""
        seen = self._words[FILE]
        self._words[FILE] = identity
        return seen not in (0, identity)

    def is_first_to_see_content(self, generation: int) -> bool:
        seen, at, now = self._words[CONTENT], self._words[CONTENT_AT], round(time.monotonic())
        self._words[CONTENT], self._words[CONTENT_AT] = generation + 1, now
        return seen != generation + 1 or now - at > SAME_REPLACEMENT_SECONDS

    def note_kept(self, count: int, ends_at: float) -> None:
        self._words[COUNT] = max(count, self.kept)
        self._words[UNTIL] = max(round(ends_at), self._words[UNTIL])

    @property
    def kept(self) -> int:
        """How many refusals the database lacked, as long as one of them is in force."""
        return self._words[COUNT] if time.time() < self._words[UNTIL] else 0
