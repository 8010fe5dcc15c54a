"""The programs' runs: what is called with what, in a folder of its own that is the guest's
whole file system. The same runs prove suspension (tests/suspend)."""
import dataclasses
import pathlib
import typing

import fetch
import recipes

SCRIPTS = pathlib.Path(__file__).resolve().parent / "scripts"


@dataclasses.dataclass
class Case:
    name: str
    build: typing.Callable            # gives (guest, native)
    arguments: typing.List[str]
    files: typing.Callable = dict     # gives {name in the folder: source}
    stdin: typing.Optional[typing.Callable] = None  # gives the path of a file
    expected: typing.Optional[bytes] = None         # known stdout, beside the native one
    options: typing.Sequence[str] = ()              # of cordon
    quick: bool = False               # to fetch, build and run
    differs: bytes = b"^$"            # what of stdout depends on the machine


def script(name):
    return lambda: {name: SCRIPTS / name}


def quickjs_file(folder, name):
    def files():
        recipes.quickjs()
        tree = fetch.debian_source("quickjs", [fetch.machine_release(), "trixie"])
        return {name: tree / folder / name}
    return files


def npm_file(package, version, path, name):
    return lambda: {name: fetch.npm_package(package, version) / path}


def big_text():
    return recipes.amalgamation() / "sqlite3.c"


PI_50 = b"3.14159265358979323846264338327950288419716939937510\n"
REACT = npm_file("react-dom", "18.3.1", "umd/react-dom.development.js", "react-dom.js")
LODASH = npm_file("lodash", "4.17.21", "lodash.js", "lodash.js")
ENV = ("--env", "PWD=/")

CASES = [
    Case("lua algorithms", recipes.lua, ["algorithms.lua"], script("algorithms.lua"),
         quick=True),
    Case("lua text", recipes.lua, ["text.lua", "one", "two words"], script("text.lua")),
    Case("lua files", recipes.lua, ["files.lua"], script("files.lua"),
         lambda: SCRIPTS / "input.txt", quick=True),
    Case("lua errors", recipes.lua, ["errors.lua"], script("errors.lua"), quick=True),
    Case("lua exit code", recipes.lua, ["-e", "print(1) io.stdout:flush() os.exit(7)"],
         expected=b"1\n"),
    Case("quickjs engine", recipes.quickjs, ["engine.js", "a", "b c"], script("engine.js")),
    Case("quickjs pi", recipes.quickjs, ["pi_bigint.js", "50"],
         quickjs_file("examples", "pi_bigint.js"), expected=PI_50),
    *[Case(f"quickjs {name}", recipes.quickjs, [f"{name}.js"],
           quickjs_file("tests", f"{name}.js"), expected=b"")
      for name in ("test_language", "test_builtin", "test_closure", "test_loop", "test_bigint")],
    Case("sqlite in memory", recipes.sqlite, ["-batch", ":memory:"],
         stdin=lambda: SCRIPTS / "queries.sql"),
    Case("sqlite in a file", recipes.sqlite, ["-batch", "data.db"],
         stdin=lambda: SCRIPTS / "queries.sql"),
    Case("zlib's own test", recipes.zlib_example, [], differs=rb"compile flags = \w+",
         quick=True),
    Case("zlib compresses", recipes.minigzip, ["-9"], stdin=big_text),
    Case("zlib compresses files", recipes.minigzip, ["-1", "a.sql", "b.lua"],
         lambda: {"a.sql": SCRIPTS / "queries.sql", "b.lua": SCRIPTS / "text.lua"}),
    Case("python", recipes.python, ["standard.py", "an", "argument"], script("standard.py"),
         lambda: SCRIPTS / "input.txt", options=("--env", "PYTHONHASHSEED=0")),
    Case("esbuild minifies a script", recipes.esbuild, ["--minify", "engine.js"],
         script("engine.js"), options=ENV, quick=True),
    Case("esbuild minifies lodash", recipes.esbuild, ["--minify", "lodash.js"], LODASH,
         options=ENV),
    Case("esbuild minifies react-dom", recipes.esbuild,
         ["--minify", "--sourcemap", "--target=es2017", "react-dom.js", "--outfile=out.js",
          "--log-level=warning"], REACT, options=ENV),
    Case("esbuild bundles", recipes.esbuild,
         ["--bundle", "--format=esm", "--minify", "lodash.js", "--outdir=dist",
          "--log-level=warning"], LODASH, options=ENV),
    Case("esbuild translated at once", recipes.esbuild, ["--minify", "lodash.js"], LODASH,
         options=(*ENV, "--eager")),
]
