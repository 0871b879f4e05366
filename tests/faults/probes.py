"""Requests that two readers may read differently, each with the answers that it must get."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

FORM = b"grant_type=client_credentials&client_id=nobody&client_secret=no-secret"
"""Read whole, and nothing else with it, it is a 401; a part of it is a 400."""
WITHIN = b"GET /smuggled HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
HIDDEN = b"0\r\n\r\n" + WITHIN


@dataclass(frozen=True)
class Probe:
    """*direct*, *edge*: the statuses of the answers, by the service and by nginx in front of it."""

    name: str
    request: bytes
    direct: str
    edge: str
    smuggles: bool = False
    """Whether what is within is a request of its own, for every reader."""


def post(lines: bytes, body: bytes = FORM, version: bytes = b"1.1") -> bytes:
    head = b"POST /token HTTP/%b\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    return head % version + lines + b"\r\n\r\n" + body


def get(target: bytes = b"/livez", lines: bytes = b"Host: x\r\n", method: bytes = b"GET", version: bytes = b"HTTP/1.1") -> bytes:
    return b"%b %b %b\r\n%bConnection: close\r\n\r\n" % (method, target, version, lines)


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body)


def lengths() -> Iterator[Probe]:
    size, line = b"%d" % len(FORM), b"Content-Length: %d" % len(FORM)
    yield Probe("a length", post(line), "401", "401")
    yield Probe("no space before the length", post(b"Content-Length:" + size), "401", "401")
    yield Probe("blanks around the length", post(b"Content-Length: \t" + size + b" \t"), "401", "400")
    yield Probe("zeros before the length", post(b"Content-Length: 00" + size), "401", "401")
    yield Probe("two equal lengths", post(line + b"\r\n" + line), "400", "400")
    yield Probe("two lengths", post(line + b"\r\nContent-Length: 3"), "400", "400")
    yield Probe("a list of lengths", post(line + b", " + size), "400", "400")
    for name, value in {
        "signed": b"+" + size,
        "negative": b"-" + size,
        "hexadecimal": b"0x5",
        "with a fraction": size + b".0",
        "with an underscore": b"1_0",
        "of other digits": "６".encode(),
        "in latin-1 digits": b"\xb2\xb3",
        "empty": b"",
        "of 20 digits": b"9" * 20,
        "of a NUL": size + b"\0",
        "with a word": size + b" x",
    }.items():
        yield Probe(f"a length, {name}", post(b"Content-Length: " + value), "400", "400")
    yield Probe("a blank before the colon", post(b"Content-Length : " + size), "400", "400")
    yield Probe("a NUL in the name", post(b"Content-Length\0: " + size), "400", "400")
    yield Probe("a length too large", post(b"Content-Length: 99999999", b""), "", "413")
    yield Probe("GET with a body", get(lines=b"Host: x\r\nContent-Length: %d\r\n" % len(WITHIN)) + WITHIN, "200", "200")
    yield Probe("no length", post(b"X: 1", b""), "400", "400")


def codings() -> Iterator[Probe]:
    length, good = b"Content-Length: %d\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (len(FORM), FORM)
    yield Probe("chunked", chunked(good), "401", "401")
    yield Probe("Chunked", post(b"Transfer-Encoding: Chunked", good), "401", "401")
    yield Probe("CL.TE", post(length % len(HIDDEN) + b"Transfer-Encoding: chunked", HIDDEN), "400", "400")
    yield Probe("TE.CL", post(b"Transfer-Encoding: chunked\r\nContent-Length: 4", HIDDEN), "400", "400")
    yield Probe("CL 0 and TE", post(b"Content-Length: 0\r\nTransfer-Encoding: chunked", good), "400", "400")
    for name, value, edge in (
        ("twice in a list", b"chunked, chunked", "501"),
        ("and identity", b"chunked, identity", "501"),
        ("after identity", b"identity, chunked", "501"),
        ("after gzip", b"gzip, chunked", "501"),
        ("before gzip", b"chunked, gzip", "501"),
        ("misspelt", b"xchunked", "501"),
        ("with a parameter", b"chunked;q=1", "501"),
        ("quoted", b'"chunked"', "501"),
        ("after a vertical tab", b"\x0bchunked", "501"),
        ("before a NUL", b"chunked\0", "400"),
        ("none but identity", b"identity", "501"),
        ("empty", b"", "501"),
    ):
        yield Probe(f"TE: {name}", post(b"Transfer-Encoding: " + value, HIDDEN), "400", edge)
    twice = b"Transfer-Encoding: chunked\r\nTransfer-Encoding: "
    yield Probe("TE.TE equal", post(twice + b"chunked", HIDDEN), "400", "400")
    yield Probe("TE.TE other", post(twice + b"x", HIDDEN), "400", "400")
    yield Probe("TE.TE identity", post(twice + b"identity", HIDDEN), "400", "400")
    yield Probe("TE with a blank before the colon", post(b"Transfer-Encoding : chunked", HIDDEN), "400", "400")
    yield Probe("TE folded", post(b"Transfer-Encoding:\r\n chunked", HIDDEN), "400", "400")
    yield Probe("TE behind a fold", post(b"X: 1\r\n Transfer-Encoding: chunked", HIDDEN), "400", "400")
    yield Probe("TE behind a bare CR", post(b"X: 1\rTransfer-Encoding: chunked", HIDDEN), "400", "400")
    yield Probe("TE behind a bare LF", post(b"X: 1\nTransfer-Encoding: chunked", HIDDEN), "400", "400")
    yield Probe("Transfer_Encoding", post(length % len(FORM) + b"Transfer_Encoding: chunked"), "401", "401")
    yield Probe("TE in HTTP/1.0", post(b"Transfer-Encoding: chunked", HIDDEN, b"1.0"), "400", "400")


def chunks() -> Iterator[Probe]:
    size, end = b"%x" % len(FORM), b"\r\n0\r\n\r\n"
    for name, body in {
        "an extension": size + b";a=b\r\n" + FORM + end,
        "a quoted extension": size + b';a="b;c"\r\n' + FORM + end,
        "zeros before the size": b"000" + size + b"\r\n" + FORM + end,
        "three zeros at the end": size + b"\r\n" + FORM + b"\r\n000\r\n\r\n",
        "a trailer": size + b"\r\n" + FORM + b"\r\n0\r\nX-T: 1\r\n\r\n",
    }.items():
        yield Probe(f"chunks: {name}", chunked(body), "401", "401")
    for name, body in {
        "0x": b"0x" + size + b"\r\n" + FORM + end,
        "a sign": b"+" + size + b"\r\n" + FORM + end,
        "a negative size": b"-1\r\n" + FORM + end,
        "no size": b"\r\n" + FORM + end,
        "no digit": b"g\r\n" + FORM + end,
        "a blank before the size": b" " + size + b"\r\n" + FORM + end,
        "17 digits": b"f" * 17 + b"\r\n" + FORM + end,
        "a size too small": b"3\r\n" + FORM + end,
        "data without its end": size + b"\r\n" + FORM + b"0\r\n\r\n",
        "a bare CR after the size": size + b"\r" + FORM + end,
    }.items():
        yield Probe(f"chunks: {name}", chunked(body), "400", "400")
    for name, body in {  # nginx takes these, and sends the body on with a length
        "a bare LF after the size": size + b"\n" + FORM + end,
        "a bare LF in an extension": size + b";a\n" + FORM + end,
        "a trailer of framing": size + b"\r\n" + FORM + b"\r\n0\r\nContent-Length: 9\r\nHost: y\r\n\r\n",
        "a trailer that is a request": size + b"\r\n" + FORM + b"\r\n0\r\n" + WITHIN,
    }.items():
        yield Probe(f"chunks: {name}", chunked(body), "400", "401")
    yield Probe("chunks: a request behind the end", chunked(size + b"\r\n" + FORM + end + WITHIN), "401", "401")


def heads() -> Iterator[Probe]:
    for name, lines, direct, edge in (
        ("none", b"", "400", "400"),
        ("two", b"Host: x\r\nHost: x\r\n", "400", "400"),
        ("two others", b"Host: x\r\nHost: y\r\n", "400", "400"),
        ("a list", b"Host: x, y\r\n", "400", "400"),
        ("a path", b"Host: x/y\r\n", "400", "400"),
        ("a user", b"Host: x@y\r\n", "400", "400"),
        ("a blank", b"Host: x y\r\n", "400", "400"),
        ("a long port", b"Host: x:999999\r\n", "400", "400"),
        ("folded", b"Host:\r\n x\r\n", "400", "400"),
        ("a blank before the colon", b"Host : x\r\n", "400", "400"),
        ("empty", b"Host:\r\n", "200", "400"),
        ("IPv6", b"Host: [::1]:8000\r\n", "200", "200"),
    ):
        yield Probe(f"Host: {name}", get(lines=lines), direct, edge)
    for name, lines in {
        "a folded line": b"X: 1\r\n 2\r\n",
        "a NUL": b"X: 1\0\r\n",
        "a bare CR": b"X: 1\r2\r\n",
        "no name": b": 1\r\n",
        "a blank in the name": b"X Y: 1\r\n",
        "a blank before the name": b" X: 1\r\n",
    }.items():
        yield Probe(f"head: {name}", get(lines=b"Host: x\r\n" + lines), "400", "400")
    for name, line in (("no colon", b"X\r\n"), ("a bracket in the name", b"X(Y): 1\r\n")):
        yield Probe(f"head: {name}", get(lines=b"Host: x\r\n" + line), "400", "200")
    yield Probe("head: bare LFs", get().replace(b"\r\n", b"\n"), "", "200")
    yield Probe("head: a blank line before it", b"\r\n" + get(), "200", "200")
    for name, lines in {
        "h2c": b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "websocket": b"Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
        "Expect without a body": b"Expect: 100-continue\r\n",
        "Connection names the framing": b"Connection: close, Transfer-Encoding, Content-Length, Host\r\n",
        "X-HTTP-Method-Override": b"X-HTTP-Method-Override: POST\r\n",
        "X-Original-URL": b"X-Original-URL: /smuggled\r\nX-Rewrite-URL: /smuggled\r\n",
    }.items():
        yield Probe(f"head: {name}", get(lines=b"Host: x\r\n" + lines), "200", "200")
    length = b"Content-Length: %d\r\n" % len(FORM)
    yield Probe("head: h2c with a body", post(length + b"Connection: Upgrade\r\nUpgrade: h2c"), "401", "401")
    yield Probe("head: 100-continue", post(length + b"Expect: 100-continue"), "401", "401")
    yield Probe("head: another Expect", post(length + b"Expect: 200-ok"), "401", "401")
    first = get().replace(b"Connection: close\r\n", b"")
    yield Probe("two requests at once", first + get(), "200 200", "200 200")
    yield Probe("a request behind one without a length", first + WITHIN, "200 404", "200 404", smuggles=True)


def targets() -> Iterator[Probe]:
    for name, target, direct, edge in (
        ("absolute", b"http://x/livez", "200", "200"),
        ("absolute, of another host", b"http://y/livez", "200", "200"),
        ("absolute, with a user", b"http://u@x/livez", "200", "400"),
        ("authority", b"x:80", "400", "400"),
        ("asterisk", b"*", "404", "400"),
        ("without a slash", b"livez", "400", "400"),
        ("empty", b"", "400", "400"),
        ("two blanks", b" /livez", "200", "200"),
        ("a blank within", b"/livez /smuggled", "400", "400"),
        ("a fragment", b"/livez#x", "200", "200"),
        ("a NUL", b"/livez\0", "400", "400"),
        ("a quoted NUL", b"/livez%00", "404", "400"),
        ("a byte of latin-1", b"/livez\xe4", "400", "400"),
        ("a bare CR", b"/livez\r/x", "400", "400"),
        ("two slashes", b"//livez", "404", "404"),
        ("a way up", b"/x/../livez", "404", "404"),
        ("a quoted way up", b"/x/%2e%2e/livez", "404", "404"),
        ("a semicolon", b"/livez;x", "404", "404"),
        ("a half quote", b"/livez%", "404", "400"),
    ):
        yield Probe(f"target: {name}", get(target), direct, edge)
    for name, version, direct, edge in (
        ("of 0.9", b"", "400", ""),
        ("1.0", b"HTTP/1.0", "200", "200"),
        ("0.9 by name", b"HTTP/0.9", "400", "400"),
        ("1.2", b"HTTP/1.2", "400", "200"),
        ("2.0", b"HTTP/2.0", "400", "505"),
        ("in small letters", b"http/1.1", "400", "400"),
        ("with a blank behind", b"HTTP/1.1 ", "400", "200"),
        ("of two words", b"HTTP/1.1 HTTP/1.1", "400", "400"),
    ):
        yield Probe(f"version: {name}", get(version=version), direct, edge)
    for name, method, direct, edge in (
        ("CONNECT", b"CONNECT", "400", "405"),
        ("TRACE", b"TRACE", "405", "405"),
        ("unknown", b"FOO", "400", "400"),
        ("in small letters", b"get", "400", "400"),
        ("split", b"GE T", "400", "400"),
        ("after a NUL", b"\0GET", "400", "400"),
    ):
        yield Probe(f"method: {name}", get(method=method), direct, edge)
    yield Probe("method: OPTIONS *", get(b"*", method=b"OPTIONS"), "404", "400")
    yield Probe("HTTP/2 itself", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400", "400")


PROBES = (*lengths(), *codings(), *chunks(), *heads(), *targets())
