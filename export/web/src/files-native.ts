/** What takes the place of `files.ts` in React Native, whose apps have several ways to read files. */

import { EdgemetaError } from "./errors.js";

export function reader(where: string | URL): never {
  throw new EdgemetaError("input", "a bundle has no path that React Native could read", {
    got: where,
    expected: "{ readFile }, a function that returns the bytes of a file by its name",
  });
}
