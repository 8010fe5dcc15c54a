"""Random walks of a guest over operations on files, held against the disk quota's rule: inside by
the guest step by step, from outside by counting the directory again."""
import json
import os
import pathlib
import random
import shutil
import subprocess

STEPS = 150
BLOCK = 4096


def blocks(size):
    return -(-size // BLOCK)


def recount(folder, old):
    """Bytes and inodes that a run has added: `old` is what was there, inode -> blocks."""
    seen = {}
    for where, folders, names in os.walk(folder):
        for name in folders + names:
            status = os.lstat(os.path.join(where, name))
            is_folder = os.path.isdir(os.path.join(where, name)) and \
                not os.path.islink(os.path.join(where, name))
            seen[status.st_ino] = 0 if is_folder else blocks(status.st_size)
    disk = sum(max(0, count - old.get(inode, 0)) for inode, count in seen.items())
    return disk * BLOCK, sum(inode not in old for inode in seen)


def walk(cordon, module, folder, seed):
    """None, or what went wrong."""
    place, meta = folder / f'walk{seed}', folder / f'walk{seed}.json'
    chance = random.Random(seed)
    place.mkdir()
    old, kept = {}, []
    try:
        for i in range(3):
            path = place / f'old{i}'
            path.write_bytes(bytes(chance.choice([0, 1, 4096, 5000, 20000])))
            # Held open, so that the number of its inode is not given to another file.
            kept.append(open(path, 'rb'))
            status = os.stat(path)
            old[status.st_ino] = blocks(status.st_size)
        disk = chance.choice([0, 4096, 30000, 65536, 100000, 200000])
        inodes = chance.choice([0, 1, 3, 8, 20])
        # Some are cut into pieces by a rate, some suspended at every safepoint: it is all the same.
        how = ['--disk-rate', '600k'] if seed % 25 == 0 else \
            ['--preempt-everywhere'] if seed % 10 == 1 else []
        run = subprocess.run(
            [cordon, 'run', '--dir', f'{place}::.', '--disk', str(disk), '--inodes', str(inodes),
             '--meta', meta, *how, module, str(seed), str(STEPS)],
            capture_output=True, text=True, timeout=120, check=False)
        if run.returncode != 0:
            return f'seed {seed}: exit {run.returncode}: {run.stdout}{run.stderr}'
        report = json.loads(meta.read_text(encoding='ascii'))['quotas']
        counted = recount(place, old)
        reported = report['disk']['used'], report['inodes']['used']
        if counted != reported:
            return f'seed {seed}: counted {counted}, reported {reported}'
        if report['disk']['peak'] > disk or report['inodes']['peak'] > inodes:
            return f'seed {seed}: more than the quota'
        return None
    finally:
        for file in kept:
            file.close()
        shutil.rmtree(place)
        meta.unlink(missing_ok=True)
