"""Simon Willison's `llm` as used in a shell: a file that names the model, a key in its store, and commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from .given import BASE_URL, MODEL, PLACE, TOKEN, echo, must_be

# JSON is YAML.
MODELS = [
    {"model_id": "house", "model_name": MODEL, "api_base": BASE_URL, "api_key_name": "house"}
    | {"supports_tools": True, "supports_schema": True}
]


def llm(*arguments: str, stdin: str | None = None) -> str:
    """The output of the command."""
    command = [sys.executable, "-m", "tests.clients.loopback_only", "llm", *arguments]
    done = subprocess.run(command, input=stdin or "", capture_output=True, text=True)
    assert done.returncode == 0, f"llm {arguments}: {done.returncode}\n{done.stderr}"
    return done.stdout.removesuffix("\n")


def main() -> None:
    Path(os.environ["LLM_USER_PATH"], "extra-openai-models.yaml").write_text(json.dumps(MODELS))
    llm("keys", "set", "house", "--value", TOKEN)
    llm("models", "default", "house")
    must_be(llm("llm: a stream"), echo("llm: a stream"))
    must_be(llm("--no-stream", "llm: a prompt"), echo("llm: a prompt"))
    must_be(llm("--continue", "llm: and then"), echo("llm: and then"))
    must_be(llm(stdin="llm: from a pipe"), echo("llm: from a pipe"))
    must_be(json.loads(llm("--schema", "name, inhabitants int", "llm: a place")), PLACE.model_dump())
    must_be(llm("--tool", "llm_version", "llm: a tool"), echo(llm("--version").split()[-1]))


if __name__ == "__main__":
    main()
