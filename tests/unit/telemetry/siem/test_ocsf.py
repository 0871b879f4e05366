"""Every action as an event of OCSF 1.8, validated against that version's own schema."""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # stubs for one test are not worth a dependency
import pytest
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema  # type: ignore[import-untyped]  # it has no stubs

from app.telemetry.siem.ocsf import KINDS, VERSION, Chain, event_of

from ....support.logged import every_action, records

CHAIN = Chain("secure-ai-assistant/01234567", 1, [{"algorithm": "Ed25519", "algorithm_id": 99, "checkpoint": "…"}])


@cache
def schema() -> Any:
    return OcsfJsonSchemaEmbedded(get_ocsf_schema(version=VERSION))


@cache
def validator(class_uid: int, profiles: tuple[str, ...]) -> Any:
    name = schema().lookup_class_name_from_uid(class_uid=class_uid)
    return jsonschema.Draft202012Validator(schema().get_class_schema(class_name=name, profiles=list(profiles)))


def problems(event: dict[str, Any]) -> list[str]:
    found = validator(event["class_uid"], tuple(event["metadata"].get("profiles", ()))).iter_errors(event)
    return [f"{'/'.join(map(str, one.path))}: {one.message[:200]}" for one in found]


def event(action: str, *, with_texts: bool = True, **details: Any) -> dict[str, Any]:
    return event_of(records(action, with_texts=with_texts, **details)[0], CHAIN)


@pytest.mark.parametrize("with_texts", [True, False])
def test_every_action_validates(with_texts: bool) -> None:
    for action in every_action():
        assert problems(event(action, with_texts=with_texts)) == [], action
        assert problems(event(action, with_texts=with_texts, code=None, model=3, usage=[], address=None)) == [], action


def test_an_event_that_lacks_something_does_not_validate() -> None:
    broken = event("ask.answered")
    del broken["api"]
    assert problems(broken)


def test_a_question_is_an_operation_of_a_model() -> None:
    found = event("ask.answered")
    assert (found["class_uid"], found["type_uid"], found["status_id"]) == (6003, 600301, 1)
    assert found["metadata"]["profiles"] == ["ai_operation"]
    assert found["ai_model"]["name"] == "small-1"
    assert found["message_context"]["total_tokens"] == 8
    assert found["duration"] == 7
    assert found["actor"]["user"]["uid"] == "alice"


def test_its_id_is_the_hash_and_its_request_is_the_correlation() -> None:
    (record,) = records("ask.received")
    found = event_of(record, CHAIN)["metadata"]
    assert (found["uid"], found["sequence"], found["correlation_uid"]) == (record.hash, 0, record.request_id)


def test_what_only_the_next_version_has_is_unmapped() -> None:
    first, second = records("log.opened", "log.alive")
    found = event_of(second, CHAIN)["unmapped"]["record_integrity"]
    assert found["fingerprint"]["value"] == second.hash
    assert found["prev_event"]["fingerprint"]["value"] == first.hash
    assert found["chain_uid"] == CHAIN.origin
    assert "signatures" not in found, "the checkpoint covers the first record only"
    assert event_of(first, CHAIN)["unmapped"]["record_integrity"]["signatures"] == CHAIN.signatures


def test_a_failure_is_one_and_a_refusal_has_its_code() -> None:
    assert event("ask.failed")["status_id"] == 2
    found = event("request.refused")
    assert (found["status_code"], found["api"]["response"]["code"], found["severity_id"]) == ("invalid_token", 401, 2)
    assert found["actor"] == {"app_name": "unknown"}


def test_the_stored_line_is_in_it_only_with_its_texts() -> None:
    (record,) = records("ask.received")
    assert event_of(record, CHAIN)["raw_data"].encode() == record.line
    assert "raw_data" not in event("ask.received", with_texts=False)
    assert "recipe" not in str(event("ask.received", with_texts=False))


def test_only_actions_that_there_are_have_a_place_of_their_own() -> None:
    assert KINDS.keys() <= set(every_action())
