#!/usr/bin/env bash
# Builds the judge of tests/vectors for a processor of 32 bits into a folder (the first argument;
# build/m32 unless given): whether the readers multiply the sizes that files name as they have to
# where memory has 32 bits. It runs here, without QEMU. There is no ONNX Runtime for such processors
# in the registries, so the rest of the library is left out.
#
# It needs what build.sh needs, which has to have run, and Debian's 32-bit libraries of the compiler.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
mkdir -p "${1:-$root/build/m32}"
build=$(cd "${1:-$root/build/m32}" && pwd)
. "$here/debian.sh"

# Where the kernel's headers are: g++-multilib links them, but cannot be installed beside the cross
# compiler that arm.sh takes.
flags="-m32 -isystem /usr/include/$(uname -m)-linux-gnu"
need "echo '#include <string>' | c++ $flags -x c++ -fsyntax-only -" \
  "g++-$(c++ -dumpversion | cut -d. -f1)-multilib"

header=$(find "$root/build/cpp/headers" /usr/include /usr/local/include -name onnxruntime_cxx_api.h \
  2> /dev/null | head -n 1) || true
[ -n "$header" ] || fail "no ONNX Runtime headers: run build.sh first"

# No library: what is built links none.
cmake -S "$here" -B "$build" -DEDGEMETA_WARNINGS_ARE_ERRORS=ON \
  -DCMAKE_CXX_FLAGS="$flags" -DONNXRUNTIME_INCLUDE="$(dirname "$header")" \
  -DONNXRUNTIME_LIB=/dev/null "${@:2}"
cmake --build "$build" --target edgemeta-judge --parallel "$(nproc)"
