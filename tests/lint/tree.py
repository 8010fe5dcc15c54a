"""The project's files as the lints see them."""
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIPPED_FOLDERS = ('build', '.git', '__pycache__')


class Tree:
    """Files below a root: path relative to it, text. Texts are read once."""

    def __init__(self, root, paths):
        self.root = root
        self.paths = sorted(paths)
        self.texts = {}

    def text(self, path):
        if path not in self.texts:
            with open(os.path.join(self.root, path), encoding='utf-8', errors='replace') as file:
                self.texts[path] = file.read()
        return self.texts[path]

    def lines(self, path):
        """Pairs of line number and line."""
        return enumerate(self.text(path).splitlines(), 1)

    def ending(self, *ends):
        return [path for path in self.paths if path.endswith(ends)]


def project():
    """The files that belong to the project: what git knows or would add, else all of them."""
    try:
        out = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard'], cwd=ROOT,
                             capture_output=True, text=True, check=True).stdout
        paths = [path for path in out.splitlines() if os.path.isfile(os.path.join(ROOT, path))]
    except (OSError, subprocess.CalledProcessError):
        paths = []
        for folder, folders, files in os.walk(ROOT):
            folders[:] = [name for name in folders if not name.startswith(SKIPPED_FOLDERS)]
            paths += [os.path.relpath(os.path.join(folder, name), ROOT) for name in files]
    return Tree(ROOT, paths)


def written(root, files):
    """A small tree of its own, for the lints' own tests."""
    for path, text in files.items():
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, 'w', encoding='utf-8') as file:
            file.write(text)
    return Tree(root, files)


def without_comments(text):
    """C with comments and the insides of literals blanked, lines kept."""
    out = []
    at = 0
    while at < len(text):
        two = text[at:at + 2]
        if two == '/*':
            end = text.find('*/', at + 2)
            end = len(text) if end < 0 else end + 2
        elif two == '//':
            end = text.find('\n', at)
            end = len(text) if end < 0 else end
        elif text[at] in '"\'':
            end = at + 1
            while end < len(text) and text[end] not in (text[at], '\n'):
                end += 2 if text[end] == '\\' else 1
            end = min(end + 1, len(text))
            out.append(text[at] + ' ' * (end - at - 2) + text[at] if end - at > 1 else text[at])
            at = end
            continue
        else:
            out.append(text[at])
            at += 1
            continue
        out.append(''.join('\n' if char == '\n' else ' ' for char in text[at:end]))
        at = end
    return ''.join(out)
