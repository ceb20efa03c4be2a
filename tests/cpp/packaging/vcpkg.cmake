# Plays vcpkg: runs the port's portfile.cmake with stand-ins for vcpkg's functions, which do what
# vcpkg's do with the arguments that the portfile passes.
#
#   cmake -DPORT=export/cpp/packaging/vcpkg -DWORK=folder -DCMAKE_OPTIONS=-D... -P vcpkg.cmake
cmake_minimum_required(VERSION 3.18)

set(CURRENT_PORT_DIR "${PORT}")
set(CURRENT_PACKAGES_DIR "${WORK}/package")
set(VCPKG_LIBRARY_LINKAGE dynamic)
set(FEATURES core)

macro(play)
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endmacro()

function(vcpkg_check_features)
  cmake_parse_arguments(PARSE_ARGV 0 given "" "OUT_FEATURE_OPTIONS" "FEATURES")
  list(GET given_FEATURES 0 feature)
  list(GET given_FEATURES 1 option)
  set(wanted OFF)
  if(feature IN_LIST FEATURES)
    set(wanted ON)
  endif()
  set(${given_OUT_FEATURE_OPTIONS} "-D${option}=${wanted}" PARENT_SCOPE)
endfunction()

function(vcpkg_cmake_configure)
  cmake_parse_arguments(PARSE_ARGV 0 given "" "SOURCE_PATH" "OPTIONS")
  play(${CMAKE_COMMAND} -S "${given_SOURCE_PATH}" -B "${WORK}/build" ${given_OPTIONS}
    ${CMAKE_OPTIONS} -DCMAKE_BUILD_TYPE=Debug -DCMAKE_INSTALL_LIBDIR=lib)
endfunction()

function(vcpkg_cmake_install)
  play(${CMAKE_COMMAND} --build "${WORK}/build")
  play(${CMAKE_COMMAND} --install "${WORK}/build" --prefix "${CURRENT_PACKAGES_DIR}")
endfunction()

# vcpkg moves the package from lib/ to share/ and mends the paths in it; that is not played.
function(vcpkg_cmake_config_fixup)
  cmake_parse_arguments(PARSE_ARGV 0 given "" "CONFIG_PATH" "")
  if(NOT EXISTS "${CURRENT_PACKAGES_DIR}/${given_CONFIG_PATH}/edgemeta-config.cmake")
    message(FATAL_ERROR "no CMake package in ${given_CONFIG_PATH}")
  endif()
endfunction()

function(vcpkg_install_copyright)
  cmake_parse_arguments(PARSE_ARGV 0 given "" "" "FILE_LIST")
  file(INSTALL ${given_FILE_LIST} DESTINATION "${CURRENT_PACKAGES_DIR}/share/edgemeta")
endfunction()

include("${PORT}/portfile.cmake")
