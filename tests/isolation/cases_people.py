"""What worked for people before there was a sandbox, inside it; and who a run is."""
import os
import pathlib
import socket
import subprocess
import time

from bench import OWNER


def pipes_and_files(bench):
    done = bench.run(bench.echo, stdin="through a pipe\n" * 5000)
    assert done.returncode == 0 and done.stdout == "through a pipe\n" * 5000
    source, target = bench.folder / "source", bench.folder / "target"
    source.write_text("from a file\n")
    with source.open() as given, target.open("w") as taken:
        done = subprocess.run([bench.cordon, "run", bench.echo], stdin=given, stdout=taken,
                              check=True)
    assert target.read_text() == "from a file\n"


def closed_streams(bench):
    done = subprocess.run(["bash", "-c", f"{bench.cordon} run {bench.nothing} <&- >&- 2>&-"],
                          check=False)
    assert done.returncode == 0


def streams_that_are_sockets(bench):
    ours, theirs = socket.socketpair()
    with ours:
        child = subprocess.Popen([bench.cordon, "run", bench.echo], stdin=theirs, stdout=theirs)
        theirs.close()
        ours.sendall(b"over a socket")
        ours.shutdown(socket.SHUT_WR)
        got = b""
        while more := ours.recv(100):
            got += more
    assert child.wait(20) == 0 and got == b"over a socket"


def a_module_from_standard_input(bench):
    done = bench.run("-", stdin='(module (memory (export "memory") 1) (func (export "_start")))')
    assert done.returncode == 0, done


def a_module_that_root_alone_reads(bench):
    if not bench.is_root:
        return "this is not root"
    secret = bench.folder / "roots.wasm"
    secret.write_bytes(bench.nothing.read_bytes())
    secret.chmod(0o600)
    done, report = bench.report(secret)
    assert done.returncode == 0 and report["sandbox"]["user"] == 65534, (done, report)
    return None


def a_port_below_1024(bench):
    if not bench.is_root:
        return "this is not root"
    for port in range(1023, 600, -1):
        done, report = bench.report("--listen", port, bench.nothing)
        if "in use" not in done.stderr:
            break
    assert done.returncode == 0 and report["listeners"] == [port], done
    assert report["sandbox"]["user"] == 65534, report
    return None


def root_becomes_the_owner(bench):
    if not bench.is_root:
        return "this is not root"
    root = bench.scene()
    other = root / "other"
    other.mkdir()
    os.chown(other, 777, 778)
    _, report = bench.report("--dir", f"{root}/in::/a::ro", "--dir", f"{other}::/b", bench.nothing)
    assert (report["sandbox"]["user"], report["sandbox"]["group"]) == (777, 778), report
    _, report = bench.report("--dir", f"{root}/in::/a::ro", bench.nothing)
    assert report["sandbox"]["user"] == OWNER, report
    for given, user, group in (("4321", 4321, 4321), ("4321:99", 4321, 99),
                               ("daemon", 1, 1), ("daemon:0", 1, 0)):
        _, report = bench.report("--user", given, "--dir", f"{root}/in::/", bench.nothing)
        assert (report["sandbox"]["user"], report["sandbox"]["group"]) == (user, group), report
    return None


def others_cannot_become_somebody(bench):
    if not bench.is_root:
        return "this is not root"
    done = subprocess.run([bench.cordon, "run", "--user", "1", bench.nothing], user=OWNER,
                          group=OWNER, extra_groups=[], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 125 and "the user cannot be changed" in done.stderr, done
    done = subprocess.run([bench.cordon, "run", bench.nothing], user=OWNER, group=OWNER,
                          extra_groups=[], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    return None


def nothing_is_kept(bench):
    """What the kernel says of a run that waits: no capabilities, groups, privileges, root."""
    child = subprocess.Popen([bench.cordon, "run", "--listen", "0", bench.echo],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    try:
        child.stdin.write(b"ready\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"ready\n"
        text = pathlib.Path(f"/proc/{child.pid}/status").read_text()
        status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(status[kind], 16) == 0, (kind, status[kind])
        if bench.is_root:
            assert int(status["CapBnd"], 16) == 0, status["CapBnd"]
            assert status["Uid"].split() == ["65534"] * 4, status["Uid"]
            assert status["Gid"].split() == ["65534"] * 4, status["Gid"]
            assert status["Groups"].split() == [], status["Groups"]
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2", status
        assert status["Threads"] == "1", status["Threads"]
        limits = pathlib.Path(f"/proc/{child.pid}/limits").read_text()
        assert [line.split()[4:6] for line in limits.splitlines()
                if line.startswith("Max core file size")] == [["0", "0"]], limits
    finally:
        child.stdin.close()
        child.wait(20)


def no_descriptor_is_left_over(bench):
    """CVE-2024-21626: a run holds what it was granted, and no directory beside it."""
    root = bench.scene()
    leaked = os.open("/", os.O_RDONLY)
    child = subprocess.Popen([bench.cordon, "run", "--dir", f"{root}/in::/", bench.echo],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        child.stdin.write(b"ready\n")
        child.stdin.flush()
        child.stdout.readline()
        held = [os.readlink(path) for path in pathlib.Path(f"/proc/{child.pid}/fd").iterdir()]
    finally:
        child.stdin.close()
        child.wait(20)
        os.close(leaked)
    folders = {path for path in held if os.path.isdir(path)}
    assert folders <= {str(root / "in")}, held
    assert not any(path.endswith(".wasm") for path in held), held


def signals_end_it(bench):
    child = subprocess.Popen([bench.cordon, "run", bench.echo], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
    child.stdin.write(b"ready\n")
    child.stdin.flush()
    child.stdout.readline()
    child.terminate()
    assert child.wait(20) == 143


def deadlines_hold(bench):
    start = time.monotonic()
    done = subprocess.run([bench.cordon, "run", "--timeout", "200ms", bench.echo],
                          stdin=subprocess.PIPE, check=False, capture_output=True)
    # Its standard input is at its end at once; a loop does not end by itself.
    assert done.returncode == 0
    loop = bench.module("loop", '(module (memory (export "memory") 1) (func (export "_start") '
                        '(loop $l (br $l))))')
    done = bench.run("--timeout", "200ms", loop)
    assert done.returncode == 124 and time.monotonic() - start < 20, done
