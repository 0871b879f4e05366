"""The commands in README and the guides are run as shown, with another port and interpreter."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ..support.fake_openai import FakeOpenAI
from ..support.optional import leave_out
from ..support.paths import ROOT
from ..support.service import Service, free_port

README = (ROOT / "README.md").read_text()
TUTORIAL = (ROOT / "docs" / "tutorial" / "first-receipt.md").read_text()
CONNECT = (ROOT / "docs" / "how-to" / "connect-a-client.md").read_text()


def section_of(page: str, heading: str) -> str:
    return page.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def blocks(text: str, language: str = "sh") -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def run_as_pasted(folder: Path, fake: FakeOpenAI, script: str) -> tuple[str, str]:
    """The script's stdout and stderr. Everything that it started is stopped at the end."""
    if shutil.which("curl") is None:
        leave_out("there is no curl (Debian: apt-get install curl)")
    script = "set -eu\n" + script.replace("make install\n", "").replace(".venv/bin/python", sys.executable)
    script = (
        script.replace("8000", str(free_port())).replace("python3 ", f"{sys.executable} ").replace("tools/", f"{ROOT}/tools/")
    )
    env = {"PATH": os.environ["PATH"], "OPENAI_BASE_URL": fake.base_url, "LANG": "C.UTF-8"}
    shell = subprocess.Popen(
        ["bash", "-c", script], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        # The service in the background keeps the pipes open, so wait for the end of the script itself.
        assert shell.wait(90) == 0
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        output, errors = (text.decode() for text in shell.communicate(timeout=60))
    return output, errors


def test_run_it_in_the_readme_ends_with_an_answer_and_its_receipt(tmp_path: Path, fake: FakeOpenAI) -> None:
    section = section_of(README, "Run it")
    (walk,), (code,) = blocks(section), blocks(section, "python")
    output, errors = run_as_pasted(tmp_path, fake, f"{walk}\necho\n.venv/bin/python - <<'END'\n{code}END\n")
    answer, hello = output.splitlines()[-2:]
    assert json.loads(answer[answer.index('{"answer"') :])["receipt"]["seq"] == 4, errors
    assert re.search(r"\{'seq': 6, 'hash': '[0-9a-f]{64}'\}$", hello), errors


def test_the_tutorial_ends_with_a_verified_receipt_and_a_found_change(tmp_path: Path, fake: FakeOpenAI) -> None:
    output, errors = run_as_pasted(tmp_path, fake, "".join(blocks(TUTORIAL)))
    assert json.loads((tmp_path / "answer.json").read_text())["receipt"]["seq"] == 4, errors
    assert "OK: this is record 4" in output
    assert "OK: 5 records" in output
    assert '"ok": true' in output, "the second verifier"
    stored, computed = re.findall(r"^[0-9a-f]{64}$", output, re.MULTILINE)
    assert stored == computed
    assert "record 3: " in output
    assert output.endswith("found, exit status 1\n")


def test_the_streams_that_curl_reads_end_as_they_should(tmp_path: Path, fake: FakeOpenAI) -> None:
    (walk,), (streams,) = blocks(section_of(README, "Run it")), blocks(section_of(CONNECT, "curl"))
    output, errors = run_as_pasted(tmp_path, fake, f"{walk}\nMODEL=gpt-4o-mini\n{streams}")
    assert "data: [DONE]" in output, errors
    assert "event: done" in output


@pytest.mark.parametrize("page", [README, CONNECT], ids=["README", "connect-a-client"])
def test_the_lines_for_an_openai_client_end_in_the_receipt(page: str, service: Service, token: str) -> None:
    (code,) = blocks(page, "python")
    code = code.replace("http://localhost:8000", service.url)
    env = {**os.environ, "TOKEN": token}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "echo" in done.stdout
    receipt = service.records()[-1]
    assert done.stdout.endswith(f"{{'seq': {receipt['seq']}, 'hash': '{receipt['hash']}'}}\n")
