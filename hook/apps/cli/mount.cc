// SPDX-License-Identifier: Apache-2.0
//
// actiondfs mount: a tree at a mount point of this host, by the kernel module or by the FUSE server
// (one of its own where none runs).
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hook/apps/cli/cas_option.h"
#include "hook/apps/cli/command.h"
#include "hook/apps/cli/mount_names.h"
#include "hook/apps/cli/serve_socket.h"
#include "hook/base/files.h"
#include "hook/base/text.h"
#include "hook/mount/fuse_client.h"
#include "hook/mount/kernel_mounter.h"
#include "hook/mount/overlay.h"

namespace actiondfs::cli {
namespace {

struct Options {
  std::vector<std::string> arguments;  // [DIGEST] MOUNTPOINT
  CasOption cas;
  std::string mode, backend = "auto", stage, socket;
  std::vector<std::string> mount_options;
  bool roots = false, list_roots = false, no_passthrough = false;

  // From the above.
  std::string mountpoint;
  mount::TreeRequest tree;
};

[[noreturn]] void Usage(const char* name, const std::string& message) {
  throw CLI::ValidationError(name, message);
}

uint32_t ParseId(const std::string& key, const std::string& text) {
  const auto id = ParseDecimal(text);
  if (!id || *id >= std::numeric_limits<uint32_t>::max()) {
    Usage("-o", key + "=" + Quoted(text) + ": expected a number below 4294967295");
  }
  return static_cast<uint32_t>(*id);
}

void ParseMountOption(Options& options, const std::string& text) {
  const size_t equals = text.find('=');
  const std::string key = text.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : text.substr(equals + 1);
  if (key == "uid") {
    options.tree.uid = ParseId(key, value);
  } else if (key == "gid") {
    options.tree.gid = ParseId(key, value);
  } else if (key == "inodes" && (value == "path" || value == "content")) {
    options.tree.inodes_by_content = value == "content";
  } else if (key == "verify" && (value == "dirs" || value == "none")) {
    options.tree.verify_directories = value == "dirs";
  } else if (key == "context" && !value.empty()) {
    options.tree.selinux_context = value;
  } else {
    Usage("-o", Quoted(text) +
                    ": expected uid=, gid=, inodes=path, inodes=content, verify=dirs, verify=none "
                    "or context=");
  }
}

void ParseArguments(Options& options) {
  const size_t expected = options.roots ? 1 : 2;
  if (options.arguments.size() != expected) {
    Usage("mount", options.roots ? "expected MOUNTPOINT" : "expected DIGEST MOUNTPOINT");
  }
  options.mountpoint = options.arguments.back();
  if (!options.roots) {
    auto digest = cas::ParseDigest(options.arguments.front());
    if (!digest) {
      Usage("DIGEST", digest.error().what());
    }
    options.tree.root = *digest;
  }
}

// What contradicts itself is a usage error, by exception, as CLI11 wants it.
void Complete(Options& options) {
  ParseArguments(options);
  options.tree.uid = ::geteuid();
  options.tree.gid = ::getegid();
  for (const std::string& list : options.mount_options) {
    for (const std::string& text : Split(list, ',')) {
      ParseMountOption(options, text);
    }
  }
  if (options.mode.empty()) {
    options.mode = options.roots ? "readonly" : "strict";
  }
  if (options.roots && options.mode != "readonly") {
    Usage("--roots", "a mount of many roots is readonly");
  }
  if (options.list_roots && !options.roots) {
    Usage("--list-roots", "only with --roots");
  }
  if (options.backend == "kernel" && (options.roots || options.no_passthrough)) {
    Usage("--backend", "--roots and --no-passthrough are of the FUSE backend");
  }
  if (options.mode != "readonly" && options.stage.empty()) {
    Usage("--stage", "mode " + options.mode +
                         " needs a directory for what is written (or choose --mode readonly)");
  }
  if (options.mode == "readonly" && !options.stage.empty()) {
    Usage("--stage", "nothing is written in mode readonly");
  }
  options.tree.many_roots = options.roots;
  options.tree.list_roots = options.list_roots;
  options.tree.no_passthrough = options.no_passthrough;
  options.tree.cas_name = options.cas.cas;
  options.tree.id = fmt::format("cli-{}-{}", ::time(nullptr), ::getpid());
}

Status MountPlain(const Options& options, const mount::Mounter& mounter,
                  const cas::BlobStore& store, int target) {
  UniqueFd stage;
  if (options.mode == "strict") {
    ASSIGN_OR_RETURN(stage, OpenAt(AT_FDCWD, options.stage, O_RDONLY | O_DIRECTORY));
  }
  ASSIGN_OR_RETURN(const mount::DetachedMount tree,
                   mounter.MountTree(options.tree, store, stage.get()));
  return mount::AttachMount(tree, target);
}

Status MountOverlay(const Options& options, const mount::Mounter& mounter,
                    const cas::BlobStore& store, int target) {
  // overlayfs takes its layers by path, so the tree below has a place in the stage.
  ASSIGN_OR_RETURN(const std::string stage, RealPath(options.stage));
  const std::string lower = stage + "/" + kLowerName;
  RETURN_IF_ERROR(MkdirAt(AT_FDCWD, lower, 0700, /*exist_ok=*/true));
  ASSIGN_OR_RETURN(const UniqueFd place, OpenAt(AT_FDCWD, lower, O_PATH | O_DIRECTORY));
  ASSIGN_OR_RETURN(const mount::DetachedMount tree, mounter.MountTree(options.tree, store, -1));
  RETURN_IF_ERROR(mount::AttachMount(tree, place.get()));
  auto overlay = mount::MakeOverlay({.lower = lower,
                                     .stage_dir = stage,
                                     .uid = options.tree.uid,
                                     .gid = options.tree.gid,
                                     .selinux_context = options.tree.selinux_context});
  Status done = overlay ? mount::AttachMount(*overlay, target)
                        : Status(std::unexpected(std::move(overlay).error()));
  if (!done) {
    (void)mount::DetachAll(lower);
  }
  return done;
}

oci::Backend ChooseBackend(const Options& options) {
  if (options.backend != "auto") {
    return oci::ParseBackend(options.backend).value();  // CLI11 has checked it
  }
  const bool only_fuse = options.roots || options.no_passthrough;
  return !only_fuse && mount::KernelMounter().Probe() ? oci::Backend::kKernel : oci::Backend::kFuse;
}

// A server of its own where none listens at --socket.
Result<std::optional<PrivateServer>> StartMissingServer(const Options& options) {
  const auto running = mount::FuseClient(options.socket).Probe();
  if (running) {
    return std::nullopt;
  }
  if (running.error().code() != ENOENT && running.error().code() != ECONNREFUSED) {
    return std::unexpected(running.error());
  }
  ASSIGN_OR_RETURN(PrivateServer server, PrivateServer::Start(!options.no_passthrough));
  fmt::print(stderr, "actiondfs: no server at {}: this mount has one of its own\n",
             Quoted(options.socket));
  return server;
}

Status Mount(const Options& options) {
  ASSIGN_OR_RETURN(const UniqueFd target,
                   OpenAt(AT_FDCWD, options.mountpoint, O_PATH | O_DIRECTORY));
  ASSIGN_OR_RETURN(const cas::BlobStore store, OpenCas(options.cas));
  if (!options.stage.empty()) {
    RETURN_IF_ERROR(MakeDirectories(options.stage, 0700));
  }
  const oci::Backend backend = ChooseBackend(options);
  std::optional<PrivateServer> own;
  if (backend == oci::Backend::kFuse) {
    ASSIGN_OR_RETURN(auto server, StartMissingServer(options));
    if (server) {
      own.emplace(std::move(*server));
    }
  }
  ASSIGN_OR_RETURN(const auto mounter,
                   mount::MakeMounter(backend, own ? own->socket_path() : options.socket));
  return options.mode == "overlay" ? MountOverlay(options, *mounter, store, target.get())
                                   : MountPlain(options, *mounter, store, target.get());
}

}  // namespace

void RegisterMount(CLI::App& app, Outcome& outcome) {
  CLI::App& command = *app.add_subcommand("mount", "Mount a tree on this host");
  const auto options = std::make_shared<Options>();
  command
      .add_option("ARGUMENTS", options->arguments,
                  "DIGEST MOUNTPOINT (with --roots: MOUNTPOINT): the tree, and where it goes")
      ->required()
      ->type_name("");
  AddCasOptions(command, options->cas);
  command
      .add_option(
          "--mode", options->mode,
          "strict (default): inputs cannot change, new files are staged; readonly; overlay: "
          "inputs can be changed, in the stage")
      ->check(CLI::IsMember({"strict", "readonly", "overlay"}))
      ->type_name("MODE");
  command
      .add_option("--backend", options->backend,
                  "auto (the kernel module if it is loaded, else fuse), kernel, fuse or hardlink")
      ->check(CLI::IsMember({"auto", "kernel", "fuse", "hardlink"}))
      ->type_name("BACKEND");
  command
      .add_option("--stage", options->stage, "Where what is written goes; made if it is not there")
      ->type_name("DIR");
  command
      .add_option("-o", options->mount_options,
                  "uid=N,gid=N (owner of the inputs), inodes=path|content, verify=dirs|none, "
                  "context=TEXT")
      ->type_name("OPTIONS")
      ->allow_extra_args(false);
  command.add_flag("--roots", options->roots,
                   "Every tree of the store, by name: MOUNTPOINT/<hash>-<size>");
  command.add_flag("--list-roots", options->list_roots,
                   "With --roots: trees that were looked up can be listed");
  command.add_flag("--no-passthrough", options->no_passthrough,
                   "Read and write files in the server, not in the kernel");
  AddSocketOption(command, options->socket);
  command.callback([options, &outcome] {
    Complete(*options);
    outcome.code = Report(Mount(*options));
  });
}

}  // namespace actiondfs::cli
