"""This service, but its notary sleeps, so that the same run shows what the notary costs.

`python -m bench.unsigned --port P --workers N`
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from app.serving import parent as server


def sleep(paths: tuple[Path, Path, Path]) -> int:
    signal.pause()  # until the SIGTERM that ends the family
    return 0


if __name__ == "__main__":
    server.run_notary = sleep  # type: ignore[attr-defined]
    sys.exit(server.main("127.0.0.1", sys.argv[2], sys.argv[4]))
