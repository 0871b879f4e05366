"""python -m app"""

from __future__ import annotations

import gc

gc.disable()  # a command is over before a collection pays; `serve` begins anew in an interpreter of its own

from .cli.main import main  # noqa: E402 - the imports are what it is for

if __name__ == "__main__":
    main()
