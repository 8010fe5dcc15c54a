"""What is left when processes are killed at random moments: order."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

from bench import started, wait_for


def _is_gone(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2]
    except OSError:
        return True
    return state.split()[0] == "Z"


def _children(pid):
    tasks = pathlib.Path(f"/proc/{pid}/task")
    return [int(child) for task in tasks.iterdir()
            for child in (task / "children").read_text().split()]


def _mounts(bench):
    """Those that have to do with this run of the tests."""
    return pathlib.Path("/proc/self/mounts").read_text().count(bench.folder.name)


def _usage(folder):
    """Bytes and inodes that are charged for what lies there: links, too, for their texts."""
    paths = list(folder.rglob("*"))
    sizes = [path.lstat().st_size for path in paths if path.is_symlink() or path.is_file()]
    return sum((size + 4095) // 4096 * 4096 for size in sizes), len(paths)


def a_killed_run_leaves_order(bench):
    """With a volume and a directory that it fills under quotas. The next one finds both usable, and
    neither has grown beyond its quotas."""
    count = 1000 if bench.is_long else 40
    store, folder = bench.folder / "kill-store", bench.place("killed")
    where = ("--store", store, "--key-file", bench.folder / "kill.key", "--key-on-same-disk")
    mounts = _mounts(bench)
    for number in range(count):
        place = ("/v", "/d")[number % 2]
        with started(bench.cordon, "run", *where, "--volume", "web:/v,size=512k,inodes=60",
                     "--dir", f"{folder}::/d", "--disk", "512k", "--inodes", "60", bench.guest,
                     "churn", place, bench.random.randrange(1 << 30),
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
            time.sleep(bench.random.random() * (0.05 if number % 3 else 0.4))
            children = _children(child.pid)
            child.send_signal(signal.SIGKILL)
        assert not children, "a run had children"
        if (store / "keyring").exists():
            checked = bench.run("volume", "check", *where, code=None)
            assert checked.returncode == 0, (number, checked)
        used = _usage(folder)
        # Its books are its own: the next run may add as much again.
        assert used[0] <= (number + 1) * 512 << 10 and used[1] <= (number + 1) * 60, used
        if number % 10 == 9:
            bench.run("run", "--dir", f"{folder}::/d", bench.guest, "clear", "/d")
    done = bench.run("run", *where, "--volume", "web:/v,size=512k,inodes=60", bench.guest, "clear",
                     "/v")
    checked = bench.run("volume", "check", *where)
    assert "web: sound: 0 files" in checked.stdout, (done, checked)
    bench.run("volume", "rm", *where, "web")
    assert _mounts(bench) == mounts


def _groups_of(pids):
    """Control groups that hosts have left. Others' come and go meanwhile."""
    beginnings = tuple(f"cordon-{pid}-" for pid in pids)
    return [os.path.join(folder, name) for folder, names, _ in os.walk("/sys/fs/cgroup")
            for name in names if name.startswith(beginnings)]


def a_killed_beginning_leaves_order(bench):
    """A store that somebody was about to make: the next one makes it."""
    store, key = bench.folder / "begun-store", bench.folder / "begun.key"
    where = ("--store", store, "--key-file", key, "--key-on-same-disk")
    ends = {"made": 0, "not made": 0}
    start = time.monotonic()
    bench.run("volume", "create", *where, "web")
    usual = time.monotonic() - start
    for number in range(200 if bench.is_long else 20):
        shutil.rmtree(store, ignore_errors=True)
        key.unlink(missing_ok=True)
        with started(bench.cordon, "volume", "create", *where, "web",
                     stderr=subprocess.DEVNULL) as child:
            time.sleep(bench.random.random() * usual * 1.2)
            child.send_signal(signal.SIGKILL)
        listed = bench.run("volume", "ls", *where, code=None)
        assert listed.returncode == 0, (number, listed)
        ends["made" if "web" in listed.stdout else "not made"] += 1
        if "web" not in listed.stdout:
            bench.run("volume", "create", *where, "web")
        checked = bench.run("volume", "check", *where)
        assert "web: sound" in checked.stdout, (number, checked)
    print(f"    {ends}")


class _Host:
    def __init__(self, bench, folder, words):
        self.bench, self.path = bench, bench.folder / "kill.sock"
        file = bench.folder / "kill.yaml"
        file.write_text(
            f"vms:\n  a:\n    module: {bench.guest}\n    args: [{words}]\n"
            f"    dirs: ['{folder}::/d']\n    restart: always\n"
            "    quotas: {disk: 800k, inodes: 50}\n")
        self.context = started(bench.cordon, "up", file, "--host", self.path,
                               stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def __enter__(self):
        self.process = self.context.__enter__()
        return self

    def __exit__(self, *why):
        return self.context.__exit__(*why)

    def row(self):
        shown = self.bench.run("ps", "--json", "--host", self.path, code=None)
        rows = json.loads(shown.stdout) if shown.returncode == 0 else []
        return rows[0] if rows and rows[0]["state"] == "running" else None

    def books(self):
        shown = self.bench.run("stats", "--json", "--host", self.path, "a")
        quotas = json.loads(shown.stdout)[0]["quotas"]
        return quotas["disk"]["used"], quotas["inodes"]["used"]


def a_killed_host_leaves_order(bench):
    """It, or its VM's process. What the next one has in its books is what lies there; no process,
    no socket, no control group, no mount stays."""
    count, mounts, dead = 1000 if bench.is_long else 16, _mounts(bench), []
    for number in range(count):
        folder = bench.place("hosted-kills")
        with _Host(bench, folder, f"churn, /d, '{bench.random.randrange(1 << 30)}'") as host:
            if number % 4:
                row = wait_for("its VM", host.row)
            time.sleep(bench.random.random() * 0.3)
            if number % 4 == 1:
                os.kill(row["pid"], signal.SIGKILL)
                time.sleep(bench.random.random() * 0.1)
            children = _children(host.process.pid)
            host.process.kill()
        dead.append(host.process.pid)
        for pid in children:
            wait_for("the end of its VM", lambda pid=pid: _is_gone(pid))
        with _Host(bench, folder, "hold, '-'") as host:
            wait_for("the next one", host.row)
            assert host.books() == _usage(folder), (number, host.books(), _usage(folder))
            left = _groups_of(dead[-3:])
            assert not left, left
            host.process.terminate()
            assert host.process.wait(30) in (0, 143), host.process.returncode
        left = [path.name for path in bench.folder.glob("kill.sock*")]
        assert not left, left
    assert _mounts(bench) == mounts
