// The JavaScript package on onnxruntime-web's WebAssembly build, with one thread, in Node. Speaks the
// protocol of docs/parity.md.
//
// node wasm_peer.mjs FOLDER, where FOLDER is export/web, built
import { createRequire } from "node:module";

const folder = process.argv[2];
const { adapter } = await import(`${folder}/parity/adapter.mjs`);
const ort = createRequire(`${folder}/`)("onnxruntime-web");
ort.env.wasm.numThreads = 1;

await adapter(ort, { runtime: "onnxruntime-web", version: ort.env.versions.web });
