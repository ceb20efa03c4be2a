# Gives the function that makes the target onnxruntime::onnxruntime, of the first of these:
#
# 1. a target of that name which is there already
# 2. -DONNXRUNTIME_INCLUDE=... (the folder of onnxruntime_cxx_api.h) and -DONNXRUNTIME_LIB=... (the
#    library)
# 3. Android: -DONNXRUNTIME_AAR=..., the folder into which onnxruntime-android-*.aar was unpacked
# 4. iOS, macOS: -DONNXRUNTIME_XCFRAMEWORK=.../onnxruntime.xcframework
# 5. an installed ONNX Runtime: its CMake package, or the system's paths

# edgemeta_find_onnxruntime(<problem>): <problem> becomes one line that says what is missing, or
# empty. Nothing is printed, and nothing stops: the caller decides.
function(edgemeta_find_onnxruntime problem)
  set(${problem} "" PARENT_SCOPE)
  if(TARGET onnxruntime::onnxruntime)
    return()
  endif()
  set(missing "")
  set(frameworks "")
  if(ONNXRUNTIME_AAR AND NOT ONNXRUNTIME_LIB)
    edgemeta_look_into_aar(header_folder library missing)
  elseif(ONNXRUNTIME_XCFRAMEWORK AND NOT ONNXRUNTIME_LIB)
    edgemeta_look_into_xcframework(header_folder library missing)
    # A static library, so that what it calls has to be linked. Its CoreML is optional at run time.
    set(frameworks "-framework Foundation" "-weak_framework CoreML")
  else()
    if(NOT ONNXRUNTIME_LIB)
      find_package(onnxruntime CONFIG QUIET)
      if(TARGET onnxruntime::onnxruntime)
        return()
      endif()
    endif()
    find_path(ONNXRUNTIME_INCLUDE onnxruntime_cxx_api.h
      PATH_SUFFIXES onnxruntime onnxruntime/core/session
      DOC "The folder of onnxruntime_cxx_api.h")
    find_library(ONNXRUNTIME_LIB onnxruntime DOC "ONNX Runtime's library")
    set(header_folder "${ONNXRUNTIME_INCLUDE}")
    set(library "${ONNXRUNTIME_LIB}")
    if(NOT header_folder OR NOT library)
      set(missing "ONNX Runtime not found: install it (Debian: libonnxruntime-dev), or pass \
-DONNXRUNTIME_INCLUDE=folder of onnxruntime_cxx_api.h and -DONNXRUNTIME_LIB=libonnxruntime.so")
    endif()
  endif()
  if(missing)
    set(${problem} "${missing}" PARENT_SCOPE)
    return()
  endif()
  # Of a shared library cmake has to know that it is one, to find it again when a program links the
  # shared edgemeta, which needs it.
  set(type UNKNOWN)
  if(library MATCHES "\\.(so|dylib)(\\.[0-9.]+)?$")
    set(type SHARED)
  endif()
  add_library(onnxruntime::onnxruntime ${type} IMPORTED)
  set_target_properties(onnxruntime::onnxruntime PROPERTIES
    IMPORTED_LOCATION "${library}"
    INTERFACE_INCLUDE_DIRECTORIES "${header_folder}"
    INTERFACE_LINK_LIBRARIES "${frameworks}")
endfunction()

# The paths are tested, not searched for: the toolchains of Android and iOS let find_library look
# into their own folders only.

function(edgemeta_look_into_aar header_folder library missing)
  set(abi "${ANDROID_ABI}")  # the NDK's toolchain file says it so, and CMake itself as follows
  if(NOT abi)
    set(abi "${CMAKE_ANDROID_ARCH_ABI}")
  endif()
  set(headers "${ONNXRUNTIME_AAR}/headers")
  set(binary "${ONNXRUNTIME_AAR}/jni/${abi}/libonnxruntime.so")
  foreach(path IN ITEMS "${headers}/onnxruntime_cxx_api.h" "${binary}")
    if(NOT EXISTS "${path}")
      set(${missing} "ONNXRUNTIME_AAR has no ${path}: pass the folder of an unpacked \
onnxruntime-android-*.aar (a zip file), and as ANDROID_ABI one of its ABIs, not \"${abi}\"" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  set(${header_folder} "${headers}" PARENT_SCOPE)
  set(${library} "${binary}" PARENT_SCOPE)
endfunction()

function(edgemeta_look_into_xcframework header_folder library missing)
  # One folder for each platform, such as ios-arm64 and ios-arm64_x86_64-simulator.
  set(platform macos)
  if(CMAKE_SYSTEM_NAME STREQUAL "iOS")
    set(platform ios)
  endif()
  file(GLOB slices LIST_DIRECTORIES true "${ONNXRUNTIME_XCFRAMEWORK}/${platform}-*")
  list(FILTER slices EXCLUDE REGEX "-maccatalyst$")
  if(CMAKE_OSX_SYSROOT MATCHES "[Ss]imulator")
    set(platform "${platform} simulator")
    list(FILTER slices INCLUDE REGEX "-simulator$")
  else()
    list(FILTER slices EXCLUDE REGEX "-simulator$")
  endif()
  foreach(architecture IN LISTS CMAKE_OSX_ARCHITECTURES)
    list(FILTER slices INCLUDE REGEX "[-_]${architecture}([-_][^/]*)?$")
  endforeach()
  set(framework "")
  foreach(slice IN LISTS slices)
    if(EXISTS "${slice}/onnxruntime.framework/onnxruntime")
      set(framework "${slice}/onnxruntime.framework")
    endif()
  endforeach()
  if(NOT EXISTS "${framework}/Headers/onnxruntime_cxx_api.h")
    string(REPLACE ";" ", " architectures "${CMAKE_OSX_ARCHITECTURES}")
    set(${missing} "ONNXRUNTIME_XCFRAMEWORK, ${ONNXRUNTIME_XCFRAMEWORK}, has no \
onnxruntime.framework with headers for ${platform} (${architectures}): pass the \
onnxruntime.xcframework of the package onnxruntime-c" PARENT_SCOPE)
    return()
  endif()
  set(${header_folder} "${framework}/Headers" PARENT_SCOPE)
  set(${library} "${framework}/onnxruntime" PARENT_SCOPE)
endfunction()
