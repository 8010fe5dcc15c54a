#!/usr/bin/env python3
"""Tests of the sandbox: what a process that was taken over can still do, on which kernels runs
begin at all, and that what worked for people without it works inside.

    tests/isolation/run.py CORDON [NAME...]

The acts of acts.def are tried from inside through the door binary, which is the same command with
one import more (door.c).
"""
import pathlib
import shutil
import sys
import tempfile
import time
import traceback

import cases_acts
import cases_kernels
import cases_people
from bench import Bench


def run(name, case, bench):
    start = time.monotonic()
    try:
        why = case(bench)
    except Exception:  # pylint: disable=broad-except
        print(f"FAILED {name}\n{traceback.format_exc()}")
        return "failed"
    if why:
        print(f"SKIPPED isolation {name}: {why}")
        return "skipped"
    print(f"ok {name} ({time.monotonic() - start:.1f} s)", flush=True)
    return "passed"


def main():
    bench_folder = pathlib.Path(sys.argv[1]).resolve().parent
    if not (bench_folder / "tests" / "door").exists():
        print("SKIPPED isolation: the door binary was not built")
        return 77
    cases = {name: case for module in (cases_people, cases_kernels, cases_acts)
             for name, case in vars(module).items()
             if callable(case) and getattr(case, "__module__", "") == module.__name__
             and not name.startswith("_")}
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    folder = pathlib.Path(tempfile.mkdtemp(prefix="cordon-isolation-"))
    folder.chmod(0o755)
    try:
        bench = Bench(bench_folder, folder)
        for name in sys.argv[2:] or cases:
            counts[run(name, cases[name], bench)] += 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
