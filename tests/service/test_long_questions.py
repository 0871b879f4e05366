"""Long texts: the record holds a digest, and the text is kept beside the log if so configured."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ..support.calls import bearer, records_of
from ..support.fake_openai import FakeOpenAI
from ..support.service import HTTP, Service

LONG = "A long story. " * 10_000


def test_long_questions_and_answers_are_kept_whole_if_so_configured(tmp_path: Path, fake: FakeOpenAI) -> None:
    answer = {"choices": [{"message": {"role": "assistant", "content": LONG[::-1]}, "finish_reason": "stop"}]}
    env: dict[str, Any] = {"AUDIT_LONG_TEXTS": "keep"}
    with Service(tmp_path, OPENAI_BASE_URL=fake.base_url, **env) as service:
        token = service.token("alice", service.add_client())
        body = {
            "model": "gpt-4o-mini",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": LONG}],
        }
        fake.set(body=json.dumps(answer))
        try:
            response = HTTP.post(service.url + "/v1/chat/completions", json=body, headers=bearer(token))
        finally:
            fake.reset()
        assert response.status_code == 200, response.text
        received, answered = (record["details"] for record in records_of(service, response))
        texts = {hashlib.sha256(text.encode()).hexdigest(): text for text in (LONG, LONG[::-1])}
        first, second = texts
        assert received["messages"] == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": {"sha256": first, "bytes": len(LONG)}},
        ]
        assert answered["answer"] == {"sha256": second, "bytes": len(LONG)}
        folder = service.log.with_suffix(".texts")
        assert {path.name: path.read_text() for path in folder.rglob("*") if path.is_file()} == texts
        verdict = service.verify()
        assert verdict["ok"]
        assert verdict["long_texts"] == {"kept": 2, "missing": 0, "unreadable": 0, "damaged": 0}
        (folder / first[:2] / first).write_text("A short story.")
        assert not service.verify()["ok"]
