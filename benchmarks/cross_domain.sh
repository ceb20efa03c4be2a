#!/bin/sh
# Inits on data of another kind: embedded glyphs -> Omniglot -> digits in MNIST's files.
# usage: benchmarks/cross_domain.sh OMNIGLOT RUN OUT   (RUN: trained on Omniglot, any number of ways)
set -eu
data=$1 run=$2 out=$3
mkdir -p "$out"
. "$(dirname "$0")/say.sh"

say edgemeta train glyphs --out "$out/glyphs" --pool stride --head shared --threads 1 \
  --meta-lr 0.002 --iterations 1000 --validation-episodes 200
say python -m benchmarks.digits "$out/digits"
say edgemeta eval "$out/glyphs" glyphs --ways 5 --shots 1
say edgemeta eval "$out/glyphs" omniglot --root "$data" --ways 5 --shots 1
for shots in 1 5; do
  say edgemeta eval "$out/glyphs" mnist --root "$out/digits" --test-only --ways 5 --shots "$shots"
  say edgemeta eval "$run" mnist --root "$out/digits" --test-only --ways 5 --shots "$shots"
done
