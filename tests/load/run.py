#!/usr/bin/env python3
"""The web server under load: wrk with 100 connections sees no failed request, while the quotas
of the VM hold.

    tests/load/run.py CORDON [--quick]
"""
import argparse
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SERVER = ROOT / "examples" / "webserver"
CONNECTIONS = 100
HOST_BYTES = 12 << 20  # resident of Cordon itself: its code, libraries, translated code

# What is asked for, with which quotas, for how many seconds (quick, full).
LOADS = [
    ("a page", "/", {"memory": "32m", "max-fds": "128", "disk": "1m"}, (5, 30)),
    ("the status page", "/status", {"memory": "32m", "max-fds": "128"}, (2, 10)),
    ("fewer descriptors than clients", "/", {"memory": "32m", "max-fds": "64"}, (2, 10)),
    ("hardly any descriptors", "/", {"memory": "32m", "max-fds": "12"}, (2, 10)),
    ("a fifth of a core", "/", {"memory": "32m", "max-fds": "128", "cpus": "0.2"}, (2, 10)),
    ("little memory", "/", {"memory": "3m", "max-fds": "128"}, (2, 10)),
    ("a large file", "/large.bin", {"memory": "32m", "max-fds": "256"}, (2, 10)),
]


@contextlib.contextmanager
def serving(cordon, guest, www, quotas, meta):
    """The running server; .port is its port, .seen what the kernel says about it at the end."""
    options = [word for key, value in quotas.items() for word in (f"--{key}", value)]
    process = subprocess.Popen([cordon, "run", "--dir", f"{www}::/::ro", "--listen", "0", *options,
                                "--meta", meta, guest], stderr=subprocess.PIPE, text=True)
    try:
        line = process.stderr.readline()
        process.port = int(re.search(r"listening on \S+:(\d+)", line)[1])
        yield process
        process.seen = seen_by_kernel(process.pid)
        process.send_signal(signal.SIGINT)
        process.wait(10)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def seen_by_kernel(pid):
    """(processor seconds, most bytes resident) of a process."""
    proc = pathlib.Path("/proc") / str(pid)
    times = (proc / "stat").read_text(encoding="ascii").rpartition(")")[2].split()[11:13]
    peak = re.search(r"VmHWM:\s+(\d+)", (proc / "status").read_text(encoding="utf-8"))[1]
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK"), int(peak) * 1024


def load(port, path, seconds):
    done = subprocess.run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "20s",
                           f"http://127.0.0.1:{port}{path}"], stdout=subprocess.PIPE, text=True,
                          timeout=seconds + 60)
    complaints = re.findall(r"^\s*(Socket errors.*|Non-2xx.*)$", done.stdout, re.M)
    requests = re.search(r"(\d+) requests in", done.stdout)
    return int(requests[1]) if requests else 0, complaints


def is_alive(port, path, wanted):
    """Whether an ordinary client still gets an answer, byte for byte."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status == 200 and (wanted is None or body == wanted)


def broken_quotas(report, seen):
    """What was passed, by the meta report's account and by the kernel's."""
    seconds, resident = seen
    for key, quota in report["quotas"].items():
        used = max(quota["used"], quota["peak"])
        if key != "cpus" and quota["limit"] is not None and used > quota["limit"]:
            yield f"{key}: {used} of {quota['limit']}"
    rate = report["quotas"]["cpus"]["limit"]
    used = max(report["cpu_ns"] / 1e9, seconds - 0.05)
    if rate is not None and used > report["wall_ns"] / 1e9 * rate / 1000 * 1.02:
        yield f"cpus: {used / report['wall_ns'] * 1e9:.3f} of {rate / 1000}"
    if resident > report["quotas"]["memory"]["limit"] + HOST_BYTES:
        yield f"{resident} bytes are resident"


def check(cordon, guest, www, row, seconds):
    """The requests answered, and what went wrong."""
    _, path, quotas, _ = row
    meta = www.parent / "meta.json"
    file = www / ("index.html" if path == "/" else path[1:])
    wanted = file.read_bytes() if file.is_file() else None
    with serving(cordon, guest, www, quotas, meta) as server:
        requests, problems = load(server.port, path, seconds)
        time.sleep(0.1)
        if not is_alive(server.port, path, wanted):
            problems.append("afterwards it answers no more")
    report = json.loads(meta.read_text(encoding="ascii"))
    problems += broken_quotas(report, server.seen)
    if report["exit_code"] != 130:
        problems.append(f"it ended by itself: {report['status']}, {report['message']}")
    if requests == 0:
        problems.append("no request was answered")
    return requests, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cordon", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    for tool in ("wrk", "clang-19"):
        if shutil.which(tool) is None:
            print(f"SKIPPED web-server-load: {tool} is not installed")
            return 77
    failed = 0
    with tempfile.TemporaryDirectory(prefix="cordon-load-") as name:
        folder = pathlib.Path(name)
        guest, www = folder / "webserver.wasm", folder / "www"
        shutil.copytree(SERVER / "www", www)
        (www / "large.bin").write_bytes(bytes(range(256)) * 8192)
        subprocess.run([ROOT / "tools" / "guest-cc", "-O2", "-o", guest, SERVER / "webserver.c"],
                       check=True)
        for row in LOADS:
            seconds = row[3][0 if options.quick else 1]
            requests, problems = check(options.cordon.resolve(), guest, www, row, seconds)
            failed += bool(problems)
            print(f"{'FAILED' if problems else 'passed'} {row[0]}: {requests} requests in "
                  f"{seconds} s{''.join('; ' + problem for problem in problems)}", flush=True)
    print(f"{len(LOADS) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
