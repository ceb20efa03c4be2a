/** Which part is to blame: the caller's data, a file, an adaptation that diverged, or onnxruntime. */
export type ErrorKind = "input" | "bundle" | "adaptation" | "runtime";

/** What an error says besides what is wrong. */
export interface Facts {
  /** What was found. */
  got?: unknown;
  /** What was wanted instead. */
  expected?: unknown;
  /** What the reader can do next. */
  hint?: string | undefined;
  /** (steps + 1,) support losses of an adaptation that was refused. */
  losses?: Float32Array;
}

/** The one error of this package; its message is one line: what is wrong, got, expected, next step. */
export class EdgemetaError extends Error {
  override readonly name = "EdgemetaError";
  readonly kind: ErrorKind;
  /** (steps + 1,) support losses where `kind` is "adaptation": before each step, after the last. */
  readonly losses: Float32Array | undefined;

  constructor(kind: ErrorKind, what: string, facts: Facts = {}) {
    const found = [
      ...(facts.got === undefined ? [] : [`got ${short(facts.got)}`]),
      ...(facts.expected === undefined ? [] : [`expected ${short(facts.expected)}`]),
    ];
    const text = what + (found.length > 0 ? `: ${found.join(", ")}` : "");
    super(line(text + (facts.hint === undefined ? "" : `; ${facts.hint}`)));
    this.kind = kind;
    this.losses = facts.losses;
  }
}

const SHOWN = 300; // characters of a quoted value

/** Return a text of bounded length for an error. */
export function short(value: unknown): string {
  const message = (value as { message?: unknown } | null | undefined)?.message;
  const text = typeof message === "string" ? message : String(value);
  return text.length <= SHOWN ? text : `${text.slice(0, SHOWN)}...`;
}

/** What a line of text cannot show, and spaces: classes of characters, where the engine knows them. */
const UNSEEN = (() => {
  try {
    return new RegExp("[\\p{C}\\p{Z}]+", "gu");
  } catch {
    return /[\u0000-\u0020\u007f-\u00a0\u00ad\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]+/g;
  }
})();

/** Return a text as one line that can be shown. */
function line(text: string): string {
  return text.replace(UNSEEN, " ");
}
