#!/bin/sh
# Omniglot, 5-way 1-shot, from training to the bundle's accuracy on onnxruntime.
# usage: benchmarks/omniglot.sh DATA OUT   (DATA: folder of the official layout, or an .npz of it)
set -eu
data=$1 out=$2
mkdir -p "$out"
. "$(dirname "$0")/say.sh"

say edgemeta train omniglot --root "$data" --out "$out/run" --pool stride --meta-lr 0.002 \
  --iterations 5000
say edgemeta export "$out/run" --out "$out/bundle"
say edgemeta verify "$out/bundle"
say edgemeta eval "$out/run" omniglot --root "$data" --episodes 600 --predictions "$out/torch.npz"
say edgemeta eval "$out/bundle" omniglot --root "$data" --episodes 600 \
  --predictions "$out/onnxruntime.npz"
say python benchmarks/same_labels.py "$out/torch.npz" "$out/onnxruntime.npz"
say edgemeta bench "$out/bundle" --threads 1
