/** From a bundle's files to graphs: read once, checked, and used as they were checked. */

import { reader } from "#files";
import { EdgemetaError } from "./errors.js";
import { prepare, type PreparedGraph } from "./graph.js";
import {
  ADAPT,
  INIT,
  MANIFEST,
  type Manifest,
  MAX_MANIFEST_BYTES,
  parseManifest,
  type Payload,
  PAYLOAD,
  PREDICT,
  predictionName,
  SELFTEST,
} from "./manifest.js";
import { sha256 } from "./safetensors.js";
import type { Tensor } from "./tensor.js";

/** Where a bundle is: the URL of its directory, in Node also a path, or its files by name. */
export type Source = string | URL | { readonly files: Readonly<Record<string, Uint8Array>> };

/** A bundle in memory, checked. */
export interface Bundle {
  readonly manifest: Manifest;
  /** sha256 of `manifest.json`, which state files are bound to. */
  readonly fingerprint: string;
  readonly adapt: PreparedGraph;
  readonly predict: PreparedGraph;
  /** Every tensor of the state before any adaptation. */
  readonly init: ReadonlyMap<string, Tensor>;
  /** Content of `selftest.safetensors`. */
  readonly selftest: Uint8Array;
}

/**
 * Read and check a bundle.
 *
 * @throws EdgemetaError of kind "bundle": it is missing, damaged, or of an unknown version.
 */
export async function loadBundle(source: Source): Promise<Bundle> {
  const read = fileReader(source);
  const content = await read(MANIFEST);
  if (content.length > MAX_MANIFEST_BYTES) {
    throw new EdgemetaError("bundle", `${MANIFEST} is too large`, {
      got: `${content.length} bytes`,
      expected: `at most ${MAX_MANIFEST_BYTES}`,
    });
  }
  const manifest = parseManifest(content, MANIFEST);
  const files = new Map(
    await Promise.all(
      PAYLOAD.map(async (name): Promise<[Payload, Uint8Array]> => {
        return [name, await checkedFile(name, await read(name), manifest)];
      }),
    ),
  );
  const file = (name: Payload): Uint8Array => files.get(name) ?? new Uint8Array();
  const fixedHead = manifest.ways !== null && !manifest.anyWays;
  const names = manifest.state.map(({ name }) => name);
  const state = [...names, ...(fixedHead ? ["ways"] : [])];
  const init = file(INIT);
  const adapt = open(ADAPT, file(ADAPT), init, {
    ops: manifest.ops[ADAPT],
    inputs: [
      ...["support_x", "support_y", "steps", "lr_scale", ...state],
      ...(manifest.anyWays ? ["ways"] : []),
    ],
    outputs: [...names.map((name) => `${name}.next`), "losses"],
  });
  const predict = open(PREDICT, file(PREDICT), init, {
    ops: manifest.ops[PREDICT],
    inputs: ["query_x", ...state],
    outputs: [predictionName(manifest)],
  });
  return {
    ...{ manifest, adapt, predict, selftest: file(SELFTEST) },
    fingerprint: await sha256(content),
    init: initOf(manifest, adapt),
  };
}

function fileReader(source: Source): (name: string) => Promise<Uint8Array> {
  if (typeof source === "string" || source instanceof URL) {
    const read = reader(source);
    return async (name) => {
      try {
        return await read(name);
      } catch (error) {
        throw new EdgemetaError("bundle", `${source} is not a bundle`, {
          got: error,
          expected: `a readable ${name}`,
          hint: "make one with `edgemeta export RUN --out BUNDLE`",
        });
      }
    };
  }
  return async (name) => {
    const content = source.files[name];
    if (content === undefined) {
      throw new EdgemetaError("bundle", "the files are not a bundle", {
        got: Object.keys(source.files).join(", ") || "none",
        expected: [MANIFEST, ...PAYLOAD].join(", "),
      });
    }
    return content;
  };
}

async function checkedFile(name: Payload, content: Uint8Array, manifest: Manifest) {
  const record = manifest.files[name];
  const hint = "copy the bundle again";
  if (content.length !== record.size) {
    throw new EdgemetaError("bundle", `${name} is damaged`, {
      got: `${content.length} bytes`,
      expected: `${record.size} bytes`,
      hint,
    });
  }
  const found = await sha256(content);
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
  readonly ops: readonly string[];
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

function open(name: string, content: Uint8Array, init: Uint8Array, expected: Names): PreparedGraph {
  try {
    const graph = prepare(content, init);
    for (const sort of ["ops", "inputs", "outputs"] as const) {
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
    manifest.state.map(({ name, dtype, shape }): [string, Tensor] => {
      const tensor = adapt.defaults.get(name);
      if (tensor === undefined || tensor.dtype !== dtype || `${tensor.dims}` !== `${shape}`) {
        throw new EdgemetaError("bundle", `state tensor ${name} does not fit its manifest`);
      }
      return [name, tensor];
    }),
  );
}
