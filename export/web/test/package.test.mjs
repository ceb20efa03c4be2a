import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL("..", import.meta.url));

test("the package has its licence, all that it imports, and no link out of it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "edgemeta-"));
  try {
    const packing = ["run", "--silent", "package", "--", "--pack-destination", folder];
    const [name = ""] = execFileSync("npm", packing, { cwd: HERE, encoding: "utf8" }).trim().split("\n").slice(-1);
    execFileSync("tar", ["xzf", name], { cwd: folder });
    assert.ok(!existsSync(join(HERE, "LICENSE")), "a second licence is left");
    const root = join(folder, "package");
    const licence = new URL("../../../LICENSE", import.meta.url);
    assert.equal(await readFile(join(root, "LICENSE"), "utf8"), await readFile(licence, "utf8"));
    const manifest = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
    for (const { types, default: module } of Object.values(manifest.exports)) {
      assert.ok(existsSync(join(root, types)) && existsSync(join(root, module)), module);
    }
    const known = new Set(Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies }));
    for (const path of await readdir(root, { recursive: true })) {
      const inNode = path.endsWith("files-node.js");
      if (!/\.(js|d\.ts)$/.test(path)) continue;
      const code = await readFile(join(root, path), "utf8");
      for (const [, from = ""] of code.matchAll(/^(?:import|export) (?:[^;]*? from )?"([^".#][^"]*)";/gm)) {
        const [scope = "", rest] = from.split("/");
        const wanted = scope.startsWith("@") ? `${scope}/${rest}` : scope;
        assert.ok(known.has(wanted) || (inNode && from.startsWith("node:")), `${path} imports ${from}`);
      }
    }
    const readme = await readFile(join(root, "README.md"), "utf8");
    for (const [, to = ""] of readme.matchAll(/\]\(([^)]*)\)/g)) assert.match(to, /^(https:|#)/);
  } finally {
    await rm(folder, { recursive: true });
  }
});
