#!/bin/sh
# Sine waves, 10-shot: the error after 0 to 10 inner steps, MAML++ and MAML.
# usage: benchmarks/sinusoid_steps.sh OUT
set -eu
out=$1
mkdir -p "$out"
. "$(dirname "$0")/say.sh"

for algorithm in maml++ maml; do
  say edgemeta train sinusoid --out "$out/$algorithm" --algorithm "$algorithm" --model mlp \
    --shots 10 --queries 10 --inner-steps 5 --inner-lr 0.01 --meta-lr 0.001 --meta-batch 16 \
    --iterations 3000 --threads 1
  for steps in 0 1 2 3 4 5 6 7 8 9 10; do
    say edgemeta eval "$out/$algorithm" sinusoid --shots 10 --queries 100 --steps "$steps"
  done
done
