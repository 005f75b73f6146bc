// SPDX-License-Identifier: Apache-2.0
#include "hook/apps/common/config_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <utility>

#include "hook/base/files.h"
#include "hook/base/text.h"

namespace actiondfs::apps {
namespace {

constexpr size_t kMaxConfigSize = size_t{1} << 20;

Status CheckTrust(const struct stat& st, const std::string& path) {
  if (!S_ISREG(st.st_mode)) {
    return MakeError(EPERM, "expected a regular file");
  }
  if (st.st_uid != 0 && st.st_uid != ::geteuid()) {
    return MakeError(EPERM, fmt::format("belongs to uid {}, expected root: chown root {}",
                                        st.st_uid, Quoted(path)));
  }
  if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return MakeError(EPERM, fmt::format("is writable by {} (mode {:04o}): chmod go-w {}",
                                        (st.st_mode & S_IWOTH) != 0 ? "others" : "its group",
                                        st.st_mode & 07777U, Quoted(path)));
  }
  return {};
}

Result<plan::Config> Load(const std::string& path) {
  // O_NONBLOCK: opening a FIFO must not wait for its writer.
  auto fd = OpenAt(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
  if (!fd && fd.error().code() == ENOENT) {
    return MakeError(ENOENT, "there is none here: write one, or name another with --config");
  }
  if (!fd && fd.error().code() == ELOOP) {
    return MakeError(ELOOP, "is a symlink, expected the file itself");
  }
  if (!fd) {
    return std::unexpected(std::move(fd).error());
  }
  ASSIGN_OR_RETURN(const struct stat st, StatFd(fd->get()));
  RETURN_IF_ERROR(CheckTrust(st, path));
  ASSIGN_OR_RETURN(const std::string text, ReadAll(fd->get(), kMaxConfigSize));
  return plan::ParseConfig(text);
}

}  // namespace

Result<plan::Config> LoadConfig(const std::string& path) {
  auto config = Load(path);
  if (!config) {
    return Wrap(std::move(config).error(), "configuration " + Quoted(path));
  }
  return config;
}

}  // namespace actiondfs::apps
