"""This service with a notary process that sleeps, so that the same run shows what signing costs.

`python -m bench.unsigned --port P --workers N`
"""

from __future__ import annotations

import signal
import sys

from app.audit.evidence.health import LogHealth
from app.serving import parent
from app.serving.child import ReadyFlag
from app.wiring.log_files import LogFiles


def sleep(log_files: LogFiles, health: LogHealth, ready: ReadyFlag) -> int:
    ready.set()
    signal.pause()  # until the SIGTERM at the end
    return 0


if __name__ == "__main__":
    parent._sign = sleep
    sys.exit(parent.main("127.0.0.1", sys.argv[2], sys.argv[4]))
