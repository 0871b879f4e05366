"""A PostgreSQL server with certificates of the tests: verify-full works, and each fault of it is a sentence, for both URLs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.prepare import prepare
from app.audit.storage.postgres.reader import Reader
from app.audit.storage.postgres.server_checks import verify_server
from app.errors import AppError
from app.kit.postgres_url import PostgresUrl
from app.security.clients.migrations import create_or_upgrade_database, verify_schema
from app.security.clients.rows import has_active_client

from ..support.certificates import Authority
from ..support.postgres_server import PASSWORD
from ..support.tls_postgres import CERTIFIED, TlsPostgres, tls_postgres

pytestmark = pytest.mark.slow
ROLE = "assistant"
LIBPQ = ("connection to server", "SSL error", "FATAL", PASSWORD)


@dataclass(frozen=True)
class Secured:
    server: TlsPostgres
    authority: Authority
    other: Authority

    def url(self, database: str, host: str = "127.0.0.1", root: Path | None = None, more: str = "") -> str:
        """With the password left out, which stands in a file."""
        query = f"sslmode=verify-full&sslrootcert={root or self.authority.path}{more}"
        return f"postgresql://{ROLE}@{host}:{self.server.port}/{database}?{query}"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folders = [tmp_path_factory.mktemp(name) for name in ("authority", "other")]
    authority, other = map(Authority.in_folder, folders)
    with tls_postgres() as server:
        server.new_role(ROLE)
        for name in ("ledger", "clients", CERTIFIED):
            server.query(f"CREATE DATABASE {name}" + (f" OWNER {ROLE}" if name == "clients" else ""))
        with closing(server.connect("ledger")) as connection:
            prepare(connection, ROLE)
        server.serve_tls(authority, authority.server_file())
        yield Secured(server, authority, other)


@pytest.fixture
def password(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    return file


def ask_ledger(url: str, password: Path) -> None:
    place = LedgerPlace(url, password, is_single_primary=True)
    assert verify_server(place) == []
    with closing(Reader(place)) as reader:
        assert reader.exists()


def ask_clients(url: str, password: Path) -> None:
    where = PostgresUrl(url, "DATABASE_URL", password)
    create_or_upgrade_database(where)
    verify_schema(where)
    assert not has_active_client(where)


DOORS = {"AUDIT_URL": (ask_ledger, "ledger"), "DATABASE_URL": (ask_clients, "clients")}
Ask = Callable[[str, Path], None]


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> tuple[Ask, str]:
    return DOORS[request.param]


def said(ask: Ask, url: str, password: Path) -> str:
    """What the operator reads: no word of libpq, and no secret."""
    with pytest.raises(AppError) as caught:
        ask(url, password)
    sentence = caught.value.detail
    assert not [word for word in LIBPQ if word in sentence], sentence
    return sentence


def test_a_certificate_of_the_right_authority_for_the_right_name_is_taken(
    secured: Secured, door: tuple[Ask, str], password: Path
) -> None:
    ask, database = door
    secured.server.serve_tls(secured.authority, secured.authority.server_file())
    ask(secured.url(database), password)


def test_each_fault_of_the_certificate_is_a_sentence(secured: Secured, door: tuple[Ask, str], password: Path) -> None:
    (ask, database), authority, server = door, secured.authority, secured.server
    server.serve_tls(authority, authority.server_file())
    assert "not of the authority in sslrootcert" in said(ask, secured.url(database, root=secured.other.path), password)
    assert "sslrootcert names no file" in said(ask, secured.url(database, root=authority.folder / "missing.pem"), password)
    server.serve_tls(authority, authority.server_file(x509.DNSName("another.example")))
    assert "certificate is for another name" in said(ask, secured.url(database), password)
    server.serve_tls(authority, authority.server_file(ended=True))
    assert "has expired" in said(ask, secured.url(database), password)
    server.serve_no_tls()
    assert "does not speak TLS" in said(ask, secured.url(database), password)


def test_a_server_that_wants_a_certificate_of_the_service_gets_it(
    secured: Secured, door: tuple[Ask, str], password: Path
) -> None:
    (ask, _), authority = door, secured.authority
    secured.server.serve_tls(authority, authority.server_file())
    assert "add sslcert=FILE and sslkey=FILE" in said(ask, secured.url(CERTIFIED), password)
    own = authority.server_file(x509.DNSName(ROLE))
    with_own = secured.url(CERTIFIED, more=f"&sslcert={own}&sslkey={own}")
    own.chmod(0o644)
    assert "mode 600" in said(ask, with_own, password)
    own.chmod(0o600)
    found = said(ask, with_own, password)  # it is let in, and finds nothing that was prepared there
    assert "has no ledger" in found or "permission denied" in found


def test_each_fault_of_the_password_and_of_the_place_is_a_sentence(
    secured: Secured, door: tuple[Ask, str], password: Path
) -> None:
    ask, database = door
    secured.server.serve_tls(secured.authority, secured.authority.server_file())
    url = secured.url(database)
    assert "no database of that name" in said(ask, secured.url("nothing"), password)
    assert "no server listens there" in said(ask, url.replace(f":{secured.server.port}/", ":1/"), password)
    password.write_text("another")
    assert "refuses the role or its password" in said(ask, url, password)
    password.write_text(PASSWORD)
    password.chmod(0)
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        assert "PASSWORD_FILE" in said(ask, url, password)
    finally:
        os.seteuid(os.getuid())
    password.unlink()
    assert "PASSWORD_FILE" in said(ask, url, password)
