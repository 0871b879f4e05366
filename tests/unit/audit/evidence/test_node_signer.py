"""Nodes of one log: one signs, all follow, and none accepts a database that is behind what it has seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.audit.evidence import node_signer
from app.audit.evidence.health import BEHIND_SINCE, LogHealth
from app.audit.evidence.log_key import KeyFile
from app.audit.evidence.log_watch import LogWatch
from app.audit.evidence.node_signer import NodeSigner, NotarySigner
from app.audit.evidence.signing_loop import SigningLoop
from app.audit.evidence.stored_tree import StoredTree
from app.audit.format.merkle import RightEdge, leaf_hash
from app.audit.format.note import Signer, sign_checkpoint
from app.audit.storage.postgres.signed_head import PostgresSignedHead
from app.errors import AuditCorrupt, EvidenceUnavailable

from ....support.evidence import OTHER_SIGNER, SIGNER, KeptLog
from ....support.own_ledger import database_in, new_place
from ....support.postgres_server import PostgresServer

PUT = """
INSERT INTO audit.signed_head (note, size, written_at) VALUES (%s, 0, now()) ON CONFLICT (is_the_only_one) DO UPDATE SET note = %s
"""


class Cluster:
    """The records are in one file, the signed checkpoint is in a database, and each node has a tree of its own."""

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        self.folder, self._server, self._place = folder, server, new_place(server)
        self.kept = KeptLog(folder / "log")
        self.heads: list[PostgresSignedHead] = []

    def notary(self, name: str, signer: Signer = SIGNER) -> NotarySigner:
        return NotarySigner(self.kept.store, StoredTree(self.folder / name), signer, self._head())

    def worker(self, name: str) -> NodeSigner:
        return NodeSigner(self.kept.store, StoredTree(self.folder / name), SIGNER, self._head())

    def _head(self) -> PostgresSignedHead:
        self.heads.append(PostgresSignedHead(self._place))
        return self.heads[-1]

    def signed_by_root(self) -> bytes:
        return bytes(self._server.query("SELECT note FROM audit.signed_head", database=database_in(self._place))[0][0])

    def put(self, note: bytes) -> None:
        """What a restored database, or a superuser, may do."""
        self._server.query(PUT, note, note, database=database_in(self._place))

    def sign(self, size: int, signer: Signer = SIGNER) -> bytes:
        edge = RightEdge()
        edge.extend([leaf_hash(line) for line in self.kept.lines()[:size]])
        return sign_checkpoint(size, edge.root(), signer)


@pytest.fixture
def cluster(tmp_path: Path, postgres: PostgresServer) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path, postgres)
    yield cluster
    for head in cluster.heads:
        head.close()


def sizes(*signers: NotarySigner) -> list[int]:
    found = [signer.publish_next() for signer in signers]
    return [one.size for one in found if one]


def test_one_node_signs_and_the_others_follow(cluster: Cluster) -> None:
    one, other = cluster.notary("one"), cluster.notary("other")
    cluster.kept.add(499)
    assert sizes(one, other) == [500, 500]
    cluster.kept.add(300)
    assert sizes(other, one, other) == [500, 800, 800]
    assert one.tree.checkpoint() == other.tree.checkpoint() == cluster.signed_by_root()


def test_a_new_node_makes_its_copy_in_pieces(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = cluster.notary("one"), cluster.notary("other")
    cluster.kept.add(999)
    sizes(one)
    monkeypatch.setattr(node_signer, "BATCH_RECORDS", 300)
    assert sizes(other) == [1000]
    names = {path.name for path in one.tree.folder.glob("hashes.*")} | {"ends"}
    assert all((one.tree.folder / name).read_bytes() == (other.tree.folder / name).read_bytes() for name in names)


def test_another_node_signs_when_the_signer_is_gone(cluster: Cluster) -> None:
    one, other = cluster.notary("one"), cluster.notary("other")
    cluster.kept.add(9)
    sizes(one, other)
    cluster.heads[0].close()
    cluster.kept.add(10)
    while sizes(other) != [20]:
        pass
    assert sizes(one) == [20]


def test_a_signature_that_another_overtook_is_not_published(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = cluster.notary("one"), cluster.notary("other")
    cluster.kept.add(9)
    sizes(one, other)
    cluster.kept.add(10)
    monkeypatch.setattr(cluster.heads[1], "lead", lambda: True)  # a signer that does not know that it was replaced
    with pytest.raises(EvidenceUnavailable):
        other.publish_next()
    assert [one.size for one in (other.published(),) if one] == [10]
    assert sizes(one, other) == [20, 20]


def test_a_damaged_copy_is_made_again_from_the_database(cluster: Cluster) -> None:
    one, other = cluster.notary("one"), cluster.notary("other")
    cluster.kept.add(299)
    sizes(one, other)
    (other.tree.folder / "hashes.0").write_bytes(b"")
    other.tree.mark_damaged()
    cluster.kept.add(10)
    assert sizes(one, other) == [310, 310]
    assert other.rebuilds == 1


@pytest.mark.parametrize("earlier", [1, 9])
def test_a_database_that_is_behind_what_a_node_has_seen_closes_it(cluster: Cluster, earlier: int) -> None:
    one, other = cluster.notary("one"), cluster.notary("other")
    cluster.kept.add(9)
    sizes(one, other)
    cluster.put(cluster.sign(earlier))
    for ask in (one.published, one.publish_next, other.published, other.verify_start, cluster.worker("one").verify_start):
        with pytest.raises(AuditCorrupt, match=f"over 10 records, and the database has one over {earlier}"):
            ask()


def test_a_database_without_its_signed_checkpoint_closes_every_node(cluster: Cluster) -> None:
    cluster.kept.add(9)
    with pytest.raises(AuditCorrupt, match="no signed checkpoint"):
        cluster.notary("new").verify_start()


def test_another_log_of_the_same_length_closes_the_node(cluster: Cluster) -> None:
    one = cluster.notary("one")
    cluster.kept.add(9)
    sizes(one)
    cluster.put(sign_checkpoint(10, b"x" * 32, SIGNER))
    with pytest.raises(AuditCorrupt, match="another signed checkpoint over 10 records"):
        one.published()


def test_a_longer_one_that_contradicts_closes_the_node(cluster: Cluster) -> None:
    one, other = cluster.notary("one"), cluster.notary("other")
    cluster.kept.add(9)
    sizes(one, other)
    cluster.kept.add(9)
    cluster.put(sign_checkpoint(19, b"x" * 32, SIGNER))
    for signer in (one, other):
        with pytest.raises(AuditCorrupt, match="not those that were signed"):
            signer.publish_next()


def test_a_log_that_was_written_anew_contradicts_what_a_node_saw(cluster: Cluster) -> None:
    one = cluster.notary("one")
    cluster.kept.add(9, "first")
    sizes(one)
    cluster.kept.store.close()
    for path in cluster.kept.path.parent.glob("audit_log.jsonl*"):
        path.unlink()
    cluster.kept = KeptLog(cluster.kept.path.parent)
    cluster.kept.add(19, "second")
    cluster.put(cluster.sign(20))
    before = (one.tree.folder / "hashes.0").read_bytes()[:320]
    with pytest.raises(AuditCorrupt):
        cluster.notary("one").publish_next()
    assert (one.tree.folder / "hashes.0").read_bytes()[:320] == before


def test_a_checkpoint_of_another_key_closes_the_node(cluster: Cluster) -> None:
    one = cluster.notary("one")
    cluster.kept.add(9)
    sizes(one)
    cluster.kept.add(1)
    cluster.put(cluster.sign(11, OTHER_SIGNER))
    with pytest.raises(AuditCorrupt, match="not signed by the log key"):
        one.published()


def test_a_node_with_another_log_key_does_not_start(cluster: Cluster) -> None:
    cluster.kept.add(9)
    with pytest.raises(AuditCorrupt, match="another log key"):
        cluster.notary("one", OTHER_SIGNER).verify_start()


def test_a_worker_waits_for_its_notary_process(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    notary, worker = cluster.notary("one"), cluster.worker("one")
    cluster.kept.add(9)
    with pytest.raises(EvidenceUnavailable):
        worker.publish_next(timeout_seconds=0.1)
    monkeypatch.setattr(time, "sleep", lambda seconds: sizes(notary))
    published = worker.publish_next()
    assert published is not None
    assert published.size == 10


def test_the_first_start_of_a_second_node_needs_no_copy(cluster: Cluster) -> None:
    cluster.kept.add(9)
    sizes(cluster.notary("one"))
    other: Callable[[], None] = cluster.notary("other").verify_start
    other()


def test_a_node_that_follows_a_busy_log_is_not_behind_and_rests(cluster: Cluster, tmp_path: Path) -> None:
    one, other, health = cluster.notary("one"), cluster.notary("other"), LogHealth()
    key_file = KeyFile(tmp_path / "key")
    watch = LogWatch(cluster.kept.store, other.tree, other, key_file, health, lambda *told: None, bytes_per_second=1e9)
    loop = SigningLoop(cluster.kept.store, other, lambda *told: None, watch=watch, health=health)
    for _ in range(3):
        cluster.kept.add(5)
        sizes(one)
        cluster.kept.add(5)  # nobody has signed these yet
        assert not loop.step()
        assert not health._words[BEHIND_SINCE]
    cluster.kept.add(5)
    assert not loop.step()
    assert health._words[BEHIND_SINCE]  # the head did not move
