/** From a bundle's files to graphs: read once, checked, and used as they were checked. */

import { reader } from "#files";
import { EdgemetaError } from "./errors.js";
import { prepare, type PreparedGraph } from "./graph.js";
import { hex, platformSha256, type Sha256 } from "./hash.js";
import {
  ADAPT,
  INIT,
  MANIFEST,
  type Manifest,
  parseManifest,
  type Payload,
  PAYLOAD,
  PREDICT,
  predictionName,
} from "./manifest.js";
import { checkGraph } from "./onnx-check.js";
import { checkSignature } from "./signature.js";
import type { Tensor } from "./tensor.js";

/** Returns the content of a bundle's file, by its name. */
export type ReadFile = (name: string) => Promise<Uint8Array>;

/**
 * Where a bundle is: the URL of its directory, in Node also a path; or its files by name; or what
 * reads them.
 */
export type Source =
  | string
  | URL
  | { readonly files: Readonly<Record<string, Uint8Array>> }
  | { readonly readFile: ReadFile };

/** A bundle in memory, checked. */
export interface Bundle {
  readonly manifest: Manifest;
  /** sha256 of `manifest.json`, which state files are bound to. */
  readonly fingerprint: string;
  readonly adapt: PreparedGraph;
  readonly predict: PreparedGraph;
  /** Reads and checks that graph again, for whoever wants to change it. */
  readonly predictAgain: () => Promise<PreparedGraph>;
  /** Every tensor of the state before any adaptation. */
  readonly init: ReadonlyMap<string, Tensor>;
  /** Reads another of its files, and checks size and hash. */
  readonly read: (name: Payload) => Promise<Uint8Array>;
}

/**
 * Read and check what a runner needs of a bundle: all but `selftest.safetensors`.
 *
 * @param key PEM text of a public key, that must have signed it; undefined asks for no signature.
 * @throws EdgemetaError of kind "bundle": it is missing, damaged, of an unknown version, or not signed
 *   by `key`; of kind "input": the key cannot be used.
 */
export async function loadBundle(
  source: Source,
  sha256: Sha256 = platformSha256,
  key?: string,
): Promise<Bundle> {
  const readFile = bytesReader(fileReader(source));
  const content = await readFile(MANIFEST);
  if (key !== undefined) await checkSignature(nameOf(source), content, readFile, key);
  const manifest = parseManifest(content);
  const read = async (name: Payload) => {
    return checkedFile(name, await readFile(name), manifest, sha256);
  };
  const [adaptFile, predictFile, init] = await Promise.all([read(ADAPT), read(PREDICT), read(INIT)]);
  const fixedHead = manifest.ways !== null && !manifest.anyWays;
  const names = manifest.state.map(({ name }) => name);
  const state = [...names, ...(fixedHead ? ["ways"] : [])];
  const adapt = open(ADAPT, adaptFile, init, manifest, {
    inputs: [
      ...["support_x", "support_y", "steps", "lr_scale", ...state],
      ...(manifest.anyWays ? ["ways"] : []),
    ],
    outputs: [...names.map((name) => `${name}.next`), "losses"],
  });
  const predictOf = (content: Uint8Array, values: Uint8Array) => {
    const wanted = { inputs: ["query_x", ...state], outputs: [predictionName(manifest)] };
    return open(PREDICT, content, values, manifest, wanted);
  };
  return {
    ...{ manifest, adapt, read, predict: predictOf(predictFile, init) },
    predictAgain: async () => predictOf(await read(PREDICT), await read(INIT)),
    init: initOf(manifest, adapt),
    fingerprint: await hex(sha256, content),
  };
}

/** Check that what is read is bytes: other libraries have other ideas of them. */
function bytesReader(readFile: ReadFile): ReadFile {
  return async (name) => {
    const content: unknown = await readFile(name);
    const kind = Object.prototype.toString.call(content);
    if (kind === "[object Uint8Array]") return content as Uint8Array; // a Buffer is one, too
    throw new EdgemetaError("input", `${name} is not given as bytes`, {
      got: kind.slice("[object ".length, -1),
      expected: "a Uint8Array",
    });
  };
}

function fileReader(source: Source): ReadFile {
  if (typeof source === "object" && "files" in source) {
    return async (name) => {
      const content = source.files[name];
      if (content !== undefined) return content;
      throw new EdgemetaError("bundle", "the files are not a bundle", {
        got: Object.keys(source.files).join(", ") || "none",
        expected: [MANIFEST, ...PAYLOAD].join(", "),
      });
    };
  }
  const where = nameOf(source);
  const given = typeof source === "object" && "readFile" in source;
  const read = given ? source.readFile : reader(source);
  return async (name) => {
    try {
      return await read(name);
    } catch (error) {
      throw new EdgemetaError("bundle", `${where} is not a bundle`, {
        got: error,
        expected: `a readable ${name}`,
        hint: "make one with `edgemeta export RUN --out BUNDLE`",
      });
    }
  };
}

/** Return how errors call a bundle. */
function nameOf(source: Source): string {
  if (typeof source === "object" && "files" in source) return "the bundle";
  return typeof source === "object" && "readFile" in source ? "what was read" : `${source}`;
}

async function checkedFile(
  name: Payload,
  content: Uint8Array,
  manifest: Manifest,
  sha256: Sha256,
): Promise<Uint8Array> {
  const record = manifest.files[name];
  const hint = "copy the bundle again";
  if (content.length !== record.size) {
    throw new EdgemetaError("bundle", `${name} is damaged`, {
      got: `${content.length} bytes`,
      expected: `${record.size} bytes`,
      hint,
    });
  }
  const found = await hex(sha256, content);
  if (found !== record.sha256) {
    throw new EdgemetaError("bundle", `${name} is damaged`, {
      got: `sha256 ${found.slice(0, 12)}...`,
      expected: `${record.sha256.slice(0, 12)}...`,
      hint,
    });
  }
  return content;
}

interface Names {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

function open(
  name: typeof ADAPT | typeof PREDICT,
  content: Uint8Array,
  init: Uint8Array,
  manifest: Manifest,
  expected: Names,
): PreparedGraph {
  try {
    const graph = prepare(content, checkGraph(content, name, manifest, init), init);
    for (const sort of ["inputs", "outputs"] as const) {
      const [got, want] = [new Set(graph[sort]), new Set(expected[sort])];
      const odd = [...got, ...want].filter((each) => got.has(each) !== want.has(each));
      if (odd.length > 0) throw new Error(`${sort} missing or unknown: ${odd.join(", ")}`);
    }
    return graph;
  } catch (error) {
    throw new EdgemetaError("bundle", `${name} is no graph of a bundle`, {
      got: error,
      hint: "export the bundle again",
    });
  }
}

function initOf(manifest: Manifest, adapt: PreparedGraph): Map<string, Tensor> {
  return new Map(
    manifest.state.map(({ name }): [string, Tensor] => {
      const tensor = adapt.defaults.get(name);
      if (tensor !== undefined) return [name, tensor];
      throw new EdgemetaError("bundle", `state tensor ${name} is no input of ${ADAPT}`, {
        hint: "export the bundle again",
      });
    }),
  );
}
