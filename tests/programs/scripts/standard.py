# The standard library and the language, with output that is the same in every Python 3.
import base64, bisect, collections, contextlib, dataclasses, datetime, decimal, difflib, fractions
import functools, hashlib, heapq, io, itertools, json, math, operator, os, re, string, struct
import sys, textwrap, traceback, types


@dataclasses.dataclass(order=True)
class Point:
    x: int
    y: int = 0

    def __matmul__(self, other):
        return self.x * other.x + self.y * other.y


def numbers():
    print(2 ** 300 % (10 ** 9 + 7), math.factorial(60), math.isqrt(10 ** 40), pow(3, -1, 97))
    print(0.1 + 0.2, 1e16 + 1, repr(2 / 3), float("-0.0"), math.fsum([0.1] * 10), round(2.5))
    print(decimal.Decimal(2).sqrt(decimal.Context(prec=60)), fractions.Fraction(355, 113) / 7)
    print(sum(fractions.Fraction(1, n) for n in range(1, 40)), divmod(-7, 3), -7 // 2, hash(12345))


def texts():
    text = "The quick brown fox jumps over the lazy dog. " * 20
    print(collections.Counter(re.findall(r"\w+", text.lower())).most_common(4))
    print(re.sub(r"(?P<a>\w)(\w*)", lambda m: m["a"].upper() + m[2][::-1], text[:44]))
    print(textwrap.fill(text[:150], 40), f"{math.pi:>+12.4e}|{255:#010b}|{'x':*^9}|{12345678:,}")
    print("aé€😀".encode(), b"\xff".decode(errors="replace"), "ß".upper(), "ǅ".lower(),
          "x".join("abc"))
    print(json.loads('{"a": [1, 2.5, null, true, "\\u20ac"]}'))
    print(json.dumps({"k": [1, {"z": None}]}))
    print("\n".join(difflib.unified_diff("abc", "abd", lineterm="")),
          string.Template("$a").substitute(a=1))


def bytes_and_hashes():
    data = bytes(range(256)) * 100
    for name in ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b"):
        print(name, hashlib.new(name, data).hexdigest()[:40])
    print(base64.b85encode(data[:20]))
    print(struct.unpack("<hIqd", struct.pack("<hIqd", -2, 7, 1 << 40, 1.5)))
    print(int.from_bytes(data[1:9], "little"), memoryview(data)[5:50:7].tolist(),
          data.count(b"\x07\x08"))


def structures():
    heap = [(i * 7919) % 1009 for i in range(500)]
    heapq.heapify(heap)
    print([heapq.heappop(heap) for _ in range(10)], bisect.bisect([1, 3, 5, 7], 5))
    print(sorted([Point(2, 1), Point(1, 5), Point(1, 2)]), Point(1, 2) @ Point(3, 4))
    print(list(itertools.islice(itertools.permutations("abcd"), 5, 9)), collections.deque("abc", 2))
    print(functools.reduce(operator.xor, range(1000)),
          collections.ChainMap({"a": 1}, {"b": 2})["b"])
    squares = {n: n * n for n in range(3000)}
    print(sum(squares.values()), len({n % 97 for n in squares}), [*zip(*[(1, 2), (3, 4)])])


def control():
    def generate():
        try:
            got = yield 1
            print("got", got)
            yield from range(2)
        finally:
            print("finally")
    generator = generate()
    print(next(generator), generator.send("x"), list(generator))
    try:
        try:
            {}["missing"]
        except KeyError as error:
            raise ValueError("wrapped") from error
    except ValueError as error:
        print(type(error.__cause__).__name__, traceback.format_exception_only(error)[-1].strip())
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(ZeroDivisionError):
        print("hidden")
        1 / 0
    print(repr(out.getvalue()))
    match {"kind": "point", "at": (3, 4)}:
        case {"kind": "point", "at": (x, y)} if x < y:
            print("matched", x, y)
    def deep(n):
        return 0 if n == 0 else 1 + deep(n - 1)
    print(deep(500))
    try:
        deep(10 ** 6)
    except RecursionError:
        print("too deep")

    async def one(n):
        return n * 2

    coroutine = one(21)
    try:
        coroutine.send(None)
    except StopIteration as stop:
        print(stop.value)
    print(datetime.date(2026, 11, 23) + datetime.timedelta(days=100))
    print(datetime.datetime(2000, 2, 29).isoformat())


def files():
    with open("words.txt", "w", encoding="utf-8") as file:
        for n in range(2000):
            file.write(f"line {n} é\n")
    with open("words.txt", "rb+") as file:
        file.seek(-20, os.SEEK_END)
        print(file.read(), file.truncate(1000), file.tell() > 1000)
    os.makedirs("a/b", exist_ok=True)
    os.rename("words.txt", "a/b/moved.txt")
    print(os.path.getsize("a/b/moved.txt"), sorted(os.listdir("a")), os.path.exists("words.txt"))
    for root, folders, names in os.walk("a"):
        print(root, folders, names)
    with contextlib.suppress(FileNotFoundError):
        open("no/such/file")
    try:
        os.rmdir("a")
    except OSError as error:
        print(type(error).__name__, os.strerror(error.errno).lower())


for part in (numbers, texts, bytes_and_hashes, structures, control, files):
    print("--", part.__name__)
    part()
print(sys.argv[1:], sys.stdin.read())
sys.exit(5)
