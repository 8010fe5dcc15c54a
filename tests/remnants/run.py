#!/usr/bin/env python3
"""Proofs that nothing of a VM is left: not in the memory of processes that live on, not in core
dumps, not on the disk; and that a VM that is killed leaves nothing in disorder.

    tests/remnants/run.py CORDON [--long | --sanitized] [NAME...]

Secrets are put wherever a guest can have any, and looked for by a program that knows them only
masked (hunt.c). Every search has a control in which care is taken away (bare.c) and which must find
them: a search whose control finds nothing fails. --long does the full numbers: 200 crash points, a
thousand kills, ten thousand VMs; otherwise a sample of them is taken.

--sanitized is for builds with AddressSanitizer, which are looked at for its findings: what it keeps
of freed memory and of stacks is switched off as far as it lets itself, its heap is none that a host
can sweep, and such processes leave no core dumps.
"""
import os
import pathlib
import shutil
import sys
import tempfile
import time
import traceback

import cases_disk
import cases_kills
import cases_memory
import cases_volumes
from bench import Bench


# What depends on the C library's heap, or on dumps.
UNSANITIZED = {"a_host_has_none_of_a_vm_in_its_own_process",
               "a_host_has_none_of_a_vm_in_the_hosts_process", "a_core_dump_has_none",
               "a_dump_of_a_host_has_none"}
KEEPS_NOTHING = ("detect_stack_use_after_return=0:quarantine_size_mb=0:"
                 "thread_local_quarantine_size_kb=0")


def run(name, case, bench):
    start = time.monotonic()
    try:
        why = case(bench)
    except Exception:  # pylint: disable=broad-except
        print(f"FAILED {name} (seed {bench.seed})\n{traceback.format_exc()}", flush=True)
        return "failed"
    if why:
        print(f"SKIPPED remnants {name}: {why}", flush=True)
        return "skipped"
    print(f"ok {name} ({time.monotonic() - start:.1f} s)", flush=True)
    return "passed"


def main():
    build = pathlib.Path(sys.argv[1]).resolve().parent
    if not (build / "tests" / "bare").exists():
        print("SKIPPED remnants: the programs with care taken away were not built")
        return 77
    names = [word for word in sys.argv[2:] if not word.startswith("--")]
    is_sanitized = "--sanitized" in sys.argv
    if is_sanitized:
        os.environ["ASAN_OPTIONS"] = f"{os.environ.get('ASAN_OPTIONS', '')}:{KEEPS_NOTHING}"
    cases = {name: case for module in (cases_memory, cases_disk, cases_kills, cases_volumes)
             for name, case in vars(module).items()
             if callable(case) and getattr(case, "__module__", "") == module.__name__
             and not name.startswith("_") and not isinstance(case, type)
             and not (is_sanitized and name in UNSANITIZED)}
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    folder = pathlib.Path(tempfile.mkdtemp(prefix="cordon-remnants-"))
    folder.chmod(0o755)
    try:
        bench = Bench(build, folder, "--long" in sys.argv)
        for name in names or cases:
            counts[run(name, cases[name], bench)] += 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
