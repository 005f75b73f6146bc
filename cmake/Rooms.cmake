# SPDX-License-Identifier: Apache-2.0
# actiondfs_room(NAME SOURCES ... DEPS ...): one static library for one folder of hook/,
# with an alias actiondfs::NAME. Sources are listed one by one; DEPS are public.
function(actiondfs_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(actiondfs_${name} STATIC ${ROOM_SOURCES})
  add_library(actiondfs::${name} ALIAS actiondfs_${name})
  target_include_directories(actiondfs_${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(actiondfs_${name}
    PUBLIC ${ROOM_DEPS} PRIVATE actiondfs_options ${ROOM_PRIVATE_DEPS})
endfunction()

# actiondfs_unit_tests(ROOM SOURCES ... DEPS ...): one GoogleTest program for one room.
function(actiondfs_unit_tests room)
  cmake_parse_arguments(T "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${room}_test ${T_SOURCES})
  target_include_directories(${room}_test PRIVATE ${PROJECT_SOURCE_DIR})
  # Half the time to compile; tests do not need to be fast.
  target_compile_options(${room}_test PRIVATE -O1 -g1)
  target_link_libraries(${room}_test PRIVATE ${T_DEPS} actiondfs_options GTest::gmock_main)
  gtest_discover_tests(${room}_test DISCOVERY_TIMEOUT 60 PROPERTIES LABELS unit)
endfunction()
