"""A host for the tests: `cordon up` in a folder of its own, and who talks to it."""
import array
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE = 30  # seconds until a test gives up; nothing is measured


def wait_for(what, condition):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.01)
    raise AssertionError(f"{what}: not within {PATIENCE} s")


def parent_of(pid):
    """Of a process: the number of the one that has started it."""
    text = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    return int(text.rpartition(")")[2].split()[1])


class Talk:
    """A connection that speaks the protocol by hand."""

    def __init__(self, path, greet=True):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(path))
        self.stream = self.socket.makefile("rb")
        if greet:
            self.say({"cordon": 1})
            self.hello = self.hear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stream.close()
        self.socket.close()

    def say(self, request, fds=()):
        text = request if isinstance(request, bytes) else json.dumps(request).encode() + b"\n"
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        sent = self.socket.sendmsg([text], rights)
        if sent < len(text):
            self.socket.sendall(text[sent:])

    def hear(self):
        line = self.stream.readline()
        return json.loads(line) if line else None

    def ask(self, request, fds=()):
        self.say(request, fds)
        return self.hear()

    def refusal(self, request, fds=()):
        answer = self.ask(request, fds)
        assert answer and "error" in answer, f"{request}: {answer}"
        return answer["error"]["code"]


class Host:
    """`cordon up` with a file, in the foreground."""

    def __init__(self, bench, text, options=()):
        self.bench, self.path = bench, bench.folder / "h.sock"
        file = bench.folder / "host.yaml"
        file.write_text(text, encoding="utf-8")
        self.process = subprocess.Popen(
            [bench.cordon, "up", file, "--host", self.path, *options], stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        self.said = b""
        os.set_blocking(self.process.stderr.fileno(), False)
        wait_for("the host", self.is_ready)

    def read(self):
        with contextlib.suppress(BlockingIOError):
            self.said += self.process.stderr.read() or b""
        return self.said.decode()

    def is_ready(self):
        assert self.process.poll() is None, f"the host ended: {self.read()}"
        return "host at" in self.read()

    def run(self, command, *arguments, code=0, **options):
        """A client command; its output."""
        return self.bench.run(command, "--host", self.path, *arguments, code=code, **options)

    def ps(self):
        return {vm["name"]: vm for vm in json.loads(self.run("ps", "--json"))}

    def stats(self, name):
        return json.loads(self.run("stats", "--json", name))[0]

    def wait(self, name, **wanted):
        """Until the row of `ps` has these members; the row."""
        def look():
            row = self.ps()[name]
            return row if all(row.get(key) == value for key, value in wanted.items()) else None
        return wait_for(f"{name} {wanted}", look)

    def fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def talk(self, greet=True):
        return Talk(self.path, greet)

    def end(self, number=signal.SIGTERM):
        """Its exit code; everything that it has said is in .said."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        os.set_blocking(self.process.stderr.fileno(), True)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.said += self.process.stderr.read() or b""
        return self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stderr.close()


class Bench:
    """The command, a folder, and the guest in it."""

    def __init__(self, cordon, folder):
        self.cordon, self.folder = cordon, folder
        self.module = folder / "guest.wasm"

    def build(self):
        guest_cc = HERE.parent.parent / "tools" / "guest-cc"
        subprocess.run([guest_cc, "-O1", "-Wall", "-Wextra", "-Werror", "-o", self.module,
                        HERE / "guest.c"], check=True)

    def run(self, *arguments, code=0, both=False, **options):
        done = subprocess.run([self.cordon, *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=2 * PATIENCE, text=True,
                              errors="replace", cwd=self.folder, **options)
        assert done.returncode == code, \
            f"cordon {arguments}: exit code {done.returncode}, expected {code}: {done.stderr}"
        return done.stdout + done.stderr if both or code else done.stdout

    @contextlib.contextmanager
    def host(self, vms, head="", options=(), code=0):
        """vms: name to what stands under it, a map in YAML's short form. Ended by SIGTERM, which
        is to give that exit code and leave nothing behind; below 0: killed by the test."""
        text = head + "vms:\n" + "".join(
            f"  {name}: {{module: guest.wasm, {rest}}}\n" for name, rest in vms.items())
        host = Host(self, text if vms else head + "vms: {}\n", options)
        try:
            yield host
            left = host.end()
            assert left == code, f"the host's exit code {left}, expected {code}: {host.said}"
            assert code < 0 or not any(self.folder.glob("h.sock*"))
        finally:
            host.close()
