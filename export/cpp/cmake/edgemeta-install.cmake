# What `cmake --install` copies. Others then say find_package(edgemeta) and link edgemeta::edgemeta.

include(CMakePackageConfigHelpers)
include(GNUInstallDirs)
set(EDGEMETA_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/edgemeta)

install(TARGETS edgemeta EXPORT edgemeta-targets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/edgemeta DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT edgemeta-targets NAMESPACE edgemeta:: DESTINATION ${EDGEMETA_CMAKE_DIR})
configure_package_config_file(cmake/edgemeta-config.cmake.in edgemeta-config.cmake
  INSTALL_DESTINATION ${EDGEMETA_CMAKE_DIR})
write_basic_package_version_file(edgemeta-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES
  ${CMAKE_CURRENT_BINARY_DIR}/edgemeta-config.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/edgemeta-config-version.cmake
  cmake/edgemeta-onnxruntime.cmake
  DESTINATION ${EDGEMETA_CMAKE_DIR})
if(EDGEMETA_TOOL)
  install(TARGETS edgemeta-cpp RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
