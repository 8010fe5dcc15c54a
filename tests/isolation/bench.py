"""What the cases of the sandbox share: the binaries, guests, and a folder with things outside."""
import json
import os
import pathlib
import shutil
import socket
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
OWNER = 12345  # of the granted directory, when this is run by root
LAYERS = ("limits", "user", "dumpable", "mdwe", "landlock", "seccomp")

ECHO = """(module
  (import "wasi_snapshot_preview1" "fd_read" (func $r (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $x (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $e i32)
    (loop $more
      (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 4096))
      (local.set $e (call $r (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (if (local.get $e) (then (call $x (local.get $e))))
      (if (i32.load (i32.const 8)) (then
        (i32.store (i32.const 4) (i32.load (i32.const 8)))
        (local.set $e (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (if (local.get $e) (then (call $x (local.get $e))))
        (br $more))))))
"""
NOTHING = '(module (memory (export "memory") 1) (func (export "_start")))'


class Bench:
    def __init__(self, build, folder, is_sanitized=False):
        self.build, self.folder, self.is_sanitized = build, folder, is_sanitized
        self.cordon, self.door = build / "cordon", build / "tests" / "door"
        self.old_kernel = build / "tests" / "old_kernel"
        self.is_root = os.geteuid() == 0
        self.echo = self.module("echo", ECHO)
        self.nothing = self.module("nothing", NOTHING)
        self.knock = self.module("knock", (HERE / "door.wat").read_text())

    def module(self, name, text):
        source, target = self.folder / f"{name}.wat", self.folder / f"{name}.wasm"
        source.write_text(text)
        subprocess.run([self.cordon, "build", source, "-o", target], check=True)
        return target

    def run(self, *arguments, command=None, before=(), env=None, stdin=""):
        """The finished process, with its output as text."""
        return subprocess.run([*map(str, before), str(command or self.cordon), "run",
                               *map(str, arguments)], capture_output=True, text=True,
                              timeout=60, check=False, input=stdin, errors="replace",
                              env={**os.environ, **(env or {})})

    def report(self, *arguments, **how):
        """The finished process and its report."""
        path = self.folder / "meta.json"
        path.unlink(missing_ok=True)
        done = self.run("--meta", path, *arguments, **how)
        return done, json.loads(path.read_text()) if path.exists() else None

    def scene(self):
        """A folder with a granted directory `in`, and what is not granted beside it."""
        root = self.folder / "scene"
        shutil.rmtree(root, ignore_errors=True)
        inside = root / "in"
        inside.mkdir(parents=True)
        root.chmod(0o755)
        (inside / "mount").mkdir()
        (inside / "file").write_text("inside\n" * 1000)
        (inside / "link").symlink_to(root / "secret")
        (root / "secret").write_text("secret\n")
        (root / "secret").chmod(0o600)
        (root / "readable").write_text("readable\n")
        (root / "readable").chmod(0o644)
        if self.is_root:
            for path in (inside, inside / "mount", inside / "file"):
                os.chown(path, OWNER, OWNER)
        return root


def listener(abstract):
    """A socket with an abstract address that others may connect to."""
    one = socket.socket(socket.AF_UNIX)
    one.bind("\0" + abstract)
    one.listen(50)
    return one
