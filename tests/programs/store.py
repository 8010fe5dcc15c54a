"""Where fetched sources and built programs are kept: outside the tree, so that second runs are
quick. Nothing here is ever committed."""
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import tarfile

FETCH_SECONDS = 180
BUILD_SECONDS = 600


class Unavailable(Exception):
    """What a test needs cannot be had here; the text says why."""


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = pathlib.Path(base) / "cordon-tests"
    path.mkdir(parents=True, exist_ok=True)
    return path


def call(argv, where, seconds):
    """Runs a tool; its last line of complaint is the reason when it fails."""
    if shutil.which(str(argv[0])) is None:
        raise Unavailable(f"{argv[0]} is not installed")
    try:
        done = subprocess.run([str(word) for word in argv], cwd=where, timeout=seconds,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace")
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{argv[0]} took more than {seconds} s") from None
    if done.returncode != 0:
        lines = [line for line in done.stdout.splitlines() if "rror" in line or "E:" in line]
        why = (lines or done.stdout.splitlines() or ["no message"])[0]
        raise Unavailable(f"{pathlib.Path(str(argv[0])).name}: {why.strip()[:200]}")
    return done.stdout


def made_once(name, make):
    """The folder NAME in the cache, filled by make(folder) unless an earlier run did; several
    runs at once wait for one another."""
    target = cache() / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{target}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (target / ".complete").exists():
            return target
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        make(target)
        (target / ".complete").touch()
    return target


def digest(*parts):
    """A short name for these inputs: paths count with their content, all else as text."""
    sum_of_all = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, pathlib.Path) else str(part).encode()
        sum_of_all.update(len(data).to_bytes(8, "little") + data)
    return sum_of_all.hexdigest()[:16]


def unpack(archive, where):
    """Unpacks, without the archive's outermost folder."""
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            parts = pathlib.PurePosixPath(member.name).parts
            if len(parts) < 2 or ".." in parts or not (member.isfile() or member.isdir()):
                continue
            member.name = str(pathlib.PurePosixPath(*parts[1:]))
            tar.extract(member, where)
