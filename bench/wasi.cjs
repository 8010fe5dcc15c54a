// Runs a WASI command with node: node wasi.cjs app.wasm args
const fs = require('fs');
const { WASI } = require('wasi');
const args = process.argv.slice(2);
const wasi = new WASI({ version: 'preview1', args, returnOnExit: true });
const compiled = new WebAssembly.Module(fs.readFileSync(args[0]));
process.exitCode = wasi.start(new WebAssembly.Instance(compiled,
  { wasi_snapshot_preview1: wasi.wasiImport }));
