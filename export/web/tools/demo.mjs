/**
 * Serve the demo page, which learns your own symbols and words in the browser, and open it.
 *
 *   node export/web/tools/demo.mjs [FOLDER] [--port 8470] [--no-open]
 *
 * FOLDER is where `make web-page` builds the page. Only this machine can reach it, and nothing that
 * is drawn or said leaves it. Ctrl-C ends it.
 */

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { serve } from "./serve.mjs";

const PAGE = join(dirname(fileURLToPath(import.meta.url)), "..", "dist", "demo");
/** @type {Record<string, string[]>} */
const OPENERS = { darwin: ["open"], win32: ["cmd", "/c", "start", ""] };

/**
 * Say what is wrong in one line, and end.
 *
 * @param {string} message what, got, expected, next step.
 * @param {number} code 1 for a failure, 2 for bad usage.
 * @returns {never}
 */
function fail(message, code) {
  console.error(`Error: ${message}`);
  process.exit(code);
}

/** What the command line says. */
function options() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { port: { type: "string", default: "8470" }, "no-open": { type: "boolean" } },
    });
  } catch (error) {
    return fail(error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error), 2);
  }
}

const { values, positionals } = options();
const folder = positionals[0] ?? PAGE;
const port = Number(values.port);
if (!/^\d+$/.test(values.port) || port > 65535) {
  fail(`--port is no port: got ${values.port}, expected 0 to 65535; 0 takes a free one`, 2);
}
if (!existsSync(join(folder, "index.html"))) {
  fail(`the demo page is not built: got no ${join(folder, "index.html")}; run \`make demo-web\``, 2);
}
const server = await serve({ "/": folder }, port).catch((error) =>
  fail(
    `cannot serve on port ${port}: got ${error.code}; choose another with --port, or --port 0 ` +
      "for a free one",
    1,
  ),
);
process.once("SIGINT", async () => {
  await server.close();
  process.exit(130);
});
console.log(`${server.url}/ (Ctrl-C ends)`);
if (!values["no-open"]) {
  const [command = "xdg-open", ...before] = OPENERS[process.platform] ?? [];
  // Where there is no browser, the address above is all there is to say.
  spawn(command, [...before, `${server.url}/`], { stdio: "ignore" }).on("error", () => {});
}
