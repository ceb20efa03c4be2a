/**
 * The package for React Native, on onnxruntime-react-native: it needs nothing of Node or a browser.
 *
 *     import * as ort from "onnxruntime-react-native";
 *     import { Runner } from "edgemeta/react-native";
 *
 *     const runner = await Runner.load({ readFile }, { ort, sha256 });
 *
 * `build.mjs` makes one file of it, so that Metro has no conditions and no inner names to resolve.
 */

export * from "./index.js";
