#!/usr/bin/env python3
"""Runs an example and compares what it prints.

Usage: says.py PROGRAM TEXT      without the last line's end
"""
import subprocess
import sys


def main():
    program, wanted = sys.argv[1:]
    done = subprocess.run([program], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          timeout=60, check=False)
    if done.returncode == 0 and done.stdout == wanted + '\n':
        return 0
    print(f'exit code {done.returncode}, {done.stdout!r} instead of {wanted!r}')
    return 1


if __name__ == '__main__':
    sys.exit(main())
