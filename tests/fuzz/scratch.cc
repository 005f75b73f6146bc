// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/scratch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include "hook/base/files.h"
#include "tests/fuzz/check.h"

namespace actiondfs::fuzz {
namespace {

constexpr size_t kLargestFile = size_t{1} << 20;

std::string NewDirectory() {
  for (const char* parent : {"/dev/shm", "/tmp"}) {
    std::string path = std::string(parent) + "/actiondfs-fuzz-XXXXXX";
    if (::mkdtemp(path.data()) != nullptr) {
      return path;
    }
  }
  Fail(__FILE__, __LINE__, "a directory in /dev/shm or /tmp can be made");
}

std::string Describe(const std::filesystem::path& path) {
  struct stat st = {};
  MUST(::lstat(path.c_str(), &st) == 0);
  std::string text =
      fmt::format("{} {:o} {}:{} {} {}.{:09}\n", path.native(), st.st_mode, st.st_uid, st.st_gid,
                  st.st_nlink, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
  if (S_ISREG(st.st_mode)) {
    text += ReadFileAt(AT_FDCWD, path.native(), kLargestFile).value_or("unreadable");
  } else if (S_ISLNK(st.st_mode)) {
    text += std::filesystem::read_symlink(path).native();
  }
  return text + "\n";
}

}  // namespace

Scratch::Scratch() : path_(NewDirectory()) {}

Scratch::~Scratch() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void Scratch::Renew(const std::string& name) const {
  std::filesystem::remove_all(path_ / name);
  MUST(::mkdir((path_ / name).c_str(), 0755) == 0);
}

UniqueFd Scratch::Open(const std::string& name) const {
  UniqueFd fd(::open((path_ / name).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  MUST(fd.valid());
  return fd;
}

std::string Snapshot(const std::filesystem::path& directory, const std::string& except) {
  std::vector<std::string> found;
  for (auto it = std::filesystem::recursive_directory_iterator(directory);
       it != std::filesystem::recursive_directory_iterator(); ++it) {
    if (it.depth() == 0 && it->path().filename() == except) {
      it.disable_recursion_pending();
    } else {
      found.push_back(Describe(it->path()));
    }
  }
  std::ranges::sort(found);
  std::string all;
  for (const std::string& text : found) {
    all += text;
  }
  return all;
}

size_t CountDescriptors() {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                                           std::filesystem::directory_iterator()));
}

}  // namespace actiondfs::fuzz
