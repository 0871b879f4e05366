"""A PostgreSQL server that archives its WAL, and servers restored from a base backup and that archive."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .postgres_server import PostgresServer
from .waiting import eventually


class ArchivedPostgres(PostgresServer):
    def __init__(self, **settings: str) -> None:
        super().__init__(None, **settings)
        self.archive, self.base = self.folder / "archive", self.folder / "base"
        self._settings |= {"archive_mode": "on", "archive_command": f"cp %p {self.archive}/%f"}
        self._give(self.archive)

    def back_up(self) -> None:
        """A base backup, as an operator makes one while the service runs."""
        self.run("pg_basebackup", "-D", self.base, "-d", self.url(), "-c", "fast")

    def name_point(self, name: str) -> None:
        """To which a restore may go back."""
        self.query("SELECT pg_create_restore_point(%s)", name)

    def archive_all(self) -> None:
        """Return once all WAL is in the archive."""
        ((last,),) = self.query("SELECT pg_walfile_name(pg_switch_wal())")
        eventually((self.archive / str(last)).exists)

    @contextmanager
    def restored(self, point: str = "") -> Iterator[PostgresServer]:
        """Another server in its place, with its port: of the base backup, up to *point*, or to the end of the archive."""
        other = PostgresServer(self.bins)
        other.port = self.port
        try:
            shutil.copytree(self.base, other.data)
            wanted = {"restore_command": f'cp {self.archive}/%f "%p"', "recovery_target_action": "promote"}
            wanted |= {"recovery_target_name": point} if point else {}
            with (other.data / "postgresql.auto.conf").open("a") as file:
                file.writelines(f"{name} = '{value}'\n" for name, value in wanted.items())
            (other.data / "recovery.signal").touch()
            self._give(other.data)
            other.start()
            eventually(lambda: other.query("SELECT pg_is_in_recovery()") == [(False,)])
            yield other
        finally:
            other.close()

    def _give(self, folder: Any) -> None:
        """To the user of the server."""
        folder.mkdir(exist_ok=True)
        owner = self.folder.stat()
        for path in (folder, *folder.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
