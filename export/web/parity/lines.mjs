/** The protocol of tests/parity: one JSON object per line in, one per line out. */

import { createInterface } from "node:readline";

/**
 * Answer requests on standard input until it ends.
 *
 * @param {Record<string, (request: Record<string, any>) => Promise<object>>} ops by name.
 */
export async function answerLines(ops) {
  // Libraries that print must not come between two answers.
  console.log = console.info = console.debug = console.error;
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim() === "") continue;
    process.stdout.write(`${JSON.stringify(await answer(ops, line))}\n`);
  }
}

/**
 * @param {Record<string, (request: Record<string, any>) => Promise<object>>} ops
 * @param {string} line
 */
async function answer(ops, line) {
  try {
    const request = JSON.parse(line);
    const op = ops[request.op];
    if (op === undefined) throw new Error(`unknown op ${JSON.stringify(request.op)}`);
    return await op(request);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return { error: text.replace(/\s+/g, " ") };
  }
}
