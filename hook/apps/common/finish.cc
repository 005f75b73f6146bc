// SPDX-License-Identifier: Apache-2.0
#include "hook/apps/common/finish.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include "actiondfs/run_record.pb.h"
#include "hook/apps/common/stage_dir.h"
#include "hook/apps/common/step_timer.h"
#include "hook/base/dir_stream.h"
#include "hook/base/files.h"
#include "hook/base/text.h"
#include "hook/mount/overlay.h"
#include "hook/mount/workspace.h"
#include "hook/oci/workspace_request.h"
#include "hook/record/prometheus.h"
#include "hook/record/record.h"

namespace actiondfs::apps {
namespace {

constexpr int kOpenDir = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
// Where stage_root is a file system of its own, this is the file system's.
constexpr std::string_view kLostAndFound = "lost+found";

void RecordStatistics(const mount::Lease& lease, const std::string& state_path, RunRecord& record) {
  const auto stats = mount::ReadStatistics(lease, state_path);
  if (!stats) {
    record.set_counters_error(stats.error().ToString());
    return;
  }
  for (const auto& [name, value] : stats->counters) {
    (*record.mutable_counters())[name] = value;
  }
  if (stats->stage_error != 0) {
    record.set_stage_error(::strerrorname_np(stats->stage_error));
  }
}

Status SummarizeStage(const mount::Lease& lease, RunRecord& record) {
  if (lease.stage_dir.empty()) {
    return {};
  }
  const char* name = lease.mode == "overlay" ? mount::kUpper : mount::kStage;
  auto stage = OpenAt(AT_FDCWD, lease.stage_dir + "/" + name, kOpenDir);
  if (!stage) {
    // It was never made, or has been removed before: there is nothing to count.
    return stage.error().code() == ENOENT ? Status() : std::unexpected(std::move(stage).error());
  }
  ASSIGN_OR_RETURN(*record.mutable_staged(), record::SummarizeStage(stage->get()));
  return {};
}

RunRecord BeginRecord(const mount::Lease& lease, std::string_view exit) {
  RunRecord record;
  record.set_schema(1);
  record.set_container_id(lease.container_id);
  record.set_input_root(lease.input_root);
  record.set_action(lease.action);
  record.set_cas(lease.cas);
  record.set_mode(lease.mode);
  record.set_backend(lease.backend);
  record.set_destination(lease.destination);
  record.set_started_unix_ms(lease.started_unix_ms);
  record.set_finished_unix_ms(UnixMilliseconds());
  record.set_exit(std::string(exit));
  record.set_version(ACTIONDFS_VERSION);
  return record;
}

void AddSteps(const std::vector<std::pair<std::string, uint64_t>>& steps, RunRecord& record) {
  for (const auto& [name, microseconds] : steps) {
    StepTiming& step = *record.add_steps();
    step.set_name(name);
    step.set_microseconds(microseconds);
  }
}

// `recorded`: whoever tries again must not count this run twice.
Status WriteRecord(const mount::Lease& lease, const RunRecord& record, bool& recorded) {
  if (!lease.records_path.empty()) {
    RETURN_IF_ERROR(record::Append(lease.records_path, record::ToJsonLine(record)));
  }
  recorded = true;
  return lease.prometheus_textfile.empty() ? Status()
                                           : record::Accumulate(lease.prometheus_textfile, record);
}

// Keeps the first error of several steps that are all taken.
class FirstError {
 public:
  void Note(Status status) {
    if (status_ && !status) {
      status_ = std::move(status);
    }
  }
  Status Take() && { return std::move(status_); }

 private:
  Status status_;
};

// True where the stage had no owner, and is gone. The lease comes before the stage and goes after
// it, and both under the lock of the id.
Result<bool> ReapOrphan(const mount::StateRoot& root, const std::string& id,
                        const std::string& path) {
  if (root.Peek(id)) {
    return false;
  }
  ASSIGN_OR_RETURN(mount::StateDir state, root.Create(id));
  if (const auto lease = state.ReadLease(); lease || lease.error().code() != ENOENT) {
    return false;
  }
  RETURN_IF_ERROR(mount::RemoveStage(path, /*keep=*/false));
  RETURN_IF_ERROR(state.Remove());
  return true;
}

// Nothing is done before the lease is written, and it is never half written: without one there is
// only the directory. One that cannot be read (its disk was damaged, or another version wrote it)
// says of nobody whether they live, but who has no pin has no workspace; else it is left alone.
Status FinishWithoutLease(mount::StateDir& state, const Error& why) {
  auto removed = state.Remove();
  if (removed || why.code() == ENOENT || removed.error().code() != EBUSY) {
    return removed;
  }
  return MakeError(why.code(), why.what() +
                                   "; its workspace is mounted still. Once its container has "
                                   "ended: umount -l " +
                                   state.PinPath(mount::kPin));
}

bool IsWithin(const ReapLimits& limits, const mount::StateDir& state, const mount::Lease& lease) {
  if (limits.patience > limits.patience.zero() && lease.attached) {
    const auto since = state.SinceFoundDead();
    if (!since || *since < limits.patience) {
      return false;
    }
  }
  return limits.stage_entries == ReapLimits::kNone || lease.stage_dir.empty() ||
         IsSmallTree(lease.stage_dir, limits.stage_entries);
}

}  // namespace

Result<bool> IsLive(const mount::Lease& lease) {
  ASSIGN_OR_RETURN(const std::string boot_id, mount::BootId());
  if (boot_id != lease.boot_id) {
    return false;
  }
  ASSIGN_OR_RETURN(const uint64_t own, mount::PidNamespace());
  if (own != lease.pid_namespace) {
    return MakeError(EXDEV, "its container was made in another pid namespace than this");
  }
  return mount::IsAlive(lease.init);
}

Status AbandonWorkspace(mount::StateDir& state, const mount::Lease& lease) {
  RETURN_IF_ERROR(mount::ReleaseWorkspace(state));
  RETURN_IF_ERROR(mount::RemoveStage(lease.stage_dir, /*keep=*/false));
  return state.Remove();
}

Status FinishWorkspace(mount::StateDir& state, std::string_view exit) {
  const auto lease = state.ReadLease();
  if (!lease) {
    return FinishWithoutLease(state, lease.error());
  }
  if (!lease->attached) {
    return AbandonWorkspace(state, *lease);
  }
  StepTimer timer;
  FirstError error;
  RunRecord record = BeginRecord(*lease, exit);
  RecordStatistics(*lease, state.path(), record);
  error.Note(SummarizeStage(*lease, record));
  timer.Done("poststop.statistics");
  const Status released = mount::ReleaseWorkspace(state);
  timer.Done("poststop.unmount");
  AddSteps(lease->steps, record);
  AddSteps(timer.steps(), record);
  if (!lease->recorded) {
    mount::Lease done = *lease;
    error.Note(WriteRecord(*lease, record, done.recorded));
    if (done.recorded) {
      error.Note(state.WriteLease(done));
    }
  }
  if (!released) {
    return released;
  }
  RETURN_IF_ERROR(mount::RemoveStage(lease->stage_dir, lease->keep_stage));
  error.Note(state.Remove());
  return std::move(error).Take();
}

ReapResult ReapDead(const mount::StateRoot& root, const ReapLimits& limits) {
  ReapResult result;
  const auto ids = root.List();
  if (!ids) {
    result.errors.push_back(ids.error().ToString());
    return result;
  }
  const size_t count = std::min(limits.leases, ids->size());
  const int64_t begun = UnixMilliseconds();
  const size_t first = count < ids->size() ? static_cast<size_t>(begun) : 0;
  for (size_t i = 0; i < count && UnixMilliseconds() - begun < limits.time.count(); ++i) {
    const std::string& id = (*ids)[(first + i) % ids->size()];
    const auto lease = root.Peek(id);
    if (lease) {
      const auto live = IsLive(*lease);
      if (!live) {
        result.errors.push_back(Quoted(id) + ": whether it lives: " + live.error().ToString());
      }
      if (live.value_or(true)) {
        continue;
      }
    }
    // Whoever makes or ends a workspace has its lock: that one is left alone.
    auto state = root.Lock(id, /*wait=*/false);
    if (!state) {
      continue;
    }
    const auto locked_lease = state->ReadLease();
    if (locked_lease &&
        (IsLive(*locked_lease).value_or(true) || !IsWithin(limits, *state, *locked_lease))) {
      continue;
    }
    if (const auto status = FinishWorkspace(*state, kReaped); !status) {
      result.errors.push_back(Quoted(id) + ": " + status.error().ToString());
    } else {
      result.reaped.push_back(id);
    }
  }
  return result;
}

ReapResult ReapOrphanedStages(const mount::StateRoot& root, const std::string& stage_root,
                              const std::set<std::string>& mounted) {
  ReapResult result;
  const auto entries = ReadEntries(stage_root);
  if (!entries && entries.error().code() != ENOENT) {
    result.errors.push_back(entries.error().ToString());
  }
  for (const DirEntry& entry : entries.value_or(std::vector<DirEntry>())) {
    const std::string& name = entry.name;
    const std::string path = fmt::format("{}/{}", stage_root, name);
    if (mounted.contains(name) || name == kLostAndFound || !oci::ValidateContainerId(name) ||
        !IsStage(path)) {
      continue;
    }
    const auto reaped = ReapOrphan(root, name, path);
    if (!reaped) {
      result.errors.push_back(Quoted(path) + ": " + reaped.error().ToString());
    } else if (*reaped) {
      result.reaped.push_back(path);
    }
  }
  return result;
}

}  // namespace actiondfs::apps
