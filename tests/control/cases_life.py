"""Lives: restarts, hosts that come and go, VMs that are handed over, many at once."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from host import parent_of, wait_for


def restarts(bench):
    vms = {"no": "args: [exit, 3]", "never": "args: [exit, 3], restart: no",
           "twice": "args: [exit, 3], restart: on-failure:2",
           "good": "args: [exit, 0], restart: on-failure",
           "always": "args: [exit, 0], restart: always",
           "missing": "args: [exit, 0], restart: on-failure:1"}
    with bench.host(vms, options=["--stay"], code=1) as host:
        for name, count in (("no", 0), ("never", 0), ("twice", 2)):
            row = host.wait(name, state="ended", restarts=count)
            assert row["exit_code"] == 3, row
        host.wait("good", state="ended", restarts=0)
        wait_for("always", lambda: host.ps()["always"]["restarts"] >= 2)
        host.run("kill", "always")
        before = host.wait("always", state="ended")["restarts"]
        time.sleep(0.3)
        assert host.ps()["always"] == dict(host.ps()["always"], state="ended", restarts=before)
        said = host.read()
        assert "cordon: twice: exit code 3; starts again in 0.1 s\n" in said, said
        assert "cordon: twice: exit code 3; starts again in 0.2 s\n" in said, said
        assert "cordon: twice: started again (2)\n" in said, said
        assert "cordon: twice: ended: exit code 3\n" in said, said


def starts_from_the_file_as_it_is_then(bench):
    """A module that cannot be read, or is none, is a failure like others."""
    other = bench.folder / "other.wasm"
    other.unlink(missing_ok=True)
    text = "vms: {a: {module: other.wasm, args: [sleep], restart: on-failure}}\n"
    file = bench.folder / "host.yaml"
    with bench.host({"b": "args: [sleep]"}) as host:
        assert host.end() == 0
    file.write_text(text, encoding="ascii")
    process = subprocess.Popen([bench.cordon, "up", file, "--host", bench.folder / "h.sock"],
                               stderr=subprocess.PIPE, text=True)
    try:
        lines = iter(process.stderr.readline, "")
        assert any("No such file" in line for line in lines)
        other.write_bytes(b"nonsense")
        assert any("magic header" in line for line in lines)
        other.write_bytes(bench.module.read_bytes())
        assert any("started again" in line for line in lines)
    finally:
        process.terminate()
        process.stderr.read()
        assert process.wait() == 0
        process.stderr.close()


def says_what_happens(bench):
    with bench.host({"a": "args: [sleep]"}, options=["--stay"]) as host:
        host.wait("a", state="running")
        host.run("set", "a", "memory=64m", "weight=7", "fuel=unlimited")
        host.run("pause", "a")
        host.run("resume", "a")
        host.run("kill", "a")
        host.wait("a", state="ended")
        assert host.end() == 0
        assert re.findall(rb"^cordon: a: (.*)$", host.said, re.M) == [
            b"started", b"set: memory 64 MiB, weight 7, fuel unlimited", b"paused", b"resumed",
            b"ended: killed, signal 9"], host.said


def shares_modules(bench):
    """Four from one file, which is replaced meanwhile: each runs what was there at its start."""
    module = bench.folder / "shared.wasm"
    module.write_bytes(bench.module.read_bytes())
    past = time.time() - 100
    os.utime(module, (past, past))
    with bench.host({}, options=["--stay"]) as host:
        wait_for("the file to be settled", lambda: time.time() - os.stat(module).st_ctime > 3.5)
        for i in range(4):
            bench.run("run", "-d", "--host", host.path, "--name", f"v{i}", "shared.wasm", "sleep")
        module.write_text('(module (memory (export "memory") 1) (func (export "_start")))',
                          encoding="ascii")
        bench.run("run", "-d", "--host", host.path, "--name", "other", "shared.wasm")
        host.wait("other", state="ended", exit_code=0)
        host.run("kill", "v0", "v2")
        host.wait("v2", state="ended")
        assert [host.ps()[f"v{i}"]["state"] for i in (1, 3)] == ["running"] * 2


def ends_with_its_last_vm(bench):
    for number, code in ((0, 0), (3, 1)):
        with bench.host({"a": f"args: [sleep]", "b": f"args: [exit, {number}]"}, code=code) as host:
            host.wait("b", state="ended")
            host.run("kill", "a")
            assert host.process.wait(30) == code


def ends_in_order(bench):
    vms = {name: "args: [spin]" for name in ("a", "b", "c")}
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        with bench.host(vms) as host:
            for name in vms:
                host.wait(name, state="running")
            assert host.end(number) == 0
            assert len(re.findall(rb"ended: killed, signal 15", host.said)) == 3, host.said


def goes_down_when_asked(bench):
    """`cordon down` comes back when nothing is left."""
    for vms in {"a": "args: [sleep]", "b": "args: [spin], restart: always"}, {}:
        with bench.host(vms, options=["--stay"]) as host:
            for name in vms:
                host.wait(name, state="running")
            assert host.run("down") == ""
            assert host.process.poll() == 0 and not any(bench.folder.glob("h.sock*"))
    assert "no host runs" in bench.run("down", "--host", "h.sock", code=125)


def is_the_only_one(bench):
    with bench.host({"a": "args: [sleep]"}, code=-signal.SIGKILL) as host:
        said = bench.run("up", "host.yaml", "--host", host.path, code=125)
        assert f"a host runs already at {host.path}, pid {host.process.pid}" in said, said
        host.wait("a", state="running")
        # What a killed host leaves is taken over.
        host.process.kill()
        host.process.wait()
        assert host.path.exists()
        assert "no host runs" in bench.run("ps", "--host", host.path, code=125)
        with bench.host({"b": "args: [sleep]"}) as other:
            assert list(other.ps()) == ["b"]
    # What is no socket, or somebody else's, is left alone.
    (bench.folder / "h.sock").write_text("mine", encoding="ascii")
    assert "no socket" in bench.run("up", "host.yaml", "--host", "h.sock", code=125)
    assert (bench.folder / "h.sock").read_text(encoding="ascii") == "mine"
    (bench.folder / "h.sock").unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(bench.folder / "h.sock"))
        other.listen()
        assert "something listens" in bench.run("up", "host.yaml", "--host", "h.sock", code=125)
    (bench.folder / "h.sock").unlink()


def grants_what_the_file_says(bench):
    folder = bench.folder / "given"
    folder.mkdir(exist_ok=True)
    (folder / "file").write_text("content\n", encoding="ascii")
    (folder / "new").unlink(missing_ok=True)
    vms = {"show": "args: [show, two words], env: {A: b}, dirs: ['given::/given::ro']",
           "write": "args: [show], env: [HOME_OF_TEST, C=d], dirs: ['./given::/given']",
           "web": "args: [serve, 3], listen: ['127.0.0.1:0']"}
    os.environ["HOME_OF_TEST"] = "here"
    with bench.host(vms, options=["--stay"]) as host:
        host.wait("show", state="ended")
        assert host.run("logs", "show").splitlines() == [
            "arg guest.wasm", "arg show", "arg two words", "env A=b", "file content", "write no",
            "stdin -1"], host.run("logs", "show")
        host.wait("write", state="ended")
        assert host.run("logs", "write").splitlines() == [
            "arg guest.wasm", "arg show", "env HOME_OF_TEST=here", "env C=d", "file content",
            "write yes", "stdin -1"], host.run("logs", "write")
        port = host.wait("web", state="running")["ports"][0]
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            assert client.recv(10) == b"hello\n"
        host.run("kill", "web")
        host.wait("web", state="ended")

        def is_closed():
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", port)) != 0
        wait_for("the port to be closed", is_closed)


def runs_detached(bench):
    folder = bench.folder / "mine"
    folder.mkdir(exist_ok=True)
    (folder / "file").write_text("handed over\n", encoding="ascii")
    with bench.host({}, options=["--stay"]) as host:
        first = host.fds()
        name = bench.run("run", "--detach", "--host", host.path, "--dir", "mine::/given::ro",
                         "--env", "X=y", "--memory", "8m", "guest.wasm", "show", "-v")
        assert name == "guest\n", name
        row = host.wait("guest", state="ended")
        assert row["detached"] and row["memory_limit"] == 8 << 20, row
        assert host.run("logs", "guest").splitlines() == [
            "arg guest.wasm", "arg show", "arg -v", "env X=y", "file handed over", "write no",
            "stdin -1"], host.run("logs", "guest")
        said = bench.run("run", "-d", "--host", host.path, "--name", "web", "--listen", "0",
                         "guest.wasm", "serve", "3", both=True)
        port = int(re.search(r"listening on 127\.0\.0\.1:(\d+)", said)[1])
        assert host.wait("web", state="running")["ports"] == [port]
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            assert client.recv(10) == b"hello\n"
        said = bench.run("run", "-d", "--host", host.path, "--name", "web", "guest.wasm", code=1)
        assert "there is a VM web already" in said, said
        assert bench.run("run", "-d", "--host", host.path, "guest.wasm", "sleep") == "guest-2\n"
        # From stdin, as a file of its own.
        with open(bench.module, "rb") as module:
            assert bench.run("run", "-d", "--host", host.path, "--name", "std.in", "-", "sleep",
                             stdin=module) == "std.in\n"
        host.run("kill", "all")
        for name in ("web", "guest-2", "std.in"):
            host.wait(name, state="ended")
        for words, code in ((("nothere.wasm",), 127), (("host.yaml",), 126),
                            (("--memory", "10k", "guest.wasm"), 137),
                            (("--cpus", "7", "guest.wasm"), 125),
                            (("--name", "a/b", "guest.wasm"), 1),
                            (("--restart", "often", "guest.wasm"), 1),
                            (("--dir", "nothere", "guest.wasm"), 125),
                            (("--listen", "nothere:1", "guest.wasm"), 125),
                            (("--stats", "guest.wasm"), 125)):
            bench.run("run", "-d", "--host", host.path, *words, code=code)
        assert "are for --detach" in bench.run("run", "--name", "a", "guest.wasm", code=125)
        # Ended ones keep their logs, and nothing else: a pipe's end each.
        wait_for("descriptors", lambda: host.fds() <= first + len(host.ps()) + 1)
    said = bench.run("run", "-d", "--host", "h.sock", "--linger", "1s", "guest.wasm", code=125)
    assert "unknown option --linger" in said, said


def starts_a_host_that_ends(bench):
    """`run --detach` starts one where none runs, and so does `up --background`."""
    bench.run("run", "--detach", "--host", "h.sock", "--name", "a", "guest.wasm", "sleep")
    pid = int((bench.folder / "h.sock.lock").read_text(encoding="ascii"))
    open_files = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)}
    assert open_files == {"/dev/null"}, open_files
    assert os.getsid(pid) == pid
    bench.run("run", "-d", "--host", "h.sock", "--name", "b", "guest.wasm", "sleep")
    rows = json.loads(bench.run("ps", "--host", "h.sock", "--json"))
    assert [parent_of(row["pid"]) for row in rows] == [pid, pid], rows
    os.kill(pid, signal.SIGTERM)
    wait_for("its end", lambda: not (bench.folder / "h.sock.lock").exists())
    # Many that find none at the same moment start one together.
    asks = [subprocess.Popen([bench.cordon, "run", "-d", "--host", "h.sock", "guest.wasm", "sleep"],
                             cwd=bench.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True) for _ in range(8)]
    names = set()
    for ask in asks:
        name, said = ask.communicate(timeout=60)
        assert ask.returncode == 0 and said == "", said
        names.add(name.strip())
    assert len(names) == 8, names
    assert len(json.loads(bench.run("ps", "--host", "h.sock", "--json"))) == 8
    os.kill(int((bench.folder / "h.sock.lock").read_text(encoding="ascii")), signal.SIGTERM)
    wait_for("its end", lambda: not (bench.folder / "h.sock.lock").exists())
    # One that ends by itself.
    bench.run("up", "--background", "--linger", "100ms", "--host", "h.sock")
    wait_for("its end", lambda: not (bench.folder / "h.sock.lock").exists())
    (bench.folder / "host.yaml").write_text(
        "vms: {a: {module: guest.wasm, args: [exit, 0]}}", encoding="ascii")
    bench.run("up", "--background", "--linger", "100ms", "--host", "h.sock", "host.yaml")
    wait_for("its end", lambda: not (bench.folder / "h.sock.lock").exists())
    (bench.folder / "host.yaml").write_text(
        "vms: {a: {module: guest.wasm, dirs: [/nothere]}}", encoding="ascii")
    said = bench.run("up", "--background", "--stay", "--host", "h.sock", "host.yaml", code=125)
    assert "/nothere" in said and not (bench.folder / "h.sock").exists(), said


def finds_its_usual_place(bench):
    """Without --host, for a user like others: in XDG_RUNTIME_DIR, nobody else may enter."""
    user = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="cordon-user-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        place = folder / "run"
        place.mkdir(mode=0o700)
        if user:
            os.chown(place, 65534, 65534)
        for file in bench.cordon, bench.module:
            shutil.copy(file, folder)

        def run(*words, runtime=place, code=0):
            done = subprocess.run([folder / "cordon", *words], cwd=folder, text=True, timeout=120,
                                  env={"XDG_RUNTIME_DIR": str(runtime)} if runtime else {},
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                                  **user)
            assert done.returncode == code, f"{words}: {done.returncode}: {done.stderr}"
            return done.stdout + done.stderr

        assert "no host runs" in run("ps", code=125)
        assert run("run", "--detach", "--name", "a", "guest.wasm", "sleep") == "a\n"
        try:
            assert stat.S_ISSOCK((place / "cordon" / "host.sock").stat().st_mode)
            assert (place / "cordon" / "host.sock").stat().st_mode & 0o777 == 0o600
            assert (place / "cordon").stat().st_mode & 0o777 == 0o700
            assert json.loads(run("ps", "--json"))[0]["name"] == "a"
        finally:
            run("down")
        assert "no host runs" in run("ps", code=125)
        if user:
            assert "XDG_RUNTIME_DIR is not set" in run("ps", runtime=None, code=125)


def runs_many(bench):
    with bench.host({"a": "args: [sleep], count: 50"}, head="workers: 2\n") as host:
        wait_for("all", lambda: [vm["state"] for vm in host.ps().values()] == ["running"] * 50)
        assert list(host.ps())[:2] == ["a-1", "a-2"]
        threads = len(os.listdir(f"/proc/{host.process.pid}/task"))
        assert threads < 50, f"{threads} threads for 50 VMs that sleep"
        assert len(json.loads(host.run("stats", "--json"))) == 50
        host.run("kill", *[f"a-{i}" for i in range(1, 50)])
        host.wait("a-49", state="ended")
        assert host.ps()["a-50"]["state"] == "running"


def keeps_the_last_that_ended(bench):
    """Of VMs that were started by `run --detach`, a hundred."""
    with bench.host({}, options=["--stay"]) as host, host.talk() as talk:
        module = os.open(bench.module, os.O_RDONLY)
        for i in range(130):
            answer = talk.ask({"do": "run", "name": f"v{i}", "args": ["exit"],
                               "module": {"fd": 0, "name": "m"}}, [module])
            assert answer["ok"] == {"vm": f"v{i}"}, answer
        wait_for("their ends", lambda: all(vm["state"] == "ended" for vm in host.ps().values()))
        wait_for("the oldest to be forgotten", lambda: len(host.ps()) == 100)
        assert "v129" in host.ps() and "v0" not in host.ps()
        os.close(module)


# ---------------------------------------------------------------- metrics

def _check_metrics(text, names):
    """The rules of Prometheus' text format, as far as it is used."""
    kinds, seen = {}, []
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in kinds and kind in ("gauge", "counter"), line
            kinds[name] = kind
            seen.append(name)
        elif not line.startswith("# HELP "):
            match = re.fullmatch(r'([a-z_]+)(\{([a-z_]+="[^"\\\n]*",?)+\})? (\+Inf|[0-9.]+)', line)
            assert match and match[1] == seen[-1], line
            assert (kinds[match[1]] == "counter") == match[1].endswith("_total"), line
    assert text.endswith("\n")
    for name in names:
        assert re.search(name, text, re.M), f"{name}: {text}"


def serves_metrics(bench):
    with bench.host({"web": "args: [sleep], quotas: {memory: 8m}"}, head="metrics: 0\n") as host:
        host.wait("web", state="running")
        wanted = (r'^cordon_quota_limit\{vm="web",quota="memory"\} 8388608$',
                  r'^cordon_quota_limit\{vm="web",quota="fuel"\} \+Inf$',
                  r'^cordon_vm_state\{vm="web",state="running"\} 1$', r"^cordon_vms 1$",
                  r"^cordon_workers [1-9]", r"^cordon_memory_bytes [1-9]",
                  r"^cordon_turns_total \d",
                  r'^cordon_cpu_ns_total\{vm="web"\} \d+$',
                  r'^cordon_quota_refused_total\{vm="web",quota="disk"\} 0$')
        _check_metrics(host.run("stats", "--prometheus"), wanted)
        port = int(re.search(r"at http://127\.0\.0\.1:(\d+)/metrics", host.read())[1])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            _check_metrics(answer.read().decode(), wanted)
        for method, path, status in (("GET", "/", 404), ("GET", "/metricsx", 404),
                                     ("POST", "/metrics", 405)):
            request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
            try:
                urllib.request.urlopen(request, timeout=30).close()
                raise AssertionError(f"{method} {path} was answered")
            except urllib.error.HTTPError as error:
                assert error.code == status, error
                error.close()
        # Who says nothing, half of it, too much, or does not read, is in nobody's way.
        rude = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(20)]
        for i, client in enumerate(rude):
            client.sendall((b"", b"GET /met", b"GET /metrics HTTP/1.0\r\n\r\n")[i % 3])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(b"x" * 5000)
            try:
                assert client.recv(100) == b""
            except ConnectionResetError:
                pass
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            _check_metrics(answer.read().decode(), wanted)
        for client in rude:
            client.close()
