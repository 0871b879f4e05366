"""The best rate of the disk: append and sync as many bytes as the records of all callers have, repeatedly.

`python -m bench.write_raw FILE`
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from .burst import Burst, Written, obey
from .records import RECORD_BYTES


def main(path: Path) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)

    def run(burst: Burst) -> Written:
        os.ftruncate(fd, 0)
        data, syncs = os.urandom(burst.callers * RECORD_BYTES), 0
        burst.wait()
        while True:
            written = 0
            while written < len(data):
                written += os.pwrite(fd, data[written:], syncs * len(data) + written)
            os.fdatasync(fd)
            if time.monotonic() >= burst.end:
                return Written(syncs * burst.callers, syncs)
            syncs += 1

    obey(run)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
