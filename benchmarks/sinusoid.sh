#!/bin/sh
# Sine waves, 10-shot, from training to the bundle's error after 10 steps on onnxruntime.
# usage: benchmarks/sinusoid.sh OUT
set -eu
out=$1
mkdir -p "$out"
. "$(dirname "$0")/say.sh"

say edgemeta train sinusoid --out "$out/run" --model mlp --shots 10 --queries 10 --inner-steps 5 \
  --inner-lr 0.01 --meta-lr 0.002 --meta-batch 16 --iterations 3500
say edgemeta export "$out/run" --out "$out/bundle"
say edgemeta verify "$out/bundle"
say edgemeta eval "$out/run" sinusoid --shots 10 --queries 100 --steps 10 --episodes 600
say edgemeta eval "$out/bundle" sinusoid --shots 10 --queries 100 --steps 10 --episodes 600
say edgemeta bench "$out/bundle" --shots 10 --threads 1
