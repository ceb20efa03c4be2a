/** Written by export/contract.py from Python's contract (edgemeta/bundle): not to be edited. */

/** Of a bundle, and of a state file. */
export const FORMAT_VERSION = 1;
export const MAX_MANIFEST_BYTES = 524_288;
/** Of adapt.onnx, and of predict.onnx. */
export const MAX_GRAPH_BYTES = 67_108_864;
export const MAX_INIT_BYTES = 2_147_483_648;
export const MAX_SELFTEST_BYTES = 268_435_456;
/** Numbers of one sample, or of one target. */
export const MAX_SAMPLE_NUMBERS = 67_108_864;
export const MAX_STATE_TENSORS = 4_096;
/** Bytes of a state tensor's name. */
export const MAX_NAME = 500;
/** Of any tensor. */
export const MAX_AXES = 16;
/** Of one axis. */
export const MAX_SIZE = 2_147_483_647;
/** Classes of a shared head. */
export const MAX_WAYS = 65_536;
/** Of an adaptation. */
export const MAX_STEPS = 10_000;
export const MAX_LR_SCALE = 1_000.0;
/** Of JSON: objects and lists within each other. */
export const MAX_DEPTH = 32;
/** Of JSON. */
export const MAX_INTEGER = 9_007_199_254_740_991;
/** Bytes of a safetensors file's header. */
export const HEADER_ROOM = 1_048_576;
/** Bytes of the labels in a state file. */
export const LABELS_ROOM = 262_144;
/** Of the number of classes in a state file. */
export const MOST_WAYS_DIGITS = 9;
/** Samples beside a state. */
export const MOST_KEPT = 65_536;
/** Of an ONNX file, in all. */
export const MAX_FIELDS = 300_000;
/** Graphs within graphs. */
export const MAX_GRAPHS = 8;
/** Of an offset into init.bin. */
export const MAX_DIGITS = 11;
/** Values of a large result in a selftest. */
export const BLOCK = 512;
/** Share by which a root mean square may be rounded. */
export const RMS_SLACK = 1e-05;
/** Share by which the support loss may end above its start. */
export const RISE = 0.5;
/** What it may rise by besides: nats, or a share of the mean square. */
export const SLACK = 0.01;
/** In which support samples are held out. */
export const MOST_FOLDS = 5;
/** Temperature. */
export const COLDEST = 0.01;
/** Temperature. */
export const HOTTEST = 100.0;
/** Of the search for a temperature. */
export const ROUNDS = 30;

/** Names that a state tensor cannot have. */
export const RESERVED: ReadonlySet<string> = new Set(["logits", "losses", "lr_scale", "output", "query_x", "steps", "support_x", "support_y", "ways"]);

/** How often a field of a protobuf message may come; one that is skipped is of no interest. */
export type Rule = "once" | "many" | "skipped";

/** What a message may hold, by tag (number * 8 + wire type); all else is refused. */
export type Rules = ReadonlyMap<number, Rule>;

/** ModelProto */
export const MODEL_FIELDS: Rules = new Map([
  [8, "once"],
  [18, "once"],
  [26, "once"],
  [34, "once"],
  [40, "once"],
  [50, "once"],
  [58, "once"],
  [66, "many"],
  [114, "skipped"],
]);

/** OperatorSetIdProto */
export const OPSET_FIELDS: Rules = new Map([
  [10, "once"],
  [16, "once"],
]);

/** GraphProto */
export const GRAPH_FIELDS: Rules = new Map([
  [10, "many"],
  [18, "once"],
  [42, "many"],
  [82, "once"],
  [90, "skipped"],
  [98, "skipped"],
  [106, "skipped"],
  [130, "skipped"],
]);

/** NodeProto */
export const NODE_FIELDS: Rules = new Map([
  [10, "skipped"],
  [18, "skipped"],
  [26, "once"],
  [34, "once"],
  [42, "many"],
  [50, "once"],
  [58, "once"],
  [74, "skipped"],
]);

/** AttributeProto */
export const ATTRIBUTE_FIELDS: Rules = new Map([
  [10, "once"],
  [21, "once"],
  [24, "once"],
  [34, "once"],
  [42, "once"],
  [50, "once"],
  [58, "many"],
  [61, "many"],
  [64, "many"],
  [66, "many"],
  [74, "many"],
  [82, "many"],
  [90, "many"],
  [106, "once"],
  [160, "once"],
]);

/** TensorProto */
export const TENSOR_FIELDS: Rules = new Map([
  [8, "many"],
  [10, "many"],
  [16, "once"],
  [34, "many"],
  [37, "many"],
  [40, "many"],
  [42, "many"],
  [56, "many"],
  [58, "many"],
  [66, "once"],
  [74, "once"],
  [81, "many"],
  [82, "many"],
  [88, "many"],
  [90, "many"],
  [98, "once"],
  [106, "many"],
  [112, "once"],
  [130, "skipped"],
]);

/** StringStringEntryProto */
export const ENTRY_FIELDS: Rules = new Map([
  [10, "once"],
  [18, "once"],
]);
