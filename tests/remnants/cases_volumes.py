"""Volumes whose disk is full, whose power is cut, who are many, or whom several want at once: what
was acknowledged is there, and what is read is right."""
import os
import signal
import shutil
import subprocess
import time

from bench import HERE, disk, hear, started, wait_for, why_no_disk

FEW_BLOCKS = 8 << 20
POWER_IMAGE = 24 << 20


class _Volume:
    """One volume, in a folder that is given, and its key beside it."""

    def __init__(self, bench, folder, name="web", key=None):
        self.bench, self.name = bench, name
        self.store = folder / "store"
        self.key = key or bench.folder / f"{folder.name}.volumes.key"
        self.where = ("--store", self.store, "--key-file", self.key, "--key-on-same-disk")
        if key is None:
            self.key.unlink(missing_ok=True)

    def grant(self, *options):
        return (*self.where, "--volume", ",".join((f"{self.name}:/v", *options)))

    def ledger(self, *words, options=(), code=0):
        """A run that ends; what it printed."""
        done = self.bench.run("run", *self.grant(*options), self.bench.ledger, words[0], "/v",
                              *words[1:], code=None)
        assert done.returncode == code, (words, done.returncode, done.stdout[-300:], done.stderr)
        return done.stdout

    def check(self):
        done = self.bench.run("volume", "check", *self.where, code=None)
        return done.returncode, done.stdout

    def is_sound(self):
        code, said = self.check()
        assert code == 0 and f"{self.name}: sound" in said, (code, said)
        return said


class _Writer:
    """A guest that writes until it is killed, and what it has said to be synced."""

    def __init__(self, volume):
        self.volume, self.synced, self.passed, self.heard = volume, 0, 0, b""
        self.context = started(volume.bench.cordon, "run", *volume.grant(), volume.bench.ledger,
                               "write", "/v", stdout=subprocess.PIPE)

    def __enter__(self):
        self.process = self.context.__enter__()
        hear(self.process, b"synced")
        os.set_blocking(self.process.stdout.fileno(), False)
        return self

    def __exit__(self, *why):
        return self.context.__exit__(*why)

    def hear(self):
        """All that it has said up to now. It stands still, or has ended."""
        while True:
            try:
                more = os.read(self.process.stdout.fileno(), 1 << 16)
            except BlockingIOError:
                break
            if not more:
                break
            self.heard += more
        lines = self.heard.rpartition(b"\n")[0].splitlines()
        for word, number in (line.split() for line in lines):
            if word == b"synced":
                self.synced = int(number)
            else:
                self.passed = int(number)
        return self.synced, self.passed


# ---------------------------------------------------------------------------- killed


def what_was_synced_outlives_kills(bench):
    """Each life goes on with what the one before has left, and the next looks at all of it."""
    count, passed = 1000 if bench.is_long else 25, 0
    volume = _Volume(bench, bench.place("synced"))
    for number in range(count):
        with _Writer(volume) as writer:
            time.sleep(bench.random.random() * 0.2)
            writer.process.send_signal(signal.SIGKILL)
            writer.process.wait()
            synced, passed_now = writer.hear()
            passed = max(passed, passed_now)
        volume.is_sound()
        said = volume.ledger("verify", synced, passed)
        if number in (0, count - 1):
            print(f"    life {number}: synced {synced}, passes {passed}: {said.strip()}")
    assert passed > count, "it hardly wrote"
    # The test sees what is missing.
    assert "only" in volume.ledger("verify", 100000, passed, code=1)
    assert "pass" in volume.ledger("verify", 0, passed + 1000, code=1)


# ---------------------------------------------------------------------------- the power


def _still_image(ground, copy):
    """The image as it was at one moment: of two copies that are equal, all of the first is what
    stood there when the second was begun."""
    again = copy.with_suffix(".again")
    for _ in range(50):
        shutil.copyfile(ground.image, copy)
        shutil.copyfile(ground.image, again)
        if copy.read_bytes() == again.read_bytes():
            again.unlink()
            return
    raise AssertionError("the disk is never still")


def what_was_synced_outlives_power_cuts(bench):
    """A copy of the disk's image is taken in the middle, with what the file system has not written
    missing from it, and used elsewhere."""
    why = why_no_disk(bench)
    if why:
        return why
    count, lost, damaged = 200 if bench.is_long else 8, 0, 0
    with disk(bench, "powered", POWER_IMAGE) as ground:
        volume = _Volume(bench, ground.path)
        for number in range(count):
            with _Writer(volume) as writer:
                time.sleep(bench.random.random() * 0.5)
                writer.process.send_signal(signal.SIGSTOP)
                synced, passed = writer.hear()
                _still_image(ground, bench.folder / "cut.img")
                writer.process.send_signal(signal.SIGKILL)
                writer.process.wait()
            with disk(bench, "cut", POWER_IMAGE) as other:
                # Its key lies elsewhere and had its last change long before.
                copied = _Volume(bench, other.path, key=volume.key)
                code, said = copied.check()
                damaged += code != 0
                assert said.startswith(("web: sound", "web: DAMAGED")), (number, code, said)
                said = copied.ledger("verify", synced, passed, "lossy")
                lost += "unread 0" not in said
                # It can be gone on with: what is damaged stays so until it is written whole.
                if code != 0:
                    copied.ledger("clear")
                    copied.is_sound()
                with _Writer(copied) as writer:
                    writer.process.send_signal(signal.SIGKILL)
            if number == 0:
                print(f"    synced {synced}, pass {passed}: {said.strip()}")
        print(f"    {count} cuts; {damaged} times something was damaged that was being written, "
              f"{lost} times in what is overwritten")
    return None


# ---------------------------------------------------------------------------- the disk


def a_full_disk_takes_nothing_away(bench):
    """In the middle of a file, of its header, of a record: with other room left each time."""
    why = why_no_disk(bench)
    if why:
        return why
    ends = {}
    with disk(bench, "little", FEW_BLOCKS) as ground:
        volume, filler = _Volume(bench, ground.path), ground.path / "filler"
        volume.ledger("many", 3)
        for number in range(60 if bench.is_long else 10):
            filler.write_bytes(b"f" * (bench.random.randrange(1000) * 4096))
            said = volume.ledger("fill").split(maxsplit=2)
            count, error = int(said[1]), said[2].strip()
            ends[error] = ends.get(error, 0) + 1
            # Full as it is, it opens and is whole.
            volume.is_sound()
            volume.ledger("filled", count)
            filler.unlink()
            assert "counted 3" in volume.ledger("count")
            volume.ledger("clear")
            volume.ledger("many", 3)
            assert "3 files" in volume.is_sound()
        print(f"    {ends}")
        assert set(ends) == {"No space left on device"}, ends
        # Nor can a volume be made there, or removed half: the key goes whatever the disk says.
        filler.write_bytes(b"")
        try:
            with filler.open("wb", buffering=0) as file:
                while file.write(b"f" * 4096) == 4096:
                    pass
        except OSError:
            pass
        done = bench.run("volume", "create", *volume.where, "more", code=None)
        listed = bench.run("volume", "ls", *volume.where).stdout
        assert ("more" in listed) == (done.returncode == 0), (done, listed)
        volume.is_sound()
        filler.unlink()
        bench.run("volume", "rm", *volume.where, "web")
    return None


# ---------------------------------------------------------------------------- many


def ten_thousand_files(bench):
    """As many as the volume may have, in one directory; the next VM counts them anew."""
    volume = _Volume(bench, bench.place("many"))
    options = ("inodes=10000", "size=64m")
    said = volume.ledger("many", 10001, options=options)
    assert said.startswith("made 10000 ") and "quota" in said.lower(), said
    assert "counted 10000" in volume.ledger("count", options=options)
    assert "10000 files" in volume.is_sound()
    # Another process has counted them, too: none fits.
    assert "made 0 " in volume.ledger("many", 1, options=options)
    volume.ledger("clear", options=options)
    assert "sound: 0 files" in volume.is_sound()
    assert "made 10 all" in volume.ledger("many", 10, options=options)
    bench.run("volume", "rm", *volume.where, "web")
    assert not list((volume.store / "volumes").iterdir())
    assert not list((volume.store / "trash").iterdir())


# ---------------------------------------------------------------------------- several


def one_volume_has_one_vm(bench):
    """Of several at once one gets it, at most; nothing that one has added is lost."""
    rounds, width = 100 if bench.is_long else 12, 6
    volume, added, refused = _Volume(bench, bench.place("wanted")), 0, 0
    volume.ledger("many", 1)
    for _ in range(rounds):
        children = [subprocess.Popen([str(word) for word in (
            bench.cordon, "run", *volume.grant(), bench.ledger, "add", "/v")],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(width)]
        for child in children:
            said, why = child.communicate(timeout=60)
            if child.returncode == 0:
                added += 1
                assert said.startswith("added "), said
            else:
                refused += 1
                assert child.returncode == 125 and "web is in use" in why, (said, why)
    assert volume.ledger("add") == f"added {added + 1}\n", added
    assert refused > 0 and added >= rounds, (added, refused)
    volume.is_sound()
    print(f"    {added} had it, {refused} were refused")


def the_second_vm_is_refused(bench):
    """As long as the first one lives, however it was started, and not a moment longer."""
    volume = _Volume(bench, bench.place("held-volume"))
    with _Writer(volume) as writer:
        for options in ((), ("size=1m",)):
            done = bench.run("run", *volume.grant(*options), bench.ledger, "add", "/v", code=125)
            assert "web is in use" in done.stderr, done
        done = bench.run("volume", "rm", *volume.where, "web", code=125)
        assert "in use" in done.stderr, done
        writer.process.kill()
        writer.process.wait()
    volume.ledger("add")
    # An ephemeral one of the same name is another.
    with _Writer(volume):
        bench.run("run", *volume.where, "--volume", "web:/v,ephemeral", bench.ledger, "add", "/v")


def threads_share_a_volume(bench):
    """Eight of a guest, on files of their own, on one that all have, on names they fight for."""
    guest = bench.folder / "threads.wasm"
    bench.run("build", HERE / "threads.wat", "-o", guest)
    volume = _Volume(bench, bench.place("threads"))
    for number in range(20 if bench.is_long else 4):
        # The smaller the turns, the more often they are exchanged.
        options = ("--cpus", "0.5") if number % 2 else ()
        done = bench.run("run", *volume.grant(), *options, guest, code=None)
        assert done.returncode == 0, (number, done)
        assert "sound: 9 files, 0 directories, 0 links, 1600000 bytes" in volume.is_sound()


# ---------------------------------------------------------------------------- hosts


def killed_hosts_leave_volumes_in_order(bench):
    """A host, or its VM's process, while the VM writes to a volume that is kept and one that is
    not. The next finds the first whole and nothing of the other."""
    count = 1000 if bench.is_long else 12
    volume, guest = _Volume(bench, bench.place("hosted-volumes")), bench.guest
    path, file = bench.folder / "volumes.sock", bench.folder / "volumes.yaml"
    for number in range(count):
        place = ("/v", "/e")[number % 5 == 0]
        file.write_text(
            f"store: {volume.store}\nkey-file: {volume.key}\nkey-on-same-disk: true\n"
            f"vms:\n  a:\n    module: {guest}\n"
            f"    args: [churn, {place}, '{bench.random.randrange(1 << 30)}']\n"
            "    volumes: ['web:/v,size=800k,inodes=50', 'none:/e,size=800k,ephemeral']\n"
            f"    restart: always\n    process: {'shared' if number % 7 == 3 else 'own'}\n")
        with started(bench.cordon, "up", file, "--host", path, stderr=subprocess.DEVNULL,
                     stdout=subprocess.DEVNULL) as host:
            if number % 4:
                wait_for("its VM", lambda: bench.run("logs", "--host", path, "a", code=None)
                         .stdout.startswith("ready"))
            time.sleep(bench.random.random() * 0.3)
            vms = _children(host.pid)
            if number % 4 == 1 and vms:
                os.kill(vms[0], signal.SIGKILL)
                time.sleep(bench.random.random() * 0.1)
            host.kill()
            host.wait()
        if (volume.store / "keyring").exists():
            wait_for("the end of its VM", lambda: "in use" not in bench.run(
                "volume", "ls", *volume.where, code=None).stdout)
            code, said = volume.check()
            assert code == 0, (number, said)
            left = list((volume.store / "ephemeral").iterdir())
            assert not left, (number, left)
        path.unlink(missing_ok=True)
    print(f"    {count} kills; {said.splitlines()[0]}")
    assert "web: sound" in said
    listed = bench.run("volume", "ls", *volume.where).stdout
    assert "web" in listed and "none" not in listed, listed


def _children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]
