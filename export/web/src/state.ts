/** State files: an adapted state as bytes, bound to its bundle; `edgemeta/bundle/state.py` reads the same. */

import { EdgemetaError } from "./errors.js";
import { EXTRA_PREFIX, FORMAT_VERSION, type Manifest, mostWays, shapeAt } from "./manifest.js";
import { digest, type Metadata, readTensors, type Tensors, writeTensors } from "./safetensors.js";
import { isFinite } from "./tensor.js";

const VERSION_KEY = "edgemeta.format_version";
const BUNDLE_KEY = "edgemeta.bundle";
const WAYS_KEY = "edgemeta.ways";
const LABELS_KEY = "edgemeta.labels";
const DIGEST_KEY = "edgemeta.sha256";
const LABELS_ROOM = 2 ** 18; // characters of JSON

/** What a class may be called in a state file. */
export type Label = string | number;

/** What a state file holds. */
export interface StateFile {
  readonly tensors: Tensors;
  /** Classes of its task; null for regression. */
  readonly ways: number | null;
  /** What the first classes, or all of them, are called, by class index; null without names. */
  readonly labels: readonly Label[] | null;
}

/**
 * Return the content of a state file.
 *
 * @throws EdgemetaError of kind "input": the labels are no distinct texts or numbers, or too long.
 */
export async function writeState(
  { tensors, ways, labels }: StateFile,
  fingerprint: string,
): Promise<Uint8Array> {
  const metadata: Metadata = new Map([
    [BUNDLE_KEY, fingerprint],
    [VERSION_KEY, String(FORMAT_VERSION)],
  ]);
  if (ways !== null) metadata.set(WAYS_KEY, String(ways));
  if (labels !== null) {
    const text = JSON.stringify(labels);
    if (!areLabels(labels) || text.length > LABELS_ROOM) {
      throw new EdgemetaError("input", "labels cannot be saved", {
        got: text,
        expected: "distinct texts or numbers",
      });
    }
    metadata.set(LABELS_KEY, text);
  }
  metadata.set(DIGEST_KEY, await digest(tensors, metadata));
  return writeTensors(tensors, metadata);
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
): Promise<StateFile> {
  const { metadata, tensors: found } = parsed(content);
  checkMetadata(metadata, fingerprint);
  const ways = readWays(metadata, manifest);
  const tensors = new Map([...found].filter(([name]) => !name.startsWith(EXTRA_PREFIX)));
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
  if (said !== (await digest(found, metadata))) refuse("is damaged", "other values than were saved");
  return { tensors, ways, labels: readLabels(metadata.get(LABELS_KEY)) };
}

function parsed(content: Uint8Array): { metadata: Metadata; tensors: Tensors } {
  try {
    return readTensors(content);
  } catch (error) {
    return refuse("cannot be read", error);
  }
}

function checkMetadata(metadata: Metadata, fingerprint: string): void {
  if (metadata.get(VERSION_KEY) !== String(FORMAT_VERSION)) {
    const expected = `format_version ${FORMAT_VERSION}`;
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
  const ways = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (ways < least || ways > most) {
    refuse("has an unusable number of ways", JSON.stringify(text), `${least}..${most}`);
  }
  return ways;
}

function readLabels(text: string | undefined): readonly Label[] | null {
  if (text === undefined) return null;
  let labels: unknown;
  try {
    labels = JSON.parse(text);
  } catch (error) {
    refuse("has no readable labels", error);
  }
  return areLabels(labels) ? labels : refuse("has no readable labels", text);
}

function areLabels(labels: unknown): labels is readonly Label[] {
  return (
    Array.isArray(labels) &&
    labels.every((label) => typeof label === "string" || Number.isFinite(label)) &&
    new Set(labels).size === labels.length
  );
}

function refuse(what: string, got?: unknown, expected?: unknown): never {
  const hint = "copy it again, or adapt again";
  throw new EdgemetaError("bundle", `the state ${what}`, { got, expected, hint });
}
