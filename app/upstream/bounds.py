"""What a model's server may occupy of one worker; docs/reference/limits.md has it as a table."""

from __future__ import annotations

KIB, MIB = 1024, 1024 * 1024

MAX_RESPONSE_BYTES = 32 * MIB
"""Of a plain answer. A thousand embeddings of 1,536 numbers in base64 are 8 MB."""
MAX_STREAM_BYTES = 64 * MIB
"""Of one whole stream. A token is about 250 bytes of events."""
MAX_EVENT_BYTES = 4 * MIB
MAX_EVENTS = 1_000_000
"""Of one stream."""
MAX_KEPT = 50_000
"""Texts, members and parts that a stream's record is made of. Pieces of one text are one."""
MAX_DOCUMENT_BYTES = 64 * KIB
"""Of a JSON document where a stream was asked for: an error."""
MAX_ERROR_BYTES = 64 * KIB
"""Of an answer whose status is no 2xx."""
PIECES = {b"[": 250_000, b"{": 250_000, b":": 400_000, b",": 3_000_000, b"\\": 1_000_000}
"""How often a large document may hold each; [ and { together. 4,096 tokens with twenty logprobs
have 180,000 lists and objects and 260,000 members. Embeddings have a comma a number."""
EVENT_PIECES = PIECES | {b"[": 100_000, b"{": 100_000, b":": 300_000}
"""The same of one event."""
LARGE_BYTES = 256 * KIB
"""A plain answer above it is parsed in a thread, when it is its turn."""
STEP_BYTES = 8 * KIB
"""Of a stream, no more is parsed before others have had a turn."""
LIGHT_PIECES = 4_000
"""Of lists, objects and texts: a document with more, above STEP_BYTES, is read in a thread."""
MAX_HEADS = 64
"""Of one answer: informational ones (1xx) and its own."""
MAX_HEAD_BYTES = 1 * MIB
"""Of all of these, and of what frames its body."""
FRAMING_FACTOR = 4
"""Bytes for each of the body. Of chunks of one byte, which take six, half a megabyte is read."""
