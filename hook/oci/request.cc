// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <utility>

#include "hook/base/text.h"
#include "hook/oci/workspace_request.h"

namespace actiondfs::oci {
namespace {

constexpr std::array<std::pair<Mode, std::string_view>, 3> kModes = {{
    {Mode::kStrict, "strict"},
    {Mode::kOverlay, "overlay"},
    {Mode::kReadonly, "readonly"},
}};
constexpr std::array<std::pair<Backend, std::string_view>, 4> kBackends = {{
    {Backend::kAuto, "auto"},
    {Backend::kKernel, "kernel"},
    {Backend::kFuse, "fuse"},
    {Backend::kHardlink, "hardlink"},
}};

template <typename Enum, size_t kSize>
std::string_view NameOf(const std::array<std::pair<Enum, std::string_view>, kSize>& names,
                        Enum value) {
  const auto* it = std::ranges::find(names, value, &std::pair<Enum, std::string_view>::first);
  return it == names.end() ? std::string_view("?") : it->second;
}

template <typename Enum, size_t kSize>
Result<Enum> ValueOf(const std::array<std::pair<Enum, std::string_view>, kSize>& names,
                     std::string_view text) {
  const auto* it = std::ranges::find(names, text, &std::pair<Enum, std::string_view>::second);
  if (it != names.end()) {
    return it->first;
  }
  std::string choices;
  for (const auto& [value, name] : names) {
    choices += choices.empty() ? "" : ", ";
    choices += name;
  }
  return MakeError(EINVAL, fmt::format("expected one of {}; got {}", choices, Quoted(text)));
}

std::unexpected<Error> BadPath(std::string_view expected, std::string_view path) {
  return MakeError(EINVAL, fmt::format("expected {}; got {}", expected, Quoted(path)));
}

bool IsControl(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

// What "a/b/c" must be, after the leading slash of an absolute path.
Status ValidateComponents(std::string_view path, std::string_view relative) {
  if (path.size() >= PATH_MAX) {
    return BadPath(fmt::format("a path of under {} bytes", PATH_MAX), path);
  }
  if (std::ranges::any_of(path, IsControl)) {
    return BadPath("a path without control characters", path);
  }
  for (const std::string& part : Split(relative, '/')) {
    if (part.empty() || part == "." || part == "..") {
      return BadPath("a path without empty, '.' or '..' components", path);
    }
    if (part.size() > NAME_MAX) {
      return BadPath(fmt::format("components of at most {} bytes", NAME_MAX), path);
    }
  }
  return {};
}

bool IsNameByte(char c, std::string_view punctuation) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
         punctuation.find(c) != std::string_view::npos;
}

bool IsName(std::string_view text, size_t longest, std::string_view punctuation) {
  return !text.empty() && text.size() <= longest &&
         std::ranges::all_of(text, [&](char c) { return IsNameByte(c, punctuation); });
}

}  // namespace

std::string_view ToString(Mode mode) {
  return NameOf(kModes, mode);
}
std::string_view ToString(Backend backend) {
  return NameOf(kBackends, backend);
}
Result<Mode> ParseMode(std::string_view text) {
  return ValueOf(kModes, text);
}
Result<Backend> ParseBackend(std::string_view text) {
  return ValueOf(kBackends, text);
}

Result<bool> ParseFlag(std::string_view text) {
  if (text == "1" || text == "true" || text == "yes") {
    return true;
  }
  if (text == "0" || text == "false" || text == "no") {
    return false;
  }
  return MakeError(EINVAL, "expected 1, true or yes, or 0, false or no; got " + Quoted(text));
}

Status ValidateDestination(std::string_view path) {
  if (!path.starts_with('/')) {
    return BadPath("an absolute path", path);
  }
  if (path == "/") {
    return BadPath("a directory below '/'", path);
  }
  const std::string_view relative = path.substr(1);
  RETURN_IF_ERROR(ValidateComponents(path, relative));
  const std::string_view first = relative.substr(0, relative.find('/'));
  if (first == "proc" || first == "sys" || first == "dev") {
    return BadPath("a path outside of /proc, /sys and /dev", path);
  }
  return {};
}

Status ValidateRelativePath(std::string_view path) {
  if (path.starts_with('/')) {
    return BadPath("a relative path", path);
  }
  return path.empty() ? Status() : ValidateComponents(path, path);
}

Status ValidateContainerId(std::string_view id) {
  if (!IsName(id, 255, "_.+-") || id == "." || id == "..") {
    return MakeError(EINVAL,
                     "expected 1 to 255 letters, digits, '_', '.', '+' and '-'; got " + Quoted(id));
  }
  return {};
}

Status ValidateCasName(std::string_view name) {
  if (!IsName(name, 64, "_.-")) {
    return MakeError(EINVAL,
                     "expected 1 to 64 letters, digits, '_', '.' and '-'; got " + Quoted(name));
  }
  return {};
}

}  // namespace actiondfs::oci
