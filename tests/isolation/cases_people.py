"""What worked for people before there was a sandbox, inside it; and who a run is."""
import os
import pathlib
import pty
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import termios
import threading
import time

from bench import ECHO, OWNER

CALLS = """(module
  (import "wasi_snapshot_preview1" "fd_pread"
    (func $pread (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_tell" (func $tell (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_sync" (func $sync (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_datasync" (func $datasync (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_advise"
    (func $advise (param i32 i64 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_get" (func $stat (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $fdstat (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pwrite"
    (func $pwrite (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func $good (param $call i32) (param $errno i32)
    (if (local.get $errno) (then (call $exit (local.get $call)))))
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 100))
    (call $good (i32.const 1) (call $pread (i32.const 0) (i32.const 0) (i32.const 1)
                                          (i64.const 10) (i32.const 8)))
    (call $good (i32.const 2) (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (call $good (i32.const 3) (call $seek (i32.const 0) (i64.const 5) (i32.const 0) (i32.const 8)))
    (call $good (i32.const 4) (call $tell (i32.const 0) (i32.const 8)))
    (call $good (i32.const 5) (call $advise (i32.const 0) (i64.const 0) (i64.const 0)
                                           (i32.const 2)))
    (call $good (i32.const 6) (call $stat (i32.const 0) (i32.const 200)))
    (call $good (i32.const 7) (call $fdstat (i32.const 0) (i32.const 200)))
    (call $good (i32.const 8) (call $write (i32.const 1) (i32.const 0) (i32.const 1)
                                          (i32.const 8)))
    (call $good (i32.const 9) (call $pwrite (i32.const 1) (i32.const 0) (i32.const 1)
                                           (i64.const 10) (i32.const 8)))
    (call $good (i32.const 10) (call $sync (i32.const 1)))
    (call $good (i32.const 11) (call $datasync (i32.const 1)))))
"""


def pipes_and_files(bench):
    done = bench.run(bench.echo, stdin="through a pipe\n" * 5000)
    assert done.returncode == 0 and done.stdout == "through a pipe\n" * 5000
    source, target = bench.folder / "source", bench.folder / "target"
    source.write_text("from a file\n")
    with source.open() as given, target.open("w") as taken:
        done = subprocess.run([bench.cordon, "run", bench.echo], stdin=given, stdout=taken,
                              check=True)
    assert target.read_text() == "from a file\n"


def calls_on_files_as_streams(bench):
    """Every call that is allowed on a standard stream that is a file."""
    guest = bench.module("calls", CALLS)
    source, target = bench.folder / "source", bench.folder / "target"
    source.write_text("from a file\n" * 100)
    for more in ((), ("--sandbox=off",)):
        with source.open() as given, target.open("w") as taken:
            done = subprocess.run([bench.cordon, "run", *more, guest], stdin=given, stdout=taken,
                                  check=False)
        assert done.returncode == 0, (more, done)


def _on_a_terminal(bench, *arguments, given, expected):
    """What the terminal of a run shows."""
    ours, theirs = pty.openpty()
    modes = termios.tcgetattr(theirs)
    modes[1] &= ~termios.OPOST
    modes[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(theirs, termios.TCSANOW, modes)
    child = subprocess.Popen([bench.cordon, "run", *arguments, bench.echo], stdin=subprocess.PIPE,
                             stdout=theirs)
    os.close(theirs)
    writer = threading.Thread(target=lambda: (child.stdin.write(given), child.stdin.close()))
    writer.start()
    shown = b""
    try:
        while more := os.read(ours, 1000):
            shown += more
    except OSError:
        pass  # the other end has gone
    writer.join()
    os.close(ours)
    assert child.wait(20) == 0
    if shown != expected:
        at = next((i for i, pair in enumerate(zip(shown, expected)) if pair[0] != pair[1]),
                  min(len(shown), len(expected)))
        raise AssertionError((len(shown), len(expected), at, shown[at - 60:at + 60],
                              expected[at - 60:at + 60]))


def terminals_are_shown_what_is_harmless(bench):
    """CVE-2003-0063, CVE-2022-45872 and their like: terminals that obey what they are shown."""
    given = (b"\033[1;32mgreen\033[0m \033]0;title\007 \033]52;c;ZXZpbA==\007 \033[6n\033[2J\033[H"
             b" h\xc3\xa9 \xc2\x9b31m \x9b31m\n")
    safe = (b"\033[1;32mgreen\033[0m ?]0;title\007 ?]52;c;ZXZpbA==\007 ?[6n?[2J?[H"
            b" h\xc3\xa9 ?31m ?31m\n")
    for mode in ("--sandbox=required", "--sandbox=off"):
        _on_a_terminal(bench, mode, given=given, expected=safe)
        _on_a_terminal(bench, mode, given=given * 3000, expected=safe * 3000)
    through = subprocess.run([bench.cordon, "run", bench.echo], input=given, check=True,
                             capture_output=True)
    assert through.stdout == given


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


def a_module_that_a_shell_substitutes(bench):
    """By the number of a descriptor, which is closed once it is open anew."""
    done = subprocess.run(["bash", "-c", f"{bench.cordon} run <(cat {bench.nothing})"],
                          check=False, capture_output=True, text=True)
    assert done.returncode == 0, done


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
    """CVE-2024-21626: a run holds what it was granted, and nothing that its caller left open."""
    if not bench.is_root:
        return "nobody else may look at a process that cannot be traced"
    root = bench.scene()
    leaked = [os.open("/", os.O_RDONLY), os.open(root / "secret", os.O_RDWR)]
    for mode in ("--sandbox=off", "--sandbox=required"):
        child = _waiting(bench, mode, "--dir", f"{root}/in::/", pass_fds=leaked)
        try:
            held = [os.readlink(path) for path in pathlib.Path(f"/proc/{child.pid}/fd").iterdir()]
        finally:
            child.stdin.close()
            child.wait(20)
        if mode == "--sandbox=off":
            assert {"/", str(root / "secret")} <= set(held), held
    for fd in leaked:
        os.close(fd)
    folders = {path for path in held if os.path.isdir(path)}
    assert folders <= {str(root / "in")}, held
    assert str(root / "secret") not in held, held
    assert not any(path.endswith(".wasm") for path in held), held
    return None


def _waiting(bench, *arguments, env=None, guest=None, **how):
    """A run that has begun and waits for its input."""
    child = subprocess.Popen([bench.cordon, "run", *arguments, guest or bench.echo],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             env={**os.environ, **(env or {})}, **how)
    child.stdin.write(b"ready\n")
    child.stdin.flush()
    assert child.stdout.readline() == b"ready\n"
    return child


def _hits(pid, canary):
    """How often it stands in the memory of a process."""
    hits = 0
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            span, modes = line.split()[:2]
            start, end = (int(number, 16) for number in span.split("-"))
            if "r" not in modes or "[v" in line:
                continue
            memory.seek(start)
            try:
                hits += memory.read(end - start).count(canary)
            except OSError:
                pass
    return hits


def the_environment_is_forgotten(bench):
    """A process that was taken over finds none of its caller's secrets; the control does."""
    if not bench.is_root:
        return "nobody else may look at a process that cannot be traced"
    canary = f"canary-{os.urandom(8).hex()}"
    for mode, expected in (("--sandbox=off", False), ("--sandbox=required", True)):
        child = _waiting(bench, mode, env={"CORDON_TEST_SECRET": canary})
        try:
            hits = _hits(child.pid, canary.encode())
            assert (hits == 0) == expected, (mode, hits)
        finally:
            child.stdin.close()
            child.wait(20)
    return None


def a_crash_leaves_no_core(bench):
    """RLIMIT_CORE and what may be dumped; the control dumps, where the machine lets it."""
    def unlimited():
        most = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (most, most))

    dumped = {}
    for mode in ("--sandbox=off", "--sandbox=required"):
        place = bench.folder / mode
        place.mkdir()
        child = _waiting(bench, mode, cwd=place, preexec_fn=unlimited)
        child.send_signal(signal.SIGSEGV)
        _, status = os.waitpid(child.pid, 0)
        child.returncode = -signal.SIGSEGV
        child.stdin.close()
        assert os.WIFSIGNALED(status), status
        dumped[mode] = os.WCOREDUMP(status) or any(place.iterdir())
    assert not dumped["--sandbox=required"]
    return None if dumped["--sandbox=off"] else "nothing dumps core on this machine"


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


def _unlocked(pid):
    """What a process may write and the kernel may swap out; and how much is locked, in KiB."""
    loose, here, kib = [], "", 0
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        head = line.split()
        if line[0] in "0123456789abcdef" and "-" in head[0]:
            here = line if "w" in head[1] else ""
        elif here and head[0] == "VmFlags:" and "lo" not in head[1:]:
            loose.append(here)
        elif here and head[0] == "Locked:":
            kib += int(head[1])
    return loose, kib


def strict_memory_is_never_swapped(bench):
    """All that a run can write to is locked, what it is given later, too; the control's is not."""
    done = bench.run("--strict", "--sandbox=off", bench.nothing)
    assert done.returncode == 125 and "--strict is part of the sandbox" in done.stderr, done
    if not bench.is_root:
        return "others may have no memory to lock"
    grow = ECHO.replace('(local $e i32)', '(local $e i32) (drop (memory.grow (i32.const 32))) '
                        '(memory.fill (i32.const 65536) (i32.const 7) (i32.const 2000000))')
    guest = bench.module("grows", grow)
    for strict in ([], ["--strict"]):
        child = _waiting(bench, "--max-stack", "256k", *strict, guest=guest)
        try:
            loose, kib = _unlocked(child.pid)
        finally:
            child.stdin.close()
            assert child.wait(20) == 0
        assert bool(loose) != bool(strict), (strict, loose)
        assert (kib > 1900) == bool(strict), (strict, kib)
    # Who may not lock without bound is refused, and hears why.
    done = bench.run("--strict", guest, before=(
        "setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups", "prlimit",
        "--memlock=65536:65536"))
    assert done.returncode == 125 and "RLIMIT_MEMLOCK is 64 KiB" in done.stderr, done
    return None


def strict_hosts_are_never_swapped(bench):
    """The process of a VM, and the host that was told of it; not one without such VMs."""
    if not bench.is_root:
        return "others may have no memory to lock"
    path = bench.folder / "strict.sock"
    for strict in ("false", "true"):
        file = bench.folder / "strict.yaml"
        file.write_text("vms:\n  a:\n    listen: [0]\n"
                        f"    module: {bench.echo}\n"
                        f"    strict: {strict}\n    quotas: {{max_stack: 256k}}\n"
                        f"  b:\n    module: {bench.nothing}\n")
        with subprocess.Popen([bench.cordon, "up", file, "--stay", "--host", path],
                              stdin=subprocess.DEVNULL) as host:
            try:
                end = time.monotonic() + 20
                shown = ""
                while '"ended"' not in shown and time.monotonic() < end:
                    shown = subprocess.run([bench.cordon, "ps", "--json", "--host", path],
                                           check=False, capture_output=True, text=True).stdout
                loose = _unlocked(host.pid)[0]
            finally:
                host.terminate()
                host.wait(20)
        assert bool(loose) == (strict == "false"), (strict, loose, shown)
    return None


APPEND = """(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "file")
  (func $open_below (param $dir i32) (result i32)
    (call $open (local.get $dir) (i32.const 0) (i32.const 64) (i32.const 4) (i32.const 1)
      (i64.const 64) (i64.const 0) (i32.const 1) (i32.const 8)))
  (func (export "_start") (local $error i32)
    (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 1))
    ;; The volume is the last one that is granted.
    (local.set $error (call $open_below (i32.const 4)))
    (if (i32.eq (local.get $error) (i32.const 8))
      (then (local.set $error (call $open_below (i32.const 3)))))
    (if (local.get $error) (then (call $exit (local.get $error))))
    (call $exit (call $write (i32.load (i32.const 8)) (i32.const 0) (i32.const 1)
      (i32.const 12)))))
"""


def volumes_follow_the_user(bench):
    """What root grants belongs to whoever the run becomes, and is what it was."""
    if os.geteuid() != 0:
        return "root alone can become somebody else"
    keys = tempfile.mkdtemp(prefix="cordon-", dir="/dev/shm")
    append, theirs = bench.module("append", APPEND), bench.folder / "theirs"
    theirs.mkdir()
    os.chown(theirs, OWNER, OWNER)
    options = ["--store", bench.folder / "volumes", "--key-file", f"{keys}/key", "--volume",
               "v:/v"]
    files = bench.folder / "volumes" / "volumes" / "v"
    try:
        for more, user in (([], 65534), (["--dir", f"{theirs}::/d"], OWNER),
                           (["--user", "4321"], 4321), (["--sandbox=off"], None), ([], 4321)):
            _, report = bench.report(*options, *more, append)
            assert report["exit_code"] == 0, report
            if user is not None:
                assert report["sandbox"]["user"] == user, report
                assert {path.stat().st_uid for path in files.iterdir()} == {user}
        done = subprocess.run([bench.cordon, "volume", "check", *options[:4]], check=False,
                              capture_output=True, text=True)
        assert done.returncode == 0 and "1 files, 0 directories, 0 links, 5 bytes" in done.stdout, \
            done
    finally:
        shutil.rmtree(keys)
    return None
