"""The bytes of an answer: which framing its head says, and that its body is framed so."""

from __future__ import annotations

import pytest

from app.serving.http_answer import CONTROLS, AnswerWriter, head_bytes

LENGTH = [(b"content-length", b"5")]


def test_a_head_has_these_bytes() -> None:
    assert head_bytes(404, [(b"x-a", b"1"), (b"x-b", "\u00e4\t".encode())]) == (
        b"HTTP/1.1 404 Not Found\r\nx-a: 1\r\nx-b: \xc3\xa4\t\r\n\r\n"
    )


@pytest.mark.parametrize("control", [b"\r", b"\n", b"\r\n", *(bytes([one]) for one in CONTROLS)])
def test_no_header_ends_its_line(control: bytes) -> None:
    for header in ((b"x" + control, b"1"), (b"x", b"1" + control + b"y: 2")):
        with pytest.raises(ValueError, match="control character"):
            head_bytes(200, [header])


@pytest.mark.parametrize(
    ("method", "version", "status", "headers", "added", "sent"),
    [
        ("POST", "1.1", 200, LENGTH, b"", [b"abc", b"de"]),
        ("POST", "1.1", 200, [], b"transfer-encoding: chunked\r\n", [b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n"]),
        ("POST", "1.0", 200, [], b"", [b"abc", b"de"]),
        ("HEAD", "1.1", 200, LENGTH, b"", [b"", b""]),
        ("HEAD", "1.1", 200, [], b"", [b"", b""]),
    ],
)
def test_a_body_is_framed_as_its_head_says(
    method: str, version: str, status: int, headers: list[tuple[bytes, bytes]], added: bytes, sent: list[bytes]
) -> None:
    writer = AnswerWriter(method, version)
    head, _ = writer.head(status, headers, keeps_alive=True)
    assert head == head_bytes(status, headers)[:-2] + added + b"\r\n"
    assert [writer.body(b"abc", is_last=False), writer.body(b"de", is_last=True)] == sent


def test_an_empty_part_ends_a_body_only_if_it_is_the_last() -> None:
    writer = AnswerWriter("GET", "1.1")
    writer.head(200, [], keeps_alive=True)
    assert writer.body(b"", is_last=False) == b""
    assert writer.body(b"", is_last=True) == b"0\r\n\r\n"


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_has_no_framing(status: int) -> None:
    writer = AnswerWriter("GET", "1.1")
    assert writer.head(status, [], keeps_alive=True) == (head_bytes(status, []), True)
    assert writer.body(b"", is_last=True) == b""
    with pytest.raises(RuntimeError):
        writer.body(b"x", is_last=True)


@pytest.mark.parametrize("parts", [[b"abcdef"], [b"abc"], [b"abc", b"def"], [b""]])
def test_a_body_of_another_length_than_was_said_is_an_error(parts: list[bytes]) -> None:
    writer = AnswerWriter("GET", "1.1")
    writer.head(200, LENGTH, keeps_alive=True)
    with pytest.raises(RuntimeError, match="Content-Length"):
        _ = [writer.body(part, is_last=number == len(parts)) for number, part in enumerate(parts, 1)]


@pytest.mark.parametrize(
    ("headers", "keeps_alive", "is_kept", "added"),
    [
        ([], True, True, b""),
        ([], False, False, b"connection: close\r\n"),
        ([(b"connection", b"Close")], True, False, b""),
        ([(b"connection", b"close")], False, False, b""),
    ],
)
def test_the_head_says_once_that_the_connection_ends(
    headers: list[tuple[bytes, bytes]], keeps_alive: bool, is_kept: bool, added: bytes
) -> None:
    headers = [*LENGTH, *headers]
    expected = head_bytes(200, headers)[:-2] + added + b"\r\n", is_kept
    assert AnswerWriter("GET", "1.1").head(200, headers, keeps_alive=keeps_alive) == expected
