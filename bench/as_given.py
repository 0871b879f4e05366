"""This service with the allocator of the environment, and no other: `python -m bench.as_given --port P --workers N`."""

from __future__ import annotations

import sys

from app.serving import parent

if __name__ == "__main__":
    sys.exit(parent.main("127.0.0.1", sys.argv[2], sys.argv[4]))
