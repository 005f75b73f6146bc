# SPDX-License-Identifier: Apache-2.0
# Everything comes from Debian 12's packages; tests/lib/deps.sh has their names.
find_package(Threads REQUIRED)
find_package(Protobuf 3.21 REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(fuse3 REQUIRED IMPORTED_TARGET fuse3>=3.14)

# The static archives where there are some: the hook is linked from them.
function(actiondfs_static_dependency name archive)
  find_library(${name}_ARCHIVE NAMES ${archive} REQUIRED)
  add_library(actiondfs_dep::${name} STATIC IMPORTED)
  set_target_properties(actiondfs_dep::${name} PROPERTIES
    IMPORTED_LOCATION ${${name}_ARCHIVE})
endfunction()
actiondfs_static_dependency(protobuf_lite libprotobuf-lite.a)
actiondfs_static_dependency(crypto libcrypto.a)
actiondfs_static_dependency(cap libcap.a)
actiondfs_static_dependency(seccomp libseccomp.a)
set_property(TARGET actiondfs_dep::protobuf_lite PROPERTY
  INTERFACE_LINK_LIBRARIES Threads::Threads)
set_property(TARGET actiondfs_dep::crypto PROPERTY
  INTERFACE_LINK_LIBRARIES Threads::Threads ${CMAKE_DL_LIBS})
