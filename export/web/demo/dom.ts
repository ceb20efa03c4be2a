/** Making elements. */

type Props<K extends keyof HTMLElementTagNameMap> = {
  [P in keyof HTMLElementTagNameMap[K]]?: HTMLElementTagNameMap[K][P];
} & { readonly data?: Record<string, string>; readonly aria?: Record<string, string> };

/**
 * Make an element.
 *
 * @param tag its name.
 * @param props its properties; `aria` for attributes such as { label: "..." }, `data` for data-*.
 * @param children in it, in order.
 */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  { data = {}, aria = {}, ...props }: Props<K> = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = Object.assign(document.createElement(tag), props);
  for (const [name, value] of Object.entries(data)) element.dataset[name] = value;
  for (const [name, value] of Object.entries(aria)) element.setAttribute(`aria-${name}`, value);
  element.append(...children);
  return element;
}

/** Make an element of a drawing in the page. */
export function makeSvg(tag: string, attributes: Record<string, string | number>, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, `${value}`);
  element.textContent = text;
  return element;
}

/** Return the one element that a selector finds. */
export function find<T extends Element>(selector: string, root: ParentNode = document): T {
  const element = root.querySelector<T>(selector);
  if (element === null) throw new Error(`the page lacks ${selector}`);
  return element;
}

/** Return a colour of the style sheet. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Fit a canvas to its size on the screen; returns what draws on it, in units of CSS pixels. */
export function fitted(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const ratio = window.devicePixelRatio;
  canvas.width = Math.round(canvas.clientWidth * ratio);
  canvas.height = Math.round(canvas.clientHeight * ratio);
  const context = canvas.getContext("2d");
  if (context === null) throw new Error("this browser cannot draw");
  context.scale(ratio, ratio);
  return context;
}
