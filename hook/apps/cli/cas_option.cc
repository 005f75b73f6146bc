// SPDX-License-Identifier: Apache-2.0
#include "hook/apps/cli/cas_option.h"

#include <fcntl.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <utility>

#include "hook/apps/common/config_file.h"
#include "hook/base/files.h"
#include "hook/base/text.h"

namespace actiondfs::cli {
namespace {

constexpr mode_t kNewDirMode = 0755;

bool IsPath(const std::string& cas) {
  return cas.starts_with('.') || cas.find('/') != std::string::npos;
}

Status CreateIfMissing(const std::string& path) {
  const auto st = StatAt(AT_FDCWD, path, /*flags=*/0);
  if (st || st.error().code() != ENOENT) {
    return {};  // what it is says the opening
  }
  auto made = MkdirAt(AT_FDCWD, path, kNewDirMode, /*exist_ok=*/true);
  return made ? made : Status(Wrap(std::move(made).error(), "CAS"));
}

Result<cas::BlobStore> OpenByName(const CasOption& option) {
  auto config = apps::LoadConfig(option.config);
  if (!config) {
    const bool missing = config.error().code() == ENOENT;
    return Wrap(
        std::move(config).error(),
        "CAS " + Quoted(option.cas) + (missing ? " (use --cas PATH, with a '/' in it)" : ""));
  }
  const auto found = config->cas.find(option.cas);
  if (found == config->cas.end()) {
    std::string names;
    for (const auto& [name, cas] : config->cas) {
      names += (names.empty() ? "" : ", ") + Quoted(name);
    }
    return MakeError(ENOENT, "CAS " + Quoted(option.cas) + " is not in " + Quoted(option.config) +
                                 ", which has " + names + " (a path needs a '/' in it)");
  }
  const plan::CasConfig& cas = found->second;
  return cas::BlobStore::Open(cas.path, option.layout ? option.layout : cas.layout);
}

}  // namespace

void AddCasOptions(CLI::App& command, CasOption& option) {
  command
      .add_option(
          "--cas", option.cas,
          "The store: a path (with a '/', or '.' at its start) or a name in the configuration")
      ->type_name("NAME|PATH")
      ->capture_default_str();
  command
      .add_option_function<std::string>(
          "--layout",
          [&option](const std::string& text) {
            if (text == "auto") {
              return;
            }
            const auto layout = cas::ParseLayout(text);
            if (!layout) {
              throw CLI::ValidationError("--layout", layout.error().what());
            }
            option.layout = *layout;
          },
          "Where blobs are: sharded, flat, sharded-suffix, hash-size, or auto (by looking)")
      ->type_name("LAYOUT");
  command
      .add_option("--config", option.config, "The configuration that --cas NAME is looked up in")
      ->type_name("FILE")
      ->capture_default_str();
}

void AddDigestArgument(CLI::App& command, cas::Digest& digest) {
  command
      .add_option_function<std::string>(
          "DIGEST",
          [&digest](const std::string& text) {
            auto parsed = cas::ParseDigest(text);
            if (!parsed) {
              throw CLI::ValidationError("DIGEST", parsed.error().what());
            }
            digest = *parsed;
          },
          "Digest of a REAPI Directory: <hash>/<size>")
      ->required()
      ->type_name("");
}

Result<cas::BlobStore> OpenCas(const CasOption& option, bool create) {
  if (!IsPath(option.cas)) {
    return OpenByName(option);
  }
  if (create) {
    RETURN_IF_ERROR(CreateIfMissing(option.cas));
  }
  return cas::BlobStore::Open(option.cas, option.layout);
}

}  // namespace actiondfs::cli
