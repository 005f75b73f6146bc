// SPDX-License-Identifier: Apache-2.0
#include "hook/plan/allow.h"

#include <algorithm>

#include "hook/base/text.h"

namespace actiondfs::plan {
namespace {

template <typename List, typename Show>
std::string Join(const List& list, Show show) {
  std::string joined;
  for (const auto& element : list) {
    joined += joined.empty() ? "" : ", ";
    joined += show(element);
  }
  return joined;
}

bool IsAtOrBelow(std::string_view path, std::string_view directory) {
  return path.starts_with(directory) &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

}  // namespace

bool IsAllowed(const Config& config, oci::Mode mode) {
  return !config.allow.modes || config.allow.modes->contains(mode);
}

bool IsAllowed(const Config& config, oci::Backend backend) {
  return backend == oci::Backend::kAuto || !config.allow.backends ||
         config.allow.backends->contains(backend);
}

bool IsAllowed(const Config& config, const std::string& destination) {
  return !config.allow.destinations ||
         std::ranges::any_of(*config.allow.destinations, [&](const std::string& allowed) {
           return IsAtOrBelow(destination, allowed);
         });
}

std::string AllowedModes(const Config& config) {
  return Join(*config.allow.modes, [](oci::Mode mode) { return oci::ToString(mode); });
}

std::string AllowedBackends(const Config& config) {
  return Join(*config.allow.backends, [](oci::Backend backend) { return oci::ToString(backend); });
}

std::string AllowedDestinations(const Config& config) {
  return Join(*config.allow.destinations, [](const std::string& path) { return Quoted(path); });
}

}  // namespace actiondfs::plan
