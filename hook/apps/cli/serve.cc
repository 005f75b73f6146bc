// SPDX-License-Identifier: Apache-2.0
//
// actiondfs serve: the FUSE server of this host.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "hook/apps/cli/command.h"
#include "hook/apps/cli/serve_socket.h"
#include "hook/base/files.h"
#include "hook/base/socket.h"
#include "hook/base/text.h"
#include "hook/fuse/server.h"
#include "hook/sandbox/process.h"

namespace actiondfs::cli {
namespace {

constexpr int kBacklog = 128;
// Beyond their shares, all mounts together.
constexpr size_t kSharesInPool = 32;
constexpr int kFirstPassedFd = 3;  // sd_listen_fds(3)

struct Options {
  std::string socket;
  bool foreground = false;
  bool no_passthrough = false;
  size_t nodes = fuse::kDefaultLimits[static_cast<size_t>(fuse::Resource::kNodes)].share;
  bool no_prune = false;
};

// The number in an environment variable; -1: none.
long NumberInEnvironment(const char* name) {
  const char* text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): no thread yet
  const auto number = text != nullptr ? ParseDecimal(text) : std::nullopt;
  return number ? static_cast<long>(*number) : -1;
}

bool IsActivated() {
  return NumberInEnvironment("LISTEN_PID") == ::getpid() && NumberInEnvironment("LISTEN_FDS") == 1;
}

Result<UniqueFd> Listener(const Options& options) {
  if (IsActivated()) {
    UniqueFd passed(kFirstPassedFd);
    if (::fcntl(passed.get(), F_SETFD, FD_CLOEXEC) != 0) {
      return ErrnoError("the socket that was passed");
    }
    return passed;
  }
  const size_t slash = options.socket.rfind('/');
  if (slash != std::string::npos && slash > 0) {
    // Where it is the hook's state directory too, that has to be private.
    RETURN_IF_ERROR(MakeDirectories(options.socket.substr(0, slash), 0700));
  }
  return ListenUnix(options.socket, kBacklog);
}

// Readable once SIGTERM or SIGINT came. All threads inherit the mask.
Result<UniqueFd> StopSignals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigaddset(&set, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC));
  if (!fd.valid()) {
    return ErrnoError("signalfd");
  }
  return fd;
}

Status Serve(const Options& options) {
  ASSIGN_OR_RETURN(UniqueFd listener, Listener(options));
  if (!options.foreground) {
    const pid_t child = ::fork();
    if (child < 0) {
      return ErrnoError("fork");
    }
    if (child > 0) {
      // The socket listens already: whoever connects now waits for the child.
      fmt::print("{}\n", child);
      return {};
    }
    RETURN_IF_ERROR(BecomeDaemon());
  }
  fuse::ServerOptions server;
  server.listener = std::move(listener);
  server.passthrough = !options.no_passthrough;
  server.version = ACTIONDFS_VERSION;
  server.prune = !options.no_prune;
  server.limits[static_cast<size_t>(fuse::Resource::kNodes)] = {
      .share = options.nodes, .pool = kSharesInPool * options.nodes};
  ASSIGN_OR_RETURN(server.stop, StopSignals());
  RETURN_IF_ERROR(sandbox::Confine(sandbox::Profile::kServe));
  return fuse::Server(std::move(server)).Run();
}

}  // namespace

void RegisterServe(CLI::App& app, Outcome& outcome) {
  CLI::App& command = *app.add_subcommand("serve", "Run the FUSE server of this host");
  const auto options = std::make_shared<Options>();
  AddSocketOption(command, options->socket);
  command.add_flag(
      "--foreground", options->foreground,
      "Stay in the foreground, and log to stderr too (else the process id is printed)");
  command.add_flag("--no-passthrough", options->no_passthrough,
                   "Read and write files in the server, not in the kernel");
  command
      .add_option("--nodes", options->nodes,
                  "Names that a mount may have the server remember before the kernel is asked to "
                  "forget some")
      ->check(CLI::Range(size_t{1}, size_t{4} << 20))
      ->capture_default_str();
  command.add_flag("--no-prune", options->no_prune,
                   "Have names forgotten as kernels before 6.18 can: input files only");
  command.callback([options, &outcome] { outcome.code = Report(Serve(*options)); });
}

}  // namespace actiondfs::cli
