"""The commands as people type them: what they print, what they refuse, how they exit."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from host import PATIENCE, parent_of, wait_for


def lists_vms(bench):
    vms = {"web": "args: [sleep], quotas: {memory: 8m}", "done": "args: [exit, 0]"}
    with bench.host(vms) as host:
        host.wait("web", state="running")
        row = host.wait("done", state="ended", exit_code=0)
        assert row["end"] == "exit code 0", row
        table = host.run("ps").splitlines()
        assert table[0].split()[:4] == ["NAME", "PID", "WEIGHT", "CPU%"], table
        assert re.match(r"web +\d+ +100 .* running$", table[1]), table
        assert table[2].endswith("ended: exit code 0"), table
        web = host.ps()["web"]
        assert web["placement"] == "process" and web["memory_limit"] == 8 << 20, web
        assert host.process.pid == parent_of(web["pid"]), web
        assert 0 < web["memory"] < 8 << 20 and web["restarts"] == 0, web


def shows_stats(bench):
    with bench.host({"web": "args: [sleep], quotas: {memory: 8m, max-fds: 9}"}) as host:
        host.wait("web", state="running")
        text = host.run("stats", "web")
        for key in ("memory", "max_stack", "max_fds", "disk", "inodes", "cpus", "fuel"):
            assert re.search(rf"^  {key} ", text, re.M), f"{key}: {text}"
        stats = host.stats("web")
        assert stats["quotas"]["max_fds"]["limit"] == 9 and stats["log_bytes"] == 0, stats
        assert stats["quotas"]["fuel"]["limit"] is None, stats
        assert len(json.loads(host.run("stats", "--json"))) == 1


def refuses_what_is_misspelt(bench):
    rows = [(("pause", "sevrer"), 1, "there is no VM sevrer; did you mean server?"),
            (("logs", "nobody"), 1, "there is no VM nobody"),
            (("stats", "servers"), 1, "did you mean server?"),
            (("kill", "server", "serve"), 1, "did you mean server?"),
            (("set", "server", "memroy=1m"), 1, "there is no quota memroy; did you mean memory?"),
            (("set", "server", "memory=lots"), 1, "memory=lots: expected a size such as 64m"),
            (("set", "server", "weight=0"), 1, "weight"),
            (("set", "server", "cpus=1.5"), 1, "cpus=1.5: a VM runs on one core"),
            (("set", "server", "memory"), 125, "memory: expected key=value"),
            (("set", "server"), 125, "expected: cordon set"),
            (("kill", "--signal", "NOTHING", "server"), 125, "--signal NOTHING: expected a name"),
            (("logs", "--tail", "x", "server"), 125, "--tail x: expected a number"),
            (("logs", "--folow", "server"), 125, "did you mean --follow?"),
            (("ps", "--tail", "3"), 125, "unknown option --tail"),
            (("ps", "extra"), 125, "expected: cordon ps"),
            (("top", "--interval", "0"), 125, "--interval 0"),
            (("stats", "--prometheus", "server"), 125, "--prometheus: shows all")]
    with bench.host({"server": "args: [sleep]"}) as host:
        host.wait("server", state="running")
        for words, code, text in rows:
            said = host.run(*words, code=code)
            assert text in said and said.count("\n") == 1, f"{words}: {said!r}"
        assert host.ps()["server"]["state"] == "running"


def says_that_no_host_is_there(bench):
    for command in ("ps", "top", "stats"):
        said = bench.run(command, "--host", "nobody.sock", code=125)
        assert "no host runs at nobody.sock" in said, said
    said = bench.run("ps", "--host", "x" * 200, code=125)
    assert "at most 107 bytes" in said, said
    (bench.folder / "file").write_text("x", encoding="ascii")
    said = bench.run("ps", "--host", "file", code=125)
    assert said.count("\n") == 1, said


def refuses_files(bench):
    file = bench.folder / "bad.yaml"
    for text, wanted in (("vms:\n  a:\n    modul: x\n", "bad.yaml:3:5: unknown key modul; did you "
                          "mean module?"),
                         ("vms: {a: {module: guest.wasm, quotas: {memory: x}}}",
                          "bad.yaml:1:48: memory: x: expected a size"),
                         ("vms: {a: [", "bad.yaml:2:1: "),
                         ("vms: {a: {module: guest.wasm, dirs: [/nothere]}}",
                          "a: directory /nothere: No such file"),
                         ("vms: {a: {module: guest.wasm, listen: ['1.2.3.4.5:1']}}",
                          "a: listener \"1.2.3.4.5:1\": expected"),
                         ("metrics: nothere:1\nvms: {}", "metrics: nothere:1: invalid")):
        file.write_text(text, encoding="ascii")
        said = bench.run("up", file, "--host", "h.sock", code=125)
        assert wanted in said, said
        assert not (bench.folder / "h.sock").exists()
    assert "No such file" in bench.run("up", "nothere.yaml", code=125)
    assert "nothing to do" in bench.run("up", code=125)


def helps(bench):
    commands = [line.split()[0] for line in bench.run("--help").splitlines()[1:]]
    assert {"up", "ps", "top", "stats", "set", "pause", "resume", "kill", "logs"} <= set(commands)
    assert len(commands) < 24
    for command in commands:
        assert bench.run(command, "--help").startswith("usage: cordon "), command


def pauses_and_resumes(bench):
    with bench.host({"a": "args: [spin]", "b": "args: [spin]"}, options=["--stay"]) as host:
        host.wait("a", state="running")
        host.wait("b", state="running")
        host.run("pause", "a")
        assert host.ps()["a"]["state"] == "paused", "it comes back when that has come true"
        assert host.stats("a")["state"] == "paused"

        def is_still():
            fuel = host.stats("a")["quotas"]["fuel"]["used"]
            time.sleep(0.1)
            return host.stats("a")["quotas"]["fuel"]["used"] == fuel
        wait_for("a to stand still", is_still)
        fuel = host.stats("a")["quotas"]["fuel"]["used"]
        host.run("pause", "all")
        assert host.ps()["b"]["state"] == "paused"
        host.run("resume", "a", "b")
        host.wait("a", state="running")
        wait_for("a to go on", lambda: host.stats("a")["quotas"]["fuel"]["used"] > fuel)
        host.run("kill", "--signal", "TERM", "a")
        row = host.wait("a", state="ended")
        assert row["exit_code"] == 143 and row["end"] == "killed, signal 15", row
        host.run("pause", "b")
        host.run("kill", "all")  # also what is paused
        assert host.wait("b", state="ended")["exit_code"] == 137
        assert "a has ended" in host.run("pause", "a", code=1)
        assert host.end() == 0


def sets_every_quota(bench):
    values = {"BYTES": "96m", "COUNT": "5000000000", "NANOSECONDS": "5000s", "MILLICORES": "0.5"}
    numbers = {"BYTES": 96 << 20, "COUNT": 5000000000, "NANOSECONDS": 5000 * 10**9,
               "MILLICORES": 500}
    table = (bench.cordon.parent.parent / "spec" / "quota.def")
    if not table.exists():
        return "spec/quota.def is not beside the build directory"
    rows = re.findall(r"^QUOTA\(\w+,\s*(\w+),\s*(\w+),", table.read_text(encoding="ascii"), re.M)
    with bench.host({"a": "args: [sleep]"}) as host:
        host.wait("a", state="running")
        for key, unit in rows:
            kind = unit.removesuffix("_PER_SECOND")
            text, number = values[kind], numbers[kind]
            if key == "weight":
                text, number = "300", 300
            host.run("set", "a", f"{key.replace('_', '-')}={text}")
            assert host.stats("a")["quotas"][key]["limit"] == number, key
        host.run("set", "a", *[f"{key}=unlimited" for key in ("memory", "cpus", "fuel")])
        quotas = host.stats("a")["quotas"]
        assert quotas["memory"]["limit"] is None and quotas["cpus"]["limit"] is None
        # All or nothing.
        host.run("set", "a", "memory=1g", "disk=3m", "fuel=some", code=1)
        host.run("set", "a", "memory=1g", "disk=3m", "cpus=1.5", code=1)
        host.run("set", "a", "memory=1g", "disk=3m", "cpu_reserve=2", code=1)
        assert host.stats("a")["quotas"]["memory"]["limit"] is None
        assert host.stats("a")["quotas"]["disk"]["limit"] == 96 << 20
    return None


def sets_the_stack_while_it_runs(bench):
    """In both placements: one that is raised suffices, one that is lowered does not."""
    vms = {f"{name}-{place}": f"args: [dive, 20000, {size << 10}], process: {place}, "
                              f"quotas: {{max-stack: {size}k}}"
           for name, size in (("up", 128), ("down", 16384)) for place in ("own", "shared")}
    with bench.host(vms, options=["--stay"], code=1) as host:
        for name in vms:
            host.wait(name, state="running")
            host.run("set", name, "max-stack=" + ("16m" if name.startswith("up") else "128k"))
        for name in vms:
            row = host.wait(name, state="ended")
            assert row["exit_code"] == (0 if name.startswith("up") else 134), row


def sets_while_it_runs(bench):
    vms = {name: "args: [spin]" for name in ("fuel", "time", "wall")}
    with bench.host(vms, options=["--stay"], code=1) as host:
        for name in vms:
            host.wait(name, state="running")
        host.run("set", "fuel", "fuel=1000")
        host.run("set", "time", "cpu-time=1ms")
        host.run("set", "wall", "timeout=1ms")
        assert host.wait("fuel", state="ended")["end"] == "quota exhausted: fuel"
        assert host.wait("time", state="ended")["exit_code"] == 137
        assert host.wait("wall", state="ended")["exit_code"] == 124
        assert "ended" in host.run("set", "wall", "memory=1m", code=1)


def shows_logs(bench):
    vms = {"few": "args: [print, 5]", "many": "args: [print, 50000], log-size: 64k",
           "none": "args: [print, 5], log-size: 0", "talk": "args: [talk]"}
    with bench.host(vms) as host:
        for name in ("few", "many", "none"):
            host.wait(name, state="ended")
        lines = [f"line {i:010d}" for i in range(50000)]
        assert host.run("logs", "few").splitlines() == lines[:5]
        assert host.run("logs", "--tail", "2", "few").splitlines() == lines[3:5]
        assert host.run("logs", "few", "-n0") == ""
        assert host.run("logs", "-f", "few").splitlines() == lines[:5]
        kept = host.run("logs", "many")
        assert len(kept) == 65536 and kept == "".join(f"{line}\n" for line in lines[-4096:])
        stats = host.stats("many")
        assert stats["log_bytes"] == 16 * 50000 and stats["log_kept"] == 65536, stats
        assert host.run("logs", "none") == ""
        wait_for("what it says", lambda: host.run("logs", "talk") == "first\n")
        with subprocess.Popen([bench.cordon, "logs", "-f", "talk", "--host", host.path],
                              stdout=subprocess.PIPE) as follower:
            assert follower.stdout.readline() == b"first\n"
            host.run("kill", "talk")
            assert follower.stdout.read() == b"" and follower.wait(PATIENCE) == 0


class _Terminal:
    """A command on a terminal of its own."""

    def __init__(self, bench, *arguments, rows=24, columns=100):
        self.child, self.fd = pty.fork()
        if self.child == 0:
            os.environ.update(TERM="xterm", LC_ALL="C.UTF-8")
            os.execv(bench.cordon, [bench.cordon, *map(str, arguments)])
        self.resize(rows, columns)
        self.seen = b""

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        """False at the end."""
        while select.select([self.fd], [], [], 0.05)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                return False
            if not data:
                return False
            self.seen += data
        return True

    def expect(self, text):
        wait_for(f"{text} on the terminal", lambda: (self.read(), text in self.seen)[1])

    def end(self):
        wait_for("the end", lambda: not self.read())
        code = os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])
        os.close(self.fd)
        return code


def filters_logs_on_a_terminal(bench):
    with bench.host({"dirty": "args: [dirty]"}, options=["--stay"]) as host:
        host.wait("dirty", state="ended")
        raw = subprocess.run([bench.cordon, "logs", "dirty", "--host", host.path],
                             stdout=subprocess.PIPE, check=True).stdout
        assert raw == b"a\033[31mb\302\205c\303\244d\342\200\256e\r\ttab\377\303", raw
        terminal = _Terminal(bench, "logs", "dirty", "--host", host.path)
        assert terminal.end() == 0
        # Colours pass; the terminal itself turns a tab into blanks, or not.
        assert terminal.seen.replace(b"\t", b" ").split() == \
            [b"a\033[31mb?c\303\244d?e", b"tab?"], terminal.seen


def shows_top(bench):
    with bench.host({"busy": "args: [spin]", "idle": "args: [sleep]"}) as host:
        host.wait("busy", state="running")
        once = host.run("top")
        assert "2 VMs" in once and re.search(r"^busy .*\[.*\] +running$", once, re.M), once
        assert host.run("top", "--once").count("\n") == once.count("\n")
        terminal = _Terminal(bench, "top", "--interval", "100ms", "--host", host.path)
        terminal.expect(b"busy")
        terminal.expect(b"####")
        for rows, columns in ((10, 40), (3, 20), (1, 1), (60, 200)):
            terminal.resize(rows, columns)
            terminal.seen = b""
            terminal.expect(b"\033[")
        terminal.resize(24, 100)
        os.write(terminal.fd, b"q")
        assert terminal.end() == 0
        terminal = _Terminal(bench, "top", "--interval", "100ms", "--host", host.path)
        terminal.expect(b"busy")
        host.process.send_signal(signal.SIGTERM)
        assert terminal.end() == 125
        assert b"cordon: " in terminal.seen
