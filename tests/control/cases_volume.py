"""Private volumes of VMs of a host: opened by whoever was asked, and by nobody else."""
import contextlib
import os
import pathlib
import shutil
import signal
import tempfile

from host import parent_of, wait_for


class _Store:
    """A store in the bench's folder, and a key file on another device."""

    def __init__(self, bench):
        self.bench, self.path = bench, bench.folder / "store"
        self.keys = pathlib.Path(tempfile.mkdtemp(prefix="cordon-", dir="/dev/shm"))
        self.key = self.keys / "key"
        self.head = f"store: store\nkey-file: {self.key}\n"
        self.options = ["--store", self.path, "--key-file", self.key]

    def volume(self, *words, code=0):
        return self.bench.run("volume", *words, *self.options, code=code)

    def ephemeral(self):
        """Names of what is left of ephemeral volumes, and of what is in them."""
        return sorted(str(path) for path in self.path.rglob("ephemeral/**/*"))

    def is_in_clear(self):
        """Whether anything of what the guests write can be read there."""
        text = b"".join(path.read_bytes() for path in self.path.rglob("*") if path.is_file())
        return b"in-clear" in text or any("in-clear" in str(path) for path in self.path.rglob("*"))


@contextlib.contextmanager
def _store(bench):
    store = _Store(bench)
    try:
        yield store
    finally:
        shutil.rmtree(store.path, ignore_errors=True)
        shutil.rmtree(store.keys)


def _target(link):
    """Where it leads; nowhere when it was closed meanwhile."""
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return ""


def _is_held(pid, store):
    """Whether a process has something open below the store."""
    links = pathlib.Path(f"/proc/{pid}/fd")
    return any(str(store.path) in _target(links / name) for name in os.listdir(links))


def _tallies(host, name):
    return [int(line.split()[1]) for line in host.run("logs", name).splitlines()]


def opens_volumes_anew_for_each_life(bench):
    """What is in them stays; the host has neither key nor directory while the VM runs."""
    vms = {"own": "args: [tally, /data, fail], restart: on-failure:2, volumes: ['a:/data']",
           "shared": "args: [tally, /data, fail], restart: on-failure:2, volumes: ['b:/data'], "
                     "process: shared",
           "last": "args: [tally, /c, sleep], volumes: [c]"}
    with _store(bench) as store:
        with bench.host(vms, store.head, options=["--stay"], code=1) as host:
            for name in ("own", "shared"):
                host.wait(name, state="ended", restarts=2)
                assert _tallies(host, name) == [1, 2, 3], host.read()
            row = host.wait("last", state="running")
            wait_for("its line", lambda: _tallies(host, "last") == [1])
            assert not _is_held(host.process.pid, store)
            assert store.volume("ls").count("in use") == 1
            assert "in use" in store.volume("rm", "c", code=125)
            # Nobody else gets it meanwhile, whoever asks.
            for words in (["run"], ["run", "-d", "--host", host.path]):
                assert "c is in use" in bench.run(*words, *store.options, "--volume", "c",
                                                  "guest.wasm", "tally", "/c", code=125)
            host.run("kill", "last")
            host.wait("last", state="ended")
            assert "in use" not in store.volume("ls")
            assert parent_of(host.process.pid) == os.getpid() and row["pid"] != host.process.pid
        assert not store.is_in_clear()
        said = store.volume("check")
        assert said.count("sound") == 3, said
        store.volume("rm", "a", "b", "c")


def gives_several_of_a_kind_their_own(bench):
    with _store(bench) as store:
        with bench.host({"w": "args: [tally, /d], volumes: ['d,size=1m'], count: 3"}, store.head):
            pass
        names = [line.split()[0] for line in store.volume("ls").splitlines()[1:]]
        assert sorted(names) == ["d-1", "d-2", "d-3"], names


def lets_go_of_volumes_of_what_is_killed(bench):
    """By its policy a VM goes on with what it had; a host that is killed leaves no lock."""
    vms = {"a": "args: [tally, /a, sleep], restart: on-failure, volumes: [a, 'e,ephemeral']",
           "e": "args: [tally, /e, sleep], restart: on-failure, volumes: ['e,ephemeral']"}
    with _store(bench) as store:
        with bench.host(vms, store.head, code=-signal.SIGKILL) as host:
            for lives in range(1, 4):
                pids = [host.wait(name, state="running", restarts=lives - 1)["pid"]
                        for name in vms]
                wait_for("a's line", lambda: _tallies(host, "a") == list(range(1, lives + 1)))
                wait_for("e's line", lambda: _tallies(host, "e") == [1] * lives)
                if lives < 3:
                    for pid in pids:
                        os.kill(pid, signal.SIGKILL)
            # Two ephemeral volumes are there, of which one has a file: nothing of former lives.
            assert len(store.ephemeral()) == 3, store.ephemeral()
            os.kill(host.process.pid, signal.SIGKILL)
            host.process.wait()
            wait_for("the lock", lambda: "in use" not in store.volume("ls"))
        assert not store.ephemeral(), store.ephemeral()
        assert "a: sound: 1 files" in store.volume("check")
        bench.run("up", "--background", "--linger", "100ms", "--host", "h.sock")
        wait_for("its end", lambda: not (bench.folder / "h.sock").exists())


def takes_volumes_from_clients(bench):
    """Who asks opens them: the host was told of no store, and of no key file."""
    with _store(bench) as store, bench.host({}, options=["--stay"]) as host:
        def run(name, *words):
            bench.run("run", "-d", "--host", host.path, "--name", name, *store.options,
                      "--restart", "on-failure:2", "--volume", "a:/a",
                      "--volume", "e,ephemeral", *words)
        run("kept", "guest.wasm", "tally", "/a", "fail")
        host.wait("kept", state="ended", restarts=2)
        assert _tallies(host, "kept") == [1, 2, 3], host.read()
        run("gone", "guest.wasm", "tally", "/e", "fail")
        host.wait("gone", state="ended", restarts=2)
        assert _tallies(host, "gone") == [1, 1, 1], host.read()
        assert not _is_held(host.process.pid, store)
        # Killed in its sleep, and started again with the key that the host has kept for it.
        run("again", "guest.wasm", "tally", "/a", "sleep")
        wait_for("its line", lambda: _tallies(host, "again") == [4])
        os.kill(host.wait("again", state="running")["pid"], signal.SIGKILL)
        host.wait("again", state="running", restarts=1)
        wait_for("its line", lambda: _tallies(host, "again")[-1:] == [5])
        assert "in use" in store.volume("ls")
        host.run("kill", "again")
        host.wait("again", state="ended")
        assert "in use" not in store.volume("ls")
        assert not store.is_in_clear()
        if os.geteuid() == 0:
            # Its files become those of whoever it is run as.
            run("other", "--user", "1234:4321", "guest.wasm", "tally", "/a", "sleep")
            pid = host.wait("other", state="running")["pid"]
            wait_for("its line", lambda: _tallies(host, "other") == [6])
            assert os.stat(f"/proc/{pid}").st_uid in (0, 1234)
            assert {path.stat().st_uid for path in store.path.glob("volumes/a/*")} == {1234}
            host.run("kill", "other")
            host.wait("other", state="ended")


def refuses_volumes_that_are_none(bench):
    with bench.host({}, options=["--stay"]) as host, open(bench.module, "rb") as module, \
            host.talk() as talk:
        folder = os.open(bench.folder, os.O_RDONLY | os.O_DIRECTORY)
        path = os.open(bench.folder, os.O_PATH | os.O_DIRECTORY)
        few, many = os.pipe(), os.pipe()
        os.write(few[1], bytes(31))
        os.write(many[1], bytes(40))
        run = {"do": "run", "module": {"fd": 0, "name": "m"}, "args": ["exit"]}

        def refused(volume, fds):
            return talk.refusal({**run, "volumes": [volume]}, [module.fileno(), *fds])
        whole = {"fd": 1, "key": 2, "guest": "/v"}
        assert refused({**whole, "guest": ""}, [folder, many[0]]) == "bad-request"
        assert refused({**whole, "key": 3}, [folder, many[0]]) == "bad-fd"
        assert refused({**whole, "key": 1}, [folder, many[0]]) == "bad-fd"
        assert refused({"guest": "/v"}, [folder]) == "bad-fd"
        for fds in ([folder, few[0]], [folder, folder], [folder, module.fileno()],
                    [path, many[0]], [module.fileno(), many[0]]):
            assert refused(whole, fds) == "failed", fds
        # Whole: an empty directory, and a key that a program of its own has made.
        mine = bench.folder / "a volume"
        mine.mkdir()
        good = os.open(mine, os.O_RDONLY | os.O_DIRECTORY)
        ask = {**run, "args": ["tally", "/v"], "name": "good", "volumes": [whole]}
        assert talk.ask(ask, [module.fileno(), good, many[0]])["ok"] == {"vm": "good"}
        host.wait("good", state="ended", exit_code=0)
        for fd in (folder, path, *few, *many, good):
            os.close(fd)
        assert len(list(mine.iterdir())) == 1
        shutil.rmtree(mine)


def says_why_a_volume_does_not_open(bench):
    with _store(bench) as store:
        with bench.host({"a": "volumes: [a]"}, "store: store\n", ["--stay"], code=1) as host:
            row = host.wait("a", state="ended", exit_code=125)
            assert "--key-file" in row["end"], row
        text = f"{store.head}vms: {{a: {{module: guest.wasm, volumes: [{{}}]}}}}\n"
        for volume, why in (("./x:/y", "directories are under"), ("'x,size=0'", "expected NAME"),
                            ("{}", "expected NAME")):
            (bench.folder / "bad.yaml").write_text(text.replace("{}", volume, 1),
                                                   encoding="utf-8")
            assert why in bench.run("up", "bad.yaml", "--host", "b.sock", code=125)
