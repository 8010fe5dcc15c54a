"""The raw disk below a store of volumes: an ext4 image that is looked through while a guest writes,
when it has removed everything, when the volume is removed, and after kills."""
import os
import shutil
import signal
import subprocess
import time

from bench import PLACES, disk, hear, started, why_no_disk

ON_DISK = ("data", "name", "link")


def _sbox():
    """FIPS 197, by the powers of 3."""
    box, p, q = [0x63] * 256, 1, 1
    while True:
        p = (p ^ p << 1 ^ (0x11B if p & 0x80 else 0)) & 0xFF
        q ^= q << 1
        q ^= q << 2
        q = (q ^ q << 4) & 0xFF
        q ^= 0x09 if q & 0x80 else 0
        box[p] = q ^ 0x63
        for by in range(1, 5):
            box[p] ^= (q << by | q >> 8 - by) & 0xFF
        if p == 1:
            return box


def _schedule(key):
    """The round keys of an AES-256 key, as they stand in memory."""
    box, words, rcon = _sbox(), [key[at:at + 4] for at in range(0, 32, 4)], 1
    for i in range(8, 60):
        word = words[-1]
        if i % 8 == 0:
            word = bytes(box[byte] for byte in word[1:] + word[:1])
            word = bytes([word[0] ^ rcon]) + word[1:]
            rcon = rcon << 1
        elif i % 8 == 4:
            word = bytes(box[byte] for byte in word)
        words.append(bytes(a ^ b for a, b in zip(words[-8], word)))
    return b"".join(words)


class _Store:
    """A store on a disk, its host key beside, and who uses them."""

    def __init__(self, bench, ground):
        self.bench, self.disk = bench, ground
        self.key = bench.folder / f"{ground.path.name}.key"
        self.key.unlink(missing_ok=True)
        self.where = ("--store", ground.path / "store", "--key-file", self.key)
        self.leaked = bench.folder / f"{ground.path.name}.leaked"
        self.leaked.unlink(missing_ok=True)

    def volume(self, act, *names, code=0):
        return self.bench.run("volume", act, *self.where, *names, code=code)

    def guest(self, *words, code=0):
        """A run that ends. It is the command with nothing taken away, but that it tells keys."""
        return self.bench.run("run", *self.where, "--volume", "web:/v", self.bench.guest, *words,
                              command=self.bench.bare, code=code,
                              env={"CORDON_BARE_KEYS": str(self.leaked)})

    def churn(self, *options):
        return started(self.bench.bare, "run", *self.where, "--volume", "web:/v", *options,
                       self.bench.guest, "churn", "/v", self.bench.random.randrange(1 << 30),
                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                       env={"CORDON_BARE_KEYS": str(self.leaked)})

    def keys(self):
        """All keys that volumes ever had here, masked."""
        raw = self.leaked.read_bytes()
        return sorted({raw[at:at + 32].hex() for at in range(0, len(raw), 32)})[:20]

    def clear_text(self, image=None):
        """What is on the disk of what must not be."""
        if image is None:
            self.disk.sync()
        hits = self.bench.hunt(image or self.disk.image, self.keys())
        return {what: count for what, count in hits.items() if count}


def the_disk_has_nothing_of_a_volume_in_clear(bench):
    """Nor its keys. The control writes the same to a directory of the same disk, and a key."""
    why = why_no_disk(bench)
    if why:
        return why
    with disk(bench, "clear") as ground:
        store, plain = _Store(bench, ground), ground.path / "plain"
        store.guest("once", "/v")
        assert not store.clear_text(), store.clear_text()
        with started(bench.cordon, "run", *store.where, "--volume", "web:/v", bench.guest, "hold",
                     "/v", stdout=subprocess.PIPE) as child:
            hear(child, b"ready")
            assert not store.clear_text(), f"while it lives: {store.clear_text()}"
        store.guest("clear", "/v")
        assert not store.clear_text(), f"after it has removed all: {store.clear_text()}"
        store.guest("once", "/v")
        store.volume("rm", "web")
        assert not store.clear_text(), f"after the volume's end: {store.clear_text()}"

        plain.mkdir()
        plain.chmod(0o777)
        bench.run("run", "--dir", f"{plain}::/v", bench.guest, "once", "/v")
        live = store.clear_text()
        bench.run("run", "--dir", f"{plain}::/v", bench.guest, "clear", "/v")
        assert not list(plain.iterdir())
        after = store.clear_text()
        key = bytes(byte ^ 0x5A for byte in bytes.fromhex(store.keys()[0]))
        (plain / "key").write_bytes(b"...." + _schedule(key))
        with_key = store.clear_text()
        print(f"    control: {live}, after unlink {after}, with a key {with_key}")
        assert set(ON_DISK) <= set(live), f"the control is blind: {live}"
        assert {"data", "name"} <= set(after), f"the control is blind: {after}"
        assert with_key.get(0) and with_key.get("schedules"), f"the control is blind: {with_key}"
    return None


def nothing_is_in_clear_after_crashes(bench):
    """A guest that writes without end is killed, or the image copied beneath it."""
    why = why_no_disk(bench)
    if why:
        return why
    points = 200 if bench.is_long else 16
    copy = bench.folder / "copy.img"
    with disk(bench, "crashes") as ground:
        store = _Store(bench, ground)
        for point in range(points):
            with store.churn() as child:
                hear(child, b"ready")
                time.sleep(bench.random.random() * 0.5)
                if point % 2:
                    shutil.copyfile(ground.image, copy)
                    assert not store.clear_text(copy), (point, store.clear_text(copy))
                child.send_signal(signal.SIGKILL)
            assert not store.clear_text(), (point, store.clear_text())
            checked = store.volume("check", "web", code=None)
            assert checked.returncode == 0 and "sound" in checked.stdout, (point, checked)
            if point % 5 == 4:
                store.volume("rm", "web")
                assert not store.clear_text(), (point, store.clear_text())
        print(f"    {points} points; {checked.stdout.splitlines()[0]}")
    return None


def a_removal_that_is_killed_is_finished(bench):
    """At random moments. Whoever opens the store next finds the volume whole, or gone."""
    why = why_no_disk(bench)
    if why:
        return why
    count, ends = 100 if bench.is_long else 12, {"there": 0, "gone": 0}
    with disk(bench, "removals") as ground:
        store = _Store(bench, ground)
        start = time.monotonic()
        store.guest("once", "/v")
        store.volume("rm", "web")
        usual = time.monotonic() - start
        for number in range(count):
            store.guest("once", "/v")
            with started(bench.cordon, "volume", "rm", *store.where, "web") as child:
                time.sleep(bench.random.random() * usual / 2)
                child.send_signal(signal.SIGKILL)
            is_there = "web" in store.volume("ls").stdout
            ends["there" if is_there else "gone"] += 1
            checked = store.volume("check", code=None)
            assert checked.returncode == 0, (number, checked)
            if is_there:
                store.volume("rm", "web")
            assert not store.clear_text(), (number, store.clear_text())
            for folder in ("trash", "volumes"):
                assert not list((ground.path / "store" / folder).iterdir()), (number, folder)
        print(f"    {ends}")
    return None


def a_copy_from_before_the_erase_does_not_open(bench):
    """The control restores one from before nothing at all."""
    why = why_no_disk(bench)
    if why:
        return why
    copy = bench.folder / "before.img"
    with disk(bench, "restored") as ground:
        store = _Store(bench, ground)
        store.guest("once", "/v")
        store.volume("create", "other")
        for is_erased in (False, True):
            ground.sync()
            shutil.copyfile(ground.image, copy)
            if is_erased:
                store.volume("rm", "web")
            ground.unmount()
            shutil.copyfile(copy, ground.image)
            ground.mount()
            done = store.guest("clear", "/v", code=None)
            if not is_erased:
                assert done.returncode == 0, f"the control does not open: {done}"
                continue
            assert done.returncode == 125 and "a copy from before an erase" in done.stderr, done
            for act in ("check", "export"):
                done = store.volume(act, "web", code=None)
                assert done.returncode == 125 and done.stdout == "", done
            assert not store.clear_text(), store.clear_text()
    return None
