"""A parser of event streams written line by line from the text of WHATWG HTML, section 9.2.6, for comparison; and random streams.

`python -m tests.support.whatwg_events [streams] [seed]` compares app.kit.event_stream with it.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Iterator
from itertools import pairwise

from app.kit.event_stream import EventParser

LINE = re.compile(r"(.*?)(?:\r\n|\n|\r)", re.DOTALL)
ATOMS = [
    *(b"\r", b"\n", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"\n\r"),
    *(b"data", b"data:", b"data: ", b"data:  x", b"data: {}", b"data: [DONE]", b"Data: x", b"dat", b" data: x", b"data : x"),
    *(b"event", b"event:", b"event: ", b"event: ping", b"event:x", b"id: 7", b"id: \0", b"retry: 10", b"retry: x", b"id"),
    *(b":", b": comment", b"::", b" ", b"\t", b"x", b"x: y", b"\0", b"\xef\xbb\xbf", b"\xef\xbb\xbfdata: x"),
    *("é".encode(), "😀".encode(), "\u2028\x85\x0b\x0c".encode(), b"\xff", b"\xe2\x82", b"\xf0\x9f", b"\xed\xa0\xbd", b"\xc3"),
]


def reference(stream: bytes) -> list[tuple[str, str]]:
    """Type and data of each event that is dispatched. What follows the last blank line is not, as the text says."""
    text = stream.decode("utf-8", "replace")  # 9.2.6: "must be decoded using the UTF-8 decode algorithm",
    text = text.removeprefix("\ufeff")  # which strips one leading byte order mark
    dispatched: list[tuple[str, str]] = []
    data, event_type = "", ""
    for found in LINE.finditer(text):
        line = found[1]
        if line == "":  # "Dispatch the event, as defined below."
            if data == "":
                event_type = ""
                continue
            dispatched.append((event_type, data.removesuffix("\n")))
            data, event_type = "", ""
            continue
        if line.startswith(":"):  # "Ignore the line."
            continue
        if ":" in line:
            field, value = line.split(":", 1)
            value = value.removeprefix(" ")
        else:
            field, value = line, ""
        if field == "event":
            event_type = value
        elif field == "data":
            data += value + "\n"
    return dispatched


def parsed(stream: bytes, cuts: list[int]) -> list[tuple[str, str]]:
    """What our parser makes of *stream*, cut at these places."""
    parser = EventParser(1 << 30)
    edges = [0, *cuts, len(stream)]
    events = [event for start, end in pairwise(edges) for event in parser.feed(stream[start:end])]
    events += parser.end()
    return [(event.name.decode("utf-8", "replace"), event.data.decode("utf-8", "replace")) for event in events]


def streams(number: int, seed: int) -> Iterator[tuple[bytes, list[int]]]:
    """Random streams, and where each is cut: not at all, between all bytes, or anywhere."""
    chance = random.Random(seed)
    for _ in range(number):
        stream = b"".join(chance.choices(ATOMS, k=chance.randrange(25)))
        every = range(len(stream) + 1)
        yield stream, chance.choice([[], list(every), sorted(chance.choices(every, k=3))])


def differences(number: int, seed: int) -> list[tuple[bytes, list[int]]]:
    """The streams that the two read differently. The reference gets one more blank line: at the end of the input, an event that
    waits for it is dispatched."""
    return [(stream, cuts) for stream, cuts in streams(number, seed) if parsed(stream, cuts) != reference(stream + b"\n\n")]


if __name__ == "__main__":
    number, seed = [*map(int, sys.argv[1:]), *[100_000, 1][len(sys.argv) - 1 :]]
    found = differences(number, seed)
    print(f"{number} streams, seed {seed}: {len(found)} differences", *found[:5], sep="\n")
    sys.exit(bool(found))
