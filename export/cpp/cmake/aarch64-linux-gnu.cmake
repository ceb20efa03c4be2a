# Compiles for 64-bit ARM Linux with Debian's cross compiler (package g++-aarch64-linux-gnu):
#
#   cmake -S export/cpp -B build/arm64 -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64-linux-gnu.cmake \
#     -DONNXRUNTIME_INCLUDE=... -DONNXRUNTIME_LIB=.../libonnxruntime.so   # built for ARM

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
