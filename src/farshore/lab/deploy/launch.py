"""What `pulumi-language-python-exec` does, which ships with the Pulumi CLI only: run a program against a monitor.

Its own process, so that the program meets nothing of the lab. Everything it is told comes as PULUMI_* variables,
as from the real language host; the working directory is the program's.
"""

import asyncio
import gc
import json
import os
import runpy
import sys
import traceback
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pulumi
from pulumi import runtime

from farshore.lab.deploy.errors import FAILED

PROGRAM_FAILED = 32


def run(environ: Mapping[str, str], program: Path) -> int:
    """Run the program in a directory; the exit code. The last thing printed is why it failed."""
    parallel = int(environ["PULUMI_PARALLEL"])
    runtime.reset_options(
        project=environ["PULUMI_PROJECT"],
        stack=environ["PULUMI_STACK"],
        organization=environ["PULUMI_ORGANIZATION"],
        monitor_address=environ["PULUMI_MONITOR"],
        engine_address=environ["PULUMI_ENGINE"],
        parallel=parallel,
        preview=False,
    )
    runtime.set_all_config(
        json.loads(environ["PULUMI_CONFIG"]), json.loads(environ["PULUMI_CONFIG_SECRET_KEYS"])
    )
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_default_executor(ThreadPoolExecutor(parallel))

    def main() -> None:
        runpy.run_path(str(program), run_name="__main__")

    try:
        loop.run_until_complete(runtime.run_in_stack(main))
    except Exception as error:  # noqa: BLE001 - the program's own, whatever it is
        if not isinstance(error, pulumi.RunError):
            traceback.print_exc()
        print(f"{FAILED}{''.join(traceback.format_exception_only(error))}", file=sys.stderr)
        return PROGRAM_FAILED
    return 0


if __name__ == "__main__":
    gc.disable()  # the provider's hundreds of thousands of classes would be looked through again and again
    code = run(os.environ, Path.cwd())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(
        code
    )  # nothing is left to do, and taking the provider's modules apart takes as long as importing them
