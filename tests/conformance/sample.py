"""What the module of the cases has: sample.wat, read one thing per line."""
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
KIND_OF = {'funcref': 'func', 'externref': 'extern', 'anyref': 'any', 'exnref': 'exn'}
STORAGE = {'i8': 1, 'i16': 2, 'i32': 4, 'f32': 4, 'i64': 8, 'f64': 8, 'v128': 16}
TYPE = r'[a-z]+[0-9]*(?:ref)?'


def kind_of(type_):
    """What a slot with such a value holds: a number or a reference of one hierarchy."""
    return KIND_OF.get(type_, 'number')


def kinds_of(types):
    """The same of several values, slot by slot: a vector takes two."""
    return [kind for type_ in types for kind in [kind_of(type_)] * (1 + (type_ == 'v128'))]


class Type:
    def __init__(self, text):
        self.kind = text.split()[0].strip('()')
        self.params = self.listed(text, 'param')
        self.results = self.listed(text, 'result')
        self.fields = re.findall(r'\(mut (%s)\)' % TYPE, text)

    @staticmethod
    def listed(text, word):
        return ' '.join(re.findall(r'\(%s ([^)]*)\)' % word, text)).split()

    def header(self):
        """Slots of parameters, and where the header stands."""
        params, results = len(kinds_of(self.params)), len(kinds_of(self.results))
        return params, max(params, results)


class Sample:
    def __init__(self):
        with open(os.path.join(HERE, 'sample.wat'), encoding='utf-8') as file:
            text = re.sub(r';;[^\n]*', '', file.read())
        lines = re.findall(r'^  \((\w+) ?(.*)\)', text, re.M)

        def lines_of(word):
            return [rest for name, rest in lines if name == word]

        self.types = [Type(rest.lstrip('(')) for rest in lines_of('type')]
        self.imported = len(lines_of('import'))
        self.funcs = [int(re.search(r'\(type (\d+)', rest).group(1))
                      for rest in lines_of('import') + lines_of('func')]
        self.tables = [rest.split()[-1] for rest in lines_of('table')]
        self.memories = len(lines_of('memory'))
        self.tags = [int(re.search(r'\d+', rest).group()) for rest in lines_of('tag')]
        self.globals = [(re.search(TYPE, rest.replace('(mut ', '')).group(), '(mut' in rest)
                        for rest in lines_of('global')]
        self.elements = [re.search(r'\bfunc\b|%s' % '|'.join(KIND_OF), rest).group()
                         for rest in lines_of('elem')]
        self.elements = ['funcref' if one == 'func' else one for one in self.elements]
        self.datas = len(lines_of('data'))

    def type_of(self, func):
        return self.types[self.funcs[func]]

    def own(self):
        return range(self.imported, len(self.funcs))
