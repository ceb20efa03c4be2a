/** onnxruntime-node in the clothes of packages that are not here, or need a browser. */

import { ort } from "./bundle.mjs";

/** @typedef {import("../dist/lib/index.js").Ort} Ort */
/** @typedef {Record<string, any>} Tensors */

/**
 * Return an onnxruntime whose sessions run as `run` does.
 *
 * @param {(run: (feeds: Tensors) => Promise<Tensors>, feeds: Tensors) => Promise<Tensors>} run
 * @param {object} wasm what `env.wasm` says.
 * @param {object[]} options gets those of every session.
 * @returns {Ort}
 */
function wrapped(run, wasm = {}, options = []) {
  const InferenceSession = {
    /** @param {Uint8Array} content @param {Record<string, unknown>} given */
    async create(content, given) {
      const { executionProviders, preferredOutputLocation, ...rest } = given;
      options.push(given);
      const session = await ort.InferenceSession.create(content, rest);
      const plain = async (/** @type {Tensors} */ feeds) => ({ ...(await session.run(feeds)) });
      return { run: (/** @type {Tensors} */ feeds) => run(plain, feeds), release: () => session.release() };
    },
  };
  return /** @type {any} */ ({ InferenceSession, Tensor: ort.Tensor, env: { wasm } });
}

/** Return one that sends arrays to a worker for good, as onnxruntime-web's proxy does. */
export function proxied() {
  return wrapped(
    async (run, feeds) => {
      /** @type {Tensors} */
      const sent = {};
      for (const [name, { type, data, dims }] of Object.entries(feeds)) {
        const bytes = data.byteOffset;
        const buffer = structuredClone(data.buffer, { transfer: [data.buffer] });
        sent[name] = new ort.Tensor(type, new data.constructor(buffer, bytes, data.length || undefined), dims);
      }
      return run(sent);
    },
    { proxy: true },
  );
}

/** Return one that leaves results on a graphics card, and what happens there. */
export function onCard() {
  const card = {
    /** What is on it. @type {Map<object, any>} */
    buffers: new Map(),
    uploads: 0,
    downloads: 0,
    /** The options of each session. @type {any[]} */
    options: [],
    /** An error that the next run ends with. @type {Error | null} */
    failure: null,
  };
  let made = 0;
  const using = wrapped(
    async (run, feeds) => {
      if (card.failure !== null) throw card.failure;
      /** @type {Tensors} */
      const given = {};
      for (const [name, tensor] of Object.entries(feeds)) {
        if (tensor.location === "cpu") card.uploads++;
        else if (!card.buffers.has(tensor.gpuBuffer)) throw new Error(`${name} was freed`);
        given[name] = tensor.location === "cpu" ? tensor : card.buffers.get(tensor.gpuBuffer);
      }
      const found = await run(given);
      for (const [name, tensor] of Object.entries(found)) {
        if (!Object.hasOwn(card.options[0].preferredOutputLocation ?? {}, name)) continue;
        /** @type {any} */
        const buffer = { size: made++, mapState: "unmapped" };
        card.buffers.set(buffer, tensor);
        found[name] = ort.Tensor.fromGpuBuffer(buffer, {
          dataType: tensor.type,
          dims: tensor.dims,
          download: async () => (card.downloads++, tensor.data),
          dispose: () => void card.buffers.delete(buffer),
        });
      }
      return found;
    },
    {},
    card.options,
  );
  return { ort: using, card };
}

/**
 * Return onnxruntime-react-native as version 1.24.3 is, with its native part over onnxruntime-node.
 *
 * That part takes a buffer, a begin and a size of a model, and of a tensor `cpuData`, whose buffer it
 * reads from the beginning, whatever part of it a view is.
 */
export async function reactNative() {
  const common = await import("onnxruntime-common"); // another one than onnxruntime-node's
  common.registerBackend("cpu", { init: async () => {}, createInferenceSessionHandler }, 1);
  return common;

  /** @param {string | Uint8Array} model @param {any} options @returns {Promise<any>} */
  async function createInferenceSessionHandler(model, options) {
    if (typeof model === "string") throw new Error("a path, where the package has bytes");
    const { buffer, byteOffset, byteLength } = model;
    const session = await ort.InferenceSession.create(new Uint8Array(buffer, byteOffset, byteLength), options);
    return {
      inputNames: session.inputNames,
      outputNames: session.outputNames,
      inputMetadata: session.inputMetadata,
      outputMetadata: session.outputMetadata,
      dispose: async () => session.release(),
      async run(/** @type {Tensors} */ feeds) {
        /** @type {Tensors} */
        const given = {};
        for (const [name, { type, cpuData, dims }] of Object.entries(feeds)) {
          given[name] = new ort.Tensor(type, new cpuData.constructor(cpuData.buffer, 0, cpuData.length), dims);
        }
        /** @type {Tensors} */
        const made = {};
        for (const [name, { type, data, dims }] of Object.entries(await session.run(given))) {
          made[name] = new common.Tensor(type, data, dims);
        }
        return made;
      },
    };
  }
}
