# An overlay port for vcpkg, which builds the sources that it stands in:
#
#   vcpkg install edgemeta --overlay-ports=export/cpp/packaging/vcpkg

get_filename_component(SOURCE_PATH "${CURRENT_PORT_DIR}/../.." ABSOLUTE)
string(COMPARE EQUAL "${VCPKG_LIBRARY_LINKAGE}" "dynamic" SHARED)
vcpkg_check_features(OUT_FEATURE_OPTIONS FEATURE_OPTIONS FEATURES tool EDGEMETA_TOOL)

vcpkg_cmake_configure(
  SOURCE_PATH "${SOURCE_PATH}"
  OPTIONS -DEDGEMETA_SHARED=${SHARED} ${FEATURE_OPTIONS})
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/edgemeta)
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include")
if("tool" IN_LIST FEATURES)
  vcpkg_copy_tools(TOOL_NAMES edgemeta-cpp AUTO_CLEAN)
endif()
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/../../LICENSE")
