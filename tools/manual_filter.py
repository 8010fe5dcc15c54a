#!/usr/bin/env python3
"""Turns a public header into what doxygen reads: called by it, with the file's path.

The headers are written to be read as they are, in plain comments: the first one is about all of the
file, rulers begin sections, a comment before a declaration is about that, and one behind it too.
Lines stay where they are, so that what doxygen says names the right ones. Of Markdown files links
to others of the project become plain text, since those are not part of the manual.
"""
import os
import re
import sys

COMMENT = re.compile(r'/\*.*?\*/', re.S)
RULER = re.compile(r'/\* -{10,} (.*?) \*/', re.S)
LINK = re.compile(r'\[([^\]]+)\]\((?!http)[^)]*\)')


def id_of(path, title):
    name = os.path.basename(path).split('.')[0]
    return name + '_' + re.sub(r'\W+', '_', title)


class Header:
    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.is_open = False
        self.seen = 0

    def section(self, title):
        end = '/** @} */ ' if self.is_open else ''
        self.is_open = True
        return f'{end}/** @defgroup {id_of(self.path, title)} {title} */ /** @{{ */'

    def comment(self, match):
        self.seen += 1
        text = match.group(0)
        if self.seen == 1:
            return '/** @file ' + os.path.basename(self.path) + ' @brief' + text[2:]
        ruler = RULER.fullmatch(text)
        if ruler:
            return self.section(ruler.group(1))
        before = self.text[self.text.rfind('\n', 0, match.start()) + 1:match.start()]
        return ('/**<' if before.strip() else '/**') + text[2:]

    def filtered(self):
        out = COMMENT.sub(self.comment, self.text)
        return out + '/** @} */\n' if self.is_open else out


def main():
    path = sys.argv[1]
    with open(path, encoding='utf-8') as file:
        text = file.read()
    if path.endswith('.md'):
        sys.stdout.write(LINK.sub(r'\1', text))
    else:
        sys.stdout.write(Header(path, text).filtered())


if __name__ == '__main__':
    main()
