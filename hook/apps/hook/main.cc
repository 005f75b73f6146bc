// SPDX-License-Identifier: Apache-2.0
//
// actiondfs-hook STAGE [--config PATH] < state.json: the OCI hook. It starts for every container of
// the host, so it is linked statically and parses its two arguments itself.
#include <syslog.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "hook/apps/hook/stages.h"
#include "hook/base/files.h"
#include "hook/plan/config.h"
#include "hook/sandbox/process.h"

namespace actiondfs::hook {
namespace {

constexpr size_t kMaxState = size_t{16} << 20;
constexpr int kFailure = 1;
constexpr int kUsage = 2;

struct Arguments {
  std::string stage;
  std::string config_path = plan::kDefaultConfigPath;
};

bool ParseArguments(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--config" && i + 1 < argc) {
      arguments.config_path = argv[++i];
    } else if (arguments.stage.empty() && !word.starts_with('-')) {
      arguments.stage = word;
    } else {
      return false;
    }
  }
  return arguments.stage == "prestart" || arguments.stage == "createRuntime" ||
         arguments.stage == "poststop";
}

Status Run(const Arguments& arguments) {
  RETURN_IF_ERROR(sandbox::ForgetInheritance());
  auto state = ReadAll(STDIN_FILENO, kMaxState);
  if (!state) {
    return Wrap(std::move(state).error(), "container state on standard input");
  }
  return arguments.stage == "poststop" ? Poststop(arguments.config_path, *state)
                                       : Prestart(arguments.config_path, *state);
}

// To stderr, which runc and podman show, and to syslog, since crun throws a hook's stderr away.
void Complain(const std::string& stage, const Error& error) {
  const std::string line = stage + ": " + error.ToString();
  (void)std::fprintf(stderr, "actiondfs-hook: %s\n", line.c_str());
  ::openlog("actiondfs-hook", LOG_PID, LOG_DAEMON);
  ::syslog(LOG_ERR, "%s", line.c_str());
}

}  // namespace
}  // namespace actiondfs::hook

int main(int argc, char** argv) {
  using namespace actiondfs::hook;
  Arguments arguments;
  if (!ParseArguments(argc, argv, arguments)) {
    (void)std::fputs(
        "usage: actiondfs-hook prestart|createRuntime|poststop [--config PATH] < state.json\n"
        "version " ACTIONDFS_VERSION "\n",
        stderr);
    return kUsage;
  }
  if (const auto status = Run(arguments); !status) {
    Complain(arguments.stage, status.error());
    // A poststop hook that fails would keep other poststop hooks from running (runc); gc does what
    // is left.
    return arguments.stage == "poststop" ? 0 : kFailure;
  }
  return 0;
}
