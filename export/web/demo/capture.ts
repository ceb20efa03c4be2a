/** Hands on what the microphone hears; runs in the audio thread. */

declare const registerProcessor: (name: string, kind: unknown) => void;
declare const AudioWorkletProcessor: new () => { readonly port: MessagePort };

class Capture extends AudioWorkletProcessor {
  process(inputs: readonly (readonly Float32Array[])[]): boolean {
    const channel = inputs[0]?.[0];
    if (channel !== undefined) this.port.postMessage(channel.slice());
    return true;
  }
}

registerProcessor("capture", Capture);

export {};
