// Runs a TFLite file in LiteRT.js on some images, one at a time, and prints its outputs as JSON, a list an image.
// Arguments: the file, a file of the images' bytes, and their shape as "B,H,W,3".
import fs from "fs";
import { createRequire } from "module";
import path from "path";
import vm from "vm";

const [model, images, shape] = process.argv.slice(2);
const [count, ...sides] = shape.split(",").map(Number);
const require = createRequire(import.meta.url);
const entry = require.resolve("@litertjs/core");

// What a worker of a browser has and Node has not: the package's own script is loaded by it.
const wasm = path.join(path.dirname(entry), "../wasm");
Object.assign(globalThis, { self: globalThis, require, __dirname: wasm, __filename: path.join(wasm, "script.js") });
globalThis.importScripts = (file) => vm.runInThisContext(fs.readFileSync(file, "utf8"), { filename: file });

const litert = await import(entry);
// The one build that does without instructions that Node has to be asked for.
await litert.loadLiteRt(path.join(wasm, "litert_wasm_compat_internal.js"));
const compiled = await litert.loadAndCompile(new Uint8Array(fs.readFileSync(model)), { accelerator: "wasm" });
const bytes = new Uint8Array(fs.readFileSync(images));
const size = bytes.length / count;
const found = [];
for (let i = 0; i < count; i++) {
  const input = new litert.Tensor(bytes.slice(i * size, (i + 1) * size), [1, ...sides]);
  const outputs = Object.entries(await compiled.run({ images: input }));
  const values = outputs.map(async ([name, output]) => [name, Array.from(await output.data(), Number)]);
  found.push(Object.fromEntries(await Promise.all(values)));
}
console.log(JSON.stringify(found));
process.exit(0);
