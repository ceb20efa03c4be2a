import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { draw, screenshot, SYMBOLS, withDemo } from "./page.mjs";

const NAMES = /** @type {(keyof typeof SYMBOLS)[]} */ (Object.keys(SYMBOLS));
const DESKTOP = { viewport: { width: 1200, height: 860 } };
const PHONE = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };

/** Name the three classes, draw three of each, adapt. @param {import("playwright-core").Page} page */
async function teach(page) {
  const draws = page.locator("#draw");
  for (const [k, name] of NAMES.entries()) await draws.getByRole("textbox").nth(k).fill(name);
  for (let shot = 0; shot < 3; shot++) {
    for (const name of NAMES) {
      await draw(page, name);
      await draws.getByRole("button", { name: `Add this drawing to ${name}` }).click();
    }
  }
  await draws.getByRole("button", { name: "Adapt" }).click();
  await draws.locator(".figures").waitFor();
}

/** Return what the page says of the drawing on the pad. @param {import("playwright-core").Page} page */
async function answer(page) {
  await page.locator("#draw .answer.given").waitFor();
  const text = await page.locator("#draw .answer").innerText();
  const [, name, share] = /^([^\d]+?)\s+(\d+) %$/.exec(text.replace(/\s+/g, " ")) ?? [];
  return { name, share: Number(share) };
}

test("it learns three symbols drawn with a mouse, and tells new ones apart", async () => {
  await withDemo(DESKTOP, async ({ page }) => {
    await screenshot(page, "desktop-start");
    const adapt = page.locator("#draw").getByRole("button", { name: "Adapt" });
    assert.ok(await adapt.isDisabled());
    await teach(page);
    assert.match(await page.locator("#draw .adapt-ms").innerText(), /^[\d.]+ ms$/);
    assert.equal(await page.locator("#draw .from").innerText(), "9 drawings");
    const losses = (await page.locator("#draw .losses").getAttribute("aria-label")) ?? "";
    const values = [...losses.matchAll(/\d+\.\d+/g)].map(Number);
    assert.equal(values.length, 11); // before ten steps, and after each
    assert.ok((values.at(-1) ?? 9) < (values[0] ?? 0) / 2);
    let right = 0;
    for (let k = 0; k < 4; k++) {
      for (const name of NAMES) {
        await draw(page, name);
        right += Number((await answer(page)).name === name);
        assert.match(await page.locator("#draw .predict-ms").innerText(), /^[\d.]+ ms$/);
        if (k === 3 && name === "Zigzag") await screenshot(page, "desktop-light");
        await page.getByRole("button", { name: "Clear" }).click();
      }
    }
    assert.ok(right >= 11, `${right} of 12`);
    await page.emulateMedia({ colorScheme: "dark" });
    await draw(page, "Ring");
    assert.equal((await answer(page)).name, "Ring");
    await screenshot(page, "desktop-dark");
  });
});

test("a state is saved, loaded again, and predicts the same", async () => {
  await withDemo({ ...DESKTOP, acceptDownloads: true }, async ({ page }) => {
    await teach(page);
    await draw(page, "Triangle");
    const before = await answer(page);
    const downloading = page.waitForEvent("download");
    await page.locator("#draw").getByRole("button", { name: "Save" }).click();
    const download = await downloading;
    assert.equal(download.suggestedFilename(), "symbols.safetensors");
    const path = await download.path();
    assert.match((await readFile(path)).toString("latin1"), /edgemeta\.labels.*Triangle.*Ring.*Zigzag/);
    await page.locator("#draw .load input").setInputFiles(path);
    await page.getByText(/^Loaded .*it knows Triangle, Ring, Zigzag\.$/).waitFor();
    assert.deepEqual(await answer(page), before);
    await page.locator("#draw .load input").setInputFiles({
      name: "wrong.safetensors",
      mimeType: "application/octet-stream",
      buffer: Buffer.from("hello"),
    });
    await page.getByText(/the state cannot be read: got no header/).waitFor();
  });
});

test("it works on a phone, by touch", async () => {
  await withDemo(PHONE, async ({ page }) => {
    const wide = () => page.evaluate(() => document.documentElement.scrollWidth);
    assert.equal(await wide(), 360);
    await screenshot(page, "phone-start");
    await teach(page);
    await page.evaluate(() => scrollTo(0, 0));
    const box = await page.locator("#draw .pad").boundingBox();
    assert.ok(box !== null && box.y + box.height <= 740, "the pad and the answer are in sight together");
    const session = await page.context().newCDPSession(page);
    const points = SYMBOLS.Triangle.map(([x = 0, y = 0]) => ({
      x: box.x + box.width * x,
      y: box.y + box.height * y,
    }));
    for (const [k, point] of points.entries()) {
      const type = k === 0 ? "touchStart" : "touchMove";
      await session.send("Input.dispatchTouchEvent", { type, touchPoints: [point] });
    }
    await session.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
    assert.equal((await answer(page)).name, "Triangle");
    assert.equal(await page.evaluate(() => scrollY), 0); // drawing does not scroll
    assert.equal(await wide(), 360);
    await screenshot(page, "phone-light");
    await page.emulateMedia({ colorScheme: "dark" });
    await screenshot(page, "phone-dark");
  });
});

test("it works by keyboard alone, and says what a screen reader needs", async () => {
  await withDemo(DESKTOP, async ({ page }) => {
    /** Press Tab until something of that name has the focus. @param {string} name */
    const reach = async (name) => {
      for (let k = 0; k < 80; k++) {
        await page.keyboard.press("Tab");
        const focused = await page.evaluate(() => {
          const element = document.activeElement;
          return element?.getAttribute("aria-label") ?? element?.textContent?.trim() ?? "";
        });
        if (focused === name) return;
      }
      assert.fail(`Tab never came to ${name}`);
    };
    const spoken = page.locator("#draw .spoken");
    for (const name of ["House", "Spiral", "Bolt"]) {
      for (let shot = 0; shot < 2; shot++) {
        await reach(`Use an example drawing of ${name}`);
        await page.keyboard.press("Enter");
        await reach(`Add this drawing to ${name}`);
        await page.keyboard.press("Enter");
        assert.match(await spoken.innerText(), new RegExp(`Added\\. ${name} has ${shot + 1} drawing`));
      }
    }
    await reach("Delete drawing 2 of Bolt");
    await page.keyboard.press("Enter");
    assert.equal(await page.locator("#draw .thumb").count(), 5);
    await reach("Adapt");
    await page.keyboard.press("Enter");
    await page.getByText(/Learned 3 names from 5 drawings in/).waitFor();
    await reach("Use an example drawing of Spiral");
    await page.keyboard.press("Enter");
    await page.locator("#draw .answer.given").waitFor();
    assert.match(await spoken.innerText(), /^Spiral, \d+ %$/);
  });
});

test("the policy of the page forbids it to reach anything else", async () => {
  await withDemo(DESKTOP, async ({ page, odd }) => {
    const reached = await page.evaluate(async () => {
      const blocked = new Promise((resolve) => {
        document.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
      });
      const failed = await fetch("http://127.0.0.1:9/").then(() => false, () => true);
      return { failed, directive: await blocked };
    });
    assert.deepEqual(reached, { failed: true, directive: "connect-src" });
    for (const line of odd.splice(0)) assert.match(line, /Content Security Policy|127\.0\.0\.1:9/);
  });
});
