"""Guests that move bytes as fast as they may: what rates and totals let through."""
import json
import re
import signal
import socket
import subprocess
import time

BURST = 0.1  # seconds of the rate that can be saved up
LEAST = 4096
EDQUOT = 19
TESTS = []


def test(function):
    TESTS.append(function)
    return function


class Bench:
    """The command, the guest and a folder."""

    def __init__(self, cordon, module, folder):
        self.cordon, self.module, self.folder = cordon, module, folder
        self.place = folder / 'rates'
        self.place.mkdir()
        (self.place / 'from').write_bytes(bytes(8 << 20))

    def command(self, what, amount, *options):
        return [self.cordon, 'run', '--dir', f'{self.place}::.', *options, self.module, what,
                str(amount)]

    def run(self, what, amount, *options):
        """What the guest said: name -> (amount, seconds)."""
        done = subprocess.run(self.command(what, amount, *options), stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, timeout=120, check=True)
        return {name: (int(count), int(ns) / 1e9)
                for name, count, ns in re.findall(r'^(\w+) (\d+) (\d+)$', done.stdout, re.M)}

    def serve(self, amount, *options):
        process = subprocess.Popen(self.command('serve', amount, '--listen', '0', *options),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return process, listening_port(process)


def listening_port(process):
    return int(re.search(r'listening on \S+:(\d+)', process.stderr.readline())[1])


def off_rate(amount, seconds, rate, least=LEAST):
    """Never more than the rate and a burst, and not less than half."""
    most = rate * seconds * 1.05 + max(rate * BURST, least)
    if amount > most:
        return f'{amount} in {seconds:.3f} s is more than {rate} per second'
    if amount < rate * seconds / 2:
        return f'{amount} in {seconds:.3f} s is less than half of {rate} per second'
    return None


@test
def copies_a_file_at_the_rate(bench):
    amount, seconds = bench.run('copy', 3 << 20, '--disk-rate', '3m/s')['copy']
    if amount != 6 << 20:
        return f'{amount} bytes'
    return off_rate(amount, seconds, 3 << 20)


@test
def writes_the_log_at_the_rate(bench):
    return off_rate(*bench.run('log', 500000, '--log-rate', '256k')['log'], 256 << 10)


@test
def looks_at_files_so_often(bench):
    return off_rate(*bench.run('stat', 100, '--disk-ops', '100')['stat'], 100, 4)


@test
def waits_by_poll_without_turning(bench):
    said = bench.run('nowait', 2 << 20, '--disk-rate', '2m')
    amount, seconds = said['nowait']
    if said['polls'][0] > 50 * seconds + 20:
        return f'{said["polls"][0]} polls in {seconds:.3f} s'
    return off_rate(amount, seconds, 2 << 20)


def receive_all(port):
    with socket.create_connection(('127.0.0.1', port)) as client:
        client.sendall(b's')
        start, count = time.monotonic(), 0
        while piece := client.recv(65536):
            count += len(piece)
        return count, time.monotonic() - start


def send_all(port, size):
    with socket.create_connection(('127.0.0.1', port)) as client:
        client.sendall(b'r' + bytes(size))
        client.shutdown(socket.SHUT_WR)
        client.recv(1)


def said_by(process):
    """The next amount and time that the server prints."""
    for line in process.stdout:
        found = re.match(r'socket (\d+) (\d+)$', line)
        if found:
            return int(found[1]), int(found[2]) / 1e9
    return 0, 1


@test
def talks_at_the_rate(bench):
    process, port = bench.serve(2 << 20, '--net-tx-rate', '2m', '--net-rx-rate', '1m')
    try:
        count, seconds = receive_all(port)
        if count != 2 << 20:
            return f'{count} bytes came'
        fault = off_rate(count, seconds, 2 << 20)
        said_by(process)
        send_all(port, 1 << 20)
        return fault or off_rate(*said_by(process), 1 << 20)
    finally:
        process.kill()
        process.communicate()


@test
def meets_totals_to_the_byte(bench):
    meta = bench.folder / 'meta.json'
    process, port = bench.serve(1 << 30, '--net-tx', '300001', '--meta', meta)
    try:
        count, _ = receive_all(port)
        said = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    finally:
        process.kill()
    if count != 300001 or said[0] != f'error {EDQUOT}\n':
        return f'{count} bytes, {said}'
    used = json.loads(meta.read_text(encoding='ascii'))['quotas']['net_tx']['used']
    return None if used == count else f'reported {used}'


@test
def holds_so_many_connections(bench):
    process = subprocess.Popen(bench.command('hold', 2, '--listen', '0', '--connections', '2'),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    port = listening_port(process)
    clients = [socket.create_connection(('127.0.0.1', port)) for _ in range(4)]
    output, _ = process.communicate(timeout=60)
    for client in clients:
        client.close()
    return None if output == 'refused 1\nheld 1\nready 1\n' else output


@test
def polls_so_many_at_once(bench):
    done = subprocess.run(bench.command('poll', 5, '--timers', '5'), capture_output=True, text=True,
                          timeout=60, check=False)
    return None if done.stdout == 'fits 1\nrefused 1\n' else done.stdout + done.stderr


@test
def ends_while_it_waits(bench):
    start = time.monotonic()
    done = subprocess.run(bench.command('copy', 10, '--disk-rate', '0', '--timeout', '200ms'),
                          capture_output=True, timeout=60, check=False)
    if done.returncode != 124:
        return f'exit {done.returncode} for the time'
    process = subprocess.Popen(bench.command('stat', 10, '--disk-ops', '0'))
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    code = process.wait(timeout=60)
    if code != 130:
        return f'exit {code} for the signal'
    passed = time.monotonic() - start
    return f'{passed:.1f} s' if passed > 10 else None


@test
def pays_for_its_earlier_lives(bench):
    """A VM that is started again adds no more to the disk than one that was not."""
    (bench.place / 'grown').unlink(missing_ok=True)
    file = bench.folder / 'host.yaml'
    file.write_text(f'vms: {{a: {{module: {bench.module}, args: [append, "24576"], '
                    f'dirs: ["{bench.place}::."], quotas: {{disk: 64k}}, '
                    'restart: on-failure:3}}\n',
                    encoding='ascii')
    done = subprocess.run([bench.cordon, 'up', file, '--host', bench.folder / 'host.sock'],
                          capture_output=True, text=True, timeout=120, check=False)
    size = (bench.place / 'grown').stat().st_size
    return None if size == 65536 else f'{size} bytes: {done.stdout}{done.stderr}'


def until(what, seconds=30):
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.02)


@test
def changes_while_it_waits(bench):
    """Every one of these quotas can be set, and a guest that waits for a rate goes on with it."""
    file, path = bench.folder / 'set.yaml', bench.folder / 'set.sock'
    file.write_text(f'vms: {{a: {{module: {bench.module}, args: [copy, "65536"], '
                    f'dirs: ["{bench.place}::."], quotas: {{disk-rate: 0}}}}}}\n',
                    encoding='ascii')
    keys = ('disk-ops', 'net-rx', 'net-tx', 'net-rx-rate', 'net-tx-rate', 'connections', 'timers',
            'log-rate')
    host = subprocess.Popen([bench.cordon, 'up', file, '--host', path], stderr=subprocess.PIPE,
                            text=True)

    def say(*words):
        return subprocess.run([bench.cordon, *words, '--host', path], capture_output=True,
                              text=True, timeout=60, check=False).stdout

    def quotas():
        found = json.loads(say('stats', '--json', 'a') or '{}')
        return (found[0] if isinstance(found, list) else found).get('quotas', {})

    try:
        until(lambda: path.exists() and quotas().get('disk_rate', {}).get('refused'))
        say('set', 'a', *(f'{key}=1000' for key in keys))
        until(lambda: all(quotas()[key.replace('-', '_')]['limit'] == 1000 for key in keys))
        seen = quotas()
        wrong = [key for key in keys if seen[key.replace('-', '_')]['limit'] != 1000]
        if wrong or seen['disk_rate']['used'] != 0:
            return f'not set: {wrong}, {seen["disk_rate"]}'
        say('set', 'a', 'disk-rate=10m/s')
        code = host.wait(timeout=60)
        return None if code == 0 else f'exit {code}: {host.stderr.read()}'
    finally:
        host.kill()
        host.communicate()
