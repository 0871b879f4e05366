"""The plan goes from the preflight process to the parent as bytes."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from app.audit.storage.postgres.place import LedgerPlace
from app.serving.plan import ServicePlan
from app.wiring.log_files import LogFiles

PATHS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).map(Path)
LEDGERS = st.builds(LedgerPlace, st.text(), st.none() | PATHS, st.text(), st.none() | st.integers())

PLANS = st.builds(
    ServicePlan,
    is_embedded=st.booleans(),
    notice_seconds=st.floats(0, 600),
    grace_seconds=st.floats(0.1, 3600),
    log_files=st.builds(LogFiles, PATHS, PATHS, PATHS, st.integers(1_000, 10**10), st.none() | LEDGERS),
    has_policy_file=st.booleans(),
    first_step=st.none() | st.text(),
    modules=st.lists(st.text()).map(tuple),
    settings=st.binary(),
    catalogue=st.binary(),
)


@given(plan=PLANS)
def test_a_plan_is_decoded_as_it_was_encoded(plan: ServicePlan) -> None:
    assert ServicePlan.decode(plan.encode()) == plan
