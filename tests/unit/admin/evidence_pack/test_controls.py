"""The map of controls names each that auditors asked for, and what is not covered."""

from __future__ import annotations

from app.admin.evidence_pack.controls import control_map, controls

from ....support.paths import ROOT

ASKED = {"C12", "AU-5", "AU-9", "AU-10", "10.3", "10.5", "Art. 12", "Art. 19", "Art. 26", "CC7.2", "A.6.2.8"}


def test_every_control_that_was_asked_for_says_what_is_missing() -> None:
    assert {one.id for one in controls()} == ASKED
    for one in controls():
        assert min(len(one.asks), len(one.given), len(one.missing), len(one.basis)) > 50, one.id
        assert f"### {one.id}: {one.title}" in control_map()


def test_the_page_of_the_site_is_the_map_of_a_pack() -> None:
    assert (ROOT / "docs/reference/controls.md").read_text() == control_map()
