#!/usr/bin/env python3
"""Verify a part of an audit log, as an evidence pack holds it. Needs verify_log.py beside it, Python 3.9, nothing to install.

    python3 verify_slice.py log.jsonl --slice slice --vkey log.vkey
    python3 verify_slice.py log.jsonl --slice slice --vkey log.vkey --receipt 41:9f86d0... --checkpoint OLD

The file `slice` says with which record the part begins, the hash of the record before it, what all records before it come to
(the hashes of the whole subtrees of the Merkle tree over them), and holds a signed checkpoint. With it the records of the part
must give the checkpoint's root: so none of them was changed, added, left out or moved, and the part ends where the checkpoint
says. What the records before say is neither there nor needed.

A line of 64 hex digits stands for a record that is withheld: it is the hash of its leaf in the tree. It shows that one certain
record is there, not what it says. Who later gets that record, whole, can see that it is the one.

It prints one JSON document, as verify_log.py does, with first (the number of the first record) and withheld (how many are).
Without --vkey nobody knows who made it. Exit status: 0 ok, 1 problems, 2 cannot run.
"""

import argparse
import json
import re
import sys
from pathlib import Path

from verify_log import MAX_PROBLEMS, Tree, Unproven, judge, leaf_hash, lines_of, open_checkpoint, parse_key, unbase64

FORM = re.compile("secure-ai-assistant/slice@v1\nfirst (0|[1-9][0-9]{0,15})\nprev_hash ([0-9a-f]{64})((?:\n[^\n]+)*)")
WITHHELD = re.compile(rb"[0-9a-f]{64}\n")


def open_slice(data):
    """The first record's number, the hash of the record before, the tree over all records before, the checkpoint's bytes."""
    head, _, checkpoint = data.partition(b"\n\n")
    found = FORM.fullmatch(head.decode())
    if not found:
        raise Unproven("not the proof of a slice")
    first, hashes, tree = int(found[1]), [unbase64(one) for one in found[3].split("\n")[1:]], Tree()
    sizes = [1 << bit for bit in range(63, -1, -1) if first >> bit & 1]
    if [len(one) for one in hashes] != [32] * len(sizes) or (first == 0 and found[2] != "0" * 64):
        raise Unproven("it does not have the hashes of all records before the first")
    tree.parts = list(zip(sizes, hashes))  # noqa: B905 - Python 3.9 has no strict, and both are as long
    return first, found[2].encode(), tree, checkpoint


def check_slice(file, first, prev_hash, tree, receipts, roots):
    """Read the part once. *receipts*: (seq, hash); *roots*: (size, root, what). As check_log of verify_log.py."""
    problems, seq, end, head, withheld, missing = [], first - 1, first, None, 0, set(receipts)
    unmet = [one for one in roots if one[:2] != (first, tree.root())]
    for line in lines_of(file):
        expected, problem, leaf = seq + 1, None, None
        if WITHHELD.fullmatch(line):
            seq, prev_hash, leaf, withheld = expected, None, bytes.fromhex(line.decode()), withheld + 1
        else:
            problem, seq, prev_hash = judge(line, expected, prev_hash)
        if problem and len(problems) < MAX_PROBLEMS:
            problems.append((expected, problem))
        if prev_hash:
            head = {"seq": seq, "hash": prev_hash.decode("latin-1")}
            missing.discard((seq, head["hash"]))
        end += 1
        tree.append(leaf or leaf_hash(line[:-1] if line.endswith(b"\n") else line))
        if any(size == end for size, _, _ in unmet):
            unmet = [one for one in unmet if one[:2] != (end, tree.root())]
    problems += [(number, "the part does not have the record that a receipt names") for number, _ in sorted(missing)]
    for size, _, what in unmet:
        cut = size > end and f"the part ends before record {end}, {what} covers {size} records: the end was cut off"
        problems.append((max(size - 1, 0), cut or f"the first {size} records are not those of {what}: they were rewritten"))
    return {"entries": end - first, "head": head, "first": first, "withheld": withheld}, problems


def refuse_outside(first, receipts, roots):
    """What lies before the part cannot be compared with it: that must not look like a right one."""
    outside = [f"receipt {seq}" for seq, _ in receipts if seq < first] + [what for size, _, what in roots if size < first]
    if outside:
        raise Unproven(f"{', '.join(outside)}: of records before {first}, where this part begins. Ask for a longer part.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", help="the records of the part, log.jsonl")
    parser.add_argument("--slice", metavar="FILE", required=True, help="what comes before them, and the checkpoint")
    parser.add_argument("--vkey", metavar="FILE", help="the log's verifier key: one that you kept, not the one in the pack")
    parser.add_argument("--checkpoint", metavar="FILE", action="append", default=[], help="a checkpoint that you kept")
    parser.add_argument("--receipt", metavar="SEQ:HASH", action="append", default=[], help="of an answer")
    options = parser.parse_args()
    receipts = [re.fullmatch("([0-9]{1,19}):([0-9a-f]{64})", text) for text in options.receipt]
    if not all(receipts):
        parser.error("give receipts as SEQ:HASH")
    kept, roots, failed = [(int(one[1]), one[2]) for one in receipts], [], []
    try:
        key = parse_key(Path(options.vkey).read_text("utf-8")) if options.vkey else None
        first, prev_hash, tree, own = open_slice(Path(options.slice).read_bytes())
        notes = [(options.slice, own)] + [(name, Path(name).read_bytes()) for name in options.checkpoint]
        for name, note in notes:
            try:
                roots.append((*open_checkpoint(note, key), name))
            except ValueError as reason:
                failed.append((None, f"{name}: {reason}"))
        if roots and roots[0][2] == options.slice and roots[0][0] < first:
            failed.append((None, f"{options.slice}: its checkpoint covers none of its records"))
            del roots[0]
        refuse_outside(first, kept, roots)
        with open(options.log, "rb") as file:
            verdict, problems = check_slice(file, first, prev_hash, tree, kept, roots)
    except (OSError, ValueError) as reason:
        print(f"cannot verify: {reason}", file=sys.stderr)
        return 2
    problems += failed
    verdict = {"ok": not problems, **verdict}
    verdict["problems"] = [{"seq": seq, "problem": problem} for seq, problem in problems[:MAX_PROBLEMS]]
    verdict["signatures"] = "failed" if failed else "ok" if key and roots else "not_checked"
    print(json.dumps(verdict, ensure_ascii=False))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
