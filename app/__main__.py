"""python -m app"""

from __future__ import annotations

import gc

gc.disable()  # a command ends before a collection pays off; `serve` replaces this interpreter

from .cli.main import main  # noqa: E402 - the imports are what it is for

if __name__ == "__main__":
    main()
