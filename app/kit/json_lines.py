"""What a process says as one JSON object a line (LOG_FORMAT=json)."""

from __future__ import annotations

import json
import logging
import os
import time
import traceback
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

SETTING = "LOG_FORMAT"
MAX_CHARS = 60_000
"""Of a line. Longer texts in it are cut."""


def is_wanted(environment: Mapping[str, str] = os.environ) -> bool:
    return environment.get(SETTING, "").strip() == "json"


def json_line(level: str, logger: str, message: str, at: float | None = None, **more: str) -> str:
    """With its line end. *more*: further members. *at*: Unix seconds; None: now."""
    at = time.time() if at is None else at
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1_000_000):06}Z"
    document: dict[str, Any] = {"timestamp": moment, "level": level, "logger": logger, "message": message, **more}
    document |= {"process": _process(), "pid": os.getpid()}
    texts, longest = ("message", *more), MAX_CHARS
    while len(line := json.dumps(document, ensure_ascii=False)) > MAX_CHARS:
        longest //= 2
        document |= {name: document[name][:longest] + "…" for name in texts if len(document[name]) > longest}
    return line.encode("utf-8", "backslashreplace").decode() + "\n"


def json_lines_of(text: str, logger: str) -> str:
    """Each line of *text* as one."""
    return "".join(json_line("INFO", logger, line) for line in text.splitlines() if line.strip())


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Without the line end."""
        more = {}
        if record.exc_info and record.exc_info[0] is not None:
            kind, _, _ = record.exc_info
            more = {"error": kind.__qualname__, "traceback": "".join(traceback.format_exception(*record.exc_info))}
        if record.stack_info:
            more["stack"] = record.stack_info
        return json_line(record.levelname, record.name, record.getMessage(), record.created, **more)[:-1]


def _process() -> str:
    """As `ps` shows it: worker, notary, index or metrics; python of the parent and the model."""
    try:
        return Path("/proc/self/comm").read_text().strip()
    except OSError:
        return ""


from_stderr = partial(json_lines_of, logger="stderr")
