"""What every TextStore must do, beside a file and in PostgreSQL. A backend's own tests inherit the list."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from app.audit.format.chain import link
from app.audit.format.record import EMPTY, draft
from app.audit.storage.long_texts import LongTexts
from app.audit.storage.postgres.texts import PostgresTexts
from app.audit.storage.store import TextStore
from app.audit.verification.kept_texts import DamagedText, TextsReport
from app.errors import AuditUnavailable

from ..support.checked import check_texts
from ..support.ledger import fresh_ledger, ledger_place, new_ledger
from ..support.postgres_server import PostgresServer
from ..support.stored_log import STAMP

TEXT = b"a long text \x00" * 100_000


def named(*contents: bytes) -> dict[str, bytes]:
    return {sha256(one).hexdigest(): one for one in contents}


class TextStoreContract:
    open: Callable[[], TextStore]
    """Twice: two processes' view of one store."""
    damage: Callable[[str, bytes], None]
    """A stranger puts another content under a name."""
    break_down: Callable[[str], None]
    """From now on the text of this name can be neither kept nor read."""

    def test_a_text_is_kept_by_its_digest_for_every_reader(self) -> None:
        (name,) = named(TEXT)
        with closing(self.open()) as kept, closing(self.open()) as reader:
            assert not reader.exists()
            assert (reader.digest_of(name), reader.read(name)) == (None, None)
            for _ in range(2):
                kept.keep(named(TEXT, b""))
            assert reader.exists()
            assert (reader.digest_of(name), reader.read(name)) == (sha256(TEXT).digest(), TEXT)
            assert reader.read(sha256(b"").hexdigest()) == b""

    def test_many_at_once_keep_the_same_texts(self) -> None:
        contents = named(*(b"%d" % n for n in range(20)))

        def keep() -> None:
            with closing(self.open()) as kept:
                kept.keep(contents)

        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(keep) for _ in range(4)]:
                done.result()
        with closing(self.open()) as kept:
            assert {name: kept.read(name) for name in contents} == contents

    def test_verification_tells_texts_that_are_kept_missing_and_changed(self) -> None:
        contents = [letter * 70_000 for letter in (b"a", b"b", b"c")]
        names = list(named(*contents))
        data, _, _ = link([draft("ask.received", "alice", {"query": one.decode()}) for one in contents], EMPTY, STAMP)
        with closing(self.open()) as kept:
            kept.keep(named(*contents[:2]))
            self.damage(names[1], b"another")
            found = check_texts(kept, data.splitlines(keepends=True))
        assert found == TextsReport(kept=1, missing=1, damaged=(DamagedText(1, names[1]),))

    def test_a_store_that_fails_says_so_and_closes_twice(self) -> None:
        (name,) = named(TEXT)
        kept = self.open()
        self.break_down(name)
        with pytest.raises(AuditUnavailable, match="long text cannot be kept"):
            kept.keep(named(TEXT))
        with pytest.raises(OSError) as caught:
            kept.digest_of(name)
        assert caught.value.filename
        assert caught.value.strerror
        kept.close()
        kept.close()


class TestLongTexts(TextStoreContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "texts"
        self.open = lambda: LongTexts(self.folder)

    def damage(self, name: str, content: bytes) -> None:
        LongTexts(self.folder).path_of(name).write_bytes(content)

    def break_down(self, name: str) -> None:
        LongTexts(self.folder).path_of(name).mkdir(parents=True)


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> str:
    return new_ledger(postgres)


class TestPostgresTexts(TextStoreContract):
    @pytest.fixture(autouse=True)
    def _ledger(self, postgres: PostgresServer, database: str) -> None:
        fresh_ledger(postgres, database)
        self.server, self.database = postgres, database
        self.open = lambda: PostgresTexts(ledger_place(postgres, database))

    def damage(self, name: str, content: bytes) -> None:
        change = "UPDATE audit.texts SET content = %s WHERE sha256 = %s"
        self.server.query(change, content, bytes.fromhex(name), database=self.database)

    def break_down(self, name: str) -> None:
        self.server.query("DROP TABLE audit.texts", database=self.database)
