// SPDX-License-Identifier: Apache-2.0
//
// actiondfs serve: the FUSE server of this host.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hook/apps/cli/command.h"
#include "hook/apps/cli/serve_socket.h"
#include "hook/base/files.h"
#include "hook/base/socket.h"
#include "hook/fuse/fd_store.h"
#include "hook/fuse/server.h"
#include "hook/sandbox/process.h"

namespace actiondfs::cli {
namespace {

constexpr int kBacklog = 128;
// Beyond their shares, all mounts together.
constexpr size_t kSharesInPool = 32;

struct Options {
  std::string socket;
  bool foreground = false;
  bool no_passthrough = false;
  size_t nodes = fuse::kDefaultLimits[static_cast<size_t>(fuse::Resource::kNodes)].share;
  bool no_prune = false;
};

Result<UniqueFd> Listen(const Options& options) {
  const size_t slash = options.socket.rfind('/');
  if (slash != std::string::npos && slash > 0) {
    // Where it is the hook's state directory too, that has to be private.
    RETURN_IF_ERROR(MakeDirectories(options.socket.substr(0, slash), 0700));
  }
  return ListenUnix(options.socket, kBacklog);
}

// The first listening socket that was passed; the others stay.
UniqueFd TakeListener(std::vector<fuse::PassedFd>& passed) {
  for (auto it = passed.begin(); it != passed.end(); ++it) {
    int listens = 0;
    socklen_t size = sizeof(listens);
    if (::getsockopt(it->fd.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 &&
        listens != 0) {
      UniqueFd listener = std::move(it->fd);
      passed.erase(it);
      return listener;
    }
  }
  return UniqueFd();
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
  fuse::ServerOptions server;
  server.stored = fuse::TakePassedFds();
  server.listener = TakeListener(server.stored);
  if (!server.listener.valid()) {
    ASSIGN_OR_RETURN(server.listener, Listen(options));
  }
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
  } else {
    ASSIGN_OR_RETURN(server.fd_store, fuse::FdStore::FromEnvironment());
  }
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
