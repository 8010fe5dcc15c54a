// What a JavaScript engine does, with output: closures, generators, promises, regular
// expressions, big integers, typed arrays, JSON, dates, proxies, garbage.
"use strict";

function* primes() {
    const found = [];
    for (let n = 2; ; n++) {
        if (found.every(p => n % p !== 0)) {
            found.push(n);
            yield n;
        }
    }
}

class Shape {
    #name;
    constructor(name) { this.#name = name; }
    get name() { return this.#name; }
    area() { return 0; }
    toString() { return `${this.#name}: ${this.area().toFixed(3)}`; }
    static compare(a, b) { return a.area() - b.area(); }
}
class Circle extends Shape {
    constructor(r) { super("circle"); this.r = r; }
    area() { return Math.PI * this.r ** 2; }
}
class Box extends Shape {
    constructor(a, b) { super("box"); this.a = a; this.b = b; }
    area() { return this.a * this.b; }
}

const first = [];
for (const p of primes()) {
    if (first.push(p) === 120)
        break;
}
print(first.join(" "));
print([new Circle(2), new Box(3, 4), new Box(1, 2), new Circle(1)].sort(Shape.compare).join("; "));

const words = "the quick brown fox jumps over the lazy dog the end".split(" ");
const counts = words.reduce((map, word) => map.set(word, (map.get(word) ?? 0) + 1), new Map());
print(JSON.stringify([...counts].sort(), null, 1));
print("2026-11-23 and 1999-01-02".replace(/(?<y>\d{4})-(?<m>\d\d)-(?<d>\d\d)/g, "$<d>.$<m>.$<y>"));
print([..."aé€😀".normalize("NFD")].map(c => c.codePointAt(0).toString(16)).join(" "));
print(/^(?:a+)+b$/.test("a".repeat(18) + "b"), "x1y22z333".match(/\d+/g), /\p{Lu}/u.test("É"));

let factorial = 1n;
for (let i = 1n; i <= 100n; i++)
    factorial *= i;
print(factorial, factorial % 1000000007n, (-7n) / 2n, BigInt.asUintN(64, -1n));

const bytes = new Uint8Array(4096).map((_, i) => (i * 7919) & 255);
let crc = ~0;
for (const byte of bytes) {
    crc ^= byte;
    for (let k = 0; k < 8; k++)
        crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
}
print((~crc >>> 0).toString(16), new Float64Array([1 / 3, -0, 1e308]).join(), new DataView(bytes.buffer).getInt32(1, true));
print(0.1 + 0.2, 1e21, (123.456).toExponential(2), (255).toString(36), parseFloat("1e-7x"), Number("0b11"), 5e-324);
print(new Date(Date.UTC(2026, 10, 23, 12, 5)).toISOString(), Date.parse("1970-01-02T00:00:00Z"));

const seen = [];
const proxy = new Proxy({}, {get: (target, key) => { seen.push(String(key)); return 42; }});
print(proxy.a + proxy.b, seen.join());
try { null.x; } catch (e) { print(e instanceof TypeError, e.message); }
try { (function deep(n) { return n === 0 ? undefined.y : deep(n - 1); })(200); } catch (e) { print(e.name); }

function sort(list) {
    if (list.length < 2)
        return list;
    const [pivot, ...rest] = list;
    return [...sort(rest.filter(x => x < pivot)), pivot, ...sort(rest.filter(x => x >= pivot))];
}
let seed = 1;
const random = () => (seed = (seed * 48271) % 2147483647);
print(sort(Array.from({length: 800}, () => random() % 1000)).filter((_, i) => i % 40 === 0).join());

let nodes = null;
for (let i = 0; i < 20000; i++) {
    nodes = {next: i % 100 ? nodes : null, value: i, text: `node ${i}`};
    nodes.self = nodes;
}
std.gc();
print(nodes.text, nodes.next.text);

const order = [];
(async () => {
    order.push("start");
    await null;
    order.push("after await");
    for await (const x of (async function* () { yield 1; yield 2; })())
        order.push(x);
    print(order.join(", "));
})();
Promise.all([1, Promise.resolve(2), new Promise(done => os.setTimeout(() => done(3), 0))])
    .then(list => print("all", list.join()));
order.push("end of script");
print(scriptArgs.slice(1).join("|"));
