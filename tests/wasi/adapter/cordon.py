"""How the runner of WebAssembly/wasi-testsuite starts Cordon: the adapter that it takes with
--runtime-adapter. $CORDON is the command, with options if need be; else `cordon` on PATH, else
the one that was built here. See doc/adapters.md in that suite."""
import os
import shlex
import shutil
import subprocess
from typing import Dict, List, Optional, Tuple

HERE = os.path.dirname(os.path.abspath(__file__))
BUILT = os.path.join(HERE, '..', '..', '..', 'build', 'cordon')


def command() -> List[str]:
    given = os.environ.get('CORDON')
    if given:
        return shlex.split(given)
    return [shutil.which('cordon') or os.path.normpath(BUILT)]


def get_name() -> str:
    return 'cordon'


def get_version() -> str:
    result = subprocess.run(command()[:1] + ['--version'], encoding='UTF-8', capture_output=True,
                            check=True)
    return result.stdout.split()[1]


def get_wasi_versions() -> List[str]:
    return ['wasm32-wasip1']


def get_wasi_worlds() -> List[str]:
    return ['wasi:cli/command']


def compute_argv(test_path: str,
                 args_env_root: Tuple[List[str], Dict[str, str], Optional[str]],
                 proposals: List[str],
                 wasi_world: str,
                 wasi_version: str) -> List[str]:
    args, env, root = args_env_root
    argv = command() + ['run']
    for key, value in env.items():
        argv += ['--env', f'{key}={value}']
    if root:
        argv += ['--dir', f'{root}::/']
    return argv + [str(test_path)] + list(args)
