"""The verifier's page in a real browser, opened from disk: by keyboard, in dark and light, narrow and wide, with odd strings."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from ..support.browser_verifier import SINGLE_FILE
from ..support.dropped_files import write_files
from ..support.optional import NODE_FOLDER, chromium, node_with

pytestmark = pytest.mark.slow
VIEWS = [("360", "light"), ("1440", "dark")]


@pytest.fixture(scope="module", params=VIEWS, ids="-".join)
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    width, scheme = request.param
    folder = tmp_path_factory.mktemp(f"verify-{width}-{scheme}")
    write_files(folder)
    command = [
        node_with("axe-core"),
        str(NODE_FOLDER / "verify_use.js"),
        chromium(),
        SINGLE_FILE.as_uri(),
        str(folder),
        width,
        scheme,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return {"width": int(width), **json.loads(done.stdout)}


def test_each_verdict_is_the_one_that_was_earned(seen: dict[str, Any]) -> None:
    words = {name: scene["word"] for name, scene in seen["scenes"].items()}
    assert words == {
        "empty": "Nothing to check yet",
        "example": "Genuine",
        "example flipped": "Broken",
        "receipt alone": "Consistent",
        "receipt and key": "Genuine",
        "log alone": "Consistent",
        "log with head": "Genuine",
        "log flipped": "Broken",
        "hostile": "Genuine",
        "malformed": "Broken",
        "nonsense": "Nothing to check yet",
        "half a pack": "Nothing to check yet",
        "beside nonsense": "Genuine",
        "emptied log": "Broken",
    }


def test_what_cannot_be_read_is_named_also_beside_a_verdict(seen: dict[str, Any]) -> None:
    scenes = seen["scenes"]
    assert "is none of these" in scenes["nonsense"]["complaint"]
    assert scenes["half a pack"]["complaint"] == "half.zip cannot be read: it is not a whole ZIP file\nempty is empty."
    assert scenes["beside nonsense"]["meaning"].endswith("Not checked, because it cannot be read: nonsense.")
    assert "is none of these" in scenes["beside nonsense"]["complaint"]
    assert "Not checked" not in scenes["log with head"]["meaning"]


def test_each_step_ends_by_itself_and_a_flipped_byte_is_marked(seen: dict[str, Any]) -> None:
    steps = seen["scenes"]["log with head"]["steps"]
    assert steps == dict.fromkeys(("form", "signature", "bytes", "links", "tree", "json"), "ok")
    assert "failed" in seen["scenes"]["log flipped"]["steps"].values()
    assert seen["marked"] == 2


def test_the_focus_goes_to_the_button_that_puts_the_byte_back(seen: dict[str, Any]) -> None:
    assert seen["focus"] == "v-back"


def test_it_says_where_it_came_from(seen: dict[str, Any]) -> None:
    assert "runs from your disk" in seen["scenes"]["empty"]["origin"]


def test_no_string_runs_or_breaks_the_layout(seen: dict[str, Any]) -> None:
    assert (seen["dialogs"], seen["violations"], seen["complaints"]) == (0, [], [])
    assert seen["widest"] <= seen["width"]
    assert abs(seen["scenes"]["hostile"]["elements"] - seen["scenes"]["receipt and key"]["elements"]) <= 2, "text stays text"


def test_a_number_above_2_to_the_53rd_is_shown_digit_by_digit(seen: dict[str, Any]) -> None:
    assert seen["exact"]


def test_it_asks_nobody_for_anything(seen: dict[str, Any]) -> None:
    assert [url for url in seen["requests"] if not url.startswith(("file:", "blob:"))] == []


def test_nothing_serious_hinders_people_with_disabilities(seen: dict[str, Any]) -> None:
    assert seen["serious"] == []
