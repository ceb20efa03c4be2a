/** The demo page: loads the bundles, sets up their tabs. */

import * as ort from "onnxruntime-web/wasm";
import { Runner, verify } from "../src/index.js";
import { setUpDraw } from "./draw.js";
import { find } from "./dom.js";
import { setUpListen } from "./listen.js";

ort.env.wasm.numThreads = 1; // networks as small as these are slower on several
ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;

const TABS = [
  { name: "draw", bundle: "omniglot", setUp: setUpDraw },
  { name: "listen", bundle: "words", setUp: setUpListen },
] as const;

async function start(): Promise<void> {
  const there = (await (await fetch("bundles/index.json")).json()) as string[];
  const tabs = TABS.filter(({ bundle }) => there.includes(bundle));
  for (const { name, bundle, setUp } of tabs) {
    const runner = await Runner.load(`bundles/${bundle}`, { ort });
    await verify(runner);
    const panel = find<HTMLElement>(`#${name}`);
    setUp(panel, runner);
    find(".checked", panel).textContent =
      "Checked in this browser: a recorded episode comes out as PyTorch computed it.";
    find(`#tab-${name}`).removeAttribute("hidden");
  }
  find<HTMLElement>("nav").hidden = tabs.length < 2;
  setUpTabs(tabs.map(({ name }) => name));
  find("main").removeAttribute("aria-busy");
}

/** Show one panel at a time; arrow keys move between the tabs. */
function setUpTabs(names: readonly string[]): void {
  const select = (wanted: string) => {
    for (const name of names) {
      const tab = find<HTMLButtonElement>(`#tab-${name}`);
      tab.setAttribute("aria-selected", `${name === wanted}`);
      tab.tabIndex = name === wanted ? 0 : -1;
      find<HTMLElement>(`#${name}`).hidden = name !== wanted;
    }
  };
  names.forEach((name, k) => {
    const tab = find<HTMLButtonElement>(`#tab-${name}`);
    tab.addEventListener("click", () => select(name));
    tab.addEventListener("keydown", ({ key }) => {
      const turn = { ArrowLeft: -1, ArrowRight: 1 }[key];
      const next = turn && names[(k + turn + names.length) % names.length];
      if (!next) return;
      select(next);
      find<HTMLButtonElement>(`#tab-${next}`).focus();
    });
  });
  select(names[0] ?? "draw");
}

start().catch((error: unknown) => {
  find("main").removeAttribute("aria-busy");
  find(".failed").textContent = `This page could not start: ${String(error)}`;
});
