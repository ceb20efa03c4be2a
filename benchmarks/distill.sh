#!/bin/sh
# A student with an eighth of the filters, with and without the word of a meta-learned teacher;
# then the teacher on characters of another kind (glyphs -> Omniglot).
# usage: benchmarks/distill.sh OMNIGLOT OUT
set -eu
data=$1 out=$2
mkdir -p "$out"
. "$(dirname "$0")/say.sh"

train() {
  run=$1
  shift
  say edgemeta train glyphs --out "$out/$run" --pool stride --head shared --threads 1 \
    --meta-lr 0.002 --iterations 1500 --validation-episodes 300 "$@"
}
train teacher --width 64
for seed in 0 1 2; do
  train "alone-$seed" --width 8 --seed "$seed"
  train "taught-$seed" --width 8 --seed "$seed" --teacher "$out/teacher"
done
say edgemeta eval "$out/teacher" glyphs --episodes 1000
say edgemeta eval "$out/teacher" omniglot --root "$data" --episodes 1000
