// SPDX-License-Identifier: Apache-2.0
#include "hook/apps/cli/doctor_checks.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "hook/apps/cli/host_state.h"
#include "hook/apps/common/finish.h"
#include "hook/base/files.h"
#include "hook/base/text.h"
#include "hook/cas/blob_store.h"
#include "hook/cas/layout.h"

namespace actiondfs::cli {
namespace {

void Add(Findings& findings, Level level, std::string check, std::string message) {
  findings.push_back({level, std::move(check), std::move(message)});
}

void CheckCas(const std::string& name, const plan::CasConfig& cas, Findings& findings) {
  const std::string check = "cas." + name;
  const auto store = cas::BlobStore::Open(cas.path, cas.layout);
  if (!store) {
    Add(findings, Level::kFail, check, store.error().ToString());
    return;
  }
  const auto detected = cas::DetectLayout(store->dir_fd());
  if (!detected) {
    Add(findings, Level::kFail, check, detected.error().ToString());
  } else if (*detected && **detected != store->layout()) {
    Add(findings, Level::kFail, check,
        fmt::format("layout is configured as {}, but the files in {} are {}",
                    cas::ToString(store->layout()), Quoted(cas.path), cas::ToString(**detected)));
  } else {
    Add(findings, Level::kOk, check,
        fmt::format("{}, layout {}{}", Quoted(cas.path), cas::ToString(store->layout()),
                    *detected ? "" : " (nothing in it yet)"));
  }
  if (cas.digest_function != cas::HashFunction::kSha256) {
    Add(findings, Level::kFail, check, "this build hashes with sha256 only");
  }
}

bool IsInside(const std::string& path, const std::string& directory) {
  std::error_code error;
  const auto inner = std::filesystem::weakly_canonical(path, error);
  const auto outer = std::filesystem::weakly_canonical(directory, error);
  return !error && (inner.native() + "/").starts_with(outer.native() + "/");
}

std::string NotOwn(const std::string& path, const struct stat& st) {
  return fmt::format(
      "{}: expected a directory of your own that nobody else may write to (mode {:04o}, uid {})",
      Quoted(path), st.st_mode & 07777U, st.st_uid);
}

void CheckStageRoot(const plan::Config& config, Findings& findings) {
  const std::string check = "stage_root";
  const auto fd = OpenAt(AT_FDCWD, config.stage_root, O_RDONLY | O_DIRECTORY);
  if (!fd) {
    const bool missing = fd.error().code() == ENOENT;
    Add(findings, missing ? Level::kOk : Level::kFail, check,
        missing ? Quoted(config.stage_root) + ", made by the first container"
                : fd.error().ToString());
    return;
  }
  const size_t before = findings.size();
  if (::faccessat(fd->get(), ".", W_OK | X_OK, AT_EACCESS) != 0) {
    Add(findings, Level::kFail, check,
        ErrnoError("write to " + Quoted(config.stage_root)).error().ToString());
  }
  const auto stage = StatFd(fd->get());
  if (stage && (stage->st_uid != ::geteuid() || (stage->st_mode & 0022U) != 0)) {
    Add(findings, Level::kFail, check, NotOwn(config.stage_root, *stage));
  }
  for (const auto& [name, cas] : config.cas) {
    if (IsInside(config.stage_root, cas.path)) {
      Add(findings, Level::kFail, check,
          fmt::format("{} is inside the CAS {}: what containers write would lie among its blobs",
                      Quoted(config.stage_root), Quoted(name)));
    }
    const auto st = StatAt(AT_FDCWD, cas.path, 0);
    if (stage && st && stage->st_dev != st->st_dev) {
      Add(findings, Level::kWarn, check,
          fmt::format(
              "{} is on another file system than the CAS {}: outputs cannot become blobs by rename",
              Quoted(config.stage_root), Quoted(name)));
    }
  }
  if (findings.size() == before) {
    Add(findings, Level::kOk, check, Quoted(config.stage_root) + ", on the file system of the CAS");
  }
}

void CheckStateRoot(const plan::Config& config, Findings& findings) {
  const auto st = StatAt(AT_FDCWD, config.state_root);
  if (!st) {
    const bool missing = st.error().code() == ENOENT;
    Add(findings, missing ? Level::kOk : Level::kFail, "state_root",
        missing ? Quoted(config.state_root) + ", made by the first container"
                : st.error().ToString());
  } else if (!S_ISDIR(st->st_mode) || st->st_uid != ::geteuid() || (st->st_mode & 0022U) != 0) {
    Add(findings, Level::kFail, "state_root", NotOwn(config.state_root, *st));
  } else {
    Add(findings, Level::kOk, "state_root", Quoted(config.state_root));
  }
}

void CheckLeases(const plan::Config& config, Findings& findings) {
  const auto root = OpenState(config);
  if (!root) {
    Add(findings, Level::kWarn, "leases", root.error().ToString());
    return;
  }
  std::vector<std::string> errors;
  const std::vector<mount::Lease> leases =
      *root ? ReadLeases(**root, errors) : std::vector<mount::Lease>();
  size_t stale = 0;
  for (const mount::Lease& lease : leases) {
    stale += apps::IsLive(lease).value_or(true) ? 0 : 1;
  }
  for (std::string& error : errors) {
    Add(findings, Level::kWarn, "leases", std::move(error));
  }
  if (stale > 0) {
    Add(findings, Level::kWarn, "leases",
        fmt::format("{} of {} are of containers that are gone: actiondfs gc", stale,
                    leases.size()));
  } else {
    Add(findings, Level::kOk, "leases", fmt::format("{}, none of them stale", leases.size()));
  }
}

}  // namespace

void CheckConfigured(const plan::Config& config, Findings& findings) {
  for (const auto& [name, cas] : config.cas) {
    CheckCas(name, cas, findings);
  }
  CheckStageRoot(config, findings);
  CheckStateRoot(config, findings);
  CheckLeases(config, findings);
}

}  // namespace actiondfs::cli
