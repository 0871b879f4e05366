"""Variables of the environment that libraries obey do not divert a prompt."""

from __future__ import annotations

import os
import subprocess
import sys

from ..support.fake_openai import FakeOpenAI, completion_text
from ..support.paths import ROOT

TRACED = """
import asyncio, os
from app.upstream.language_model import LanguageModel
from app.catalogue.models import Server
from app.upstream.client import Upstream
os.environ.update(LANGCHAIN_TRACING="true", LANGSMITH_TRACING_V2="true")  # also after the import
import langsmith.utils
assert langsmith.utils.tracing_is_enabled()
upstream = Upstream(Server("fake", os.environ["FAKE"], "k"))
model = LanguageModel(upstream, model="m", base_url=os.environ["FAKE"], temperature=0, max_tokens=9, system_prompt="")
chain = model.chain
os.environ["LANGSMITH_TRACING"] = "true"  # too late: the switch outranks it
assert not langsmith.utils.tracing_is_enabled()
print(asyncio.run(chain.ainvoke({"query": "hi"})))
from langchain_core.tracers.langchain import wait_for_all_tracers
wait_for_all_tracers()
"""


def test_neither_tracing_nor_proxies_of_the_environment_divert_a_prompt(fake: FakeOpenAI) -> None:
    """LangSmith's address is our fake's, which counts stray requests; nothing listens at the proxy's."""
    elsewhere = fake.base_url.removesuffix("/v1")
    diverted = {
        "LANGCHAIN_TRACING_V2": "true",
        "LANGSMITH_API_KEY": "ls-key",
        "LANGSMITH_ENDPOINT": elsewhere,
        "LANGSMITH_GATEWAY": elsewhere,
        "OPENAI_API_BASE": f"{elsewhere}/astray",
        **dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "OPENAI_PROXY"), "http://127.0.0.1:9"),
    }
    done = subprocess.run(
        [sys.executable, "-c", TRACED],
        env={**os.environ, **diverted, "FAKE": fake.base_url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, completion_text("hi")), done.stderr
    assert (fake.calls(), fake.calls("strays")) == (1, 0)
