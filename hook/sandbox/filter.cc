// SPDX-License-Identifier: Apache-2.0
#include "hook/sandbox/filter.h"

#include <seccomp.h>

#include <cerrno>
#include <memory>
#include <string>
#include <type_traits>

namespace actiondfs::sandbox {
namespace {

using Filter = std::unique_ptr<std::remove_pointer_t<scmp_filter_ctx>, void (*)(scmp_filter_ctx)>;

// libseccomp returns negative errnos.
Status Check(int code, const std::string& what) {
  return code == 0 ? Status() : MakeError(-code, "system call filter: " + what);
}

Status SetAttributes(scmp_filter_ctx filter) {
  RETURN_IF_ERROR(Check(::seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS),
                        "architectures"));
  // It is set, and known to be needed, before.
  RETURN_IF_ERROR(Check(::seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0), "no_new_privs"));
  RETURN_IF_ERROR(Check(::seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1), "threads"));
  // The kernel's errno, not a general one.
  RETURN_IF_ERROR(Check(::seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1), "errors"));
  // A tree, not a chain: the kernel tries each call on what it loads, which is most of the cost.
  return Check(::seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2), "optimize");
}

Status Add(scmp_filter_ctx filter, const CallRule& rule) {
  const int call = ::seccomp_syscall_resolve_name(rule.call);
  if (call == __NR_SCMP_ERROR) {
    return Check(-ENOSYS, rule.call);
  }
  // What this architecture does not have is passed over by libseccomp.
  if (rule.argument < 0) {
    return Check(::seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0), rule.call);
  }
  const scmp_arg_cmp compare = {static_cast<unsigned>(rule.argument), SCMP_CMP_MASKED_EQ, rule.mask,
                                rule.value};
  return Check(::seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &compare), rule.call);
}

}  // namespace

Status InstallFilter(Profile profile) {
  if (!kFiltersBuilt || OtherwiseOf(profile) == Otherwise::kNothing) {
    return {};
  }
  const bool kill = OtherwiseOf(profile) == Otherwise::kKill;
  const Filter filter(::seccomp_init(kill ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(ENOSYS)),
                      &::seccomp_release);
  if (!filter) {
    return MakeError(ENOMEM, "system call filter");
  }
  RETURN_IF_ERROR(SetAttributes(filter.get()));
  for (const CallClass& allowed : CallsOf(profile)) {
    for (const CallRule& rule : allowed.rules) {
      RETURN_IF_ERROR(Add(filter.get(), rule));
    }
  }
  return Check(::seccomp_load(filter.get()), "load");
}

}  // namespace actiondfs::sandbox
