#!/usr/bin/env python3
"""Tests of the sandbox: what a process that was taken over can still do, on which kernels runs
begin at all, and that what worked for people without it works inside.

    tests/isolation/run.py CORDON [--sanitized] [NAME...]

Builds with a sanitizer are left what sanitizers need, so of these only the rest is tested. The acts
of acts.def are tried from inside through the door binary, which is the same command with one import
more (door.c).
"""
import pathlib
import shutil
import sys
import tempfile
import time
import traceback

import cases_abuse
import cases_acts
import cases_filters
import cases_kernels
import cases_people
from bench import Bench


# Sanitizers open /proc, keep memory of their own, catch crashes and need the calls that fail here.
UNSANITIZED = {"no_descriptor_is_left_over", "the_environment_is_forgotten",
               "a_crash_leaves_no_core", "without_openat2", "a_step_that_fails_ends_the_run",
               "strict_memory_is_never_swapped", "strict_hosts_are_never_swapped"}


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
    names = [word for word in sys.argv[2:] if word != "--sanitized"]
    is_sanitized = "--sanitized" in sys.argv
    modules = (cases_people, cases_kernels, cases_abuse)
    modules += () if is_sanitized else (cases_filters, cases_acts)
    cases = {name: case for module in modules
             for name, case in vars(module).items()
             if callable(case) and getattr(case, "__module__", "") == module.__name__
             and not name.startswith("_") and not (is_sanitized and name in UNSANITIZED)}
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    folder = pathlib.Path(tempfile.mkdtemp(prefix="cordon-isolation-"))
    folder.chmod(0o755)
    try:
        bench = Bench(bench_folder, folder, is_sanitized)
        for name in names or cases:
            counts[run(name, cases[name], bench)] += 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
