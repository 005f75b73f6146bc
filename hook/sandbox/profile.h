// SPDX-License-Identifier: Apache-2.0
//
// What each program of actiondfs may do once it has started: its capabilities and its system calls.
// docs/security.md has the same as a table, with the reasons; tests compare the two. Constants
// only.
#ifndef ACTIONDFS_HOOK_SANDBOX_PROFILE_H_
#define ACTIONDFS_HOOK_SANDBOX_PROFILE_H_

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace actiondfs::sandbox {

enum class Profile {
  kPrestart,  // the hook's prestart and createRuntime, until the workspace is attached
  kAttached,  // and from then on: the lease is written, and that is all
  kPoststop,  // the hook's poststop
  kGc,        // actiondfs gc, from when the state directory is there
  kServe,     // the FUSE server
};
inline constexpr std::array kProfiles = {Profile::kPrestart, Profile::kAttached, Profile::kPoststop,
                                         Profile::kGc, Profile::kServe};

// Allows `call` where (argument & mask) == value; whatever its arguments are where `argument` < 0.
struct CallRule {
  const char* call;
  int argument = -1;
  uint32_t mask = 0;
  uint32_t value = 0;
};

// System calls that are allowed for one reason.
struct CallClass {
  std::string_view name;
  std::span<const CallRule> rules;
};

// What becomes of a call that no class has.
enum class Otherwise {
  kKill,     // the process: a static program, all of whose calls are known
  kRefuse,   // ENOSYS: what the C library tries first is not ours to know
  kNothing,  // there is no filter
};

// As docs/security.md names it: "prestart", "attached", "poststop", "gc", "serve".
std::string_view NameOf(Profile profile);
// Numbers of linux/capability.h.
std::span<const int> CapabilitiesOf(Profile profile);
std::span<const CallClass> CallsOf(Profile profile);
Otherwise OtherwiseOf(Profile profile);

}  // namespace actiondfs::sandbox

#endif  // ACTIONDFS_HOOK_SANDBOX_PROFILE_H_
