/** The support loss over the steps of an adaptation, as a small chart. */

import { makeSvg } from "./dom.js";

const [WIDTH, HEIGHT] = [260, 96];
const EDGE = { left: 8, right: 8, top: 20, bottom: 18 };

/** Draw losses, (steps + 1,), into an svg element. */
export function drawLosses(svg: SVGSVGElement, losses: Float32Array): void {
  const most = Math.max(...losses, 1e-6);
  const [wide, high] = [WIDTH - EDGE.left - EDGE.right, HEIGHT - EDGE.top - EDGE.bottom];
  const points = Array.from(losses, (loss, step) => ({
    x: EDGE.left + (wide * step) / Math.max(1, losses.length - 1),
    y: EDGE.top + high * (1 - loss / most),
    loss,
  }));
  const line = points.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
  const floor = HEIGHT - EDGE.bottom;
  const area = `${EDGE.left},${floor} ${line} ${WIDTH - EDGE.right},${floor}`;
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("role", "img");
  const said = Array.from(losses, shown).join(", ");
  svg.setAttribute("aria-label", `Loss before the first step and after each: ${said}`);
  svg.replaceChildren(
    makeSvg("line", { class: "axis", x1: EDGE.left, x2: WIDTH - EDGE.right, y1: floor, y2: floor }),
    makeSvg("polygon", { class: "area", points: area }),
    makeSvg("polyline", { class: "line", points: line }),
    ...points.map(({ x, y }) => makeSvg("circle", { class: "dot", cx: x, cy: y, r: 3 })),
    ...[points[0], points.at(-1)].map((point, k) =>
      makeSvg(
        "text",
        { x: point?.x ?? 0, y: (point?.y ?? 0) - 8, "text-anchor": k === 0 ? "start" : "end" },
        shown(point?.loss ?? 0),
      ),
    ),
    makeSvg("text", { class: "quiet", x: EDGE.left, y: HEIGHT - 4 }, "before"),
    makeSvg(
      "text",
      { class: "quiet", x: WIDTH - EDGE.right, y: HEIGHT - 4, "text-anchor": "end" },
      `after ${losses.length - 1} ${losses.length === 2 ? "step" : "steps"}`,
    ),
  );
}

function shown(loss: number): string {
  return loss.toFixed(loss < 0.1 ? 3 : 2);
}
