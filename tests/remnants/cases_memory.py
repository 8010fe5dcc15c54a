"""The memory of processes: while a VM is there, and of those that live on when it is gone."""
import pathlib
import shutil
import signal
import subprocess

from bench import PATIENCE, PLACES, free_port, hear, started, wait_for

# A key in a memfd_secret is found by nobody, wiped or not.
SEEN = "secret"
BARE = f"wipe unmap contexts {SEEN}"
# What a host knows of a VM with a process of its own: what it was told, and what that said.
TOLD = ("output", "argument", "environment")
UNTOLD = tuple(place for place in PLACES if place not in TOLD)
KEYS = (0, 1, 2, 3)  # of a volume: all are made from the first


def _missing(hits, places=PLACES):
    """Places where a control is blind."""
    return [place for place in places if hits[place] == 0]


def _left(hits, places=(*PLACES, "schedules")):
    return {place: hits[place] for place in places if hits[place] > 0}


# ---------------------------------------------------------------------------- a run


def _hold(bench, *options, command=None, env=None, **how):
    """A run that holds all secrets, as soon as it does."""
    folder, port = bench.place("held"), free_port()
    process = started(command or bench.cordon, "run", "--dir", f"{folder}::/d", "--listen", port,
                      "--env", bench.variable(), *options, bench.guest, "hold", "/d",
                      bench.words(), stdout=subprocess.PIPE, env=env, **how)
    return process, port


def a_run_has_them_while_it_lives(bench):
    """The control of all that follows: the search finds what is there."""
    if not bench.is_root:
        return "nobody else may look at a process that cannot be traced"
    process, port = _hold(bench)
    with process as child:
        wait_for("the listener", lambda: _says(bench, port))
        hear(child, b"ready")
        hits = bench.hunt(child.pid)
    assert not _missing(hits), hits
    print(f"    {hits}")
    return None


def _says(bench, port):
    try:
        bench.say(port)
        return True
    except ConnectionRefusedError:
        return False


# ---------------------------------------------------------------------------- an embedder


def _keeper(bench, env):
    """Hits in a program that embeds Cordon: while its VM is there, and when it is gone."""
    folder, store = bench.place("kept"), bench.folder / "keeper-store"
    keys = bench.folder / "keys"
    keys.unlink(missing_ok=True)
    with started(bench.keeper, bench.guest, folder, store, stdin=subprocess.PIPE,
                 stdout=subprocess.PIPE,
                 env={"CORDON_BARE_KEYS": str(keys), **env}) as child:
        child.stdin.write(f"{bench.words()}\n{bench.variable()}\n".encode())
        child.stdin.flush()
        bench.say(int(hear(child, b"port").split()[1]))
        hear(child, b"live")
        raw = keys.read_bytes()
        known = [raw[at:at + 32].hex() for at in range(0, len(raw), 32)]
        assert len(known) == 4, known
        live = bench.hunt(child.pid, known)
        child.stdin.write(b"end\n")
        child.stdin.flush()
        hear(child, b"gone")
        return live, bench.hunt(child.pid, known)


def a_program_that_lives_on_has_none(bench):
    """All places, the volume's keys, and round keys of whatever key."""
    if not bench.is_root:
        return "volumes of others need another test of their own"
    places = (*PLACES, *KEYS, "schedules")
    _, left = _keeper(bench, {"CORDON_BARE": BARE})
    assert not _missing(left, places), f"the control is blind: {left}"
    hidden = _keeper(bench, {})
    assert not _missing(hidden[0]) and not _left(hidden[1], places), hidden
    live, after = _keeper(bench, {"CORDON_BARE": SEEN})
    # Round keys are there only while a block is read or written.
    assert not _missing(live, places[:-1]), live
    print(f"    live {live}\n    after {after}\n    control {left}\n    hidden {hidden[0]}")
    assert not _left(after, places), after
    return None


# ---------------------------------------------------------------------------- hosts


class _Host:
    """`cordon up`, with a VM that holds secrets: on a private volume, and elsewhere. It is the
    command with nothing taken away, but that it tells the volume's keys."""

    def __init__(self, bench, placement, bare=""):
        self.bench, self.path = bench, bench.folder / "host.sock"
        self.port, self.leaked = free_port(), bench.folder / "host.leaked"
        store, key = bench.folder / "host-store", bench.folder / "host.key"
        self.leaked.unlink(missing_ok=True)
        file = bench.folder / "host.yaml"
        name, _, value = bench.variable().partition("=")
        file.write_text(
            f"store: {store}\nkey-file: {key}\nkey-on-same-disk: true\nvms:\n  secret:\n"
            f"    module: {bench.guest}\n    args: [hold, /v, {bench.words()}]\n"
            f"    env: {{{name}: {value}}}\n    volumes: ['web:/v']\n"
            f"    listen: [127.0.0.1:{self.port}]\n    process: {placement}\n")
        self.context = started(bench.bare, "up", file, "--stay", "--host", self.path,
                               stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               env={"CORDON_BARE": bare, "CORDON_BARE_KEYS": str(self.leaked)})

    def __enter__(self):
        self.process = self.context.__enter__()
        wait_for("the guest", lambda: _says(self.bench, self.port))
        wait_for("its output", lambda: "ready" in self.bench.run("logs", "--host", self.path,
                                                                 "secret", code=None).stdout)
        return self

    def __exit__(self, *why):
        return self.context.__exit__(*why)

    def processes(self):
        """Its own and its children's."""
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task")
        pids = " ".join((task / "children").read_text() for task in tasks.iterdir()).split()
        return [self.process.pid, *map(int, pids)]

    def hunt(self, pids=None):
        """Hits in all of its processes together; the numbers are keys of the volume."""
        hits, raw = {}, self.leaked.read_bytes()
        keys = sorted({raw[at:at + 32].hex() for at in range(0, len(raw), 32)})
        assert len(keys) == 4, keys
        for pid in pids or self.processes():
            there = pathlib.Path(f"/proc/{pid}/exe").exists()
            found = self.bench.hunt(pid, keys) if there else {}
            for place, count in found.items():
                hits[place] = hits.get(place, 0) + count
        return hits

    def end_vm(self):
        self.bench.run("kill", "--host", self.path, "secret")
        wait_for("its end", lambda: '"ended"' in self.bench.run("ps", "--json", "--host",
                                                                self.path).stdout)

    def forget_vm(self):
        """Another VM takes its name; that is when all of it is given up."""
        self.bench.run("run", "--detach", "--host", self.path, "--name", "secret",
                       self.bench.guest)
        wait_for("the other's end", lambda: '"exit_code": 2' in self.bench.run(
            "ps", "--json", "--host", self.path).stdout)


def _hosted(bench, placement, bare=SEEN):
    """Hits in a host: while the VM is there, when it has ended, when it is forgotten."""
    with _Host(bench, placement, bare) as host:
        live = host.hunt()
        if placement == "own" and bare == SEEN:
            found = host.hunt([host.process.pid])
            assert not _left(found, (*UNTOLD, *KEYS, "schedules")), f"in the host: {found}"
        host.end_vm()
        ended = host.hunt()
        assert len(host.processes()) == 1, "a process lives on"
        host.forget_vm()
        return live, ended, host.hunt()


def _in_hosts(bench, placement):
    if not bench.is_root:
        return "nobody else may look at a process that cannot be traced"
    expected = (*PLACES, *KEYS) if placement == "shared" else TOLD
    live, ended, after = _hosted(bench, placement)
    control = _hosted(bench, placement, BARE)[2]
    print(f"    live {live}\n    ended {ended}\n    forgotten {after}\n    control {control}")
    assert not _missing(live, (*PLACES, *KEYS)), live
    assert not _missing(control, expected), f"the control is blind: {control}"
    # The log is kept, and what a VM is started with, until it is forgotten.
    assert not _left(ended, (*UNTOLD, *KEYS, "schedules")), ended
    assert not _left(after, (*PLACES, *KEYS, "schedules")), after
    return None


def a_host_has_none_of_a_vm_in_its_own_process(bench):
    return _in_hosts(bench, "own")


def a_host_has_none_of_a_vm_in_the_hosts_process(bench):
    return _in_hosts(bench, "shared")


def a_vms_process_has_nothing_of_its_neighbours(bench):
    """CVE-2017-5753 and its like read what is in the address space, whatever the checks say: of
    another VM there is nothing, nor of what its host knows. The control shares a process."""
    if not bench.is_root:
        return "nobody else may look at a process that cannot be traced"
    with _Host(bench, "shared", SEEN) as host:
        # Any other VM that is told to share the host's process has it there.
        hits = host.hunt([host.process.pid])
        assert not _missing(hits, (*PLACES, *KEYS)), f"the control is blind: {hits}"
    with _Host(bench, "own", SEEN) as host:
        before = host.processes()
        bench.run("run", "--detach", "--host", host.path, "--name", "neighbour", bench.guest,
                  "hold", "-")
        wait_for("the neighbour", lambda: "ready" in bench.run(
            "logs", "--host", host.path, "neighbour", code=None).stdout)
        after = [pid for pid in host.processes() if pid not in before]
        assert len(after) == 1, after
        hits = host.hunt(after)
        # It makes secrets of its own, of the same bytes, but was given none, and has no files.
        assert not _missing(hits, ("memory", "output")), f"the search is blind: {hits}"
        foreign = ("argument", "environment", "socket", "name", "link", *KEYS)
        assert not _left(hits, foreign), hits
        print(f"    {hits}")
    return None


# ---------------------------------------------------------------------------- core dumps


def _why_no_core(bench):
    if not bench.is_root:
        return "limits of others may not be raised"
    pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()
    return None if pattern[0] not in "|/" else f"core dumps go to {pattern}"


def _without_registers(path):
    """Notes of a core dump hold registers, in which a string may be that was copied last: the
    kernel keeps them in any dump, and nobody else can keep them out."""
    with path.open("r+b") as core:
        head = core.read(64)
        assert head[:5] == b"\x7fELF\x02", "no 64-bit core dump"
        at, size, count = (int.from_bytes(head[place:place + width], "little")
                           for place, width in ((32, 8), (54, 2), (56, 2)))
        for number in range(count):
            core.seek(at + number * size)
            row = core.read(size)
            if int.from_bytes(row[:4], "little") == 4:  # PT_NOTE
                core.seek(int.from_bytes(row[8:16], "little"))
                core.write(bytes(int.from_bytes(row[32:40], "little")))
    return path


def _core(bench, *options, command=None, bare=""):
    """Hits in the core dump of a run that is ended by SIGABRT; None when there is none."""
    folder = bench.place("core")
    process, port = _hold(bench, *options, command=command, cwd=folder,
                          env={"CORDON_BARE": bare} if bare else {})
    with process as child:
        subprocess.run(["prlimit", f"--pid={child.pid}", "--core=unlimited"], check=False,
                       capture_output=True)
        wait_for("the listener", lambda: _says(bench, port))
        hear(child, b"ready")
        child.send_signal(signal.SIGABRT)
        child.wait(PATIENCE)
        cores = [path for path in folder.iterdir() if path.stat().st_size > 0]
        hits = bench.hunt(_without_registers(cores[0])) if cores else None
        for path in cores:
            path.unlink()
    return hits


def a_core_dump_has_none(bench):
    """Of a run that is not locked, and so leaves one. What keeps a guest out of it is taken away
    one at a time, then together: the control."""
    why = _why_no_core(bench)
    if why:
        return why
    assert _core(bench) is None, "a run that is locked left a core dump"
    control = _core(bench, "--sandbox=off", command=bench.bare, bare="dump filter")
    assert control is not None and not _missing(control), f"the control is blind: {control}"
    found = {bare: _core(bench, "--sandbox=off", command=bench.bare, bare=bare)
             for bare in ("", "dump", "filter")}
    print(f"    control {control}\n    " + "\n    ".join(f"{key or 'all'}: {value}"
                                                          for key, value in found.items()))
    assert None not in found.values(), "nothing was dumped"
    assert not _left(found[""]) and not _left(found["dump"]), found
    # The heap of the C library is in it then, and with it what is no page of the guest's.
    assert not _left(found["filter"], ("memory", "stack", "data", "name", "link")), found
    return None


def a_dump_of_a_host_has_none(bench):
    """What gdb's gcore makes of it, which asks the kernel for the same as a crash."""
    if not bench.is_root or shutil.which("gcore") is None:
        return "gdb's gcore is not there, or this is not root"
    for placement in ("own", "shared"):
        found = {}
        for bare in ("dump filter", ""):
            with _Host(bench, placement, bare) as host:
                core = bench.folder / "dumped"
                bench.run("-o", core, host.process.pid, command="gcore")
                path = bench.folder / f"dumped.{host.process.pid}"
                found[bare] = bench.hunt(_without_registers(path))
                path.unlink()
        print(f"    {placement}: {found['']}; control {found['dump filter']}")
        expected = PLACES if placement == "shared" else TOLD
        assert not _missing(found["dump filter"], expected), f"the control is blind: {found}"
        assert not _left(found[""]), found
    return None


# ---------------------------------------------------------------------------- slots


def _reuse(bench, count, bare, *more):
    return bench.run(count, bench.folder / "reuse-store", bench.seed, *more, command=bench.reuse,
                     code=None, env={"CORDON_BARE": bare})


def a_vm_finds_nothing_of_those_before(bench):
    """CVE-2022-39393, CVE-2026-34988: where mappings come back as they were given away, too."""
    count = 10000 if bench.is_long else 2500
    control = _reuse(bench, 200, "wipe recycle", "plain")
    assert control.returncode == 1, f"the control is blind: {control}"
    for bare in ("", "recycle"):
        done = _reuse(bench, count, bare)
        assert done.returncode == 0, (bare, done)
        print(f"    {bare or 'as it is'}: {done.stdout.strip()}")
    print(f"    control: {control.stdout.strip()}")
