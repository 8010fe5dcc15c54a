"""What makes a host work, wait or grow: guests that try it, each at their own cost."""
import os
import resource
import subprocess
import time

PATIENCE = 60  # seconds; nothing is measured by the clock on the wall but rates

HEAD = """(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_res_get" (func $res (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_sync" (func $sync (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pwrite"
    (func $pwrite (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_set_size" (func $set (param i32 i64) (result i32)))
  (import "wasi_snapshot_preview1" "fd_allocate" (func $allocate (param i32 i64 i64) (result i32)))
  (import "wasi_snapshot_preview1" "path_create_directory"
    (func $mkdir (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") PAGES)
  (data (i32.const 512) "name")
"""


def _guest(bench, name, body, pages=1):
    return bench.module(name, f"{HEAD.replace('PAGES', str(pages))} {body})")


def _loop(bench, name, what, pages=1):
    """Does it without end."""
    return _guest(bench, name, f'(func (export "_start") (loop $l {what} (br $l)))', pages)


def _ends(bench, quota, limit, guest):
    """By that quota; the processor time that it has used, in nanoseconds."""
    done, report = bench.report(f"--{quota.replace('_', '-')}", limit, guest)
    assert done.returncode == (124 if quota == "timeout" else 137), (quota, done)
    assert report["quota"] == quota, (quota, report["quota"], done)
    return report["cpu_ns"]


def _pays(bench, guest):
    """Its processor time is counted, its fuel runs out, its deadline and its share hold."""
    _ends(bench, "cpu_time", "200ms", guest)
    _ends(bench, "fuel", 20000, guest)
    _ends(bench, "timeout", "300ms", guest)
    done, report = bench.report("--timeout", "2s", "--cpus", "0.1", guest)
    # A burst and a turn more than its share; without a share it is ten times as much.
    assert done.returncode == 124 and report["cpu_ns"] < 600_000_000, report


def clocks_are_polled_at_the_guests_cost(bench):
    """A busy loop over the clocks, which the kernel never sees."""
    _pays(bench, _loop(bench, "clock", "(drop (call $clock (i32.const 1) (i64.const 0) "
                       "(i32.const 0))) (drop (call $res (i32.const 1) (i32.const 8)))"))


def polls_of_no_time_are_at_the_guests_cost(bench):
    """A subscription of 0 ns, and yielding, again and again."""
    poll = ("(i32.store8 (i32.const 8) (i32.const 0)) (i32.store (i32.const 16) (i32.const 1)) "
            "(i64.store (i32.const 24) (i64.const 0)) (drop (call $poll (i32.const 0) "
            "(i32.const 64) (i32.const 1) (i32.const 128)))")
    _pays(bench, _loop(bench, "poll", poll))
    _pays(bench, _loop(bench, "yield", "(drop (call $yield))"))


def calls_of_much_work_are_interrupted(bench):
    """Half a gigabyte of random bytes, and fills and copies of as many, at each step."""
    size = 512 << 20
    steps = {"random": f"(drop (call $random (i32.const 0) (i32.const {size})))",
             "fill": f"(memory.fill (i32.const 0) (i32.const 7) (i32.const {size}))",
             "copy": f"(memory.copy (i32.const 1) (i32.const 0) (i32.const {size - 1}))"}
    for name, step in steps.items():
        guest = _loop(bench, name, step, 8192)
        # A whole step takes longer by far.
        used = _ends(bench, "cpu_time", "1ms", guest)
        assert used < 50_000_000, (name, used)
        used = _ends(bench, "timeout", "50ms", guest)
        assert used < 120_000_000, (name, used)


def _peak(bench, *arguments):
    """Exit code of a run, and the most memory that its process had."""
    child = subprocess.Popen([str(word) for word in (bench.cordon, "run", *arguments)],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, usage.ru_maxrss << 10


def recursion_ends(bench):
    """In a trap, within the stack that it was given, whatever stack the host has."""
    calls = "(call $f (i64.add (local.get 0) (i64.const 1)))"
    guest = _guest(bench, "recursion",
                   f'(func $f (param i64) (result i64) (local i64 i64) (i64.add {calls} '
                   f'{calls})) (func (export "_start") (drop (call $f (i64.const 0))))')

    def small():
        resource.setrlimit(resource.RLIMIT_STACK, (256 << 10, resource.RLIM_INFINITY))
    plain = _peak(bench, bench.nothing)[1]
    for size, most in (("64k", 4 << 20), ("8m", 12 << 20), ("32m", 40 << 20)):
        code, peak = _peak(bench, "--max-stack", size, guest)
        assert code == 134, (size, code)
        if not bench.is_sanitized:
            assert peak - plain < most, (size, peak, plain)
    done = subprocess.run([bench.cordon, "run", guest], check=False, capture_output=True,
                          text=True, preexec_fn=small)
    assert done.returncode == 134 and "call stack exhausted" in done.stderr, done


OPEN = """(call $open (i32.const 3) (i32.const 0) (i32.const 512) (i32.const 4) (i32.const 1)
  (i64.const 0x6003ff) (i64.const 0) (i32.const 0) (i32.const 0))"""


def sizes_beyond_any_disk_are_refused(bench):
    """Sizes and places near 8 EiB, by every call that takes one: none of it reaches the disk."""
    most = (1 << 63) - 1
    calls = [f"(call $set (i32.const 4) (i64.const {size}))"
             for size in (most, 1 << 62, 1 << 40, -1, -(1 << 63))]
    calls += [f"(call $allocate (i32.const 4) (i64.const {at}) (i64.const {size}))"
              for at, size in ((0, most), (most, most), (most, 1), (1 << 62, 1 << 62), (-1, 1),
                               (0, 1 << 40), (1 << 40, 1))]
    calls += [f"(call $pwrite (i32.const 4) (i32.const 16) (i32.const 1) (i64.const {at}) "
              "(i32.const 24))" for at in (most, most - 3, 1 << 62, 1 << 40, -1, -(1 << 63))]
    for call in calls:
        folder = bench.folder / "sizes"
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
        guest = _guest(bench, "sizes", f"""(func (export "_start")
          (if {OPEN} (then (call $exit (i32.const 200))))
          (i32.store (i32.const 16) (i32.const 512)) (i32.store (i32.const 20) (i32.const 4))
          (call $exit {call}))""")
        done = bench.run("--dir", f"{folder}::/", "--disk", "1m", guest)
        # DQUOT, FBIG, INVAL
        assert done.returncode in (19, 22, 28), (call, done)
        status = (folder / "name").stat()
        assert status.st_size <= 1 << 20 and status.st_blocks <= 2 << 11, (call, status)
        (folder / "name").unlink()


def deep_trees_are_bounded_by_the_quota(bench):
    """A directory in a directory, 3,000 deep: more than any path can name."""
    guest = _guest(bench, "deep", """(func (export "_start") (local $fd i32) (local $errno i32)
      (local.set $fd (i32.const 3))
      (loop $more
        (local.set $errno (call $mkdir (local.get $fd) (i32.const 512) (i32.const 4)))
        (if (local.get $errno) (then (call $exit (local.get $errno))))
        (local.set $errno (call $open (local.get $fd) (i32.const 0) (i32.const 512) (i32.const 4)
          (i32.const 2) (i64.const 0x2200) (i64.const 0x2200) (i32.const 0) (i32.const 0)))
        (if (local.get $errno) (then (call $exit (local.get $errno))))
        (if (i32.ne (local.get $fd) (i32.const 3)) (then (drop (call $close (local.get $fd)))))
        (local.set $fd (i32.load (i32.const 0)))
        (br $more)))""")
    folder = bench.folder / "deep-tree"
    folder.mkdir()
    folder.chmod(0o777)
    done = bench.run("--dir", f"{folder}::/", "--inodes", "3000", guest)
    assert done.returncode == 19, done
    depth, here = 0, os.open(folder, os.O_RDONLY)
    while True:
        try:
            below = os.open("name", os.O_RDONLY, dir_fd=here)
        except FileNotFoundError:
            break
        os.close(here)
        here, depth = below, depth + 1
    os.close(here)
    assert depth == 3000, depth
    # Whoever is given it next can work with it, and a host that looks after it, too.
    done = bench.run("--dir", f"{folder}::/", "--dir", f"{folder}/name::/below", "--inodes", "5",
                     bench.nothing)
    assert done.returncode == 0, done
    subprocess.run(["rm", "-rf", folder], check=True)


def storms_of_syncs_are_held_to_the_rate(bench):
    """Each is an operation of --disk-ops."""
    folder = bench.folder / "syncs"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    guest = _guest(bench, "syncs", f"""(func (export "_start") {OPEN} drop
      (i32.store (i32.const 16) (i32.const 512)) (i32.store (i32.const 20) (i32.const 1))
      (loop $l (drop (call $sync (i32.const 4)))
        (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)))
        (br $l)))""")
    counts = {}
    for rate in ("20/s", "unlimited"):
        start = time.monotonic()
        done = bench.run("--dir", f"{folder}::/", "--disk-ops", rate, "--timeout", "1s",
                         guest)
        assert done.returncode == 124, done
        counts[rate] = len(done.stdout) / (time.monotonic() - start)
    # The control makes hundreds; the burst that a rate may save up is a second of it at most.
    assert counts["20/s"] <= 45 < counts["unlimited"], counts


def the_path_decides_nothing(bench):
    """isolate 86a1878: a host starts its own program, wherever others of that name are."""
    fakes, marker = bench.folder / "fakes", bench.folder / "was-here"
    fakes.mkdir()
    for name in ("cordon", "sh", "env", "mount"):
        (fakes / name).write_text(f"#!/bin/sh\n: > {marker}\n")
        (fakes / name).chmod(0o755)
    file = bench.folder / "path.yaml"
    file.write_text(f"vms:\n  a:\n    module: {bench.nothing}\n")
    # The control: that is where programs are looked for.
    subprocess.run(["cordon"], check=True, env={"PATH": str(fakes)})
    assert marker.exists()
    marker.unlink()
    done = subprocess.run([bench.cordon, "up", file, "--host", bench.folder / "path.sock"],
                          check=False, capture_output=True, text=True, cwd=fakes,
                          env={"PATH": f"{fakes}:."}, timeout=PATIENCE)
    assert done.returncode == 0, done
    assert not marker.exists(), "somebody else's program ran"
