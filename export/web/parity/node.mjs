/** The adapter of tests/parity for onnxruntime-node; see `lines.mjs`. */

import { adapter } from "./adapter.mjs";

process.env["ORT_DISABLE_TELEMETRY"] = "1"; // before onnxruntime is loaded
const ort = await import("onnxruntime-node");

await adapter(ort, { runtime: "onnxruntime-node", version: String(ort.env.versions.node) });
