"""The verification of a whole log, step by step. app/admin/verify_log.py opens the files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from ..format.record import Receipt
from ..storage.store import TextStore
from .chain_check import ChainChecker
from .expected import ExpectedCheckpoint, ExpectedEvidence
from .kept_texts import TextsChecker, TextsReport
from .receipt_check import missing_receipts, receipt_findings
from .report import MAX_FINDINGS, Finding, Report, Verdict
from .tree_check import BATCH_LINES, FetchTile, TreeChecker, first_changed_records

NOTHING_EXPECTED = ExpectedEvidence()


def verify_log(
    read_lines: Callable[[], Iterable[bytes]],
    expected: ExpectedEvidence = NOTHING_EXPECTED,
    *,
    texts: TextStore | None = None,
    fetch_tile: FetchTile | None = None,
    progress: Callable[[int], None] = lambda read: None,
) -> Report:
    """Verify a log by itself and against *expected*. The report says what is wrong with it.

    *read_lines* gives all lines from the first one, each with its newline. It is called again if a
    checkpoint fails: the stored hashes that *fetch_tile* reads then name the first changed record.
    *progress* is called with the bytes read so far.
    """
    chain_checker = ChainChecker(receipt.seq for receipt in expected.receipts)
    tree_checker = TreeChecker(expected.checkpoints)
    texts_checker = TextsChecker(texts) if texts else None
    for lines in _in_batches(read_lines(), progress):
        chain_checker.feed(lines)
        tree_checker.feed(lines)
        if texts_checker:
            texts_checker.feed(lines)
    # (1) Bytes and links: each line gives its hash, and names the hash of the line before.
    chain = chain_checker.report()
    # (2) The tree: at the size of each checkpoint it has the root that the checkpoint names.
    failed = tree_checker.failed()
    # (3) Receipts: the log has the records that they name.
    missing = missing_receipts(expected.receipts, chain)
    # (4) Long texts: those that are kept have the digest that a record names.
    texts_report = texts_checker.report() if texts_checker else None
    # (5) Findings and verdicts.
    findings = [
        *receipt_findings(missing, chain),
        *_checkpoint_findings(failed, chain.entries, read_lines, fetch_tile),
        *(Finding(None, reason) for reason in expected.refused),
        *_text_findings(texts_report),
    ]
    return Report(
        entries=chain.entries,
        last_record=chain.last_record,
        findings=[*chain.findings, *findings][:MAX_FINDINGS],
        finding_count=chain.finding_count + len(findings),
        integrity=Verdict("ok" if chain.ok else "failed", chain.right_up_to),
        signatures=_signatures(expected, failed),
        completeness=_completeness(expected, failed, missing, chain.right_up_to),
        open_and_recovered=Verdict("ok" if chain.ok else "not_checked", chain.right_up_to),
        open=chain.open,
        recovered=chain.recovered,
        texts=texts_report,
    )


def _in_batches(lines: Iterable[bytes], progress: Callable[[int], None]) -> Iterator[list[bytes]]:
    lines, read = iter(lines), 0
    while batch := list(islice(lines, BATCH_LINES)):
        yield batch
        read += sum(map(len, batch))
        progress(read)


def _checkpoint_findings(
    failed: Sequence[ExpectedCheckpoint],
    entries: int,
    read_lines: Callable[[], Iterable[bytes]],
    fetch_tile: FetchTile | None,
) -> list[Finding]:
    changed = first_changed_records(read_lines(), failed, fetch_tile) if failed and fetch_tile else {}
    return [_checkpoint_finding(one, entries, changed.get(one)) for one in failed]


def _checkpoint_finding(failed: ExpectedCheckpoint, entries: int, first_changed: int | None) -> Finding:
    size, name = failed.size, failed.name
    if size > entries:
        problem = f"the log has {entries} records, but {name} covers {size}: the end was cut off"
    else:
        problem = f"the first {size} records are not those that {name} covers: they were rewritten"
        if first_changed is not None:
            problem += f", beginning with record {first_changed}"
    return Finding(max(size - 1, 0) if first_changed is None else first_changed, problem)


def _text_findings(texts: TextsReport | None) -> list[Finding]:
    problem = "the record names the long text {}, but the file of that name has another content: it was changed"
    return [Finding(one.seq, problem.format(one.sha256)) for one in texts.damaged] if texts else []


def _signatures(expected: ExpectedEvidence, failed: Sequence[ExpectedCheckpoint]) -> Verdict:
    signed = [one for one in expected.checkpoints if one.signed]
    up_to = _last(one.size - 1 for one in signed if one not in failed)
    if expected.refused or any(one.signed and not one.given for one in failed):
        return Verdict("failed", up_to)
    return Verdict("ok", up_to) if signed else Verdict("not_checked", None)


def _completeness(
    expected: ExpectedEvidence,
    failed: Sequence[ExpectedCheckpoint],
    missing: Sequence[Receipt],
    right_up_to: int | None,
) -> Verdict:
    given = [one for one in expected.checkpoints if one.given]
    if not given and not expected.receipts:
        return Verdict("not_checked", None)
    if right_up_to is None:
        right_up_to = -1
    shown = [one.size - 1 for one in given if one not in failed]
    shown += [one.seq for one in expected.receipts if one not in missing and one.seq <= right_up_to]
    is_failed = bool(missing) or any(one.given for one in failed)
    return Verdict("failed" if is_failed else "ok", _last(shown))


def _last(numbers: Iterable[int]) -> int | None:
    return max((number for number in numbers if number >= 0), default=None)
