"""Processes of VMs: what they are, and what becomes of VMs, books and files when one dies."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess

from host import parent_of, wait_for


def _status(pid, key):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(key + ":"):
            return line.split()[1:]
    return []


def _is_gone(pid):
    """Zombies are as good as gone: whoever inherits them waits for them, or does not."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return _status(pid, "State")[0] == "Z"
    return True


def has_a_process_each(bench):
    vms = {"a": "args: [sleep]", "b": "args: [sleep]", "c": "args: [sleep], process: shared"}
    with bench.host(vms) as host:
        for name in vms:
            host.wait(name, state="running")
        rows = host.ps()
        assert [rows[name]["placement"] for name in vms] == ["process", "process", "host"], rows
        assert rows["c"]["pid"] == host.process.pid, rows
        pids = {rows["a"]["pid"], rows["b"]["pid"]}
        assert len(pids) == 2 and {parent_of(pid) for pid in pids} == {host.process.pid}, rows
        for pid in pids:
            # Sealed before it has read the module: no privileges, a filter, no names of files.
            assert _status(pid, "NoNewPrivs") == ["1"] and _status(pid, "Seccomp") == ["2"]
            assert int(_status(pid, "CapEff")[0], 16) == 0
            assert os.geteuid() != 0 or "0" not in _status(pid, "Uid"), _status(pid, "Uid")
            assert _status(pid, "Threads") == ["1"]
        host.run("kill", "a")
        host.wait("a", state="ended")
        wait_for("its end", lambda: _is_gone(rows["a"]["pid"]))
        assert host.ps()["b"]["state"] == "running"


def fences_in_its_processes(bench):
    """With a control group each, where the kernel has any for us; they go with the VMs."""
    vms = {"a": "args: [sleep]", "b": "args: [spin]"}
    said = subprocess.run([bench.cordon, "doctor", "--json"], stdout=subprocess.PIPE, check=False)
    fence = json.loads(said.stdout)["machine"]["fence"]
    assert "--fence maybe" in bench.run("up", "--fence=maybe", "--stay", code=125)
    if fence.startswith("none"):
        said = bench.run("up", "--fence=required", "--stay", "--host", "r.sock", code=125)
        assert "no control group" in said and "--fence=auto" in said, said
    with bench.host(vms, options=["--stay", "--fence=auto"]) as host:
        pids = {name: host.wait(name, state="running")["pid"] for name in vms}
        groups = {name: pathlib.Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
                  for name, pid in pids.items()}
        assert ("/vm-" in groups["a"]) != fence.startswith("none"), groups
        assert groups["a"] != groups["b"] or fence.startswith("none"), groups
    with bench.host(vms, options=["--stay", "--fence=off"]) as host:
        pid = host.wait("a", state="running")["pid"]
        assert "/vm-" not in pathlib.Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
    if fence.startswith("none"):
        return fence
    left = [str(path) for path in pathlib.Path("/sys/fs/cgroup").rglob("cordon-*/vm-*")
            if f"-{host.process.pid}-" in str(path)]
    assert not left, left
    return None


def becomes_who_is_asked_for(bench):
    vms = {"a": "args: [sleep], user: '1234:4321'", "b": "args: [sleep], sandbox: 'off'"}
    with bench.host(vms) as host:
        if os.geteuid() != 0:
            return "root alone can become somebody else"
        pid = host.wait("a", state="running")["pid"]
        assert _status(pid, "Uid")[1] == "1234" and _status(pid, "Gid")[1] == "4321"
        pid = host.wait("b", state="running")["pid"]
        assert _status(pid, "Seccomp") == ["0"]
        bench.run("run", "-d", "--host", host.path, "--name", "c", "--sandbox=off", "guest.wasm",
                  "sleep")
        assert _status(host.wait("c", state="running")["pid"], "Seccomp") == ["0"]
    return None


def _mappings(pid):
    """Of a process: first and last address, name, and the kernel's flags."""
    found = []
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if "-" in words[0] and not words[0].endswith(":"):
            first, last = (int(part, 16) for part in words[0].split("-"))
            found.append([first, last, words[5] if len(words) > 5 else "", []])
        elif words[0] == "VmFlags:":
            found[-1][3] = words[1:]
    return found


def _where_is(pid, secret):
    """Flags of the mappings that have it, as far as they can be read."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        hits = []
        for first, last, name, flags in _mappings(pid):
            if name in ("[vvar]", "[vsyscall]", "[vvar_vclock]"):
                continue
            with contextlib.suppress(OSError):
                if secret in os.pread(memory.fileno(), last - first, first):
                    hits.append(flags)
        return hits


def keeps_texts_where_they_are_locked(bench):
    """Arguments and environment that a VM may be started with again, until it is gone for good."""
    if os.geteuid() != 0:
        return "root alone can look into other processes"
    if "asan" in str(bench.cordon):
        return "a sanitizer maps terabytes, and locks nothing"
    secret = os.urandom(12).hex()
    (bench.folder / "with.env").write_text(secret, encoding="ascii")
    file = f"args: [sleep, '{secret}'], restart: always, env: {{S: '{secret}'}}"
    with bench.host({"file": file}, options=["--stay"]) as host:
        bench.run("run", "-d", "--host", host.path, "--name", "asked", "--restart", "always",
                  "--env", f"S={secret}", "guest.wasm", "sleep", secret)
        for name in ("file", "asked"):
            host.wait(name, state="running")
        hits = _where_is(host.process.pid, secret.encode())
        assert len(hits) >= 1 and all("lo" in flags and "dd" in flags for flags in hits), hits
        filter_of = pathlib.Path(f"/proc/{host.process.pid}/coredump_filter")
        assert int(filter_of.read_text(encoding="ascii"), 16) == 0
        pid = host.ps()["asked"]["pid"]
        assert _where_is(pid, secret.encode()), "the control: who uses them has them"
        for name in ("file", "asked"):
            host.run("kill", name)
            host.wait(name, state="ended")
        wait_for("them to be wiped", lambda: not _where_is(host.process.pid, secret.encode()))
    return None


def outlives_its_processes(bench):
    """One that is killed is an end of its VM; the policy says what follows."""
    vms = {"again": "args: [sleep], restart: on-failure", "once": "args: [sleep]",
           "other": "args: [spin]"}
    with bench.host(vms, options=["--stay"], code=1) as host:
        pids = {name: host.wait(name, state="running")["pid"] for name in vms}
        os.kill(pids["again"], signal.SIGKILL)
        os.kill(pids["once"], signal.SIGILL)  # which sanitizers leave alone
        row = host.wait("once", state="ended")
        assert row["exit_code"] == 125 and "signal 4" in row["end"], row
        row = host.wait("again", state="running", restarts=1)
        assert row["pid"] != pids["again"], row
        # Stopped by somebody else it does not answer: what is asked of it happens all the same.
        os.kill(row["pid"], signal.SIGSTOP)
        host.run("kill", "-s", "TERM", "again")
        row = host.wait("again", state="ended")
        assert row["end"] == "killed, signal 15", row
        assert host.ps()["other"]["pid"] == pids["other"]


def leaves_no_orphans(bench):
    """Its processes end with a host that is killed, and the next one takes its place."""
    with bench.host({"a": "args: [spin]", "b": "args: [sleep]"}, code=-signal.SIGKILL) as host:
        pids = [host.wait(name, state="running")["pid"] for name in ("a", "b")]
        os.kill(host.process.pid, signal.SIGKILL)
        host.process.wait()
        wait_for("their ends", lambda: all(_is_gone(pid) for pid in pids))
        assert host.path.exists()
        bench.run("up", "--background", "--linger", "100ms", "--host", "h.sock")
        wait_for("its end", lambda: not host.path.exists())


def _groups(pid):
    """Control groups of that host's VMs, wherever they are mounted."""
    return {str(path) for path in pathlib.Path("/sys/fs/cgroup").rglob(f"cordon-{pid}-*/vm-*")}


def leaves_no_groups(bench):
    """Nor what a host that is killed had put around its VMs: the next one sweeps it up."""
    vms = {"a": "args: [sleep]", "b": "args: [spin]"}
    with bench.host(vms, options=["--fence=auto"], code=-signal.SIGKILL) as host:
        pids = [host.wait(name, state="running")["pid"] for name in vms]
        killed = host.process.pid
        made = _groups(killed)
        os.kill(host.process.pid, signal.SIGKILL)
        host.process.wait()
        wait_for("their ends", lambda: all(_is_gone(pid) for pid in pids))
    if not made:
        return "no control group is delegated to this process"
    with bench.host(vms, options=["--fence=auto"]) as host:
        for name in vms:
            host.wait(name, state="running")
        assert not _groups(killed), _groups(killed)
        made = _groups(host.process.pid)
        assert made
    assert not _groups(host.process.pid), made
    return None


def tells_of_memory_pressure(bench):
    """To a guest that waits for it, in a process of its own and in the host: 1 is near its limit,
    2 above it, 4 that the host has little left."""
    waits = [f"{name}-{place}" for name in ("over", "host") for place in ("own", "shared")]
    vms = {name: f"args: [pressure], process: {name.split('-')[1]}, quotas: {{memory: 4m}}"
           for name in waits}
    with bench.host(vms, head="memory: 64m\n", options=["--stay"], code=1) as host:
        for name in waits:
            wait_for("its memory", lambda name=name:
                     host.stats(name)["quotas"]["memory"]["used"] > 64 << 10)
        for name in waits[:2]:
            host.run("set", name, "memory=64k")
            assert host.wait(name, state="ended")["exit_code"] in (2, 3)
        host.run("set", waits[2], "memory_reserve=8m")
        bench.run("run", "-d", "--host", host.path, "--memory-reserve=52m", "guest.wasm", "sleep")
        assert host.wait(waits[3], state="ended")["exit_code"] == 4
        assert host.ps()[waits[2]]["state"] != "ended", "it has all that it needs reserved"
        host.run("set", waits[2], "memory_reserve=0")
        assert host.wait(waits[2], state="ended")["exit_code"] == 4


def _usage(folder):
    """Bytes and inodes that are charged for what lies there."""
    sizes = [path.stat().st_size for path in folder.iterdir()]
    return sum((size + 4095) // 4096 * 4096 for size in sizes), len(sizes)


def _books(host):
    quotas = host.stats("a")["quotas"]
    return quotas["disk"]["used"], quotas["inodes"]["used"]


def _is_full(host, folder):
    """And what is charged is what lies there."""
    return _books(host)[0] == 400 << 10 and _books(host) == _usage(folder)


def _litter(bench):
    folder = bench.folder / "given"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder, {"a": "args: [litter], dirs: ['given::/given'], restart: always, "
                         "quotas: {disk: 400k, inodes: 1000}"}


def _wait_for_files(folder):
    """Some, and by no means all."""
    wait_for("files", lambda: len(list(folder.iterdir())) > 20)


def keeps_the_books_of_who_is_killed(bench):
    """What is charged is what lies there, of all lives together."""
    folder, vms = _litter(bench)
    with bench.host(vms) as host:
        pid = host.wait("a", state="running")["pid"]
        _wait_for_files(folder)
        os.kill(pid, signal.SIGKILL)
        host.wait("a", state="running", restarts=1)
        wait_for("the quota", lambda: _is_full(host, folder))
        assert (bench.folder / "h.sock.a.disk").exists()
    assert not (bench.folder / "h.sock.a.disk").exists()


def keeps_the_books_over_its_own_end(bench):
    """The host is killed, with all VMs; the one that takes its place goes on with their books."""
    folder, vms = _litter(bench)
    with bench.host(vms, code=-signal.SIGKILL) as host:
        pid = host.wait("a", state="running")["pid"]
        _wait_for_files(folder)
        host.process.kill()
        host.process.wait()
        wait_for("its end", lambda: _is_gone(pid))
    before = _usage(folder)
    assert before[0] > 20 * 4096
    with bench.host(vms) as host:
        wait_for("the quota", lambda: _is_full(host, folder))
    assert not list(bench.folder.glob("h.sock.*")), list(bench.folder.glob("h.sock.*"))
