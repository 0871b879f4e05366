"""aegis-latent-core's own commit, in its own environment: `python -m bench.write_aegis LEDGER`.

One thread per caller, because its ledger blocks and groups the commits of threads. It signs with HMAC, its cheapest way.
One commit holds the digests of a question and its answer and counts as one record; our log writes two.
"""

from __future__ import annotations

import sys
import threading
import time
from itertools import count
from pathlib import Path

from aegis.core.crypto_audit import CryptographicAuditLedger  # type: ignore[import-not-found] # not among our dependencies

from .burst import Burst, Written, obey
from .records import ASKED, answered

REQUEST = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"%b"}]}' % ASKED["query"].encode()
RESPONSE = b'{"choices":[{"message":{"role":"assistant","content":"%b"}}]}' % answered(0)["answer"].encode()


def main(path: Path) -> None:
    ledger = CryptographicAuditLedger(str(path), signing_key="0123456789abcdef" * 4)
    numbers = count()  # next() on it is atomic

    def commit() -> None:
        ledger.commit_forensic(
            state_id=f"{next(numbers):032x}",
            request_bytes=REQUEST,
            response_bytes=RESPONSE,
            tenant_id="bench",
            model="gpt-4o-mini",
            endpoint="chat.completions",
            usage={"prompt_tokens": 12, "completion_tokens": 7},
        )

    def run(burst: Burst) -> Written:
        acknowledged = [0] * burst.callers

        def caller(number: int) -> None:
            while True:
                commit()
                if time.monotonic() >= burst.end:
                    return
                acknowledged[number] += 1

        before = ledger.group_commit_stats.batches
        threads = [threading.Thread(target=caller, args=(number,)) for number in range(burst.callers)]
        burst.wait()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return Written(sum(acknowledged), ledger.group_commit_stats.batches - before)

    obey(run)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
