"""Every act of acts.def: with no layer, with each alone, with all, and with all but one."""
import errno
import json
import os
import re
import signal
import subprocess
import time

from bench import HERE, LAYERS, listener

ROW = re.compile(r'^ACT\((\w+),\s*"([^"]*)",\s*"([^"]*)",\s*"([^"]*)"\)', re.M)
ESCAPE = re.compile(r'^ESCAPE\("[^"]*", "[^"]*", "([^"]*)", (\w+),', re.M)
REFUSED = {errno.EPERM, errno.EACCES, errno.EXDEV, errno.EROFS}
ABSTRACT = f"cordon-isolation-{os.getpid()}"


def _rows():
    rows = ROW.findall((HERE / "acts.def").read_text())
    assert len(rows) >= 60, len(rows)
    return [(name, set(alone.split()), set(together.split()), what)
            for name, alone, together, what in rows]


def _on_this_kernel(bench, layers):
    """Layers of a row, without those that this kernel's Landlock is too old for."""
    told = subprocess.run([bench.cordon, "doctor", "--json"], capture_output=True, check=True)
    abi = json.loads(told.stdout)["landlock_abi"]
    parts = [layer.partition(":") for layer in layers]
    return {name for name, _, needed in parts if abi >= int(needed or 0)}


def _try(bench, number, layers):
    """How an act ended with these layers: "through", "lacking", or what stopped it."""
    root = bench.scene()
    done = bench.run("--dir", f"{root}/in::/", "--invoke", "act", bench.knock, number,
                     command=bench.door, env={"CORDON_DOOR_LAYERS": " ".join(sorted(layers)),
                                              "CORDON_DOOR_ROOT": str(root),
                                              "CORDON_DOOR_PARENT": str(os.getpid()),
                                              "CORDON_DOOR_ABSTRACT": ABSTRACT})
    if done.returncode in (128 + signal.SIGSYS, -signal.SIGSYS):
        assert "stopped by the sandbox" in done.stderr or done.returncode < 0, done
        return "killed by seccomp"
    if done.returncode == 0 and done.stdout == "":
        return "through"  # it became another program
    assert done.returncode == 0, done
    result = int(done.stdout)
    if result >= 0:
        return "through"
    if -result == errno.ENOSYS:
        return "lacking"
    # Processes and queues are limited by their number.
    if -result in REFUSED or (-result in (errno.EAGAIN, errno.EMFILE) and "limits" in layers):
        return errno.errorcode[-result]
    raise AssertionError(f"act {number} with {layers}: {errno.errorcode[-result]}")


def _stops(alone, together, layers):
    """Whether the rows say that these layers stop it."""
    return bool(alone & layers) or (bool(together) and together <= layers)


def _one_act(bench, number, row):
    name, alone, together, what = row
    alone = _on_this_kernel(bench, alone)
    control = _try(bench, number, ())
    if control == "lacking":
        print(f"    {name}: this kernel lacks it")
        return []
    wrong = [] if control == "through" else [f"{name}: with no layer: {control}, expected through"]
    sets = [{layer} for layer in LAYERS] + [set(LAYERS)] + [set(LAYERS) - {one} for one in LAYERS]
    found = {}
    for layers in sets:
        result = _try(bench, number, layers)
        found[frozenset(layers)] = result
        expected = _stops(alone, together, layers)
        if not expected and {f"{layer}?" for layer in layers} & alone:
            continue
        if (result != "through") != expected:
            wrong.append(f"{name}: with {' '.join(sorted(layers))}: {result}, "
                         f"expected {'stopped' if expected else 'through'}")
    by = {layer: found[frozenset({layer})] for layer in LAYERS
          if found[frozenset({layer})] != "through"}
    both = f"; {' and '.join(sorted(together))} together" if together else ""
    print(f"    {name}: " + ", ".join(f"{layer} ({how})" for layer, how in by.items()) + both)
    if not _stops(alone, together, set(LAYERS)):
        wrong.append(f"{name}: nothing stops it: {what}")
    return wrong


def every_act_is_stopped_by_its_layers(bench):
    if not bench.is_root:
        return "the controls need root"
    wrong = []
    with listener(ABSTRACT):
        for number, row in enumerate(_rows()):
            wrong += _one_act(bench, number, row)
    assert not wrong, "\n".join(wrong)
    return None


IN_A_WORKER = """(module
  (import "door" "act" (func $act (param i32) (result i64)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (call $exit (select (i32.const 1) (i32.const 42)
      (i64.lt_s (call $act (i32.const %d)) (i64.const 0))))))"""


def _in_workers(bench, rows, env):
    """How a VM for each act ended, under a host: its rows of `ps`, by name."""
    root = bench.scene()
    path = bench.folder / "host.sock"
    lines = ["vms:"]
    for number, row in enumerate(rows):
        module = bench.module(f"act-{number}", IN_A_WORKER % number)
        lines.append(f"  {row[0]}: {{module: {module}, dirs: [{root}/in::/]}}")
    file = bench.folder / "host.yaml"
    file.write_text("\n".join(lines) + "\n")
    host = subprocess.Popen([bench.door, "up", file, "--stay", "--host", path],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                            env={**os.environ, "CORDON_DOOR_ROOT": str(root),
                                 "CORDON_DOOR_ABSTRACT": ABSTRACT, **env})
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            shown = subprocess.run([bench.cordon, "ps", "--json", "--host", path], check=False,
                                   capture_output=True, text=True)
            vms = json.loads(shown.stdout) if shown.returncode == 0 else []
            if vms and all(vm["state"] == "ended" for vm in vms):
                return {vm["name"]: vm for vm in vms}
            time.sleep(0.05)
        raise AssertionError(f"the host's VMs do not end: {vms}")
    finally:
        host.terminate()
        host.wait(20)


def every_act_is_stopped_in_a_worker(bench):
    """The process of a VM of `cordon up`, against its host too; the control has no layers."""
    rows = _rows()
    with listener(ABSTRACT):
        stopped = _in_workers(bench, rows, {})
        killed = 0
        for name, vm in stopped.items():
            by_filter = vm["exit_code"] == 125 and "signal 31" in vm["end"]
            assert by_filter or vm["exit_code"] == 1, (name, vm)
            killed += by_filter
        assert killed >= 40, killed
        if not bench.is_root:
            return None
        free = _in_workers(bench, rows, {"CORDON_DOOR_LAYERS": ""})
        through = [name for name, vm in free.items() if vm["exit_code"] not in (1, 125)]
        assert len(through) >= 50, through
    print(f"    {len(rows)} acts, {killed} of them ended the worker; without layers "
          f"{len(through)} get through")
    return None


def most_acts_meet_two_layers(bench):
    del bench
    rows = _rows()
    twice = [row for row in rows if len(row[1]) > 1 or (row[1] and row[2])]
    once = sorted(row[0] for row in rows if row not in twice)
    print(f"    {len(rows)} acts, {len(twice)} held by two layers or more; by seccomp or "
          f"Landlock alone: {' '.join(once)}")
    assert len(twice) * 2 > len(rows)
    # The ones that would lead to another's files or rights are held twice.
    held_once = {"openat2_readable"}
    files = {row[0] for row in rows if row[0].startswith("openat")} - held_once
    assert files.isdisjoint(once), files & set(once)


def every_known_attack_has_its_test(bench):
    """The rows of spec/escape.def name tests that are there."""
    del bench
    root = HERE.parent.parent
    rows = ESCAPE.findall((root / "spec" / "escape.def").read_text())
    assert len(rows) >= 40, len(rows)
    for path, name in rows:
        text = (root / path).read_text()
        heads = r"^Test\(\w+,\s*|^def |^int " if path.endswith((".c", ".py")) else r"\b"
        there = re.search(rf"(?:{heads}){name}\b", text, re.M)
        assert there, f"{path} has no {name}"


def the_command_has_no_door(bench):
    names = subprocess.run(["nm", "-a", bench.cordon], capture_output=True, text=True,
                           check=True).stdout
    assert "cn_jail_enter" in names, "no symbols to look at"
    assert "door" not in names and "__wrap_" not in names
    assert b"CORDON_DOOR" not in bench.cordon.read_bytes()
    assert b"CORDON_DOOR" in bench.door.read_bytes(), "the control: the door binary has one"
    done = bench.run("--invoke", "act", bench.knock, 0)
    assert done.returncode == 126 and "door" in done.stderr, done


def a_deadly_call_is_named(bench):
    number = [row[0] for row in _rows()].index("io_uring")
    root = bench.scene()
    done, report = bench.report("--invoke", "act", bench.knock, number, command=bench.door,
                                env={"CORDON_DOOR_ROOT": str(root)})
    assert done.returncode == 159, done
    assert done.stderr.endswith("knock.wasm: stopped by the sandbox: the system call "
                                "io_uring_setup is one that Cordon never makes (please report "
                                "it)\n"), done.stderr
    assert report["status"] == "killed" and report["signal"] == signal.SIGSYS, report
    assert report["exit_code"] == 159
