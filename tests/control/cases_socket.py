"""The control socket spoken by hand: what is refused, and what a client cannot do to the host."""
import base64
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import time

from host import Talk, wait_for


def answers_in_order(bench):
    with bench.host({"web": "args: [sleep]"}) as host, host.talk() as talk:
        assert talk.hello["cordon"] == 1 and talk.hello["pid"] == host.process.pid, talk.hello
        text = b"".join(json.dumps({"id": i, "do": "ps"}).encode() + b"\n" for i in range(500))
        talk.say(text)
        assert [talk.hear()["id"] for _ in range(500)] == list(range(500))
        # Byte by byte, and with the sending side closed before the answer.
        for byte in b'{"id": 5, "do": "ps", "more": [1, {"a": null}]}\n':
            talk.say(bytes([byte]))
        assert talk.hear()["id"] == 5
        talk.say({"id": 6, "do": "stats"})
        talk.socket.shutdown(socket.SHUT_WR)
        assert talk.hear()["id"] == 6
        assert talk.hear() is None


def refuses_requests(bench):
    rows = [({"do": "pss"}, "bad-request"), ({"do": 5}, "bad-request"), ({}, "bad-request"),
            ({"do": "set", "vm": "web"}, "bad-request"),
            ({"do": "set", "vm": "web", "values": {}}, "bad-request"),
            ({"do": "set", "vm": "web", "values": []}, "bad-request"),
            ({"do": "set", "vm": "web", "values": {"memory": []}}, "bad-value"),
            ({"do": "set", "vm": "web", "values": {"memory": -1}}, "bad-value"),
            ({"do": "set", "vm": "web", "values": {"cpus": 0}}, "bad-value"),
            ({"do": "set", "vm": "web", "values": {"cpus": 0.5}}, "bad-value"),
            ({"do": "set", "vm": "web", "values": {"": 1}}, "bad-key"),
            ({"do": "set", "vm": "bew", "values": {"memory": 1}}, "no-such-vm"),
            ({"do": "set", "values": {"memory": 1}}, "bad-request"),
            ({"do": "pause"}, "bad-request"), ({"do": "pause", "vms": []}, "bad-request"),
            ({"do": "pause", "vms": "web"}, "bad-request"),
            ({"do": "pause", "vms": [5]}, "bad-request"),
            ({"do": "pause", "vms": ["web", "x"]}, "no-such-vm"),
            ({"do": "kill", "vms": ["web"], "signal": 0}, "bad-request"),
            ({"do": "kill", "vms": ["web"], "signal": "KILL"}, "bad-request"),
            ({"do": "logs"}, "bad-request"), ({"do": "logs", "vm": "x"}, "no-such-vm"),
            ({"do": "logs", "vm": "web", "tail": -1}, "bad-request"),
            ({"do": "logs", "vm": "web", "follow": 1}, "bad-request"),
            ({"do": "stats", "vm": "x"}, "no-such-vm"), ({"do": "stats", "vm": 1}, "bad-request"),
            ({"do": "run"}, "bad-request"),
            ({"do": "run", "module": {"fd": 0, "name": "m"}}, "bad-fd"),
            ({"do": "run", "module": {"fd": -1, "name": "m"}}, "bad-fd")]
    with bench.host({"web": "args: [sleep]"}) as host, host.talk() as talk:
        host.wait("web", state="running")
        for request, code in rows:
            assert talk.refusal(request) == code, request
        error = talk.ask({"do": "set", "vm": "web", "values": {"memroy": 1}})["error"]
        assert error["key"] == "memroy" and error["near"] == "memory", error
        error = talk.ask({"do": "stats", "vm": "weeb"})["error"]
        assert error["vm"] == "weeb" and error["near"] == "web", error
        # Numbers are in the quota's own unit.
        answer = talk.ask({"do": "set", "vm": "web", "values": {
            "timeout": 10**18, "cpus": 250, "memory": "64m", "fuel": None}})
        assert answer["ok"]["values"] == {"timeout": 10**18, "cpus": 250, "memory": 64 << 20,
                                          "fuel": None}, answer
        assert host.ps()["web"]["state"] == "running"


def refuses_what_comes_with_run(bench):
    with bench.host({"web": "args: [sleep]"}) as host, host.talk() as talk:
        host.wait("web", state="running")
        module = os.open(bench.module, os.O_RDONLY)
        folder = os.open("/tmp", os.O_PATH)
        pipe = os.pipe()
        good = {"do": "run", "module": {"fd": 0, "name": "m"}, "args": ["sleep"]}
        before = host.fds()
        rows = [(dict(good, name="web"), [module], "name-taken"),
                (dict(good, name="../x"), [module], "bad-request"),
                (dict(good, name=""), [module], "bad-request"),
                (dict(good, args=[1]), [module], "bad-request"),
                (dict(good, env=["NOEQUALS"]), [module], "failed"),
                (dict(good, env="A=b"), [module], "bad-request"),
                (dict(good, quotas={"memroy": 1}), [module], "bad-key"),
                (dict(good, quotas={"cpus": 5000}), [module], "bad-value"),
                (dict(good, quotas=[]), [module], "bad-request"),
                (dict(good, restart="maybe"), [module], "bad-request"),
                (dict(good, log_size=-1), [module], "bad-request"),
                (dict(good, dirs=[{"fd": 1, "guest": "/"}]), [module], "bad-fd"),
                (dict(good, dirs=[{"fd": 0, "guest": "/"}]), [module], "bad-fd"),
                (dict(good, dirs=[{"fd": 1}]), [module, folder], "bad-request"),
                (dict(good, dirs=[{"fd": 1, "guest": "/"}]), [module, pipe[0]], "failed"),
                (dict(good, listeners=[{"fd": 1}]), [module, folder], "failed"),
                (dict(good, listeners=[{}]), [module, folder], "bad-fd"),
                (good, [folder], "failed"), (good, [pipe[0]], "failed"),
                ({"do": "ps", "vms": 3}, [], None)]
        for request, fds, code in rows:
            answer = talk.ask(request, fds)
            assert answer.get("error", {}).get("code") == code, f"{request}: {answer}"
        # What nobody claims is closed, with a request or without.
        assert "ok" in talk.ask({"do": "ps"}, [module] * 100)
        talk.say(b" ", [module] * 100)
        talk.say({"do": "ps"})
        assert "ok" in talk.hear()
        wait_for("descriptors", lambda: host.fds() <= before + len(host.ps()))
        left = host.fds()
        with host.talk() as other:
            other.say(b"{", [module] * 128)
            other.say(b"{", [module] * 128)
            wait_for("as many as may wait", lambda: left + 100 < host.fds() < left + 140)
        wait_for("descriptors", lambda: host.fds() <= left)
        assert "ok" in talk.ask(dict(good, name="at.last"), [module])
        host.wait("at.last", state="running")
        for fd in (module, folder, *pipe):
            os.close(fd)


def survives_garbage(bench):
    lines = [b"\n", b"nonsense\n", b"{\n", b"[]\n", b"5\n", b'"x"\n', b"null\n", b"\0\0\0\n",
             b"\xff\xfe\n", b'{"a": 1, "a": 2}\n', b"{}{}\n", b"[" * 100000 + b"\n",
             b'{"a": ' * 5000 + b"\n", b'{"id": 99999999999999999999999, "do": "ps"}\n',
             b'{"do": "\xff"}\n', b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" * 100 + b"\n"]
    with bench.host({"web": "args: [sleep]"}) as host:
        host.wait("web", state="running")
        for line in lines:
            with host.talk() as talk:
                talk.say(line)
                assert talk.hear()["error"]["code"] == "bad-line", line
                assert talk.hear() is None, line
            with host.talk(greet=False) as talk:
                talk.say(line)
                assert talk.hear()["error"]["code"] in ("bad-line", "version"), line
                assert talk.hear() is None, line
        for line in (b'{"cordon": 2}\n', b'{"cordon": "1"}\n', b'{"do": "ps"}\n', b"{}\n"):
            with host.talk(greet=False) as talk:
                talk.say(line)
                assert talk.hear()["error"]["code"] == "version", line
                assert talk.hear() is None, line
        assert host.ps()["web"]["state"] == "running"


def survives_a_long_line(bench):
    with bench.host({"web": "args: [sleep]"}) as host:
        for greet in (True, False):
            with host.talk(greet) as talk:
                sent = 0
                try:
                    while sent < 100 << 20:
                        sent += talk.socket.send(b"x" * 65536)
                except (BrokenPipeError, ConnectionResetError):
                    pass
                assert sent < 8 << 20, f"{sent} bytes were taken"
                assert talk.hear()["error"]["code"] == "bad-line"
        # As long as it may be.
        with host.talk() as talk:
            line = json.dumps({"do": "ps"}).encode()
            assert "ok" in talk.ask(line + b" " * ((1 << 20) - len(line) - 1) + b"\n")
        rss = int(pathlib.Path(f"/proc/{host.process.pid}/statm").read_text("ascii").split()[1])
        if "asan" not in str(bench.cordon):
            assert rss * 4096 < 64 << 20, f"{rss} pages"


def survives_many_connections(bench):
    with bench.host({"web": "args: [sleep]"}) as host:
        host.wait("web", state="running")
        before = host.fds()
        talks = [host.talk() for _ in range(100)] + [host.talk(greet=False) for _ in range(100)]
        for i, talk in enumerate(talks):
            if i % 3 == 0:
                talk.say(b'{"do": "p')
        assert host.ps()["web"]["state"] == "running"
        assert "ok" in talks[1].ask({"do": "ps"})
        more = []
        while len(more) < 100:
            talk = Talk(host.path, greet=False)
            more.append(talk)
            talk.socket.settimeout(0.02)
            try:
                if talk.hear() is not None:
                    break
            except TimeoutError:
                pass
        assert len(more) == 57, f"{200 + len(more)} connections"
        for talk in talks + more:
            talk.close()
        wait_for("descriptors", lambda: host.fds() <= before)
        assert host.ps()["web"]["state"] == "running"


def survives_who_does_not_read(bench):
    with bench.host({"web": "args: [sleep], count: 20"}) as host:
        talks = [host.talk() for _ in range(20)]
        request = json.dumps({"do": "stats"}).encode() + b"\n"
        for talk in talks:
            talk.socket.setblocking(False)
            try:
                for _ in range(20000):
                    talk.socket.send(request)
            except BlockingIOError:
                pass
        assert len(host.ps()) == 20
        rss = int(pathlib.Path(f"/proc/{host.process.pid}/statm").read_text("ascii").split()[1])
        if "asan" not in str(bench.cordon):
            assert rss * 4096 < 256 << 20, f"{rss} pages"
        for talk in talks:
            talk.close()


def gives_up_on_half_lines(bench):
    """The one thing that takes its ten seconds: clients that stop in the middle."""
    with bench.host({"web": "args: [sleep]"}) as host:
        half, silent, idle = host.talk(), host.talk(greet=False), host.talk()
        half.say(b'{"do": "ps"')
        assert half.hear()["error"]["code"] == "timeout" and half.hear() is None
        assert silent.hear()["error"]["code"] == "timeout" and silent.hear() is None
        assert "ok" in idle.ask({"do": "ps"})  # who has nothing to say may stay
        for talk in (half, silent, idle):
            talk.close()


def sends_logs_to_slow_readers(bench):
    """Who reads slowly falls behind and is told so; the VM and others go on."""
    vms = {"talk": "args: [print, 2000000], log-size: 64k", "other": "args: [print, 3]"}
    with bench.host(vms, options=["--stay"]) as host, host.talk() as talk:
        talk.say({"id": 3, "do": "logs", "vm": "talk", "follow": True})
        host.wait("talk", state="ended")
        assert host.run("logs", "other").count("\n") == 3
        text, lost = b"", 0
        while "log" in (line := talk.hear()):
            lost += line.get("lost", 0)
            text += base64.b64decode(line["log"])
        assert line == {"id": 3, "ok": {}}, line
        assert text.endswith(b"line 0001999999\n") and lost > 0, f"{len(text)}, lost {lost}"
        # It began where the log did when it was asked for.
        first = re.search(rb"line (\d{10})\n", text)
        start = int(first[1]) * 16 - first.start()
        assert start + len(text) + lost == 32000000, f"{start}, {len(text)}, lost {lost}"


def answers_its_own_user_alone(bench):
    if os.geteuid() != 0:
        return "needs root, to be somebody else"
    with bench.host({"web": "args: [sleep]"}) as host:
        assert os.stat(host.path).st_mode & 0o777 == 0o600
        bench.folder.chmod(0o755)
        for mode, wanted in ((0o600, "PermissionError"), (0o666, "denied")):
            host.path.chmod(mode)
            ends = os.pipe()
            child = os.fork()
            if child == 0:
                os.setgid(65534)
                os.setuid(65534)
                try:
                    said = Talk(host.path, greet=False).hear()["error"]["code"]
                except OSError as error:
                    said = type(error).__name__
                os.write(ends[1], said.encode())
                os._exit(0)
            os.waitpid(child, 0)
            os.close(ends[1])
            said = os.read(ends[0], 100).decode()
            os.close(ends[0])
            assert said == wanted, f"mode {mode:o}: {said}"
        bench.folder.chmod(0o700)
    return None


def says_nothing_to_who_does_not_listen(bench):
    """More lines than a pipe holds, and nobody reads them."""
    with bench.host({"web": "args: [sleep]"}) as host, host.talk() as talk:
        host.wait("web", state="running")
        for _ in range(3000):
            assert "ok" in talk.ask({"do": "set", "vm": "web", "values": {"weight": 50}})
        assert host.read().count("set: weight 50") < 3000
        assert "ok" in talk.ask({"do": "set", "vm": "web", "values": {"weight": 60}})
        said = host.read()
        assert re.search(r"cordon: \d+ lines are lost\ncordon: web: set: weight 60\n$", said), said


def stops_while_clients_wait(bench):
    with bench.host({"web": "args: [sleep]", "spin": "args: [spin]"}) as host:
        talks = [host.talk() for _ in range(5)]
        talks[0].say({"do": "logs", "vm": "web", "follow": True})
        talks[1].say(b"{")
        host.wait("spin", state="running")
        time.sleep(0.05)
        assert host.end(signal.SIGTERM) == 0
        for talk in talks:
            talk.close()


def _storm_request(chance, names, module):
    """A request that may or may not make sense, and what comes with it."""
    name = chance.choice(names)
    kind = chance.randrange(12)
    if kind < 4:
        what = chance.choice((["spin"], ["sleep"], ["exit", "3"], ["print", "3000"], ["talk"]))
        return {"do": "run", "name": name, "args": what, "log_size": chance.choice((0, 100, 4096)),
                "restart": chance.choice(("no", "always", "on-failure:2")),
                "module": {"fd": 0, "name": "m"}}, [module]
    if kind < 6:
        return {"do": "kill", "vms": [name]}, []
    if kind == 6:
        return {"do": chance.choice(("pause", "resume")), "vms": chance.choice(("all", [name]))}, []
    if kind == 7:
        return {"do": "set", "vm": name, "values": {"memory": "32m", "cpus": "0.3",
                                                    "weight": chance.randrange(12000)}}, []
    if kind == 8:
        return {"do": "logs", "vm": name, "follow": chance.random() < 0.5}, []
    return {"do": chance.choice(("ps", "stats", "metrics", "kill")), "vms": "all"} \
        if chance.random() < 0.2 else {"do": "ps"}, []


def survives_a_storm(bench):
    """Clients that ask for anything, wait for some answers and leave in the middle of others."""
    chance = random.Random(4)
    names = [f"v{i}" for i in range(12)]
    with bench.host({}, options=["--stay"]) as host:
        module = os.open(bench.module, os.O_RDONLY)
        before = host.fds()
        talks = [host.talk() for _ in range(8)]
        for _ in range(1500):
            at = chance.randrange(len(talks))
            talks[at].say(*_storm_request(chance, names, module))
            if chance.random() < 0.4:
                talks[at].close()
                talks[at] = host.talk()
        for talk in talks:
            talk.close()
        host.run("resume", "all")
        host.run("kill", "all")
        wait_for("the ends", lambda: all(vm["state"] == "ended" for vm in host.ps().values()))
        # One for each log, and one that the loop opens with its first pipe.
        wait_for("descriptors", lambda: host.fds() <= before + len(host.ps()) + 1)
        assert len(host.ps()) <= len(names)
        os.close(module)


PLACE = """
mount -t tmpfs none /run || exit 77
cordon=$1 file=$2
"$cordon" up --stay "$file" & host=$!
for i in $(seq 300); do
    "$cordon" ps 2>&- | grep -q ended && break
    sleep 0.1
done
stat -c '%a %u %n' /run/cordon /run/cordon/host.sock
"$cordon" ps --json
"$cordon" run --detach --name more "$3" exit && "$cordon" logs more
"$cordon" down
wait $host || echo "the host ended with $?"
echo "left:" $(ls -A /run/cordon)
"""


def root_has_its_place_below_run(bench):
    """/run/cordon, for root alone: tried on a /run of the test's own, which nobody else sees."""
    if os.geteuid() != 0:
        return "only root has its host there"
    file, outside = bench.folder / "place.yaml", pathlib.Path("/run/cordon")
    file.write_text(f"vms:\n  only: {{module: {bench.module}, args: [exit]}}\n", encoding="utf-8")
    before = outside.exists() and os.listdir(outside)
    done = subprocess.run(["unshare", "-m", "sh", "-c", PLACE, "sh", bench.cordon, file,
                           bench.module], capture_output=True, text=True, check=False,
                          env={"PATH": os.environ["PATH"]}, timeout=60)
    if done.returncode == 77 or "unshare" in done.stderr:
        return "there are no mount namespaces to be had"
    said = done.stdout
    assert "700 0 /run/cordon\n600 0 /run/cordon/host.sock\n" in said, done
    assert '"name": "only"' in said and "the host ended" not in said, done
    # Its socket is gone with it, and outside nothing has changed.
    assert said.endswith("\nmore\nleft:\n"), said
    assert (outside.exists() and os.listdir(outside)) == before
    return None
