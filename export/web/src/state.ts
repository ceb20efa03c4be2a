/** State files: an adapted state as bytes, bound to its bundle; `edgemeta/bundle/state.py` reads the same. */

import * as contract from "./contract.js";
import { EdgemetaError } from "./errors.js";
import { platformSha256, type Sha256 } from "./hash.js";
import { hasControlBeyondLines, isWellFormed, parseJson, plain } from "./json.js";
import { EXTRA_PREFIX, type Manifest, mostWays, shapeAt } from "./manifest.js";
import { digest, type Metadata, readTensors, type Tensors, writeTensors } from "./safetensors.js";
import { bytesOf, isFinite } from "./tensor.js";
import { encode } from "./utf8.js";

const VERSION_KEY = "edgemeta.format_version";
const BUNDLE_KEY = "edgemeta.bundle";
const WAYS_KEY = "edgemeta.ways";
const LABELS_KEY = "edgemeta.labels";
const DIGEST_KEY = "edgemeta.sha256";
const NOTES_KEY = "edgemeta.estimator";

/** What a class may be called in a state file. */
export type Label = string | number;

/** What a state file may have beside a state. */
export interface Beside {
  /** Tensors, by names that begin with "edgemeta."; only the file's hash checks them. */
  readonly extra?: Tensors;
  /** Text; null without. */
  readonly notes?: string | null;
}

/** What a state file holds. */
export interface StateFile extends Required<Beside> {
  readonly tensors: Tensors;
  /** Classes of its task; null for regression. */
  readonly ways: number | null;
  /** What the first classes, or all of them, are called, by class index; null without names. */
  readonly labels: readonly Label[] | null;
}

/**
 * Return the content of a state file.
 *
 * @throws EdgemetaError of kind "input": the labels could not be read back.
 */
export async function writeState(
  { tensors, ways, labels, extra, notes }: StateFile,
  fingerprint: string,
  sha256: Sha256 = platformSha256,
): Promise<Uint8Array> {
  const metadata: Metadata = new Map([
    [BUNDLE_KEY, fingerprint],
    [VERSION_KEY, String(contract.FORMAT_VERSION)],
  ]);
  if (ways !== null) metadata.set(WAYS_KEY, String(ways));
  if (notes !== null) metadata.set(NOTES_KEY, notes);
  if (labels !== null) metadata.set(LABELS_KEY, labelsText(labels));
  const every = new Map([...tensors, ...extra]);
  metadata.set(DIGEST_KEY, await digest(every, metadata, sha256));
  return writeTensors(every, metadata);
}

/**
 * Return labels as a state file has them.
 *
 * @throws EdgemetaError of kind "input": they could not be read back.
 */
export function labelsText(labels: readonly unknown[]): string {
  try {
    checkLabels(labels);
    const text = JSON.stringify(labels);
    checkRoom(text);
    return text;
  } catch (error) {
    throw new EdgemetaError("input", "labels cannot be saved", {
      got: error,
      expected: "for each class another text, or finite number (whole ones below 2^53)",
    });
  }
}

/**
 * Read a state file and check that it is one of this bundle.
 *
 * @throws EdgemetaError of kind "bundle": damaged, of another bundle, or with other tensors.
 */
export async function readState(
  content: Uint8Array,
  manifest: Manifest,
  fingerprint: string,
  sha256: Sha256 = platformSha256,
): Promise<StateFile> {
  const most = mostBytes(manifest);
  if (content.length > most) {
    refuse("is too large for this bundle", `${content.length} bytes`, `at most ${most}`);
  }
  const { metadata, tensors: found } = parsed(content);
  checkMetadata(metadata, fingerprint);
  const ways = readWays(metadata, manifest);
  const isExtra = ([name]: [string, unknown]) => name.startsWith(EXTRA_PREFIX);
  const tensors = new Map([...found].filter((entry) => !isExtra(entry)));
  const expected = new Map(manifest.state.map((tensor) => [tensor.name, tensor]));
  const odd = [...tensors.keys(), ...expected.keys()].filter(
    (name) => tensors.has(name) !== expected.has(name),
  );
  if (odd.length > 0) refuse("has missing or unknown tensors", odd.join(", "));
  for (const [name, spec] of expected) {
    const tensor = tensors.get(name);
    const shape = shapeAt(spec, ways);
    if (tensor === undefined || tensor.dtype !== spec.dtype || `${tensor.dims}` !== `${shape}`) {
      refuse(
        `does not fit the bundle at ${name}`,
        `${tensor?.dtype} (${tensor?.dims})`,
        `${spec.dtype} (${shape})`,
      );
    }
    if (!isFinite(tensor)) refuse(`holds values that are not finite in ${name}`);
  }
  const said = metadata.get(DIGEST_KEY);
  metadata.delete(DIGEST_KEY);
  if (said !== (await digest(found, metadata, sha256))) refuse("is damaged", "other values than were saved");
  const extra = new Map([...found].filter(isExtra));
  const [labels, notes] = [readLabels(metadata.get(LABELS_KEY)), metadata.get(NOTES_KEY) ?? null];
  return { tensors, ways, labels, extra, notes };
}

/** Return how large a state file can be, with a support set kept beside the state. */
function mostBytes(manifest: Manifest): number {
  const kept = [manifest.input, manifest.target].map(({ shape, dtype }) => {
    return bytesOf([contract.MOST_KEPT, ...shape], dtype);
  });
  const state = manifest.state.map((tensor) => {
    return bytesOf(shapeAt(tensor, mostWays(manifest)), tensor.dtype);
  });
  return [...state, ...kept].reduce((a, b) => a + b, 2 * contract.HEADER_ROOM);
}

function parsed(content: Uint8Array): { metadata: Metadata; tensors: Tensors } {
  try {
    return readTensors(content);
  } catch (error) {
    return refuse("cannot be read", error);
  }
}

function checkMetadata(metadata: Metadata, fingerprint: string): void {
  if (metadata.get(VERSION_KEY) !== String(contract.FORMAT_VERSION)) {
    const expected = `format_version ${contract.FORMAT_VERSION}`;
    refuse("is no state file of this format", metadata.get(VERSION_KEY), expected);
  }
  const bundle = metadata.get(BUNDLE_KEY) ?? "";
  if (bundle !== fingerprint) {
    throw new EdgemetaError("bundle", "the state belongs to another bundle", {
      got: `bundle ${bundle.slice(0, 12)}`,
      expected: `bundle ${fingerprint.slice(0, 12)}`,
      hint: "adapt this bundle to the support set again",
    });
  }
}

function readWays(metadata: Metadata, manifest: Manifest): number | null {
  const most = mostWays(manifest);
  if (most === null) return null;
  const least = manifest.anyWays ? 1 : 2; // the init of a shared head has one row
  const text = metadata.get(WAYS_KEY) ?? "";
  const isNumber = /^[0-9]+$/.test(text) && text.length <= contract.MOST_WAYS_DIGITS;
  const ways = isNumber ? Number(text) : 0;
  if (ways < least || ways > most) {
    refuse("has an unusable number of ways", JSON.stringify(text), `${least}..${most}`);
  }
  return ways;
}

function readLabels(text: string | undefined): readonly Label[] | null {
  if (text === undefined) return null;
  try {
    checkRoom(text);
    const labels = plain(parseJson(text));
    if (!Array.isArray(labels)) throw new Error("no list");
    return checkLabels(labels);
  } catch (error) {
    return refuse("has no readable labels", error);
  }
}

/** Return labels that every language reads as the same; throws Error where they are not. */
export function checkLabels(labels: readonly unknown[]): readonly Label[] {
  const odd = labels.findIndex((label) => !isLabel(label));
  if (odd >= 0) throw new Error(`${JSON.stringify(labels[odd]) ?? "nothing"} as a label`);
  const seen = new Set<unknown>();
  const twice = labels.find((label) => seen.size === seen.add(label).size);
  if (twice !== undefined) throw new Error(`${JSON.stringify(twice)} twice`);
  return labels as readonly Label[];
}

export function isLabel(label: unknown): label is Label {
  if (typeof label === "string") return isWellFormed(label) && !hasControlBeyondLines(label);
  // All numbers beyond are whole; NaN is in no range.
  return typeof label === "number" && Math.abs(label) <= contract.MAX_INTEGER;
}

function checkRoom(text: string): void {
  const size = encode(text).length;
  if (size > contract.LABELS_ROOM) {
    throw new Error(`${size} bytes of JSON, more than ${contract.LABELS_ROOM}`);
  }
}

function refuse(what: string, got?: unknown, expected?: unknown): never {
  const hint = "copy it again, or adapt again";
  throw new EdgemetaError("bundle", `the state ${what}`, { got, expected, hint });
}
