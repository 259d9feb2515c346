"""One JSON line per event on standard output: CloudWatch Logs Insights reads its fields, and so do people."""

import json
import sys
import time


def log(event: str, **fields: object) -> None:
    """Never pass a secret: there is no filter behind this."""
    line = {"at_unix_ms": time.time_ns() // 1_000_000, "event": event, **fields}
    print(json.dumps(line, default=str), file=sys.stdout, flush=True)
