"""The plan goes from the preflight process to the parent as bytes."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from app.serving.plan import ServicePlan
from app.wiring.log_files import LogFiles

PATHS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).map(Path)


@given(st.booleans(), st.floats(0.1, 3600), st.tuples(PATHS, PATHS, PATHS), st.binary())
def test_a_plan_is_decoded_as_it_was_encoded(embedded: bool, timeout: float, paths: tuple[Path, Path, Path], data: bytes) -> None:
    plan = ServicePlan(embedded, timeout, LogFiles(*paths), data)
    assert ServicePlan.decode(plan.encode()) == plan
