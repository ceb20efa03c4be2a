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
    super((text + (facts.hint === undefined ? "" : `; ${facts.hint}`)).replace(/\s+/g, " "));
    this.kind = kind;
    this.losses = facts.losses;
  }
}

const SHOWN = 300; // characters of a quoted value

// Control characters, those that turn the direction of a text or cannot be seen, line separators.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** Return a text of bounded length, without control characters, for an error. */
export function short(value: unknown): string {
  const message = (value as { message?: unknown } | null | undefined)?.message;
  const text = typeof message === "string" ? message : String(value);
  const kept = text.length <= SHOWN ? text : `${text.slice(0, SHOWN)}...`;
  return kept.replace(UNSEEN, " ");
}
