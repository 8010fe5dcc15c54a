"""Which folder may include what: the direction of the layers, and no cycles among headers.

Includes are written from the root, so an include names its layer.
"""
import re

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

# Folder: the folders that its files may include beside their own.
MAY = {
    'spec': (),
    'core': ('spec',),
    'loader': ('core', 'spec'),
    'governor': ('core', 'spec'),
    'vm': ('governor', 'core', 'spec'),
    'shim': ('vm', 'governor', 'core', 'spec'),
    'host': ('shim', 'vm', 'governor', 'core', 'spec'),
    'api': ('host', 'shim', 'vm', 'governor', 'loader', 'core', 'spec', 'include'),
    'include': (),
    # The command proves that the public interface suffices; the rows give it its options.
    'cli': ('include', 'spec'),
    'bench': ('include',),
}
# The developers' commands look inside: check, dump, wast, build, print
# and conform.
INSPECTORS = {path: ('loader', 'vm', 'api', 'core', 'governor')
              for path in ('cli/inspect.c', 'cli/wast.h', 'cli/wast_world.c',
                           'cli/wast_value.c', 'cli/build.c', 'cli/print.c', 'cli/conform.h',
                           'cli/conform.c', 'cli/conform_case.c', 'cli/conform_print.c')}
# Compiled for the inside of a VM, where there are no layers.
GUESTS = ('bench/kernels/', 'examples/', 'stdlib/')
# A library's homes: folders, or beginnings of paths. The loop of `cordon up` is the command's.
LIBRARIES = {'uv.h': ('cli/up',), 'ffi.h': ('api',), 'jansson.h': ('cli',),
             'yaml.h': ('cli/up_yaml',), 'curses.h': ('cli/top',), 'seccomp.h': ('spec',),
             **{f'openssl/{name}.h': ('shim/volume',)
                for name in ('crypto', 'err', 'evp', 'kdf', 'params', 'rand')}}
# Made at build time, in spec/ of the build directory.
MADE = {'insn_rows.h': ('core',), 'handlers_made.h': ('vm',),
        'jail_filters.h': ('host',)}


def includes(tree, path):
    """Line number, whether in quotes, and what is included."""
    for number, line in tree.lines(path):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1) == '"', match.group(2)


def layer_of(path, name):
    """The layer that an include names, or None for a file of the same folder."""
    if name in ('cordon.h', 'wasm.h') and not path.startswith('loader/'):
        return 'include'
    return name.split('/')[0] if '/' in name else None


def check(tree):
    for path in tree.ending('.c', '.h'):
        folder = path.split('/')[0]
        if path.startswith(GUESTS):
            continue
        for number, quoted, name in includes(tree, path):
            for library, homes in LIBRARIES.items():
                at_home = folder in homes or path.startswith(tuple(h for h in homes if '/' in h))
                if name == library and folder in MAY and not at_home:
                    yield f'{path}:{number}: <{name}> belongs to {" and ".join(homes)} alone'
            if not quoted or folder not in MAY:
                continue
            if name in MADE:
                if folder not in MADE[name]:
                    yield f'{path}:{number}: {name} belongs to {MADE[name][0]} alone'
                continue
            layer = layer_of(path, name)
            allowed = (folder,) + MAY[folder] + INSPECTORS.get(path, ())
            if layer is None:
                yield f'{path}:{number}: "{name}" is not written from the root'
            elif layer not in allowed:
                yield f'{path}:{number}: {folder} must not see {layer}: "{name}"'
    yield from cycles(tree)


def cycles(tree):
    headers = set(tree.ending('.h'))
    graph = {path: [name for _, quoted, name in includes(tree, path)
                    if quoted and name in headers] for path in headers}
    done = set()
    for start in sorted(headers):
        # Depth first with a path of its own; a header met again on the path closes a cycle.
        stack = [(start, iter(graph[start]))]
        path = [start]
        while stack:
            _, rest = stack[-1]
            name = next(rest, None)
            if name is None:
                done.add(path.pop())
                stack.pop()
            elif name in path:
                yield f'{name}:1: includes itself: {" -> ".join(path[path.index(name):] + [name])}'
                return
            elif name not in done:
                path.append(name)
                stack.append((name, iter(graph[name])))


BAD = {
    'loader/sees.c': '#include "vm/thread.h"\n',
    'core/sees.c': '#include <uv.h>\n#include "sees.h"\n',
    'cli/run.c': '#include "host/vm.h"\n#include <uv.h>\n',
    'cli/up_vm.c': '#include <uv.h>\n#include <yaml.h>\n',
    'vm/a.h': '#include "vm/b.h"\n',
    'vm/b.h': '#include "vm/a.h"\n',
}
BAD_COUNT = 7
