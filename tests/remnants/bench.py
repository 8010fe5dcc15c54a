"""What the cases share: secrets, the guest that has them, whoever looks for them, and a disk of
their own."""
import contextlib
import json
import os
import pathlib
import random
import shutil
import socket
import string
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PATIENCE = 60  # seconds until a test gives up; nothing is measured
MASK = 0x5A
SIZE = 20
# What the guest makes itself, in the order of its enum; the others are given to it.
MADE = ("memory", "stack", "global", "data", "name", "link", "output")
GIVEN = ("argument", "environment", "socket")
PLACES = MADE + GIVEN
IMAGE_SIZE = 48 << 20


def wait_for(what, condition):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {PATIENCE} s")


def masked(secret):
    return bytes(byte ^ MASK for byte in secret).hex()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Bench:
    def __init__(self, build, folder, is_long):
        self.build, self.folder, self.is_long = build, folder, is_long
        self.cordon = build / "cordon"
        self.bare, self.keeper, self.reuse, self.hunter = (
            build / "tests" / name for name in ("bare", "keeper", "reuse", "hunt"))
        self.is_root = os.geteuid() == 0
        self.random = random.Random()
        self.seed = self.random.randrange(1 << 30)
        self.random.seed(self.seed)
        self.secrets = {place: (place[0] + "".join(self.random.choices(string.ascii_lowercase,
                                                                      k=SIZE - 1))).encode()
                        for place in PLACES}
        self.guest = self.compile()
        self.ledger = self.folder / "ledger.wasm"
        self.compile_guest("ledger.c", self.ledger)

    def compile(self):
        rows = ",\n".join("{" + ", ".join(str(byte ^ MASK) for byte in self.secrets[place]) + "}"
                          for place in MADE)
        (self.folder / "secrets.h").write_text(
            f"#define SECRET_SIZE {SIZE}\n"
            f"static const unsigned char masked[{len(MADE)}][{SIZE}] = {{\n{rows}}};\n")
        guest = self.folder / "guest.wasm"
        self.compile_guest("guest.c", guest)
        return guest

    def compile_guest(self, source, guest):
        subprocess.run([ROOT / "tools" / "guest-cc", "-O1", "-Wall", "-Wextra", "-Werror",
                        f"-I{self.folder}", "-o", guest, HERE / source], check=True)

    def hunt(self, what, more=()):
        """Hits by place, and of further masked secrets by number; "schedules" of AES keys."""
        # A global has room for eight bytes.
        given = [masked(self.secrets[place][:8] if place == "global" else self.secrets[place])
                 for place in PLACES]
        done = subprocess.run([self.hunter, str(what), *given, *more], check=True,
                              capture_output=True, timeout=600)
        found = json.loads(done.stdout)
        assert found["bytes"] > 0, "nothing was looked at"
        hits = dict(zip((*PLACES, *range(len(more))), found["hits"]))
        hits["schedules"] = found["schedules"]
        return hits

    def text(self, place):
        return self.secrets[place].decode()

    def words(self):
        """Where it starts in its block of the heap, the C library writes when that is freed."""
        return f"argument-that-is-long-enough={self.text('argument')}"

    def variable(self):
        return f"VARIABLE=with-a-value-that-is-long-enough={self.text('environment')}"

    def say(self, port):
        """Sends it a secret and hears it again."""
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as one:
            one.sendall(self.secrets["socket"])
            assert one.recv(100) == self.secrets["socket"]

    def run(self, *words, command=None, code=0, env=None, **how):
        """A command that ends; its output as text."""
        done = subprocess.run([str(command or self.cordon), *map(str, words)],
                              capture_output=True, text=True, check=False, timeout=PATIENCE * 5,
                              stdin=subprocess.DEVNULL, errors="replace",
                              env={**os.environ, **(env or {})}, **how)
        assert code is None or done.returncode == code, (words, done)
        return done

    def place(self, name):
        """A new folder that anybody may write to."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        path.chmod(0o777)
        return path


@contextlib.contextmanager
def started(*words, env=None, **how):
    """A process, killed at the end if it is still there."""
    process = subprocess.Popen([str(word) for word in words],
                               env={**os.environ, **(env or {})}, **how)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def hear(process, wanted):
    """Reads its output until a line begins so; the line."""
    while line := process.stdout.readline():
        if line.startswith(wanted):
            return line.decode().strip()
    raise AssertionError(f"it ended before it said {wanted}: {process.wait()}")


class Disk:
    """An ext4 file system in a file, mounted."""

    def __init__(self, bench, name, size):
        self.image, self.path = bench.folder / f"{name}.img", bench.folder / name
        if not self.image.exists():
            with self.image.open("wb") as file:
                file.truncate(size)
            subprocess.run(["mkfs.ext4", "-q", "-F", self.image], check=True,
                           capture_output=True)
        self.path.mkdir(exist_ok=True)
        self.mount()

    def mount(self):
        subprocess.run(["mount", "-o", "loop", self.image, self.path], check=True,
                       capture_output=True)
        self.path.chmod(0o777)

    def unmount(self):
        subprocess.run(["umount", self.path], check=True, capture_output=True)

    def sync(self):
        """All that was written is in the image afterwards."""
        subprocess.run(["sync", "-f", self.path], check=True)

    def close(self):
        subprocess.run(["umount", "-l", self.path], check=False, capture_output=True)
        self.image.unlink()


@contextlib.contextmanager
def disk(bench, name, size=IMAGE_SIZE):
    """With an image of that name that is there already: that one."""
    one = Disk(bench, name, size)
    try:
        yield one
    finally:
        one.close()


def why_no_disk(bench):
    """What is missing for one; None when nothing is."""
    if not bench.is_root:
        return "only root may mount"
    if shutil.which("mkfs.ext4") is None or shutil.which("losetup") is None:
        return "mkfs.ext4 or losetup is not there"
    found = subprocess.run(["losetup", "-f"], capture_output=True, check=False)
    return None if found.returncode == 0 else "there are no loop devices"
