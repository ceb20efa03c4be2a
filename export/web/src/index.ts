/** A device learns from a few samples: adapt and predict with a bundle of edgemeta. */

export type { ReadFile, Source } from "./bundle.js";
export { type ClassifierOptions, FewShotClassifier } from "./classifier.js";
export { EdgemetaError, type ErrorKind } from "./errors.js";
export type { Sha256 } from "./hash.js";
export type { Numbers, Samples } from "./inputs.js";
export { Learner } from "./learner.js";
export type { Manifest, StateTensor, TensorSpec } from "./manifest.js";
export type { Difference } from "./recorded.js";
export { type AdaptOptions, type LoadOptions, Runner } from "./runner.js";
export type { Ort } from "./runtime.js";
export { readTensors, type Tensors, writeTensors } from "./safetensors.js";
export { Spectrum, type SpectrumRecord } from "./spectrum.js";
export type { Beside, Label } from "./state.js";
export type { Dtype, Tensor, TypedArray } from "./tensor.js";
export { type Replay, replay, verify } from "./verify.js";
export { readWav, type Recording, resample } from "./wav.js";
