"""From the place of the log to the builder of its index, which only the console needs."""

from __future__ import annotations

from ..audit.index.builder import IndexBuilder
from ..audit.index.demand import Demand
from .audit import open_store
from .log_files import LogPlace


def open_index_builder(place: LogPlace, demand: Demand) -> IndexBuilder:
    """Opens no file yet."""
    return IndexBuilder(open_store(place), place.audit_log_path, demand)
