// SPDX-License-Identifier: Apache-2.0
//
// actiondfs-hook STAGE [--config PATH] < state.json: the OCI hook. It starts for every container of
// the host, so it is linked statically and parses its two arguments itself.
#include <google/protobuf/stubs/logging.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hook/apps/hook/log.h"
#include "hook/apps/hook/stages.h"
#include "hook/base/files.h"
#include "hook/plan/config.h"
#include "hook/sandbox/capabilities.h"
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

// Where something was not permitted, what the runtime did not give the hook may be why.
std::unexpected<Error> Explain(Error error, const std::vector<int>& missing) {
  if ((error.code() != EPERM && error.code() != EACCES) || missing.empty()) {
    return std::unexpected(std::move(error));
  }
  std::string names;
  for (const int capability : missing) {
    names += " " + sandbox::CapabilityName(capability);
  }
  return Wrap(std::move(error), "started without" + names);
}

Status Run(const Arguments& arguments) {
  const bool poststop = arguments.stage == "poststop";
  RETURN_IF_ERROR(sandbox::ForgetInheritance());
  ASSIGN_OR_RETURN(
      const std::vector<int> missing,
      sandbox::Confine(poststop ? sandbox::Profile::kPoststop : sandbox::Profile::kPrestart));
  auto state = ReadAll(STDIN_FILENO, kMaxState);
  if (!state) {
    return Wrap(std::move(state).error(), "container state on standard input");
  }
  auto status =
      poststop ? Poststop(arguments.config_path, *state) : Prestart(arguments.config_path, *state);
  return status ? status : Explain(std::move(status).error(), missing);
}

}  // namespace
}  // namespace actiondfs::hook

int main(int argc, char** argv) {
  using namespace actiondfs::hook;
  // It would print what a message from a store looks like. The error that the caller gets says it.
  google::protobuf::SetLogHandler(nullptr);
  Arguments arguments;
  if (!ParseArguments(argc, argv, arguments)) {
    (void)std::fputs(
        "usage: actiondfs-hook prestart|createRuntime|poststop [--config PATH] < state.json\n"
        "version " ACTIONDFS_VERSION "\n",
        stderr);
    return kUsage;
  }
  if (const auto status = Run(arguments); !status) {
    Log(arguments.stage + ": " + status.error().ToString());
    // A poststop hook that fails would keep other poststop hooks from running (runc); gc does what
    // is left.
    return arguments.stage == "poststop" ? 0 : kFailure;
  }
  return 0;
}
