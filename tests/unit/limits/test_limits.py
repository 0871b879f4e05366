"""What the API asks of the limits, where this node alone counts them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import RateLimited
from app.limits.limits import Limits
from app.limits.opened import open_limits
from app.limits.quota import QuotaExceeded
from app.limits.valkey import opened as server_limits
from app.settings import load_settings

from ...support.clean_settings import use_defaults
from ...support.waiting import on_a_loop
from ...support.windows import remove_windows


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    use_defaults(monkeypatch, tmp_path)
    log = tmp_path / "audit_log.jsonl"
    yield log
    remove_windows(log)


@on_a_loop
async def test_without_a_server_this_node_counts(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(server_limits, "open_server_limits")
    settings = load_settings(audit_log_path=log, asserted_user_rate_limit=1, address_rate_limit=1)
    async with open_limits(settings) as (limits, _):
        assert type(limits) is Limits
        await limits.look()
        assert (limits.problem, limits.outages, limits.counts_alone) == (None, 0, False)
        assert (await limits.charge_question("alice", 3)).remaining == 2
        assert (await limits.charge_question("alice", 3, ("k", 1))).remaining == 0
        assert (await limits.charge_read("alice", 3)).limit == 600
        assert (await limits.charge_token("alice")).limit == 60
        await limits.charge_address("192.0.2.1")
        for refused in (limits.test_address("192.0.2.1"), limits.charge_address("192.0.2.1")):
            with pytest.raises(RateLimited):
                await refused


@on_a_loop
async def test_a_user_of_a_front_end_is_tested_first_and_charged_last(log: Path) -> None:
    async with open_limits(load_settings(audit_log_path=log, asserted_user_rate_limit=1)) as (limits, _):
        assert (await limits.charge_question("webui", 3, None, "u1")).remaining == 2
        with pytest.raises(QuotaExceeded) as refused:
            await limits.charge_question("webui", 3, None, "u1")
        assert refused.value.quota.limit == 1
        assert (await limits.charge_question("webui", 3)).remaining == 1, "the refused one did not count"
        await limits.charge_asserted("webui", "u2")
        with pytest.raises(QuotaExceeded):
            await limits.charge_asserted("webui", "u2")
        assert (await limits.charge_question("webui", 3)).remaining == 1, "given back"
