"""Every header compiles alone, the public one as C++ too."""
import concurrent.futures
import os
import subprocess

C = ['clang-19', '-std=gnu11', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror', '-fsyntax-only']
GUEST = C[:1] + ['--target=wasm32-wasi', '--sysroot=/usr'] + C[1:]
CXX = ['clang-19', '-Wall', '-Wextra', '-Werror', '-fsyntax-only', '-x', 'c++']
# Not for including: put before foreign sources by the compiler's command line.
FORCED = ('tests/programs/',)


def compiles(tree, command, path):
    # Those that go on to libc's header of the same name are found by that name alone.
    name = path.removeprefix('stdlib/include/')
    include = f'#include <{name}>\n' if name != path else f'#include "{path}"\n'
    done = subprocess.run(command + (['-x', 'c'] if '-x' not in command else []) + ['-'],
                          cwd=tree.root, input=include, text=True, capture_output=True,
                          check=False)
    if done.returncode == 0:
        return []
    first = next((line for line in done.stderr.splitlines() if 'error' in line), 'fails')
    return [f'{path}:1: does not compile alone: {first}']


def check(tree):
    made = os.path.join(tree.root, 'build', 'spec')
    jobs = []
    for path in tree.ending('.h'):
        if path.startswith(FORCED):
            continue
        folders = ['-I', '.', '-I', 'include', '-I', made]
        if path.startswith('stdlib/'):
            jobs.append((GUEST + ['-isystem', 'stdlib/include'], path))
        elif path.startswith('tests/'):
            jobs.append((C + folders + ['-I', os.path.dirname(path)], path))
        else:
            jobs.append((C + folders, path))
        if path.startswith('include/'):
            jobs.append((CXX, path))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for findings in pool.map(lambda job: compiles(tree, *job), jobs):
            yield from findings


BAD = {'core/needs.h': 'struct cn_a { uint32_t x; };\n'}
BAD_COUNT = 1
