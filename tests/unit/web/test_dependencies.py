"""Roles that an admin names, while the policy file is being edited."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import Unavailable
from app.web.dependencies import verify_roles


def test_roles_of_a_policy_that_cannot_be_read_are_no_fault_of_the_service(tmp_path: Path) -> None:
    broken = tmp_path / "policy.toml"
    broken.write_text("[models")
    verify_roles(["ai.playground.user"], broken)
    with pytest.raises(Unavailable, match="mend it, or add"):
        verify_roles(["team.a"], broken)
