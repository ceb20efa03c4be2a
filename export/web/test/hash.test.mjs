import assert from "node:assert/strict";
import { createHash, webcrypto } from "node:crypto";
import test from "node:test";
import { hex, platformSha256 } from "../dist/lib/hash.js";
import { Runner } from "../dist/lib/index.js";
import { OMNIGLOT, ort, recorded, refused } from "./bundle.mjs";

/** @param {unknown} value of `globalThis.crypto` */
function setCrypto(value) {
  Object.defineProperty(globalThis, "crypto", { value, configurable: true });
}

for (const [name, value] of /** @type {[string, unknown][]} */ ([
  ["crypto.subtle", webcrypto],
  ["no crypto.subtle", {}],
  ["no crypto", undefined],
])) {
  test(`with ${name} a hash is right, a bundle loads and a state is saved`, async () => {
    setCrypto(value);
    try {
      for (const size of [0, 1, 55, 56, 64, 1000]) {
        const content = Uint8Array.from({ length: size }, (_, k) => k);
        assert.equal(await hex(platformSha256, content), createHash("sha256").update(content).digest("hex"));
      }
      const runner = await Runner.load(OMNIGLOT, { ort });
      const learner = await runner.adapt(recorded("support_x").data, recorded("support_y").data);
      await runner.loadState(await learner.save());
    } finally {
      setCrypto(webcrypto);
    }
  });
}

test("a hash that is given is used", async () => {
  const sha256 = () => new Uint8Array(32);
  await refused(Runner.load(OMNIGLOT, { ort, sha256 }), "bundle", /is damaged: got sha256 000000000000\.\.\./);
});
