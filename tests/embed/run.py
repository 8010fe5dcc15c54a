#!/usr/bin/env python3
"""The library as somebody else gets it: what it exports, installed, as a subproject, as packages.

Usage: run.py [BUILD]      a build directory with libcordon.so and libcordon.a: build
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PROGRAM = os.path.join(HERE, 'parent', 'parent.c')
passed = failed = 0


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def run(*command, **options):
    env = {**os.environ, **options.pop('env', {})}
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, env=env, timeout=600, check=False, **options)
    if done.returncode != 0:
        raise Failed(f'{" ".join(command)}: {done.returncode}\n{done.stdout}')
    return done.stdout


def expect(condition, message):
    if not condition:
        raise Failed(message)


def need(*tools):
    for tool in tools:
        if not shutil.which(tool):
            raise Skipped(f'no {tool}')


def declared():
    """The functions of the public headers: what follows a word that makes a name visible."""
    names = set()
    for path in glob.glob(os.path.join(ROOT, 'include', '*.h')):
        with open(path, encoding='utf-8') as file:
            text = re.sub(r'/\*.*?\*/', '', file.read(), flags=re.S)
        names |= set(re.findall(r'CORDON_API\b[^;(]*?\b(cordon_\w+)\(', text))
    return names


def exported(library):
    rows = run('nm', '-D', '--defined-only', library).splitlines()
    return {row.split()[-1].split('@')[0] for row in rows}


def symbols(build, _):
    found = exported(os.path.join(build, 'api', 'libcordon.so'))
    # The standard's own header says what its functions are by macros: their prefix has to do.
    ours = {name for name in found if not name.startswith('wasm_')}
    wanted = declared()
    expect(len(wanted) > 50, 'the header was not understood')
    expect(ours <= wanted, f'exported, but not in the header: {sorted(ours - wanted)}')
    expect(wanted <= ours, f'in the header, but not exported: {sorted(wanted - ours)}')


def needs_nothing_else(build, _):
    rows = run('objdump', '-p', os.path.join(build, 'api', 'libcordon.so'))
    soname = re.search(r'SONAME\s+(\S+)', rows).group(1)
    expect(re.fullmatch(r'libcordon\.so\.\d+', soname), soname)
    expect('TEXTREL' not in rows, 'code that has to be changed when it is loaded')
    needed = set(re.findall(r'NEEDED\s+(\S+)', rows))
    known = r'(libc|libm|libpthread|libffi|ld-linux[-\w]*|lib[alut]+san)\.so\.\d+'
    expect(all(re.fullmatch(known, name) for name in needed), sorted(needed))


# What would have the library meddle with the process that it is in: its output, its signals, its
# end, its settings, and functions that keep something for all callers.
MEDDLING = set('''exit _exit _Exit quick_exit abort atexit on_exit signal sigaction sigprocmask
    raise printf __printf_chk vprintf puts putchar fprintf __fprintf_chk vfprintf fputs fputc fwrite
    perror stdin stdout stderr setlocale setenv putenv unsetenv environ srand rand random strtok
    localtime gmtime asctime ctime chdir fchdir umask alarm setitimer fork vfork system popen
    longjmp __longjmp_chk sigaltstack dlopen'''.split())
WRITABLE = ('.data', '.bss', '.tdata', '.tbss', '*COM*')
# OpenSSL has one allocator for the whole process, and gives it no context: cordon.h says so of
# cordon_lock_ciphers, which a program calls or does not.
ASKED_FOR = {'vault'}
BAD = '''
#include <stdio.h>
#include <stdlib.h>
int count;
static __thread int mine;
void meddle(void);
void meddle(void) { printf("%d", count++ + mine++); exit(1); }
'''


def meddling(library):
    """Calls of such functions, and variables that can be written; the loader writes what is
    .data.rel.ro, once."""
    found = set()
    for row in run('nm', library).splitlines():
        name = row.split()[-1] if ' U ' in row else ''
        found |= {name} & MEDDLING
    for row in run('objdump', '-t', library).splitlines():
        match = re.match(r'[0-9a-f]+ .{7} (\S+)\s+[0-9a-f]+ (?:\.hidden )?(\S+)$', row)
        if match and match.group(1).startswith(WRITABLE) and \
                not match.group(1).startswith('.data.rel.ro') and \
                not match.group(2).startswith('.'):
            found.add(match.group(2))
    return found


def leaves_the_process_alone(build, folder):
    need('nm', 'objdump')
    source, bad = os.path.join(folder, 'bad.c'), os.path.join(folder, 'bad.o')
    with open(source, 'w', encoding='utf-8') as file:
        file.write(BAD)
    run('cc', '-fPIC', '-c', '-o', bad, source)
    expect(meddling(bad) == {'printf', 'exit', 'count', 'mine'}, f'blind: {meddling(bad)}')
    found = meddling(os.path.join(build, 'api', 'libcordon.a')) - ASKED_FOR
    expect(not found, f'the library meddles: {sorted(found)}')


def install(build, folder):
    """Into a folder of its own; returns the environment in which pkg-config finds it."""
    if not os.path.isdir(os.path.join(folder, 'dest')):
        run('meson', 'install', '-C', build, '--no-rebuild', '--destdir',
            os.path.join(folder, 'dest'))
        # Somewhere else than where it was made for: nothing in it knows its place.
        header = glob.glob(f'{folder}/dest/**/include/cordon.h', recursive=True)[0]
        os.rename(os.path.dirname(os.path.dirname(header)), os.path.join(folder, 'prefix'))
    config = glob.glob(f'{folder}/prefix/**/cordon.pc', recursive=True)[0]
    library = os.path.dirname(os.path.dirname(config))
    return {'PKG_CONFIG_PATH': os.path.dirname(config), 'LD_LIBRARY_PATH': library}


def flags(env, *options):
    return run('pkg-config', *options, 'cordon', env=env).split()


def say_42(program, env):
    said = run(program, env=env)
    expect(said == '42\n', f'{program} says {said!r}')


def installed_shared(build, folder):
    need('pkg-config')
    env, program = install(build, folder), os.path.join(folder, 'shared')
    run('cc', '-Wall', '-Wextra', '-Werror', '-o', program, PROGRAM,
        *flags(env, '--cflags', '--libs'))
    say_42(program, env)
    expect('libcordon.so' in run('objdump', '-p', program), 'it is not linked to the library')


def installed_from_cxx(build, folder):
    need('pkg-config', 'c++')
    env, program = install(build, folder), os.path.join(folder, 'cxx')
    run('c++', '-Wall', '-Wextra', '-Werror', '-x', 'c++', '-o', program, PROGRAM,
        *flags(env, '--cflags', '--libs'))
    say_42(program, env)


def installed_static(build, folder):
    need('pkg-config')
    env, program = install(build, folder), os.path.join(folder, 'static')
    libs = flags(env, '--static', '--libs')
    libs = ['-l:libcordon.a' if lib == '-lcordon' else lib for lib in libs]
    run('cc', '-o', program, PROGRAM, *flags(env, '--cflags'), *libs)
    say_42(program, {})
    expect('libcordon.so' not in run('objdump', '-p', program), 'it is linked to the other one')


def installed_command(build, folder):
    install(build, folder)
    said = run(os.path.join(folder, 'prefix', 'bin', 'cordon'), '--version')
    expect('0.' in said, said)


def subproject(_, folder):
    need('meson', 'clang-19')
    parent = os.path.join(folder, 'parent')
    shutil.copytree(os.path.join(HERE, 'parent'), parent)
    os.mkdir(os.path.join(parent, 'subprojects'))
    os.symlink(ROOT, os.path.join(parent, 'subprojects', 'cordon'))
    made = os.path.join(folder, 'made')
    run('meson', 'setup', made, parent, '-Dcordon:optimization=0', env={'CC': 'clang-19'})
    run('ninja', '-C', made, 'parent')
    say_42(os.path.join(made, 'parent'), {})


def packages(build, folder):
    need('dpkg-deb', 'dpkg', 'objdump', 'pkg-config')
    out, root = os.path.join(folder, 'packages'), os.path.join(folder, 'root')
    run(os.path.join(ROOT, 'tools', 'package'), out, env={'CORDON_BUILD': build})
    files = sorted(glob.glob(f'{out}/*.deb'))
    expect(len(files) == 3, files)
    for file in files:
        run('dpkg-deb', '-x', file, root)
    library = os.path.dirname(glob.glob(f'{root}/usr/lib/**/libcordon.so',
                                        recursive=True)[0])
    env = {'PKG_CONFIG_PATH': f'{library}/pkgconfig', 'LD_LIBRARY_PATH': library}
    program = os.path.join(folder, 'packaged')
    run('cc', '-o', program, PROGRAM, *flags(env, '--cflags', '--libs'))
    say_42(program, env)
    run(f'{root}/usr/bin/cordon', '--version')


def packages_install(build, folder):
    """With dpkg itself, into a root of its own, whose database knows of nothing else."""
    need('dpkg', 'dpkg-deb')
    if os.geteuid() != 0:
        raise Skipped('dpkg installs as root alone')
    files = sorted(glob.glob(f'{folder}/packages/*.deb'))
    expect(files, 'the packages were not made')
    root = os.path.join(folder, 'system')
    for name in ('updates', 'info', 'triggers'):
        os.makedirs(f'{root}/var/lib/dpkg/{name}')
    for name in ('status', 'available'):
        open(f'{root}/var/lib/dpkg/{name}', 'w', encoding='utf-8').close()
    dpkg = ('dpkg', f'--root={root}', '--log=/dev/null', '--no-triggers', '--force-depends')
    run(*dpkg, '--install', *files)
    said = run('dpkg-query', f'--admindir={root}/var/lib/dpkg', '-W', '-f',
               '${Package} ${db:Status-Status}\n')
    expect(said.count('installed') == 3, said)
    run(f'{root}/usr/bin/cordon', '--version')
    run(*dpkg, '--purge', 'cordon', 'libcordon-dev', 'libcordon0')
    expect(not glob.glob(f'{root}/usr/**/libcordon*', recursive=True), 'it leaves something')


CASES = (symbols, needs_nothing_else, leaves_the_process_alone, installed_shared,
         installed_from_cxx, installed_static, installed_command, subproject, packages,
         packages_install)


def main():
    global passed, failed
    build = os.path.join(ROOT, sys.argv[1] if len(sys.argv) > 1 else 'build')
    skipped = 0
    with tempfile.TemporaryDirectory(prefix='cordon-embed-') as folder:
        for case in CASES:
            try:
                case(build, folder)
                passed += 1
                print(f'ok {case.__name__}', flush=True)
            except Skipped as why:
                skipped += 1
                print(f'SKIPPED {case.__name__}: {why}', flush=True)
            except (Failed, subprocess.TimeoutExpired, OSError, IndexError) as why:
                failed += 1
                print(f'FAILED {case.__name__}: {why}', flush=True)
    print(f'{passed} passed, {failed} failed, {skipped} skipped')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
