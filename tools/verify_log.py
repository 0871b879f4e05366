#!/usr/bin/env python3
"""Verify an audit log of Secure AI Assistant without trusting those who run it. One file, Python 3.9, nothing to install.

    python3 verify_log.py audit_log.jsonl
    python3 verify_log.py audit_log.jsonl --vkey log.vkey --checkpoint OLD --checkpoint NEW --receipt 41:9f86d0...
    python3 verify_log.py --vkey log.vkey --proof answer.tlog-proof        (a receipt alone, without the log)

It shares no code with the program that writes the log. What it checks:

  bytes       Each line ends in  ,"hash":"<64 hex>"}  and that is the SHA-256 of all bytes of the line before it.
  links       Record k has "seq":k, and its "prev_hash" is the "hash" of record k-1 (64 zeros for record 0).
  tree        Line k without its newline is leaf k of a Merkle tree (RFC 6962). The tree over the first n lines must have
              the root that a checkpoint of size n names.
  signatures  With --vkey, each checkpoint must be signed by that key (Ed25519; C2SP tlog-checkpoint).
  receipts    Record SEQ must be there and have that hash.
  proofs      A C2SP tlog-proof must prove its record under its checkpoint; with a log, the log must have both.

Bytes and links do not show that the end was cut off, or that the whole log was rewritten: only a receipt, checkpoint or
proof that YOU kept shows that. Without --vkey a checkpoint is compared, but it is not known who made it.

It prints one JSON document: ok, entries (lines read), head (the last record), problems (at most 100, those of the chain first, in
the order of the log), signatures (ok, failed or not_checked). Exit status: 0 ok, 1 problems, 2 cannot run.
"""

import argparse
import base64
import hashlib
import json
import re
import sys
from pathlib import Path

MAX_LINE = 60 * 1024  # bytes, with the newline
MAX_PIECE = 64 * MAX_LINE  # a "line" longer than this is skipped unread
MAX_PROBLEMS = 100
START = re.compile(
    rb'\{"v":1,"seq":([0-9]{1,19}),"timestamp":"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z",'
    rb'"request_id":"[0-9a-f]{32}","user_id":(?:null|"[A-Za-z0-9_-]{3,32}"),"action":"[a-z]+\.[a-z_]+","details":\{'
)


class Unproven(ValueError):
    """A key, signature, checkpoint or proof that proves nothing; says why."""


# --- Ed25519, verification only (RFC 8032, section 5.1). Nothing here is secret, so nothing needs to take constant time.

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def x_of(y, sign):
    """The x that belongs to y on the curve -x^2 + y^2 = 1 + d x^2 y^2; None if there is none."""
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        return None
    return P - x if x & 1 != sign else x


def add(a, b):
    """Points are (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z."""
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(number, point):
    result = (0, 1, 1, 0)
    while number:
        if number & 1:
            result = add(result, point)
        point, number = add(point, point), number >> 1
    return result


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = x_of(BASE_Y, 0)
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def ed25519_verifies(public, message, signature):
    sign, y = divmod(int.from_bytes(public, "little"), 1 << 255)
    x, s = x_of(y, sign), int.from_bytes(signature[32:], "little")
    if len(public) != 32 or len(signature) != 64 or x is None or s >= ORDER:
        return False
    digest = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % ORDER
    sum_ = add(multiply(s, BASE), multiply(digest, (P - x, y, 1, (P - x) * y % P)))  # s B - digest A must be R
    inverse = pow(sum_[2], P - 2, P)
    x, y = sum_[0] * inverse % P, sum_[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


# --- keys, checkpoints, proofs: C2SP signed-note, tlog-checkpoint, tlog-proof ------------------------------------------


def unbase64(text):
    data = base64.b64decode(text)
    if base64.b64encode(data).decode() != text:
        raise Unproven("not canonical base64")
    return data


def parse_key(text):
    """name+<hex of key id>+<base64 of 0x01 and the key> -> (name, key id, key)"""
    name, stated_id, encoded = [*text.strip().split("+", 2), "", ""][:3]
    data = unbase64(encoded)
    key_id = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
    if not name or len(data) != 33 or data[0] != 1 or key_id.hex() != stated_id:
        raise Unproven("the verifier key is not name+hash+Ed25519 key, or its hash is wrong")
    return name, key_id, data[1:]


def open_checkpoint(data, key):
    """The size and root of a signed checkpoint; who signed it is checked if there is a key."""
    text, _, signatures = data.decode().rpartition("\n\n")
    lines = text.split("\n")
    if len(lines) < 3 or not all(lines) or not signatures.endswith("\n") or re.search("[\0-\x09\x0b-\x1f]", text + signatures):
        raise Unproven("not a checkpoint: a signed note of at least three lines")
    if not re.fullmatch("0|[1-9][0-9]{0,18}", lines[1]) or len(unbase64(lines[2])) != 32:
        raise Unproven("not a checkpoint: its size or its root cannot be read")
    verified = key is None
    for line in signatures[:-1].split("\n"):
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "—" or not re.fullmatch(r"[^\s+]+", parts[1]) or len(unbase64(parts[2])) < 5:
            raise Unproven("a signature line of the checkpoint cannot be read")
        signature = unbase64(parts[2])
        if key and (parts[1], signature[:4]) == key[:2]:
            if not ed25519_verifies(key[2], (text + "\n").encode(), signature[4:]):
                raise Unproven("the checkpoint's signature is wrong")
            verified = True
    if not verified or (key and lines[0] != key[0]):
        raise Unproven("the checkpoint is of another log, or not signed by the given key")
    return int(lines[1]), unbase64(lines[2])


def open_proof(data, key):
    """The record's number, its line, and the checkpoint's size and root, of a proof that holds."""
    head, _, checkpoint = data.partition(b"\n\n")
    lines = head.decode().split("\n")
    if not re.match("c2sp.org/tlog-proof@v1\nextra [^\n]+\nindex (0|[1-9][0-9]{0,18})(\n|\\Z)", head.decode()):
        raise Unproven("not a tlog-proof with the record in it")
    line, index, path = unbase64(lines[1][6:]), int(lines[2][6:]), [unbase64(one) for one in lines[3:]]
    size, root = open_checkpoint(checkpoint, key)
    if root_from_path(index, size, leaf_hash(line), path) != root:
        raise Unproven("the proof does not lead from its record to the checkpoint's root")
    problem = judge(line + b"\n", index, None)[0]
    if problem or b"\n" in line:
        raise Unproven(f"what the proof proves is not a record: {problem}")
    return index, line, size, root


def root_from_path(index, size, node, path):
    """RFC 6962, section 2.1.1, read from the leaf up: where the left neighbour is, and where there is none."""
    if not 0 <= index < size:
        return None
    path, last = list(path), size - 1
    while last:
        if index & 1 or index < last:  # else it has no sibling on this level, and goes up as it is
            if not path:
                return None
            sibling = path.pop(0)
            node = node_hash(sibling, node) if index & 1 else node_hash(node, sibling)
        index, last = index >> 1, last >> 1
    return None if path else node


# --- the log ----------------------------------------------------------------------------------------------------------


def leaf_hash(line):
    return hashlib.sha256(b"\x00" + line).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """The tree over the lines so far, as its whole subtrees: (number of leaves, hash), from left to right."""

    def __init__(self):
        self.parts = []

    def append(self, node):
        leaves = 1
        while self.parts and self.parts[-1][0] == leaves:
            node = node_hash(self.parts.pop()[1], node)
            leaves *= 2
        self.parts.append((leaves, node))

    def root(self):
        node = self.parts[-1][1] if self.parts else hashlib.sha256(b"").digest()
        for _, left in self.parts[-2::-1]:
            node = node_hash(left, node)
        return node


def lines_of(file):
    """The lines with their newlines; of one too long to be a record only its beginning, cut, without a newline."""
    while line := file.readline(MAX_PIECE):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(MAX_PIECE)
        yield line


def judge(line, seq, prev_hash):
    """Why *line* is not record *seq* after the record with *prev_hash* (None: any), or None; the number and hash it states."""
    start = START.match(line)
    if not start or line[-76:-67] != b',"hash":"' or not line.endswith(b'"}\n'):
        return "this line is not a record: its form is broken or it is unfinished", seq, None
    found, stated, problem = int(start[1]), line[-67:-3], None
    if found != seq:
        problem = f"record {seq} should stand here, but the line says {found}"
    elif len(line) > MAX_LINE:
        problem = f"the line is longer than {MAX_LINE} bytes"
    elif hashlib.sha256(line[:-76]).hexdigest().encode() != stated:
        problem = "the record was changed: its bytes do not give its hash"
    elif prev_hash is not None and line[-155:-76] != b',"prev_hash":"' + prev_hash + b'"':
        problem = "the chain is broken: prev_hash is not the hash of the record before"
    return problem, found, stated


def check_log(file, receipts, roots, lines):
    """Read the log once. *receipts*: (seq, hash); *roots*: (size, root, what); *lines*: (seq, line, what).
    After a problem the check goes on from the number and hash that the line states, so one edit may be reported more than
    once. The first problem is the first place where the log is wrong."""
    problems, entries, tree, seq, prev_hash, head = [], 0, Tree(), -1, b"0" * 64, None
    missing, unseen = set(receipts), list(lines)
    unmet = [one for one in roots if one[:2] != (0, tree.root())]
    sizes = {size for size, _, _ in roots}
    for line in lines_of(file):
        expected = seq + 1
        problem, seq, prev_hash = judge(line, expected, prev_hash)
        if problem and len(problems) < MAX_PROBLEMS:
            problems.append((expected, problem))
        if prev_hash:  # else the line is not a record
            head = {"seq": seq, "hash": prev_hash.decode("latin-1")}
            missing.discard((seq, head["hash"]))
        unseen = [one for one in unseen if one[:2] != (entries, line[:-1])]
        entries += 1
        tree.append(leaf_hash(line[:-1] if line.endswith(b"\n") else line))
        if entries in sizes:
            unmet = [one for one in unmet if one[:2] != (entries, tree.root())]
    if not entries:
        problems.append((0, "the log is empty: not even its first record, log.opened, is there"))
    problems += [(number, "the log does not have the record that a receipt names") for number, _ in sorted(missing)]
    problems += [(number, f"the log does not have the record of {what}") for number, _, what in unseen]
    for size, _, what in unmet:
        cut = size > entries and f"the log has {entries} records, {what} was made over {size}: the end was cut off"
        problems.append((max(size - 1, 0), cut or f"the first {size} records are not those of {what}: they were rewritten"))
    return entries, head, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", nargs="?", help="the log, audit_log.jsonl; may be left out with --proof")
    parser.add_argument("--vkey", metavar="FILE", help="the log's verifier key, as GET /audit/vkey gave it")
    parser.add_argument("--checkpoint", metavar="FILE", action="append", default=[], help="a checkpoint that you kept")
    parser.add_argument("--receipt", metavar="SEQ:HASH", action="append", default=[], help="of an answer")
    parser.add_argument("--proof", metavar="FILE", action="append", default=[], help="a receipt file (tlog-proof)")
    options = parser.parse_args()
    receipts = [re.fullmatch("([0-9]{1,19}):([0-9a-f]{64})", text) for text in options.receipt]
    if not all(receipts) or (not options.log and (not options.proof or options.checkpoint or receipts)):
        parser.error("give the log (only a --proof can be checked without it), and receipts as SEQ:HASH")
    roots, lines, failed, entries, head, problems = [], [], [], 0, None, []
    try:
        key = parse_key(Path(options.vkey).read_text("utf-8")) if options.vkey else None
        for name in options.checkpoint + options.proof:
            try:
                if len(roots) + len(failed) < len(options.checkpoint):
                    roots.append((*open_checkpoint(Path(name).read_bytes(), key), name))
                else:
                    index, line, size, root = open_proof(Path(name).read_bytes(), key)
                    lines.append((index, line, name))
                    roots.append((size, root, name))
            except ValueError as reason:
                failed.append((None, f"{name}: {reason}"))
        if options.log:
            with open(options.log, "rb") as file:
                entries, head, problems = check_log(file, [(int(one[1]), one[2]) for one in receipts], roots, lines)
    except (OSError, ValueError) as reason:
        print(f"cannot verify: {reason}", file=sys.stderr)
        return 2
    problems += failed
    verdict = {"ok": not problems, "entries": entries, "head": head}
    verdict["problems"] = [{"seq": seq, "problem": problem} for seq, problem in problems[:MAX_PROBLEMS]]
    verdict["signatures"] = "failed" if failed else "ok" if key and roots else "not_checked"
    print(json.dumps(verdict, ensure_ascii=False))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
