"""A stranger changes one file after the other of a running service: each promise is kept in its time, nothing is lost."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import httpx

from app.audit.format.record import draft
from app.audit.storage.append import append
from app.audit.storage.jsonl import JsonlStore

from ..support.fake_openai import FakeOpenAI
from ..support.service import HTTP, Service
from ..support.waiting import eventually
from .crash import upstream
from .figures import Figures
from .strangers import OLD, Promise, Stranger, beside, database, keep_older_database, strangers, tree


class Scene:
    """A running service, a token that counts and one that was revoked."""

    def __init__(self, service: Service) -> None:
        self.service = service
        secret = service.add_client("alice")
        keep_older_database(service)
        self.token, self.revoked = service.token("alice", secret), service.token("alice", secret)
        issued = [record["details"]["jti"] for record in service.records() if record["action"] == "token.issued"]
        service.run("token", "revoke", issued[-1])
        self.kept = service.folder / "kept"
        self._fill()

    def _fill(self) -> None:
        """So many records that most are older than those that are compared at each look."""
        store = JsonlStore(self.service.log)
        shutil.copy(beside(self.service, ".lock"), self.service.folder / "older.lock")
        append(store.append, [draft("ask.refused", "alice", {"n": n, "text": "x" * 300}) for n in range(OLD)])
        store.close()
        shutil.copy(tree(self.service, "checkpoint"), tree(self.service, "older"))
        eventually(lambda: self.ready()["head_age_seconds"] < 1, "the records are not signed")
        self.ask_all(200)

    def ready(self) -> dict[str, Any]:
        return dict(HTTP.get(self.service.url + "/readyz").json())

    def ask_all(self, status: int) -> None:
        """Of each worker, as far as chance has it."""
        assert (statuses := self.statuses()) == {status}, statuses

    def statuses(self) -> set[int]:
        return {self.service.ask(self.token).status_code for _ in range(4 * self.service.workers)}

    def events(self) -> list[str]:
        return (self.service.folder / "logs/security.log").read_text().splitlines()

    def has_resumed(self) -> bool:
        """Whether each worker that was closed has written its `log.resumed`, which a copy must hold."""
        told = [line.split()[2] for line in self.events()]
        return told.count("audit_closed") == told.count("audit_resumed")

    def keep(self) -> None:
        """A copy of all files, for `restore`."""
        shutil.rmtree(self.kept, ignore_errors=True)
        shutil.copytree(self.service.log.parent, self.kept)

    def restore(self, stranger: Stranger) -> None:
        """What an operator does: the file is put back as it was."""
        folder = self.service.log.parent
        if stranger.file == ".lock":
            beside(self.service, ".lock").unlink()  # as the log says
        elif stranger.file == "database":
            (self.service.folder / "away.sqlite3").rename(database(self.service))
        else:
            name = {"log": "audit_log.jsonl", "log key": "audit_log.key"}.get(stranger.file, "audit_log.tree")
            put_back(self.kept / name, folder / name)


def put_back(kept: Path, path: Path) -> None:
    if kept.is_dir():
        path.mkdir(exist_ok=True)
        for one in kept.iterdir():
            put_back(one, path / one.name)
        return
    if path.is_dir():
        path.rmdir()
    elif not path.is_file():
        path.unlink(missing_ok=True)
    shutil.copy2(kept, path)


def tamper(folder: Path, part: str, *, workers: int, slack: float = 0.5) -> Figures:
    """Every stranger of *part*. *slack*: seconds that a busy machine may take longer."""
    started, figures, lines = time.monotonic(), Figures(0, 0, 0.0), [""]
    with FakeOpenAI() as fake, Service(folder, workers=workers, **upstream(fake)) as service:
        scene = Scene(service)
        for stranger in strangers(part):
            try:
                took = _meet(scene, stranger, slack)
            except (AssertionError, httpx.HTTPError) as error:
                raise AssertionError(f"{stranger.name}: {error}\n{service.output()[-2000:]}") from error
            figures.answers += 1
            lines.append(f"         {stranger.name:<48} {stranger.promise.value:<28} {took:.2f} s")
        verdict = service.verify()
        assert verdict["ok"], verdict
        figures.records = len(service.records())
    figures.remarks = ["\n".join(lines)]
    figures.seconds = time.monotonic() - started
    return figures


def _meet(scene: Scene, stranger: Stranger, slack: float) -> float:
    """Seconds until the promise was kept."""
    service = scene.service
    eventually(lambda: scene.statuses() == {200}, "not all workers answer", 3 + slack)
    eventually(lambda: scene.has_resumed(), "not all workers record again", 3 + slack)
    before = len(scene.events())
    eventually(lambda: len(service.records()) == signed(service), "it is not signed")
    scene.keep()
    stranger.do(service)
    began = time.monotonic()
    eventually(
        lambda: any(f" {stranger.event} " in line for line in scene.events()[before:]),
        f"no {stranger.event} in {stranger.within} s",
        stranger.within + slack,
    )
    took = time.monotonic() - began
    {
        Promise.CLOSED: _is_closed_until_restored,
        Promise.REBUILT: _is_rebuilt,
        Promise.RESTORED: _is_restored,
        Promise.TOLD: _is_told,
    }[stranger.promise](scene, stranger, slack)
    assert service.ask(scene.revoked).status_code == 401, "a revoked token counts again"
    return took


def _is_closed_until_restored(scene: Scene, stranger: Stranger, slack: float) -> None:
    ready = HTTP.get(scene.service.url + "/readyz")
    assert (ready.status_code, ready.json()["log"].split(":")[0]) == (503, "not what was signed")
    assert any(" CRITICAL log_not_as_signed " in line for line in scene.events())
    log = scene.service.log
    content = log.read_bytes() if log.exists() else b""
    scene.ask_all(503)
    assert (log.read_bytes() if log.exists() else b"") == content, "something was written"
    scene.restore(stranger)
    eventually(lambda: HTTP.get(scene.service.url + "/readyz").status_code == 200, "not ready after it was restored", 3 + slack)
    _answers_again(scene, slack)


def _is_rebuilt(scene: Scene, stranger: Stranger, slack: float) -> None:
    eventually(lambda: scene.service.records()[-1]["action"] == "log.tree_rebuilt", "it is not recorded", 1 + slack)
    scene.ask_all(200)


def _is_restored(scene: Scene, stranger: Stranger, slack: float) -> None:
    if stranger.keeps_refusing:
        _answers_again(scene, slack)
    scene.ask_all(200)


def _is_told(scene: Scene, stranger: Stranger, slack: float) -> None:
    member = "log_key" if stranger.file == "log key" else "revocations"

    def is_told() -> bool:
        ready = scene.ready()
        assert ready["status"] == "ready"
        return ready[member].split(":")[0] in ("lost or altered", "stale", "kept")

    eventually(is_told, "/readyz does not tell it", 1 + slack)  # each worker finds out by itself
    scene.ask_all(200)
    if stranger.event != "database_replaced":
        scene.restore(stranger)
        quiet = {"log_key": "in place", "revocations": "up to date"}[member]
        eventually(lambda: scene.ready()[member].split(":")[0] in (quiet, "kept"), f"{member} stays lost", 2 + slack)


def _answers_again(scene: Scene, slack: float) -> None:
    """Each worker finds out by itself, and may refuse until it has."""

    def answer() -> bool:
        return {scene.service.ask(scene.token).status_code for _ in range(4 * scene.service.workers)} == {200}

    eventually(answer, "not all workers answer again", 4 + slack)


def signed(service: Service) -> int:
    return int(tree(service, "checkpoint").read_bytes().split(b"\n")[1])
