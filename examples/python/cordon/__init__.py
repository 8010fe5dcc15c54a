"""Untrusted WebAssembly under quotas, from Python.

    import cordon
    host = cordon.Host()
    plugin = host.load('plugin.wasm')
    with host.vm(plugin, memory='16m', fuel=1_000_000) as vm:
        print(vm.call('add', 2, 40))

What ends a guest is an exception: Trap, Exit, QuotaExhausted, Killed. A VM is used by one thread at
a time; kill, pause, resume, limit and stats may be called by any.
"""
import os

from cordon._library import VERSION, ffi, lib
from cordon.amounts import UNLIMITED, amount

__all__ = ['Host', 'Module', 'VM', 'Error', 'Ended', 'Trap', 'Exit', 'QuotaExhausted', 'Killed',
           'UNLIMITED', 'VERSION']

QUOTAS = {ffi.string(lib.cordon_quota_name(number)).decode(): number
          for number in range(lib.CORDON_QUOTA_COUNT)}
TYPES = {'i32': lib.CORDON_I32, 'i64': lib.CORDON_I64, 'f32': lib.CORDON_F32,
         'f64': lib.CORDON_F64}
NAMES = {number: name for name, number in TYPES.items()}


class Error(Exception):
    """What Cordon refused: .kind is the name of the header's constant, .offset a place or None."""

    def __init__(self, error):
        super().__init__(ffi.string(error.message).decode(errors='replace'))
        self.kind = ffi.string(ffi.cast('cordon_kind_t', error.kind))
        self.offset = None if error.offset == UNLIMITED else error.offset


class Ended(Exception):
    """A guest ended otherwise than by returning. .exit_code is that of `cordon run`, .frames are
    pairs of a function's name or number and an offset in the module's file, innermost first."""

    def __init__(self, result):
        super().__init__(ffi.string(result.message).decode(errors='replace'))
        self.exit_code = result.exit_code
        self.signal = result.signal
        self.quota = next((name for name, number in QUOTAS.items() if number == result.quota),
                          None)
        self.frames = [(ffi.string(frame.function).decode(errors='replace') or frame.index,
                        frame.offset) for frame in result.frames[0:result.frame_count]]


class Trap(Ended):
    """The guest did what WebAssembly forbids."""


class Exit(Ended):
    """The guest exited with another code than 0."""


class QuotaExhausted(Ended):
    """The quota .quota ended the guest."""


class Killed(Ended):
    """VM.kill was called."""


ENDS = {lib.CORDON_END_TRAP: Trap, lib.CORDON_END_EXIT: Exit,
        lib.CORDON_END_QUOTA: QuotaExhausted, lib.CORDON_END_KILLED: Killed}


def checked(value, error):
    if not value:
        raise Error(error)
    return value


class Host:
    """What modules and VMs share. There may be any number."""

    def __init__(self):
        self._error = ffi.new('cordon_error_t *')
        self._handle = ffi.gc(checked(lib.cordon_host_new(self._error), self._error),
                              lib.cordon_host_free)

    def load(self, source):
        """A module from a path or from bytes, in the binary or the text format."""
        if not isinstance(source, bytes):
            with open(source, 'rb') as file:
                source = file.read()
        return Module(self, source)

    def vm(self, module, functions=None, args=None, env=(), dirs=(), stdio=(None, None, None),
           **quotas):
        """A VM under quotas, named as in the metrics: memory, cpu_time. `functions` is what the
        guest may call: {'env.log': ('void(i32)', callable)}. With `args`, the first of which is the
        program's name, it has WASI too, with `env` ('KEY=value'), `dirs` ((host, guest, read_only))
        and descriptors for its standard streams."""
        return VM(self, module, functions or {}, Grants(args, env, dirs, stdio, quotas))


class Module:
    """Loaded, checked and translated; any number of VMs can be made from it."""

    def __init__(self, host, source):
        self.host = host
        self._bytes = ffi.from_buffer(source)  # has to stay as long as the module
        self._handle = ffi.gc(
            checked(lib.cordon_module_load(host._handle, self._bytes, len(source), host._error),
                    host._error), lib.cordon_module_free)

    def signature(self, name):
        """Names of the types of a function's parameters and results; None when there is none."""
        counts, types = ffi.new('uint32_t[2]'), ffi.new('cordon_type_t[64]')
        if not lib.cordon_module_signature(self._handle, name.encode(), counts, counts + 1, types,
                                           64):
            return None
        names = [NAMES.get(kind, 'ref') for kind in types[0:min(64, counts[0] + counts[1])]]
        return names[:counts[0]], names[counts[0]:]


class Grants:
    """A config in the making."""

    def __init__(self, args, env, dirs, stdio, quotas):
        self.has_wasi = args is not None
        self._error = ffi.new('cordon_error_t *')
        self.handle = ffi.gc(checked(lib.cordon_config_new(self._error), self._error),
                             lib.cordon_config_free)
        for text in args or ():
            self._check(lib.cordon_config_arg(self.handle, text.encode(), self._error))
        for text in env:
            self._check(lib.cordon_config_env(self.handle, text.encode(), self._error))
        for path, guest, read_only in dirs:
            self._check(lib.cordon_config_dir(self.handle, os.fsencode(path), guest.encode(),
                                              read_only, self._error))
        for number, fd in enumerate(stdio):
            if fd is not None:
                self._check(lib.cordon_config_stdio(self.handle, number, fd, self._error))
        for name, value in quotas.items():
            self._limit(name, value)

    def _check(self, succeeded):
        checked(succeeded, self._error)

    def _limit(self, name, value):
        if name not in QUOTAS:
            raise TypeError(f'no quota {name}: there are {", ".join(QUOTAS)}')
        self._check(lib.cordon_config_limit(self.handle, QUOTAS[name], amount(name, value),
                                            self._error))


class HostFunction:
    """A callable that a guest can import. Its exceptions trap, and are the trap's cause."""

    def __init__(self, linker, name, signature, function, error):
        module, _, field = name.partition('.')
        result, _, inside = signature.partition('(')
        self.parameters = [word.strip() for word in inside.rstrip(') ').split(',') if word.strip()]
        self.result = result.strip()
        self.function = function
        self.failure = None
        self._raw = ffi.callback('bool(void *, cordon_vm_t *, uint64_t *)', self._call)
        checked(lib.cordon_bind_raw(linker, module.encode(), field.encode(), signature.encode(),
                                    self._raw, ffi.NULL, error), error)

    def _call(self, _, vm, slots):
        try:
            given = [ffi.cast(self._c_type(name) + ' *', slots + i)[0]
                     for i, name in enumerate(self.parameters)]
            result = self.function(*given)
            if self.result != 'void':
                slots[0] = 0
                ffi.cast(self._c_type(self.result) + ' *', slots)[0] = result
            return True
        except BaseException as failure:  # none of it may pass through C
            self.failure = failure
            return False

    @staticmethod
    def _c_type(name):
        return {'i32': 'int32_t', 'u32': 'uint32_t', 'i64': 'int64_t', 'u64': 'uint64_t',
                'f32': 'float', 'f64': 'double'}[name]


class VM:
    """One guest with its account."""

    def __init__(self, host, module, functions, grants):
        self._error = ffi.new('cordon_error_t *')
        self._result = ffi.new('cordon_result_t *')
        self.module = module
        self._linker = ffi.gc(checked(lib.cordon_linker_new(host._handle, self._error),
                                      self._error), lib.cordon_linker_free)
        if grants.has_wasi:
            lib.cordon_linker_allow_wasi(self._linker)
        self._functions = [HostFunction(self._linker, name, signature, function, self._error)
                           for name, (signature, function) in functions.items()]
        self._handle = checked(lib.cordon_vm_new(host._handle, module._handle, self._linker,
                                                 grants.handle, self._error), self._error)
        self._ctl = lib.cordon_vm_ctl(self._handle)

    def close(self):
        """Gives back everything that it holds."""
        handle, self._handle = self._handle, ffi.NULL
        lib.cordon_vm_free(handle)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        if getattr(self, '_handle', None):
            self.close()

    def _finish(self):
        if self._result.end == lib.CORDON_END_RETURN or self._result.exit_code == 0:
            return
        failure = next((function.failure for function in self._functions if function.failure),
                       None)
        raise ENDS.get(self._result.end, Ended)(self._result) from failure

    def call(self, name, *arguments):
        """Calls an exported function of numbers; the result, a tuple of several, or None."""
        signature = self.module.signature(name)
        if signature is None:
            raise AttributeError(f'the module exports no function {name}')
        given = ffi.new('cordon_value_t[]', len(arguments))
        for value, kind, argument in zip(given, signature[0], arguments):
            value.type = TYPES.get(kind, lib.CORDON_ANYREF)
            if kind in TYPES:
                setattr(value, kind, argument)
        results = ffi.new('cordon_value_t[]', len(signature[1]))
        checked(lib.cordon_vm_invoke(self._handle, name.encode(), given, len(arguments), results,
                                     len(results), self._result, self._error), self._error)
        self._finish()
        numbers = tuple(getattr(value, NAMES[value.type]) for value in results
                        if value.type in NAMES)
        return numbers[0] if len(numbers) == 1 else numbers or None

    def run(self):
        """Runs it as a program. Exit is raised for other codes than 0."""
        checked(lib.cordon_vm_run(self._handle, self._result, self._error), self._error)
        self._finish()

    @property
    def memory(self):
        """The guest's memory 0 as a buffer; to be asked for anew after every call."""
        size = ffi.new('uint64_t *')
        start = lib.cordon_vm_memory(self._handle, size)
        return ffi.buffer(start if start else ffi.new('char[1]'), size[0])

    def stats(self):
        """What it has used of each quota, as of its last slice."""
        stats = ffi.new('cordon_stats_t *')
        lib.cordon_ctl_stats(self._ctl, stats)
        return {name: stats.used[number] for name, number in QUOTAS.items()}

    def limit(self, **quotas):
        """Changes quotas while it runs."""
        for name, value in quotas.items():
            if not lib.cordon_ctl_limit(self._ctl, QUOTAS[name], amount(name, value)):
                raise ValueError(f'{name} cannot change to {value}')

    def kill(self, signal=9):
        lib.cordon_ctl_kill(self._ctl, signal)

    def pause(self):
        lib.cordon_ctl_pause(self._ctl)

    def resume(self):
        lib.cordon_ctl_resume(self._ctl)
