// The other side of the differential test: the same calls by another engine.
const fs = require('fs');

const sets = [
  [0, 0n, 0.0, 0.0],
  [-1, -9223372036854775808n, 1.5, -2.5],
  [123456789, 1234567890123456789n, Math.fround(-1e10), 1e300],
  [-2147483648, 4294967295n, Math.fround(0.1), 3.0],
];

// Of all memories, one behind the other.
function hashOf(exports) {
  let hash = 2166136261;
  for (let n = 0; exports[`memory${n}`] !== undefined; n++) {
    const bytes = new Uint8Array(exports[`memory${n}`].buffer);
    for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i], 16777619);
  }
  return (hash >>> 0).toString(16).padStart(8, '0');
}

function kindOf(error) {
  if (error instanceof WebAssembly.Exception) return 'exception';
  const text = String(error.message);
  if (/divide by zero|remainder by zero/.test(text)) return 'divide';
  if (/unrepresentable/.test(text)) return 'overflow';
  // Where an atomic is unaligned and out of bounds, engines look at the one or the other first.
  if (/memory access out of bounds|unaligned accesses/.test(text)) return 'bounds';
  if (/null pointer/.test(text)) return 'null';
  if (/illegal cast/.test(text)) return 'cast';
  if (/array.*bounds/.test(text)) return 'array';
  if (/table.*bounds/.test(text)) return 'table';
  return text;
}

// The type of a result is not visible from here: the module says it in a list of its own.
function show(value, type) {
  const view = new DataView(new ArrayBuffer(8));
  if (type === 'i32') return (value >>> 0).toString(16).padStart(8, '0');
  if (type === 'i64') return BigInt.asUintN(64, value).toString(16).padStart(16, '0');
  if (type === 'f32') {
    if (Number.isNaN(value)) return '7fc00000';
    view.setFloat32(0, value);
    return view.getUint32(0).toString(16).padStart(8, '0');
  }
  if (Number.isNaN(value)) return '7ff8000000000000';
  view.setFloat64(0, value);
  return view.getBigUint64(0).toString(16).padStart(16, '0');
}

const out = [];
for (const argument of process.argv.slice(2)) {
  const [path, types] = argument.split('=');
  out.push(`module ${path}`);
  const module = new WebAssembly.Module(fs.readFileSync(path));
  const exports = new WebAssembly.Instance(module).exports;
  types.split(',').forEach((type, i) => {
    sets.forEach((set, n) => {
      let result;
      try {
        result = show(exports[`f${i}`](...set), type);
      } catch (error) {
        result = kindOf(error);
      }
      out.push(`f${i} ${n} ${result} ${hashOf(exports)}`);
    });
  });
}
console.log(out.join('\n'));
