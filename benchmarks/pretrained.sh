#!/bin/sh
# New words by new speakers, and new kinds of objects, with a pre-trained body and no training:
# accuracy of the bundles on onnxruntime, float and int8, beside what else a user would take.
# usage: benchmarks/pretrained.sh RECORDINGS PHOTOGRAPHS OUT
#   RECORDINGS, PHOTOGRAPHS: {train,val,test}/<class>/ with .wav files, with pictures
set -eu
recordings=$1 photographs=$2 out=$3
mkdir -p "$out"
. "$(dirname "$0")/say.sh"

say edgemeta export --body speech "$recordings" --by both --out "$out/words"
say edgemeta export --body image "$photographs" --out "$out/objects"
say edgemeta export --body speech "$recordings" --by both --int8 "$recordings" --out "$out/words8"
say edgemeta export --body image "$photographs" --int8 "$photographs" --out "$out/objects8"
for shots in 1 5; do
  say edgemeta eval "$out/objects" "$photographs" --shots $shots
  say edgemeta eval "$out/words" "$recordings" --shots $shots --episodes 200
done
say python -m benchmarks.pretrained_peers --body speech "$recordings" --by both
say python -m benchmarks.pretrained_peers --body image "$photographs"
for bundle in words words8 objects objects8; do
  say ls -l "$out/$bundle"
  say edgemeta bench "$out/$bundle" --threads 1
done
