"""What run.py runs, by a Python that has cffi."""
import gc
import math
import os
import re
import subprocess
import sys
import tempfile
import threading
import unittest

import cordon
from cordon import _library, amounts

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NUMBERS = b'''(module
  (import "env" "hypot" (func $hypot (param f64 f64) (result f64)))
  (import "env" "note" (func $note (param i32 i64 f32)))
  (import "env" "unsigned" (func $unsigned (param i32 i64) (result i64)))
  (memory (export "memory") 1 100)
  (func (export "hypot") (param f64 f64) (result f64)
    (call $hypot (local.get 0) (local.get 1)))
  (func (export "note") (call $note (i32.const -1) (i64.const -2) (f32.const 0.5)))
  (func (export "unsigned") (result i64) (call $unsigned (i32.const -1) (i64.const -1)))
  (func (export "two") (result i32 f64) (i32.const 7) (f64.const 0.25))
  (func (export "peek") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func $inner (export "trap") unreachable)
  (func (export "spin") (loop $l (br $l))))'''
HELLO = b'''(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\\10\\00\\00\\00\\06\\00\\00\\00")
  (data (i32.const 16) "hello\\n")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (call $exit (i32.const 3))))'''


class Numbers(unittest.TestCase):
    def setUp(self):
        self.host = cordon.Host()
        self.module = self.host.load(NUMBERS)
        self.noted = []
        self.functions = {'env.hypot': ('f64(f64, f64)', math.hypot),
                          'env.note': ('void(i32, i64, f32)',
                                       lambda *given: self.noted.append(given)),
                          'env.unsigned': ('u64(u32, u64)', lambda a, b: a + (b - a))}

    def vm(self, **quotas):
        vm = self.host.vm(self.module, self.functions, **quotas)
        self.addCleanup(vm.close)
        return vm

    def test_calls_of_python(self):
        vm = self.vm()
        self.assertEqual(vm.call('hypot', 3, 4), 5)
        self.assertIsNone(vm.call('note'))
        self.assertEqual(self.noted, [(-1, -2, 0.5)])
        self.assertEqual(vm.call('unsigned'), -1)
        self.assertEqual(vm.call('two'), (7, 0.25))

    def test_exceptions_trap(self):
        self.functions['env.hypot'] = ('f64(f64, f64)', lambda a, b: a / (b - b))
        with self.assertRaises(cordon.Trap) as caught:
            self.vm().call('hypot', 1, 1)
        self.assertIsInstance(caught.exception.__cause__, ZeroDivisionError)

    def test_results_that_do_not_fit(self):
        self.functions['env.hypot'] = ('f64(f64, f64)', lambda a, b: 'text')
        with self.assertRaises(cordon.Trap) as caught:
            self.vm().call('hypot', 1, 1)
        self.assertIsInstance(caught.exception.__cause__, TypeError)

    def test_memory(self):
        vm = self.vm()
        self.assertEqual(len(vm.memory), 65536)
        vm.memory[17:20] = b'abc'
        self.assertEqual(vm.call('peek', 18), ord('b'))

    def test_traps_tell_where(self):
        with self.assertRaises(cordon.Trap) as caught:
            self.vm().call('trap')
        self.assertEqual(str(caught.exception), 'unreachable')
        self.assertEqual(caught.exception.exit_code, 134)
        self.assertEqual(caught.exception.frames[0][0], 'inner')

    def test_what_is_no_function_or_does_not_fit(self):
        vm = self.vm()
        self.assertRaises(AttributeError, vm.call, 'nothing')
        self.assertRaises(cordon.Error, vm.call, 'peek')
        self.assertRaises(TypeError, vm.call, 'peek', 'text')
        self.assertRaises(OverflowError, vm.call, 'peek', 1 << 40)
        self.assertRaises(TypeError, self.vm, speed=3)
        self.assertRaises(ValueError, self.vm, memory='much')
        self.assertEqual(self.module.signature('two'), ([], ['i32', 'f64']))

    def test_imports_that_are_not_there(self):
        del self.functions['env.note']
        with self.assertRaises(cordon.Error) as caught:
            self.vm()
        self.assertEqual(caught.exception.kind, 'CORDON_LINK')

    def test_memory_quota(self):
        vm = self.vm(memory='1m')
        self.assertEqual(vm.call('grow', 90), -1)
        self.assertEqual(vm.call('grow', 1), 1)
        vm.limit(memory='8m')
        self.assertEqual(vm.call('grow', 90), 2)
        self.assertGreater(vm.stats()['memory'], 90 * 65536)

    def test_quotas_that_end(self):
        for name, value in (('fuel', 100_000), ('timeout', '50ms'), ('cpu_time', '20ms')):
            with self.assertRaises(cordon.QuotaExhausted) as caught:
                self.vm(**{name: value}).call('spin')
            self.assertEqual(caught.exception.quota, name)

    def test_kill_by_another_thread(self):
        vm = self.vm(timeout='60s')
        thread = threading.Timer(0.05, vm.kill, [15])
        thread.start()
        with self.assertRaises(cordon.Killed) as caught:
            vm.call('spin')
        thread.join()
        self.assertEqual(caught.exception.exit_code, 128 + 15)

    def test_everything_may_be_forgotten(self):
        vm = cordon.Host().load(NUMBERS)
        vm = vm.host.vm(vm, self.functions)
        gc.collect()
        self.assertEqual(vm.call('hypot', 3, 4), 5)


class Programs(unittest.TestCase):
    def test_program_with_standard_streams(self):
        host = cordon.Host()
        with tempfile.TemporaryFile() as out:
            with host.vm(host.load(HELLO), args=['hello'], stdio=(None, out.fileno(), None)) as vm:
                with self.assertRaises(cordon.Exit) as caught:
                    vm.run()
            self.assertEqual(caught.exception.exit_code, 3)
            out.seek(0)
            self.assertEqual(out.read(), b'hello\n')

    def test_modules_that_are_refused(self):
        host = cordon.Host()
        with self.assertRaises(cordon.Error) as caught:
            host.load(b'(module (func (i32.plus)))')
        self.assertEqual(caught.exception.kind, 'CORDON_BAD_MODULE')
        self.assertRaises(cordon.Error, host.load, b'\0asm')
        self.assertRaises(FileNotFoundError, host.load, '/nowhere.wasm')

    def test_the_five_lines(self):
        program = os.path.join(ROOT, 'examples', 'python', 'plugin.py')
        said = subprocess.run([sys.executable, program], stdout=subprocess.PIPE, text=True,
                              check=True).stdout
        self.assertEqual(said, '42\nquota exhausted: fuel\n')


class Parts(unittest.TestCase):
    def test_amounts(self):
        for quota, value, number in (
                ('memory', '64m', 64 << 20), ('memory', 4096, 4096), ('memory', '1.5k', 1536),
                ('cpus', 0.2, 200), ('cpus', '2', 2000), ('timeout', '1.5s', 1500 * 10**6),
                ('timeout', 2, 2 * 10**9), ('cpu_time', '500ms', 5 * 10**8),
                ('disk_rate', '10m/s', 10 << 20), ('fuel', 'unlimited', cordon.UNLIMITED),
                ('fuel', None, cordon.UNLIMITED)):
            self.assertEqual(amounts.amount(quota, value), number, (quota, value))
        for quota, value in (('memory', '64q'), ('memory', '-1'), ('timeout', '3 s'),
                             ('cpus', 'x')):
            self.assertRaises(ValueError, amounts.amount, quota, value)

    def test_every_quota_has_a_name(self):
        self.assertIn('memory', cordon.QUOTAS)
        for name in amounts.IN_CORES + amounts.IN_TIME:
            self.assertIn(name, cordon.QUOTAS)

    def test_structures_are_those_of_c(self):
        """Sizes, as a C compiler sees them: the declarations have lost nothing."""
        names = re.findall(r'^} (cordon_\w+);', _library.HEADER, re.M)
        self.assertGreater(len(names), 10)
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, 'sizes.c')
            with open(source, 'w', encoding='utf-8') as file:
                file.write('#include <cordon.h>\n#include <stdio.h>\nint main(void)\n{\n' + ''.join(
                    f'    printf("{name} %zu\\n", sizeof({name}));\n' for name in names) + '}\n')
            program = os.path.join(folder, 'sizes')
            header = os.path.dirname(os.environ['CORDON_HEADER'])
            subprocess.run(['clang-19', '-I', header, '-o', program, source], check=True)
            said = subprocess.run([program], stdout=subprocess.PIPE, text=True, check=True).stdout
        for line in said.splitlines():
            name, size = line.split()
            self.assertEqual(_library.ffi.sizeof(name), int(size), name)


if __name__ == '__main__':
    unittest.main()
