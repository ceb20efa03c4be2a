#!/bin/sh
# Omniglot: a linear head beside a shared one, both trained on 5-way tasks, at other numbers of ways.
# usage: benchmarks/any_ways.sh DATA OUT   (DATA: folder of the official layout, or an .npz of it)
set -eu
data=$1 out=$2
mkdir -p "$out"
. "$(dirname "$0")/say.sh"

for head in linear shared; do
  say edgemeta train omniglot --root "$data" --out "$out/$head" --head "$head" --pool stride \
    --meta-lr 0.002 --iterations 1200
done
for head in linear shared; do
  say edgemeta export "$out/$head" --out "$out/$head-bundle"
done
for ways in 3 5; do
  say edgemeta eval "$out/linear-bundle" omniglot --root "$data" --ways "$ways"
done
for ways in 3 5 10 20; do
  say edgemeta eval "$out/shared-bundle" omniglot --root "$data" --ways "$ways"
done
