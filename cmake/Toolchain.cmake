# SPDX-License-Identifier: Apache-2.0
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_EXTENSIONS ON) # the kernel's dialect
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# As RelWithDebInfo: the same code is tested and shipped. GCC 12 at -O3 also sees overlaps in std::string
# that are not there (its bug 105651), and warnings are errors.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
set(CMAKE_C_FLAGS_RELEASE "-O2 -DNDEBUG")

add_library(actiondfs_options INTERFACE)
target_compile_definitions(actiondfs_options INTERFACE
  _FILE_OFFSET_BITS=64 FMT_HEADER_ONLY=1 JSON_USE_IMPLICIT_CONVERSIONS=0)
target_compile_options(actiondfs_options INTERFACE
  -Wall -Wextra -Wshadow -Wvla -Wformat=2 -Wimplicit-fallthrough -Werror
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Woverloaded-virtual -Wold-style-cast>
  $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Wthread-safety>
  -fstack-protector-strong)
if(ACTIONDFS_SANITIZE)
  target_compile_options(actiondfs_options INTERFACE
    -fsanitize=${ACTIONDFS_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(actiondfs_options INTERFACE -fsanitize=${ACTIONDFS_SANITIZE})
else()
  target_compile_options(actiondfs_options INTERFACE
    $<$<CONFIG:Release,RelWithDebInfo>:-D_FORTIFY_SOURCE=2>)
endif()
if(ACTIONDFS_FUZZ)
  target_compile_options(actiondfs_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
