/** The discrete Fourier transform, in double precision. */

/** Complex numbers: real and imaginary parts. */
export interface Complex {
  readonly re: Float64Array;
  readonly im: Float64Array;
}

/**
 * Return the transform of complex numbers, X[k] = sum_n x[n] exp(-2 pi i k n / N).
 *
 * @param x (N,) of any length: by Cooley and Tukey for a power of two, else by Bluestein.
 */
export function fft(x: Complex): Complex {
  const size = x.re.length;
  return (size & (size - 1)) === 0 ? radix2(x) : bluestein(x);
}

/** Return the inverse transform, which has the factor 1 / N. */
export function ifft({ re, im }: Complex): Complex {
  const { re: imag, im: real } = fft({ re: im, im: re }); // swapped parts turn the other way
  const scale = 1 / re.length;
  return { re: real.map((v) => v * scale), im: imag.map((v) => v * scale) };
}

function radix2(x: Complex): Complex {
  const size = x.re.length;
  const [re, im] = [new Float64Array(size), new Float64Array(size)];
  for (let k = 0, reversed = 0; k < size; k++) {
    re[reversed] = x.re[k] ?? 0;
    im[reversed] = x.im[k] ?? 0;
    let bit = size >> 1;
    for (; bit > 0 && reversed & bit; bit >>= 1) reversed ^= bit;
    reversed |= bit;
  }
  for (let half = 1; half < size; half *= 2) {
    for (let j = 0; j < half; j++) {
      const [cos, sin] = [Math.cos((Math.PI * j) / half), -Math.sin((Math.PI * j) / half)];
      for (let a = j; a < size; a += 2 * half) {
        const b = a + half;
        const [br, bi] = [re[b] ?? 0, im[b] ?? 0];
        const [tr, ti] = [cos * br - sin * bi, cos * bi + sin * br];
        re[b] = (re[a] ?? 0) - tr;
        im[b] = (im[a] ?? 0) - ti;
        re[a] = (re[a] ?? 0) + tr;
        im[a] = (im[a] ?? 0) + ti;
      }
    }
  }
  return { re, im };
}

/** L. Bluestein 1970: with kn = (k^2 + n^2 - (k - n)^2) / 2 the transform is a convolution. */
function bluestein(x: Complex): Complex {
  const size = x.re.length;
  const room = 2 ** Math.ceil(Math.log2(2 * size));
  const chirp = zeros(size);
  const [a, b] = [zeros(room), zeros(room)];
  for (let n = 0; n < size; n++) {
    const angle = (Math.PI * ((n * n) % (2 * size))) / size;
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    const [xr, xi] = [x.re[n] ?? 0, x.im[n] ?? 0];
    set(chirp, n, cos, -sin);
    set(a, n, xr * cos + xi * sin, xi * cos - xr * sin);
    set(b, n, cos, sin);
    if (n > 0) set(b, room - n, cos, sin);
  }
  const product = ifft(multiplied(radix2(a), radix2(b)));
  const { re, im } = multiplied(product, chirp);
  return { re: re.slice(0, size), im: im.slice(0, size) };
}

/** Return a product element by element, as long as the shorter one. */
function multiplied(x: Complex, y: Complex): Complex {
  const found = zeros(Math.min(x.re.length, y.re.length));
  for (let k = 0; k < found.re.length; k++) {
    const [a, b, c, d] = [x.re[k] ?? 0, x.im[k] ?? 0, y.re[k] ?? 0, y.im[k] ?? 0];
    set(found, k, a * c - b * d, a * d + b * c);
  }
  return found;
}

export function zeros(size: number): Complex {
  return { re: new Float64Array(size), im: new Float64Array(size) };
}

function set(x: Complex, k: number, re: number, im: number): void {
  x.re[k] = re;
  x.im[k] = im;
}
