# Makes the target onnxruntime::onnxruntime.
#
# With -DONNXRUNTIME_INCLUDE=... (the folder of onnxruntime_cxx_api.h) and -DONNXRUNTIME_LIB=... (the
# library) of these; else of an installed ONNX Runtime: its CMake package, or the system's paths.

if(NOT TARGET onnxruntime::onnxruntime AND NOT ONNXRUNTIME_LIB)
  find_package(onnxruntime CONFIG QUIET)
endif()

if(NOT TARGET onnxruntime::onnxruntime)
  find_path(ONNXRUNTIME_INCLUDE onnxruntime_cxx_api.h
    PATH_SUFFIXES onnxruntime onnxruntime/core/session
    DOC "The folder of onnxruntime_cxx_api.h")
  find_library(ONNXRUNTIME_LIB onnxruntime DOC "ONNX Runtime's library")
  if(NOT ONNXRUNTIME_INCLUDE OR NOT ONNXRUNTIME_LIB)
    message(FATAL_ERROR "ONNX Runtime not found: install it (Debian: libonnxruntime-dev), or pass "
      "-DONNXRUNTIME_INCLUDE=folder of onnxruntime_cxx_api.h and -DONNXRUNTIME_LIB=libonnxruntime.so")
  endif()
  add_library(onnxruntime::onnxruntime UNKNOWN IMPORTED)
  set_target_properties(onnxruntime::onnxruntime PROPERTIES
    IMPORTED_LOCATION "${ONNXRUNTIME_LIB}"
    INTERFACE_INCLUDE_DIRECTORIES "${ONNXRUNTIME_INCLUDE}")
endif()
