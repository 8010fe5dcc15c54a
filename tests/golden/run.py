#!/usr/bin/env python3
"""Golden tests of the command line.

  run.py PATH_TO_CORDON [FILE.txt...]

Each text file is a list of sections that begin with a line `--- what argument`:
  wat NAME, c NAME   a guest, compiled to NAME.wasm in the case's own folder
  file NAME          a file with that content; `hex NAME` gives its bytes in hexadecimal
  sh COMMAND         a shell command before the next run
  run ARGUMENTS      cordon ARGUMENTS, by the shell, in that folder; $CORDON is the command
  exit N             what it exits with (0 when not said)
  stdin, stdout, stderr   text; "..." in a line stands for anything, a line "...": any lines
  meta KEY=VALUE     a figure of meta.json (run with --meta meta.json); also KEY<=VALUE, KEY>=VALUE
What is not said is not checked, but stderr and stdout that are not mentioned must be empty.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def sections(path):
    found = []
    for line in open(path):
        if line.startswith('--- '):
            what, _, argument = line[4:].rstrip('\n').partition(' ')
            found.append([what, argument, ''])
        elif found:
            found[-1][2] += line
    return found


def pattern(text):
    """The expected text as a regular expression."""
    lines = []
    for line in text.splitlines():
        lines.append('(?:.*\n)*?' if line == '...' else
                     '.*'.join(re.escape(p) for p in line.split('...')) + '\n')
    return re.compile(''.join(lines) + r'\Z')


class Case:
    def __init__(self, cordon, path, folder):
        self.cordon, self.path, self.folder = cordon, path, folder
        self.passed, self.failures, self.skipped = 0, [], []
        self.pending = None

    def compile(self, what, name, text):
        source = os.path.join(self.folder, f'{name}.{what}')
        with open(source, 'w') as out:
            out.write(text)
        target = os.path.join(self.folder, name + '.wasm')
        command = ['wat2wasm', '--enable-tail-call', '--debug-names', source, '-o', target]
        if what == 'c':
            command = [os.path.join(ROOT, 'tools/guest-cc'), '-O1', '-o', target, source]
        try:
            made = subprocess.run(command, capture_output=True, text=True)
        except OSError as error:
            self.skipped.append(f'{os.path.basename(self.path)} {name}: {error}')
            return
        if made.returncode:
            self.failures.append(f'cannot compile {name}: {made.stderr}')

    def settle(self):
        """Runs the pending command and compares."""
        if self.pending is None:
            return
        want, self.pending = self.pending, None
        script = want['run']
        result = subprocess.run(['bash', '-c', f'{self.cordon} {script}'], cwd=self.folder,
                                input=want.get('stdin', ''), capture_output=True, text=True,
                                errors='replace', timeout=120,
                                env={**os.environ, 'CORDON': self.cordon})
        wrong = []
        if result.returncode != want.get('exit', 0):
            wrong.append(f'exit {result.returncode}, expected {want.get("exit", 0)}')
        for stream in ('stdout', 'stderr'):
            if not pattern(want.get(stream, '')).match(getattr(result, stream)):
                wrong.append(f'{stream}: {getattr(result, stream)!r}')
        wrong += self.check_meta(want.get('meta', []))
        if wrong:
            self.failures.append(f'cordon {script}: ' + '; '.join(wrong))
        else:
            self.passed += 1

    def check_meta(self, wanted):
        wrong = []
        if not wanted:
            return wrong
        try:
            meta = json.load(open(os.path.join(self.folder, 'meta.json')))
        except (OSError, ValueError) as error:
            return [f'meta.json: {error}']
        for condition in wanted:
            key, relation, value = re.match(r'([\w.]+)(<=|>=|=)(.*)', condition).groups()
            found = meta
            for part in key.split('.'):
                found = found.get(part) if isinstance(found, dict) else None
            expected = json.loads(value)
            holds = {'=': lambda: found == expected, '<=': lambda: found <= expected,
                     '>=': lambda: found >= expected}[relation]
            if (found is None and expected is not None) or not holds():
                wrong.append(f'meta {key} is {found!r}, expected {relation} {value}')
        return wrong

    def section(self, what, argument, text):
        if what in ('wat', 'c'):
            self.settle()
            self.compile(what, argument, text)
        elif what in ('file', 'hex'):
            self.settle()
            data = bytes.fromhex(text) if what == 'hex' else text.encode()
            with open(os.path.join(self.folder, argument), 'wb') as out:
                out.write(data)
        elif what == 'sh':
            self.settle()
            subprocess.run(['bash', '-c', argument], cwd=self.folder, check=True)
        elif what == 'run':
            self.settle()
            self.pending = {'run': argument}
        elif what == 'exit':
            self.pending['exit'] = int(argument)
        elif what == 'meta':
            self.pending.setdefault('meta', []).append(argument)
        else:
            self.pending[what] = text


def main():
    cordon = os.path.abspath(sys.argv[1])
    files = sys.argv[2:] or sorted(os.path.join(HERE, f) for f in os.listdir(HERE)
                                   if f.endswith('.txt'))
    if shutil.which('wat2wasm') is None:
        print('SKIPPED golden: wat2wasm (package wabt) is not installed')
        return 77
    passed = failed = skipped = 0
    for path in files:
        with tempfile.TemporaryDirectory() as folder:
            case = Case(cordon, path, folder)
            for section in sections(path):
                case.section(*section)
            case.settle()
        for failure in case.failures:
            print(f'{os.path.basename(path)}: {failure}')
        for what in case.skipped:
            print(f'SKIPPED golden {what}')
        passed += case.passed
        failed += len(case.failures)
        skipped += len(case.skipped)
    print(f'{passed} passed, {failed} failed, {skipped} skipped')
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
