#!/usr/bin/env bash
# Builds the C++ runner into a folder (the first argument; build/cpp unless given), with warnings as
# errors. Further arguments go to cmake.
#
# It needs a C++17 compiler, cmake, make, nlohmann's JSON headers, OpenSSL (which checks signatures)
# and ONNX Runtime. The latter is an installed one if there is any; else the library of the onnxruntime
# package in a venv (of $PYTHON; .venv/bin/python unless given), with the headers of Debian's
# libonnxruntime-dev. What is missing is installed with apt where that is possible (Debian or Ubuntu,
# as root); elsewhere the script says what it needs. A library of your own:
# -DONNXRUNTIME_INCLUDE=... and -DONNXRUNTIME_LIB=...
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
mkdir -p "${1:-$root/build/cpp}"
build=$(cd "${1:-$root/build/cpp}" && pwd)
shift $(($# > 0))
python=${PYTHON:-$root/.venv/bin/python}

. "$here/debian.sh"

installed_onnxruntime() {
  local test=$build/try
  rm -rf "$test" && mkdir -p "$test"
  printf '%s\n' 'cmake_minimum_required(VERSION 3.18)' 'project(try LANGUAGES CXX)' \
    "include($here/cmake/edgemeta-onnxruntime.cmake)" 'edgemeta_find_onnxruntime(problem)' \
    'if(problem)' '  message(FATAL_ERROR "${problem}")' 'endif()' > "$test/CMakeLists.txt"
  cmake -S "$test" -B "$test/build" > /dev/null 2>&1
}

need 'command -v c++' g++
need 'command -v cmake' cmake
need 'command -v make' make
need 'test -e /usr/include/nlohmann/json.hpp || test -e /usr/local/include/nlohmann/json.hpp' nlohmann-json3-dev
need 'test -e /usr/include/openssl/evp.h || test -e /usr/local/include/openssl/evp.h' libssl-dev

options=()
if ! installed_onnxruntime; then
  library=$(ls "$(dirname "$python")"/../lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so.* \
    2> /dev/null | head -n 1) || true
  [ -n "$library" ] || fail "no ONNX Runtime: neither an installed one, nor the onnxruntime package of $python"
  headers=$build/headers
  [ -d "$headers" ] || fetch_newer libonnxruntime-dev "$headers"
  header=$(find "$headers" -name onnxruntime_cxx_api.h)
  # Linked under the name that programs ask for at run time.
  mkdir -p "$build/lib"
  ln -sf "$(realpath "$library")" "$build/lib/libonnxruntime.so.1"
  options=("-DONNXRUNTIME_INCLUDE=$(dirname "$header")" "-DONNXRUNTIME_LIB=$build/lib/libonnxruntime.so.1")
fi

cmake -S "$here" -B "$build" -DEDGEMETA_WARNINGS_ARE_ERRORS=ON -DEDGEMETA_SIGNATURES=ON "${options[@]}" "$@"
cmake --build "$build" --parallel "$(nproc)"
