// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/directory_oracle.h"

#include <algorithm>
#include <set>
#include <string>

namespace actiondfs::fuzz {
namespace {

bool IsValidName(const std::string& name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
}

bool IsValidTarget(const std::string& target) {
  return !target.empty() && target.size() <= 4095 && target.find('\0') == std::string::npos;
}

bool IsValidDigest(const reapi::Digest& digest) {
  return digest.hash().size() == 64 &&
         digest.hash().find_first_not_of("0123456789abcdef") == std::string::npos &&
         digest.size_bytes() >= 0;
}

bool AreValid(const reapi::NodeProperties& properties) {
  const auto& mtime = properties.mtime();
  return mtime.seconds() >= -62135596800 && mtime.seconds() <= 253402300799 && mtime.nanos() >= 0 &&
         mtime.nanos() <= 999999999;
}

template <typename Nodes>
bool AreSorted(const Nodes& nodes) {
  return std::ranges::is_sorted(nodes, {}, [](const auto& node) { return node.name(); });
}

// Adds the names of `nodes`; false where one is not valid, or there already.
template <typename Nodes>
bool AddNames(const Nodes& nodes, std::set<std::string>& names) {
  return std::ranges::all_of(nodes, [&](const auto& node) {
    return IsValidName(node.name()) && names.insert(node.name()).second;
  });
}

reapi::Digest Known(const reapi::Digest& digest) {
  reapi::Digest known;
  known.set_hash(digest.hash());
  known.set_size_bytes(digest.size_bytes());
  return known;
}

reapi::NodeProperties Known(const reapi::NodeProperties& properties) {
  reapi::NodeProperties known;
  for (const auto& property : properties.properties()) {
    auto* added = known.add_properties();
    added->set_name(property.name());
    added->set_value(property.value());
  }
  if (properties.has_mtime()) {
    known.mutable_mtime()->set_seconds(properties.mtime().seconds());
    known.mutable_mtime()->set_nanos(properties.mtime().nanos());
  }
  if (properties.has_unix_mode()) {
    known.mutable_unix_mode()->set_value(properties.unix_mode().value());
  }
  return known;
}

}  // namespace

bool IsValid(const reapi::Directory& directory) {
  std::set<std::string> names;
  return AddNames(directory.files(), names) && AddNames(directory.directories(), names) &&
         AddNames(directory.symlinks(), names) && AreSorted(directory.files()) &&
         AreSorted(directory.directories()) && AreSorted(directory.symlinks()) &&
         AreValid(directory.node_properties()) &&
         std::ranges::all_of(directory.files(),
                             [](const auto& file) {
                               return IsValidDigest(file.digest()) &&
                                      AreValid(file.node_properties());
                             }) &&
         std::ranges::all_of(directory.directories(),
                             [](const auto& child) { return IsValidDigest(child.digest()); }) &&
         std::ranges::all_of(directory.symlinks(), [](const auto& link) {
           return IsValidTarget(link.target()) && AreValid(link.node_properties());
         });
}

reapi::Directory WithoutUnknownFields(const reapi::Directory& directory) {
  reapi::Directory known;
  for (const auto& file : directory.files()) {
    auto* added = known.add_files();
    added->set_name(file.name());
    added->set_is_executable(file.is_executable());
    if (file.has_digest()) *added->mutable_digest() = Known(file.digest());
    if (file.has_node_properties()) {
      *added->mutable_node_properties() = Known(file.node_properties());
    }
  }
  for (const auto& child : directory.directories()) {
    auto* added = known.add_directories();
    added->set_name(child.name());
    if (child.has_digest()) *added->mutable_digest() = Known(child.digest());
  }
  for (const auto& link : directory.symlinks()) {
    auto* added = known.add_symlinks();
    added->set_name(link.name());
    added->set_target(link.target());
    if (link.has_node_properties()) {
      *added->mutable_node_properties() = Known(link.node_properties());
    }
  }
  if (directory.has_node_properties()) {
    *known.mutable_node_properties() = Known(directory.node_properties());
  }
  return known;
}

}  // namespace actiondfs::fuzz
