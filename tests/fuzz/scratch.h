// SPDX-License-Identifier: Apache-2.0
//
// Directories for targets that need files: in memory where the host has /dev/shm, gone with the
// process. Belongs to one thread.
#ifndef ACTIONDFS_TESTS_FUZZ_SCRATCH_H_
#define ACTIONDFS_TESTS_FUZZ_SCRATCH_H_

#include <cstddef>
#include <filesystem>
#include <string>

#include "hook/base/unique_fd.h"

namespace actiondfs::fuzz {

class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // A new, empty directory instead of what is there by that name.
  void Renew(const std::string& name) const;
  // The directory, open for reading.
  UniqueFd Open(const std::string& name) const;

 private:
  std::filesystem::path path_;
};

// What is below the directory, without `except`: types, modes, owners, times, contents and link
// targets. Two texts are equal where nothing changed.
std::string Snapshot(const std::filesystem::path& directory, const std::string& except = "");

// Descriptors that this process has open.
size_t CountDescriptors();

}  // namespace actiondfs::fuzz

#endif  // ACTIONDFS_TESTS_FUZZ_SCRATCH_H_
