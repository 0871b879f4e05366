"""What `doctor` says of one thing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """*says* is one sentence or two; of trouble they say what to do."""

    state: Literal["ok", "note", "trouble"]
    says: str


ok, note, trouble = partial(Finding, "ok"), partial(Finding, "note"), partial(Finding, "trouble")
