"""Runs on kernels that lack something, which old_kernel.c plays."""
import json
import os
import subprocess


def _missing(bench, lacking, layer, enough=True):
    """Without a required layer a run refuses by name, and goes without it when asked."""
    before = (bench.old_kernel, lacking)
    done, report = bench.report(bench.nothing, before=before)
    assert done.returncode == 125, done
    assert f"layer {layer} is missing" in done.stderr, done.stderr
    assert "--sandbox=best-effort" in done.stderr, done.stderr
    assert report["sandbox"] is None, report
    done, report = bench.report("--sandbox=best-effort", bench.nothing, before=before)
    assert (done.returncode == 0) == enough, done
    if enough:
        assert layer not in report["sandbox"]["layers"], report
        assert report["sandbox"]["mode"] == "best-effort", report
    done = subprocess.run([bench.old_kernel, lacking, bench.cordon, "doctor"], check=False,
                          capture_output=True, text=True)
    assert done.returncode == 1 and "MISSING" in done.stdout, done
    return report


def without_landlock(bench):
    report = _missing(bench, "landlock", "landlock")
    assert "seccomp" in report["sandbox"]["layers"]
    assert not any(layer.startswith("landlock") for layer in report["sandbox"]["layers"])


def without_openat2(bench):
    report = _missing(bench, "openat2", "openat2")
    assert "landlock" in report["sandbox"]["layers"]


def without_seccomp(bench):
    report = _missing(bench, "seccomp", "seccomp")
    assert "landlock" in report["sandbox"]["layers"]


def without_mdwe(bench):
    """Not required: seccomp alone keeps memory from becoming executable."""
    done, report = bench.report(bench.nothing, before=(bench.old_kernel, "mdwe"))
    assert done.returncode == 0, done
    assert "mdwe" not in report["sandbox"]["layers"]
    assert {"seccomp", "landlock", "no_new_privs"} <= set(report["sandbox"]["layers"])


def on_linux_6_1(bench):
    """The kernel of Debian 12 has all that is required."""
    root = bench.scene()
    done, report = bench.report("--dir", f"{root}/in::/", bench.nothing,
                                before=(bench.old_kernel, "linux-6.1"))
    assert done.returncode == 0, done
    assert set(report["sandbox"]["layers"]) == {"openat2", "limits", "user", "dumpable",
                                                "no_new_privs", "landlock", "seccomp"}, report
    shown = subprocess.run([bench.old_kernel, "linux-6.1", bench.cordon, "doctor", "--json"],
                           check=False, capture_output=True, text=True)
    facts = json.loads(shown.stdout)
    assert shown.returncode == 0 and facts["ready"] and facts["landlock_abi"] == 2, facts
    assert facts["machine"]["mseal"] == "no", facts


def echo_on_linux_6_1(bench):
    done = bench.run(bench.echo, before=(bench.old_kernel, "linux-6.1"), stdin="one\ntwo\n")
    assert done.returncode == 0 and done.stdout == "one\ntwo\n", done


# What puts the layers up, and who is named when it fails.
STEPS = {"prlimit64": "limits", "capset": "user", "prctl:4": "dumpable", "prctl:38": "no_new_privs",
         "landlock_restrict_self": "landlock", "landlock_add_rule": "landlock"}


def a_step_that_fails_ends_the_run(bench):
    """No layer is left out without a word, whichever call fails."""
    root = bench.scene()
    for call, layer in STEPS.items():
        done = bench.run("--dir", f"{root}/in::/", bench.nothing,
                         before=(bench.old_kernel, f"fail:{call}"))
        assert done.returncode == 125, (call, done)
        assert f"layer {layer}" in done.stderr, (call, done.stderr)
    done = bench.run("--dir", f"{root}/in::/", bench.nothing,
                     before=(bench.old_kernel, "fail:getppid"))
    assert done.returncode == 0, done


def a_user_that_cannot_be_changed_is_said(bench):
    """As in a user namespace with root alone: Landlock holds, and the report says who it is."""
    if not bench.is_root:
        return "this is not root"
    root = bench.scene()
    before = (bench.old_kernel, "fail:setresuid")
    done = bench.run("--user", "4321", bench.nothing, before=before)
    assert done.returncode == 125 and "layer user" in done.stderr, done
    done, report = bench.report("--dir", f"{root}/in::/", bench.nothing, before=before)
    assert done.returncode == 0 and report["sandbox"]["user"] == 0, (done, report)
    assert "landlock" in report["sandbox"]["layers"], report
    return None


def roots_directories_need_landlock(bench):
    """Whatever --sandbox says: with root's number nothing else keeps it from root's files."""
    if not bench.is_root:
        return "only root has root's directories"
    root = bench.scene()
    os.chown(root / "in", 0, 0)
    done, report = bench.report("--dir", f"{root}/in::/", bench.nothing)
    assert done.returncode == 0 and report["sandbox"]["user"] == 0, (done, report)
    shown = bench.run("--stats", "--dir", f"{root}/in::/", bench.nothing)
    assert "root: its own directories are granted" in shown.stderr, shown.stderr
    done = bench.run("--sandbox=best-effort", "--dir", f"{root}/in::/", bench.nothing,
                     before=(bench.old_kernel, "landlock"))
    assert done.returncode == 125 and "landlock is missing" in done.stderr, done
    assert "best-effort" not in done.stderr.replace("root's own directories", ""), done
    return None


