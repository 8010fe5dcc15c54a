"""The library and its declarations, which are those of its header: so they cannot be others.

$CORDON_LIBRARY and $CORDON_HEADER say where they are; else they are the installed ones, or those of
the source tree that this package lies in.
"""
import ctypes.util
import os
import re
import subprocess

import cffi

TREE = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..', '..'))


def _installed(variable, name):
    try:
        found = subprocess.run(['pkg-config', '--variable=' + variable, 'cordon'], check=False,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        return ''
    return os.path.join(found.stdout.strip(), name) if found.stdout.strip() else ''


def _header():
    places = [os.environ.get('CORDON_HEADER', ''), _installed('includedir', 'cordon.h'),
              '/usr/include/cordon.h', '/usr/local/include/cordon.h',
              os.path.join(TREE, 'include', 'cordon.h')]
    for place in places:
        if place and os.path.exists(place):
            with open(place, encoding='utf-8') as file:
                return file.read()
    raise ImportError('cordon.h is not installed; say where it is with CORDON_HEADER')


def declarations(header):
    """What of a header cffi understands: no preprocessor but names of numbers."""
    text = re.sub(r'/\*.*?\*/', ' ', header, flags=re.S).replace('\\\n', ' ')
    text = re.sub(r'extern "C" \{.*?#endif', '#endif', text, count=1, flags=re.S)
    text = re.sub(r'#ifdef __cplusplus\s*\}\s*#endif', '', text)
    text = re.sub(r'\bCORDON_API\b', '', text)
    numbers = re.compile(r'#define \w+ \d+$')
    return '\n'.join(line for line in text.splitlines()
                     if not line.startswith('#') or numbers.match(line)).replace(
                         '#define CORDON_API', '')


def _open(ffi):
    places = [os.environ.get('CORDON_LIBRARY', ''), _installed('libdir', 'libcordon.so'),
              ctypes.util.find_library('cordon') or '',
              os.path.join(TREE, 'build', 'api', 'libcordon.so')]
    for place in places:
        if place and ('/' not in place or os.path.exists(place)):
            return ffi.dlopen(place)
    raise ImportError('libcordon.so is not installed; say where it is with CORDON_LIBRARY')


HEADER = _header()
ffi = cffi.FFI()
ffi.cdef(declarations(HEADER))
lib = _open(ffi)

VERSION = re.search(r'#define CORDON_VERSION "(.*)"', HEADER).group(1)
if ffi.string(lib.cordon_version()).decode() != VERSION:
    raise ImportError(f'libcordon is {ffi.string(lib.cordon_version()).decode()}, '
                      f'cordon.h is {VERSION}')
