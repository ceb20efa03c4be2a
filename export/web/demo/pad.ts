/** A square to draw on, with a finger, a pen or a mouse. */

import { colour, fitted } from "./dom.js";
import type { Point, Stroke } from "./symbols.js";

export class Pad {
  readonly canvas: HTMLCanvasElement;
  #strokes: Point[][] = [];
  #pointer: number | null = null;
  readonly #changed: (finished: boolean) => void;

  /**
   * @param canvas to draw on.
   * @param changed is called after every change, with true unless a stroke is still being drawn.
   */
  constructor(canvas: HTMLCanvasElement, changed: (finished: boolean) => void) {
    this.canvas = canvas;
    this.#changed = changed;
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"] as const) {
      canvas.addEventListener(end, (event) => this.#end(event));
    }
    new ResizeObserver(() => this.#paint()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#paint());
  }

  /** What is drawn, on a square of side 1. */
  get strokes(): readonly Stroke[] {
    return this.#strokes;
  }

  /** Put a drawing in place of what is there. */
  show(strokes: readonly Stroke[]): void {
    this.#strokes = strokes.map((stroke) => [...stroke]);
    this.#pointer = null;
    this.#paint();
    this.#changed(true);
  }

  /** Take the last stroke away. */
  undo(): void {
    this.show(this.#strokes.slice(0, -1));
  }

  clear(): void {
    this.show([]);
  }

  #begin(event: PointerEvent): void {
    if (this.#pointer !== null || event.button !== 0) return;
    event.preventDefault();
    this.#pointer = event.pointerId;
    this.canvas.setPointerCapture(event.pointerId);
    this.#strokes.push([this.#place(event)]);
    this.#paint();
    this.#changed(false);
  }

  #move(event: PointerEvent): void {
    if (event.pointerId !== this.#pointer) return;
    const stroke = this.#strokes.at(-1);
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length > 0 ? events : [event]) stroke?.push(this.#place(each));
    this.#paint();
    this.#changed(false);
  }

  #end(event: PointerEvent): void {
    if (event.pointerId !== this.#pointer) return;
    this.#pointer = null;
    this.#changed(true);
  }

  #place(event: PointerEvent): Point {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return { x: (event.clientX - left) / width, y: (event.clientY - top) / height };
  }

  #paint(): void {
    const side = this.canvas.clientWidth;
    if (side === 0) return; // on a tab that is not shown
    const context = fitted(this.canvas);
    context.strokeStyle = colour("ink");
    context.lineWidth = side * 0.024;
    context.lineCap = context.lineJoin = "round";
    for (const stroke of this.#strokes) {
      context.beginPath();
      const [first] = stroke;
      if (first !== undefined) context.moveTo(first.x * side, first.y * side);
      for (const { x, y } of stroke) context.lineTo(x * side, y * side);
      context.stroke();
    }
  }
}
