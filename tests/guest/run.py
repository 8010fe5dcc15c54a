#!/usr/bin/env python3
"""Tests of the guests' library inside Cordon: listeners, quotas, the request parser, and the
HTTP server as the web server uses it, spoken to byte by byte.

    tests/guest/run.py CORDON
"""
import contextlib
import json
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SERVER = ROOT / "examples" / "webserver" / "webserver.c"
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
PAGE = b"the page\n"
PARSER = ROOT / "stdlib" / "src" / "http_parse.c"
TESTS = []


class Skipped(Exception):
    """The text says why."""


def test(function):
    TESTS.append(function)
    return function


class Bench:
    """The command, a folder for guests, and the guests in it."""

    def __init__(self, cordon, folder):
        self.cordon, self.folder = cordon, folder

    def guest(self, source):
        target = self.folder / (source.stem + ".wasm")
        if not target.exists():
            subprocess.run([ROOT / "tools" / "guest-cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o",
                            target, source], check=True)
        return target

    def run(self, name, *arguments, options=()):
        return subprocess.run([self.cordon, "run", *options, self.guest(HERE / f"{name}.c"),
                               *arguments], stdout=subprocess.PIPE, text=True, timeout=60)

    @contextlib.contextmanager
    def start(self, source, options, arguments=()):
        """A running guest, its ports in .ports; its meta report in .report afterwards."""
        meta = self.folder / "meta.json"
        process = subprocess.Popen([self.cordon, "run", *options, "--meta", meta,
                                    self.guest(source), *arguments],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        process.ports = []
        try:
            for _ in range(options.count("--listen")):
                line = process.stderr.readline()
                process.ports.append(int(re.search(r"listening on \S+:(\d+)", line)[1]))
            yield process
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.wait(10)
            process.report = json.loads(meta.read_text(encoding="ascii"))
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()

    def web(self, *options):
        www = self.folder / "www"
        if not www.exists():
            www.mkdir()
            (www / "sub").mkdir()
            (www / "index.html").write_bytes(PAGE)
            (www / "sub" / "index.html").write_bytes(b"below\n")
            (www / "a b.txt").write_bytes(b"with a blank\n")
            (www / "empty.css").write_bytes(b"")
            (www / "large.bin").write_bytes(bytes(range(256)) * 20000)
            (self.folder / "secret").write_bytes(b"secret\n")
            (www / "out").symlink_to("../secret")
            (www / "absolute").symlink_to(self.folder / "secret")
        return self.start(SERVER, ["--dir", f"{www}::/::ro", "--listen", "0", *options])


def connect(port):
    client = socket.create_connection(("127.0.0.1", port), timeout=15)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def read_all(client):
    data = b""
    try:
        while chunk := client.recv(65536):
            data += chunk
    except ConnectionResetError:
        pass
    return data


def exchange(port, request):
    with connect(port) as client:
        client.sendall(request)
        return read_all(client)


def read_answer(stream, has_body=True):
    """(status, headers, body) from a file object."""
    status = int(stream.readline().split()[1])
    headers = {}
    while (line := stream.readline().strip()):
        name, value = line.decode().split(": ", 1)
        headers[name.lower()] = value
    return status, headers, stream.read(int(headers["content-length"])) if has_body else b""


def answers(data):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", data)]


def equal(got, wanted, what):
    assert got == wanted, f"{what}: {got!r}, expected {wanted!r}"


# ---------------------------------------------------------------- guests that test themselves

@test
def parser(bench):
    equal(bench.run("parse").stdout, "ok\n", "output")


def sanitized(bench, sources, sanitizers):
    """The program, built natively, or None where the compiler has no runtime for that."""
    target = bench.folder / sources[0].stem
    done = subprocess.run(["clang-19", "-g", "-O1", f"-fsanitize={sanitizers}",
                           "-fno-sanitize-recover=all", "-I", ROOT / "stdlib" / "include", "-o",
                           target, *sources], stderr=subprocess.PIPE, text=True)
    return target if done.returncode == 0 else None


@test
def parser_sanitized(bench):
    program = sanitized(bench, [HERE / "parse.c", PARSER], "address,undefined")
    if program is None:
        raise Skipped("clang 19 has no sanitizers here (libclang-rt-19-dev)")
    done = subprocess.run([program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    equal(done.stdout, "ok\n", "output")


@test
def parser_fuzzed(bench):
    program = sanitized(bench, [HERE / "fuzz_http.c", PARSER], "fuzzer,address,undefined")
    if program is None:
        raise Skipped("clang 19 has no libFuzzer here (libclang-rt-19-dev)")
    corpus = bench.folder / "corpus"
    corpus.mkdir()
    texts = re.findall(r'\{"(.*)" ENDS', (HERE / "parse.c").read_text(encoding="ascii"))
    for i, text in enumerate(texts):
        (corpus / str(i)).write_bytes(text.encode() + b"\r\nHost: h\r\nContent-Length: 1\r\n\r\nx")
    done = subprocess.run([program, "-max_total_time=10", "-max_len=700", corpus],
                          cwd=bench.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-1500:]


@test
def quotas(bench):
    box = bench.folder / "box"
    box.mkdir()
    options = ["--dir", f"{box}::/", "--memory", "8m", "--max-fds", "16", "--disk", "64k",
               "--inodes", "5", "--fuel", "1000000000"]
    equal(bench.run("quotas", options=options).stdout, "ok\n", "output")


@test
def jumps(bench):
    """setjmp and longjmp; a longjmp whose function is gone ends the guest, not the host."""
    equal(bench.run("jumps").stdout, "0 failed\n", "output")
    equal(bench.run("jumps", "stale").returncode, 134, "exit code of a stale jump")


@test
def iso_c(bench):
    """What ISO C has beside wasi-libc, with a /tmp and without."""
    equal(bench.run("iso_c").stdout, "0 -1 none\nno file\n", "output without /tmp")
    folder = bench.folder / "temporary"
    folder.mkdir()
    options = ["--dir", f"{folder}::/tmp"]
    equal(bench.run("iso_c", options=options).stdout, "0 -1 free\n12345\n", "output")
    equal(list(folder.iterdir()), [], "what is left in /tmp")


@test
def no_listeners(bench):
    equal(bench.run("listeners", "0").stdout, "ok\n", "output")
    equal(bench.run("listeners", "0", options=["--dir", "/tmp::/a"]).stdout, "ok\n", "output")


@test
def listeners_in_order(bench):
    for folders in ([], ["--dir", "/tmp::/a", "--dir", "/tmp::/b::ro"]):
        options = [*folders, "--listen", "0", "--listen", "127.0.0.1:0", "--listen", "0"]
        with bench.start(HERE / "listeners.c", options, ["3"]) as guest:
            clients = [connect(port) for port in guest.ports]
            for i, client in enumerate(clients):
                equal(read_all(client), b"listener %d\n" % i, "answer")
                client.close()
            equal(guest.stdout.read(), "ok\n", "output")
        equal(guest.report["listeners"], guest.ports, "ports in the report")


# ---------------------------------------------------------------- the HTTP server

@test
def files(bench):
    with bench.web() as server, connect(server.ports[0]) as client:
        stream = client.makefile("rb")
        for path, status, kind, body in (
                (b"/", 200, "text/html; charset=utf-8", PAGE),
                (b"/index.html?x=y", 200, "text/html; charset=utf-8", PAGE),
                (b"/sub/", 200, "text/html; charset=utf-8", b"below\n"),
                (b"/sub/../a%20b.txt", 200, "text/plain; charset=utf-8", b"with a blank\n"),
                (b"/empty.css", 200, "text/css", b""),
                (b"/large.bin", 200, "application/octet-stream", bytes(range(256)) * 20000),
                (b"/nothing", 404, "text/plain", None), (b"/sub", 404, "text/plain", None),
                (b"/index.html/", 404, "text/plain", None)):
            client.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: h\r\n\r\n")
            got = read_answer(stream)
            equal((got[0], got[1]["content-type"]), (status, kind), path)
            assert body is None or got[2] == body, f"{path}: the body differs"


@test
def heads_and_methods(bench):
    with bench.web() as server, connect(server.ports[0]) as client:
        stream = client.makefile("rb")
        client.sendall(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
        status, headers, _ = read_answer(stream, has_body=False)
        equal((status, headers["content-length"]), (200, str(len(PAGE))), "HEAD")
        client.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody" + GET)
        equal(read_answer(stream)[0], 405, "POST")
        equal(read_answer(stream)[2], PAGE, "what follows a body")
        client.sendall(b"HEAD /nothing HTTP/1.1\r\nHost: h\r\n\r\n" + LAST)
        equal(read_answer(stream, has_body=False)[0], 404, "HEAD of nothing")
        equal(read_answer(stream)[2], PAGE, "what follows a HEAD")
        equal(stream.read(), b"", "end")


@test
def pipelining(bench):
    with bench.web() as server:
        data = exchange(server.ports[0], GET * 200 + LAST)
        equal(answers(data), [200] * 201, "statuses")
        equal(data.count(PAGE), 201, "bodies")


@test
def bytes_one_by_one(bench):
    with bench.web() as server, connect(server.ports[0]) as client:
        request = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" + LAST
        for i in range(len(request)):
            client.sendall(request[i:i + 1])
            time.sleep(0.001)
        equal(answers(read_all(client)), [405, 200], "statuses")


@test
def refusals(bench):
    host = b"Host: h\r\n"
    rows = [(b"GET / HTTP/1.1\nHost: h\n\n", 400), (b"\x16\x03\x01\x02\x00\x01\xfc\n", 400),
            (b"GET / HTTP/1.1\r\n\r\n", 400), (b"GET / HTTP/3.0\r\n" + host + b"\r\n", 505),
            (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n" + host + b"\r\n", 414),
            (b"GET / HTTP/1.1\r\n" + host + b"A: " + b"a" * 9000 + b"\r\n\r\n", 431),
            (b"GET / HTTP/1.1\r\n" + host + b"A: b\r\n" * 100 + b"\r\n", 431),
            (b"POST / HTTP/1.1\r\n" + host + b"Content-Length: 99999999\r\n\r\n", 413),
            (b"POST / HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
            (b"POST / HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n"
             b"Content-Length: 5\r\n\r\n0\r\n\r\n", 400),
            (b"POST / HTTP/1.1\r\n" + host + b"Content-Length: 4\r\nContent-Length: 30\r\n\r\n"
             b"bodyGET /secret HTTP/1.1\r\n\r\n", 400)]
    with bench.web() as server:
        for request, status in rows:
            equal(answers(exchange(server.ports[0], request + GET)), [status], request[:60])


@test
def no_way_out(bench):
    with bench.web() as server:
        for path in (b"/../secret", b"/..%2fsecret", b"/%2e%2e/secret", b"/out", b"/absolute",
                     b"//etc/passwd", b"/sub/../../secret", b"/..\\secret", b"/out/",
                     b"/./../secret"):
            data = exchange(server.ports[0], b"GET " + path + b" HTTP/1.0\r\n\r\n")
            assert answers(data)[0] in (400, 403, 404), f"{path}: {data[:80]!r}"
            assert b"secret\n" not in data and b"root:" not in data, f"{path}: {data[:200]!r}"


@test
def rude_clients(bench):
    with bench.web() as server:
        port = server.ports[0]
        for request in (b"", b"GET / HT", GET, b"GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n",
                        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc"):
            for _ in range(30):
                client = connect(port)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.sendall(request)
                client.close()  # with a reset
        with connect(port) as client:
            client.sendall(LAST)
            client.shutdown(socket.SHUT_WR)
            equal(answers(read_all(client)), [200], "a client that ends its half first")
        time.sleep(0.2)
        equal(answers(exchange(port, LAST)), [200], "afterwards")
        page = exchange(port, b"GET /status HTTP/1.0\r\n\r\n").decode()
        assert int(re.search(r"descriptors<td>(\d+)", page)[1]) <= 8, "descriptors are lost"


@test
def slow_readers(bench):
    with bench.web() as server:
        clients = [connect(server.ports[0]) for _ in range(20)]
        for client in clients:
            client.sendall(b"GET /large.bin HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        time.sleep(0.3)
        equal(answers(exchange(server.ports[0], LAST)), [200], "who comes meanwhile")
        for client in clients:
            body = read_all(client).split(b"\r\n\r\n", 1)[1]
            assert body == bytes(range(256)) * 20000, "the body differs"
            client.close()


@test
def slow_writers_are_closed(bench):
    with bench.web() as server, connect(server.ports[0]) as client:
        start = time.monotonic()
        client.sendall(b"GET / HTTP/1.1\r\nHo")
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            while time.monotonic() - start < 14:
                client.sendall(b"o")
                time.sleep(0.3)
        took = time.monotonic() - start
        assert 9 < took < 14, f"closed after {took:.1f} s, expected 10 s"


@test
def descriptors_run_out(bench):
    """More clients than descriptors, all silent: later ones get their turn, nothing spins."""
    with bench.web("--max-fds", "16") as server:
        clients = [connect(server.ports[0]) for _ in range(40)]
        time.sleep(0.5)
        equal(answers(exchange(server.ports[0], LAST)), [200], "who comes last")
        for client in clients:
            client.close()
        held = [connect(server.ports[0]) for _ in range(12)]
        for client in held:  # busy: half a request each
            client.sendall(b"GET / HTTP/1.1\r\n")
        time.sleep(3)
        for client in held:
            client.close()
        equal(answers(exchange(server.ports[0], LAST)), [200], "afterwards")
    share = server.report["cpu_ns"] / server.report["wall_ns"]
    assert share < 0.2, f"it waits with {share:.0%} of a core"
    assert server.report["quotas"]["max_fds"]["peak"] <= 16, "descriptors beyond the quota"


@test
def status_page(bench):
    with bench.web("--memory", "24m", "--disk", "8m") as server:
        page = exchange(server.ports[0], b"GET /status HTTP/1.0\r\n\r\n").decode()
        rows = dict(re.findall(r"<tr><td>(.*?)<td>\d+ \S*<td>(.*)", page))
        equal(rows["memory"], "24576 KiB", "memory")
        equal(rows["disk"], "8192 KiB", "disk")
        equal(rows["operators executed"], "unlimited", "fuel")


@test
def no_listener_granted(bench):
    done = subprocess.run([bench.cordon, "run", bench.guest(SERVER)], stderr=subprocess.PIPE,
                          text=True, timeout=20)
    assert done.returncode == 2 and "--listen" in done.stderr, done.stderr


def main():
    if shutil.which("clang-19") is None:
        print("SKIPPED guest-library: clang-19 is not installed")
        return 77
    failed = skipped = 0
    only = sys.argv[2:]
    with tempfile.TemporaryDirectory(prefix="cordon-guest-") as name:
        bench = Bench(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(name))
        for function in TESTS:
            if only and function.__name__ not in only:
                continue
            try:
                function(bench)
                print(f"passed {function.__name__}", flush=True)
            except Skipped as why:
                skipped += 1
                print(f"SKIPPED {function.__name__}: {why}", flush=True)
            except (AssertionError, OSError, subprocess.SubprocessError, ValueError, KeyError,
                    IndexError, TypeError) as error:
                failed += 1
                print(f"FAILED {function.__name__}: {type(error).__name__} {error}", flush=True)
    passed = len(only or TESTS) - failed - skipped
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
