/** Drawings as strokes, as the pictures that the network was trained on, and examples of them. */

/** A point of a drawing; any unit, y downwards. */
export interface Point {
  readonly x: number;
  readonly y: number;
}
export type Stroke = readonly Point[];

export const SIDE = 28;
// Measured over Omniglot's drawings at 28 x 28: the median of the longer side of the ink, where its
// middle lies, and how wide a straight stroke is.
const EXTENT = 17.6;
const MIDDLE = 13.5;
const WIDTH = 1.4;
const LEAST_EXTENT = 0.12; // of the pad: a dot is not to fill the picture
const SAMPLES = 4; // per pixel and axis

/**
 * Return a drawing as Omniglot has them: thin strokes of one size, in the middle.
 *
 * @param strokes of the drawing.
 * @param side of the square that it was drawn on, in the strokes' unit.
 * @returns (28, 28) ink = 255, in C order.
 */
export function rasterise(strokes: readonly Stroke[], side: number): Uint8Array {
  const { middle, extent } = bounds(strokes);
  const scale = EXTENT / Math.max(extent, LEAST_EXTENT * side);
  const place = ({ x, y }: Point): Point => ({
    x: (x - middle.x) * scale + MIDDLE,
    y: (y - middle.y) * scale + MIDDLE,
  });
  const fine = SIDE * SAMPLES;
  const hit = new Uint8Array(fine * fine);
  for (const stroke of strokes) {
    const points = stroke.map(place);
    points.forEach((point, k) => mark(hit, fine, points[k - 1] ?? point, point));
  }
  const picture = new Uint8Array(SIDE * SIDE);
  for (let k = 0; k < hit.length; k++) {
    const [row, column] = [Math.floor(k / fine / SAMPLES), Math.floor((k % fine) / SAMPLES)];
    if (hit[k] === 1) picture[row * SIDE + column]! += 1;
  }
  return picture.map((count) => Math.round((255 * count) / SAMPLES ** 2));
}

/** Mark all finer pixels that are within half a stroke's width of a segment. */
function mark(hit: Uint8Array, fine: number, a: Point, b: Point): void {
  const reach = WIDTH / 2;
  const first = (v: number) => Math.max(0, Math.floor((v - reach) * SAMPLES));
  const last = (v: number) => Math.min(fine - 1, Math.ceil((v + reach) * SAMPLES));
  for (let row = first(Math.min(a.y, b.y)); row <= last(Math.max(a.y, b.y)); row++) {
    for (let column = first(Math.min(a.x, b.x)); column <= last(Math.max(a.x, b.x)); column++) {
      const point = { x: (column + 0.5) / SAMPLES, y: (row + 0.5) / SAMPLES };
      if (distance(point, a, b) <= reach) hit[row * fine + column] = 1;
    }
  }
}

function distance(point: Point, a: Point, b: Point): number {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const along = ((point.x - a.x) * dx + (point.y - a.y) * dy) / (dx * dx + dy * dy || 1);
  const t = Math.min(1, Math.max(0, along));
  return Math.hypot(point.x - a.x - t * dx, point.y - a.y - t * dy);
}

function bounds(strokes: readonly Stroke[]): { middle: Point; extent: number } {
  const points = strokes.flat();
  const [xs, ys] = [points.map(({ x }) => x), points.map(({ y }) => y)];
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  const [top, bottom] = [Math.min(...ys), Math.max(...ys)];
  return {
    middle: { x: (left + right) / 2, y: (top + bottom) / 2 },
    extent: Math.max(right - left, bottom - top),
  };
}

type Shape = readonly (readonly (readonly [number, number])[])[];

/** Symbols to try the page with, on a square of side 1. */
const EXAMPLES: readonly { readonly name: string; readonly shape: Shape }[] = [
  {
    name: "House",
    shape: [
      [[0.22, 0.85], [0.22, 0.42], [0.5, 0.15], [0.78, 0.42], [0.78, 0.85], [0.22, 0.85]],
      [[0.44, 0.85], [0.44, 0.62], [0.58, 0.62], [0.58, 0.85]],
    ],
  },
  { name: "Spiral", shape: [spiral(2.4)] },
  {
    name: "Bolt",
    shape: [[[0.6, 0.1], [0.3, 0.55], [0.52, 0.52], [0.38, 0.92], [0.72, 0.42], [0.5, 0.45], [0.6, 0.1]]],
  },
  {
    name: "Fish",
    shape: [arc(0.42, 0.5, 0.3, 0.2, 0.3, 6.0), [[0.7, 0.45], [0.9, 0.3], [0.9, 0.7], [0.7, 0.55]]],
  },
  {
    name: "Key",
    shape: [arc(0.28, 0.5, 0.15, 0.15, 0, 6.3), [[0.43, 0.5], [0.9, 0.5], [0.9, 0.65]], [[0.74, 0.5], [0.74, 0.62]]],
  },
  { name: "Wave", shape: [wave(0.4), wave(0.62)] },
];

export const EXAMPLE_NAMES = EXAMPLES.map(({ name }) => name);

/**
 * Return an example drawing: no two are the same, as if drawn by hand.
 *
 * @param index of the symbol.
 * @param side of the square to draw it on.
 * @param random in 0..1.
 */
export function example(index: number, side: number, random: () => number): Stroke[] {
  const spread = (size: number) => (random() - 0.5) * 2 * size;
  const [turn, slant] = [spread(0.12), spread(0.12)];
  const [wide, high] = [0.85 + spread(0.1), 0.85 + spread(0.1)];
  const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
  const shape = EXAMPLES[index % EXAMPLES.length]?.shape ?? [];
  return shape.map((line) => {
    const corners = line.map(([px, py]) => {
      const [x, y] = [(px - 0.5 + slant * (py - 0.5)) * wide, (py - 0.5) * high];
      return {
        x: (0.5 + x * cos - y * sin + spread(0.015)) * side,
        y: (0.5 + x * sin + y * cos + spread(0.015)) * side,
      };
    });
    return corners;
  });
}

function spiral(turns: number): [number, number][] {
  return Array.from({ length: 40 }, (_, k) => {
    const [angle, radius] = [(k / 39) * turns * 2 * Math.PI, 0.03 + (k / 39) * 0.34];
    return [0.5 + radius * Math.cos(angle), 0.5 + radius * Math.sin(angle)];
  });
}

function arc(x: number, y: number, rx: number, ry: number, from: number, to: number) {
  return Array.from({ length: 20 }, (_, k): [number, number] => {
    const angle = from + (k / 19) * (to - from);
    return [x + rx * Math.cos(angle), y + ry * Math.sin(angle)];
  });
}

function wave(y: number): [number, number][] {
  return Array.from({ length: 24 }, (_, k) => [0.1 + (k / 23) * 0.8, y + 0.09 * Math.sin((k / 23) * 4 * Math.PI)]);
}
