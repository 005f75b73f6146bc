// SPDX-License-Identifier: Apache-2.0
#include "hook/sandbox/capabilities.h"

#include <sys/capability.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <memory>
#include <type_traits>

namespace actiondfs::sandbox {
namespace {

using Sets = std::unique_ptr<std::remove_pointer_t<cap_t>, int (*)(void*)>;

Status EmptyBoundingSet() {
  for (int capability = 0; capability < cap_max_bits(); ++capability) {
    if (::cap_drop_bound(capability) != 0) {
      // Whoever may not is not to be kept from running: no_new_privs holds as well.
      return errno == EPERM ? Status() : ErrnoError("empty the bounding set");
    }
  }
  return {};
}

Status Raise(const Sets& sets, int capability) {
  for (const cap_flag_t set : {CAP_PERMITTED, CAP_EFFECTIVE}) {
    if (::cap_set_flag(sets.get(), set, 1, &capability, CAP_SET) != 0) {
      return ErrnoError("keep " + CapabilityName(capability));
    }
  }
  return {};
}

}  // namespace

std::string CapabilityName(int capability) {
  const std::unique_ptr<char, int (*)(void*)> name(::cap_to_name(capability), &::cap_free);
  std::string text = name ? name.get() : "capability " + std::to_string(capability);
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text;
}

Result<std::vector<int>> ReduceCapabilities(std::span<const int> keep) {
  const Sets had(::cap_get_proc(), &::cap_free);
  const Sets kept(::cap_init(), &::cap_free);
  if (!had || !kept) {
    return ErrnoError("read the capabilities");
  }
  std::vector<int> missing;
  for (const int capability : keep) {
    cap_flag_value_t has = CAP_CLEAR;
    if (::cap_get_flag(had.get(), capability, CAP_PERMITTED, &has) != 0) {
      return ErrnoError("look for " + CapabilityName(capability));
    }
    if (has == CAP_CLEAR) {
      missing.push_back(capability);
      continue;
    }
    RETURN_IF_ERROR(Raise(kept, capability));
  }
  RETURN_IF_ERROR(EmptyBoundingSet());
  if (::cap_reset_ambient() != 0) {
    return ErrnoError("drop ambient capabilities");
  }
  if (::cap_set_proc(kept.get()) != 0) {
    return ErrnoError("drop capabilities");
  }
  return missing;
}

}  // namespace actiondfs::sandbox
