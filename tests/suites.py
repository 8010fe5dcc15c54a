"""Where the suites are that Cordon is tested with and that are not part of it.

A suite NAME is looked for in this order:

  1. $CORDON_SUITES/NAME
  2. ../shared/NAME beside the project
  3. subprojects/NAME, which the wrap file beside it (git, a pinned commit) is asked to fetch
     where the host of the repository can be reached

What is found is read, never written.

Names: testsuite (WebAssembly/testsuite), wasi-testsuite (WebAssembly/wasi-testsuite),
wasm-c-api (WebAssembly/wasm-c-api).
"""
import configparser
import os
import shutil
import socket
import subprocess
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SKIPPED = 77  # exit code of a test that could not be run
REACH_SECONDS, FETCH_SECONDS = 3, 600
# A file or folder without which the suite is not there.
LANDMARKS = {'testsuite': 'address.wast',
             'wasm-c-api': 'example/finalize.c',
             'wasi-testsuite': 'tests/c/testsuite/wasm32-wasip1'}


def is_there(name, place):
    return os.path.exists(os.path.join(place, LANDMARKS[name]))


def wrap_of(name):
    wrap = configparser.ConfigParser()
    wrap.read(os.path.join(ROOT, 'subprojects', name + '.wrap'))
    return wrap['wrap-git']


def why_not_fetchable(name):
    host = urllib.parse.urlsplit(wrap_of(name)['url']).hostname
    if shutil.which('meson') is None or shutil.which('git') is None:
        return 'meson and git are needed to fetch it'
    try:
        socket.create_connection((host, 443), timeout=REACH_SECONDS).close()
    except OSError as error:
        return f'{host} cannot be reached ({error})'
    return None


def fetch(name):
    """Asks meson for the pinned commit; None, or why it did not come."""
    reason = why_not_fetchable(name)
    if reason:
        return reason
    environment = dict(os.environ, GIT_TERMINAL_PROMPT='0')
    try:
        result = subprocess.run(['meson', 'subprojects', 'download', name], cwd=ROOT, text=True,
                                env=environment, stdin=subprocess.DEVNULL, timeout=FETCH_SECONDS,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors='replace')
    except subprocess.TimeoutExpired:
        return f'fetching it took more than {FETCH_SECONDS} s'
    # Meson is not content with what has no meson.build, but leaves it there.
    if not is_there(name, os.path.join(ROOT, 'subprojects', name)):
        return 'meson could not fetch it: ' + ' '.join(result.stdout.split())[-200:]
    return None


def find(name, given=None):
    """The suite's folder and None, or None and why there is none. `given` comes before all."""
    wrapped = os.path.join(ROOT, 'subprojects', name)
    places = [given] if given else []
    if 'CORDON_SUITES' in os.environ:
        places.append(os.path.join(os.environ['CORDON_SUITES'], name))
    places += [os.path.join(os.path.dirname(ROOT), 'shared', name), wrapped]
    for place in places:
        if is_there(name, place):
            return place, None
    reason = fetch(name)
    if reason is None:
        return wrapped, None
    where = '$CORDON_SUITES/' + name if 'CORDON_SUITES' in os.environ else '$CORDON_SUITES (unset)'
    return None, (f'neither in {where} nor in ../shared/{name} nor in subprojects/{name}, and '
                  f'{reason}')


def find_or_skip(name, label=None, given=None):
    """As find; ends the test run with the reason where there is none."""
    place, reason = find(name, given)
    if place is None:
        print(f'SKIPPED {label or name}: {reason}')
        raise SystemExit(SKIPPED)
    return place
