#!/usr/bin/env python3
"""Whether `cordon wast` tells assertions that hold from those that do not: verdicts.txt, line by
line, each run in a script of its own.

    tests/suite/verdicts.py CORDON
"""
import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
MODULE = """(module $M
  (type $s (struct (field i32))) (type $a (array i8)) (tag $e)
  (global (export "g") i32 (i32.const 42))
  (func (export "i32") (result i32) (i32.const 1))
  (func (export "i64") (param i64) (result i64) (local.get 0))
  (func (export "f32") (result f32) (f32.const 0))
  (func (export "nan") (result f32) (f32.const nan))
  (func (export "v128") (result v128) (v128.const i32x4 1 2 3 4))
  (func (export "two") (result i32 i64) (i32.const 1) (i64.const 2))
  (func (export "null") (param i32) (result anyref) (ref.null any))
  (func (export "struct") (result anyref) (struct.new $s (i32.const 1)))
  (func (export "array") (result anyref) (array.new_default $a (i32.const 3)))
  (func (export "i31") (result anyref) (ref.i31 (i32.const 5)))
  (func $f (export "func") (result funcref) (ref.func $f))
  (func (export "same") (param externref) (result externref) (local.get 0))
  (func (export "take") (param (ref null $s)))
  (func (export "trap") unreachable)
  (func (export "throw") (throw $e))
  (memory 1 1 shared)
  (func (export "wait") (param i64) (result i32)
    (memory.atomic.wait32 (i32.const 0) (i32.const 0) (local.get 0)))
  (func $d (export "deep") (call $d)))
"""


def passes(cordon, folder, line):
    """True when every command of the script does; says so if the command itself fails."""
    script = folder / "script.wast"
    script.write_text(MODULE + line + "\n", encoding="utf-8")
    done = subprocess.run([cordon, "wast", "--json", script], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60)
    if done.returncode not in (0, 1):
        return f"exit code {done.returncode}: {done.stdout.decode(errors='replace')}"
    result = json.loads(done.stdout)
    if (done.returncode == 0) != (result["failed"] == 0) or result["skipped"] > 0:
        return f"exit code {done.returncode} with {result}"
    return result["failed"] == 0


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    failed = count = 0
    with tempfile.TemporaryDirectory() as folder:
        for line in (HERE / "verdicts.txt").read_text(encoding="utf-8").splitlines():
            if line[:1] not in "+-":
                continue
            count += 1
            found = passes(sys.argv[1], pathlib.Path(folder), line[2:])
            if found is not (line[0] == "+"):
                failed += 1
                print(f"FAILED {line}\n    {found}")
    print(f"{count - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
