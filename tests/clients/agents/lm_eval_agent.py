"""lm-eval with a task of its own from local files: chats whose answers it scores; no tool, no stream."""

from __future__ import annotations

import json
import os
from pathlib import Path

from lm_eval import simple_evaluate  # type: ignore[import-not-found] # in an environment of its own
from lm_eval.tasks import TaskManager  # type: ignore[import-not-found]

from ..given import BASE_URL, MODEL, SAYS, TASK, must_be


def main() -> None:
    folder = Path(os.environ["HOME"], "tasks")
    folder.mkdir()
    asked = [{"question": f"{TASK} {number}", "answer": SAYS} for number in range(2)]
    (folder / "asked.jsonl").write_text("\n".join(map(json.dumps, asked)))
    task = {
        "task": "house",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(folder / "asked.jsonl")}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{answer}}",
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }
    (folder / "house.yaml").write_text(json.dumps(task))  # JSON is YAML
    scores = simple_evaluate(
        model="local-chat-completions",
        model_args={"model": MODEL, "base_url": f"{BASE_URL}/chat/completions", "num_concurrent": 1, "tokenizer_backend": None},
        tasks=["house"],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        apply_chat_template=True,
    )
    must_be(scores["results"]["house"]["exact_match,none"], 1.0)


if __name__ == "__main__":
    main()
