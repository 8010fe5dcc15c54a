#!/usr/bin/env python3
"""Tests of `cordon up` and of everything that talks to it.

    tests/control/run.py CORDON [NAME...]

Nothing here measures time: tests wait for what is to happen, and fail when it does not.
"""
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import traceback

import cases_life
import cases_process
import cases_socket
import cases_volume
import cases_words
from host import Bench



def run(name, case, bench):
    start = time.monotonic()
    try:
        why = case(bench)
    except Exception:  # pylint: disable=broad-except
        print(f"FAILED {name}\n{traceback.format_exc()}")
        return "failed"
    if why:
        print(f"SKIPPED control {name}: {why}")
        return "skipped"
    print(f"ok {name} ({time.monotonic() - start:.1f} s)", flush=True)
    return "passed"


def main():
    cordon = pathlib.Path(sys.argv[1]).resolve()
    if shutil.which("clang-19") is None:
        print("SKIPPED control: clang-19 is not installed")
        return 77
    # What a shell has ignored for the background, hosts would ignore, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    cases = {name: case for module in (cases_words, cases_life, cases_process, cases_socket,
                                              cases_volume)
             for name, case in vars(module).items()
             if callable(case) and getattr(case, "__module__", "") == module.__name__
             and not name.startswith("_")}
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    with tempfile.TemporaryDirectory(prefix="cordon-") as folder:
        bench = Bench(cordon, pathlib.Path(folder))
        bench.build()
        for name in sys.argv[2:] or cases:
            counts[run(name, cases[name], bench)] += 1
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
