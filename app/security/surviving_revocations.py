"""What stays refused although a replaced client database does not know it: kept in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from .models import Revocations


@dataclass(frozen=True, slots=True)
class SurvivingRevocations:
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

    def after(self, old: Revocations, new: Revocations, now: float, until: float) -> SurvivingRevocations:
        """These, and what *old* refused and *new* does not."""
        revoked = {jti: at for jti, at in {**self.revoked, **old.expiries}.items() if at > now and jti not in new.revoked}
        disabled = (self.disabled | old.disabled) - new.disabled
        roles = {name: had for name, had in old.roles.items() if not had.issuperset(new.roles.get(name, frozenset()))}
        return SurvivingRevocations(revoked, disabled, {**self.roles, **roles}, until)

    def over(self, fresh: Revocations, now: float) -> Revocations:
        """*fresh*, and what stays refused in spite of it."""
        revoked = fresh.revoked.union(jti for jti, at in self.revoked.items() if at > now)
        expiries = {**self.revoked, **fresh.expiries}
        if now >= self.until:
            return replace(fresh, revoked=revoked, expiries=expiries)
        roles = {name: names & self.roles.get(name, names) for name, names in fresh.roles.items()}
        return replace(fresh, revoked=revoked, expiries=expiries, disabled=fresh.disabled | self.disabled, roles=roles)

    def without_decided(self, before: Revocations, after: Revocations) -> SurvivingRevocations:
        """Clients whose state an operator changed since are as the operator wants them."""
        changed = {name for name in after.roles if before.roles.get(name) != after.roles[name]}
        changed |= before.disabled - after.disabled
        roles = {name: names for name, names in self.roles.items() if name not in changed}
        return replace(self, disabled=self.disabled - changed, roles=roles)
