// SPDX-License-Identifier: Apache-2.0
#include "hook/record/record.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "hook/base/files.h"
#include "hook/base/json.h"
#include "hook/base/json_object.h"
#include "hook/base/text.h"

namespace actiondfs::record {
namespace {

using nlohmann::ordered_json;

constexpr mode_t kRecordMode = 0640;

ordered_json StepsOf(const RunRecord& record) {
  ordered_json steps = ordered_json::array();
  for (const StepTiming& step : record.steps()) {
    steps.push_back({{"name", step.name()}, {"microseconds", step.microseconds()}});
  }
  return steps;
}

ordered_json CountersOf(const RunRecord& record) {
  // The map of protobuf has no order.
  const std::map<std::string, uint64_t> sorted(record.counters().begin(), record.counters().end());
  ordered_json counters = ordered_json::object();
  for (const auto& [name, value] : sorted) {
    counters[name] = value;
  }
  return counters;
}

ordered_json StagedOf(const StagedSummary& staged) {
  return {{"files", staged.files()},
          {"directories", staged.directories()},
          {"others", staged.others()},
          {"bytes", staged.bytes()},
          {"incomplete", staged.incomplete()}};
}

// The string fields, by name: how each is set.
struct StringField {
  const char* name;
  void (*set)(RunRecord& record, std::string value);
};
constexpr std::array<StringField, 11> kStringFields = {{
    {"container_id", [](RunRecord& r, std::string v) { r.set_container_id(std::move(v)); }},
    {"input_root", [](RunRecord& r, std::string v) { r.set_input_root(std::move(v)); }},
    {"action", [](RunRecord& r, std::string v) { r.set_action(std::move(v)); }},
    {"cas", [](RunRecord& r, std::string v) { r.set_cas(std::move(v)); }},
    {"mode", [](RunRecord& r, std::string v) { r.set_mode(std::move(v)); }},
    {"backend", [](RunRecord& r, std::string v) { r.set_backend(std::move(v)); }},
    {"destination", [](RunRecord& r, std::string v) { r.set_destination(std::move(v)); }},
    {"counters_error", [](RunRecord& r, std::string v) { r.set_counters_error(std::move(v)); }},
    {"stage_error", [](RunRecord& r, std::string v) { r.set_stage_error(std::move(v)); }},
    {"exit", [](RunRecord& r, std::string v) { r.set_exit(std::move(v)); }},
    {"version", [](RunRecord& r, std::string v) { r.set_version(std::move(v)); }},
}};

Result<uint64_t> Number(const JsonObject& object, std::string_view key,
                        uint64_t max = std::numeric_limits<uint64_t>::max()) {
  ASSIGN_OR_RETURN(const auto value, object.Integer(key, 0, max));
  return value.value_or(0);
}

Status ReadSteps(const JsonObject& object, RunRecord& record) {
  ASSIGN_OR_RETURN(const auto steps, object.Objects("steps"));
  if (!steps) {
    return {};
  }
  for (const JsonObject& step : *steps) {
    ASSIGN_OR_RETURN(std::string name, step.RequiredString("name"));
    ASSIGN_OR_RETURN(const uint64_t microseconds, Number(step, "microseconds"));
    StepTiming& timing = *record.add_steps();
    timing.set_name(std::move(name));
    timing.set_microseconds(microseconds);
  }
  return {};
}

Status ReadCounters(const nlohmann::json& top, const JsonObject& object, RunRecord& record) {
  ASSIGN_OR_RETURN(const auto counters, object.Object("counters"));
  if (!counters) {
    return {};
  }
  for (const auto& [name, value] : top["counters"].items()) {
    ASSIGN_OR_RETURN((*record.mutable_counters())[name], Number(*counters, name));
  }
  return {};
}

Status ReadStaged(const JsonObject& object, RunRecord& record) {
  ASSIGN_OR_RETURN(const auto staged, object.Object("staged"));
  if (!staged) {
    return {};
  }
  StagedSummary& summary = *record.mutable_staged();
  ASSIGN_OR_RETURN(const uint64_t files, Number(*staged, "files"));
  ASSIGN_OR_RETURN(const uint64_t directories, Number(*staged, "directories"));
  ASSIGN_OR_RETURN(const uint64_t others, Number(*staged, "others"));
  ASSIGN_OR_RETURN(const uint64_t bytes, Number(*staged, "bytes"));
  ASSIGN_OR_RETURN(const auto incomplete, staged->Bool("incomplete"));
  summary.set_files(files);
  summary.set_directories(directories);
  summary.set_others(others);
  summary.set_bytes(bytes);
  summary.set_incomplete(incomplete.value_or(false));
  return {};
}

Status ReadNumbers(const JsonObject& object, RunRecord& record) {
  constexpr uint64_t kMaxTime = std::numeric_limits<int64_t>::max();
  ASSIGN_OR_RETURN(const uint64_t schema,
                   Number(object, "schema", std::numeric_limits<uint32_t>::max()));
  ASSIGN_OR_RETURN(const uint64_t started, Number(object, "started_unix_ms", kMaxTime));
  ASSIGN_OR_RETURN(const uint64_t finished, Number(object, "finished_unix_ms", kMaxTime));
  record.set_schema(static_cast<uint32_t>(schema));
  record.set_started_unix_ms(static_cast<int64_t>(started));
  record.set_finished_unix_ms(static_cast<int64_t>(finished));
  return {};
}

// What a crash, or a full disk, left as a part of a line must not swallow the next one.
bool EndsInsideALine(int fd, off_t size) {
  char last = '\n';
  return size > 0 && ::pread(fd, &last, 1, size - 1) == 1 && last != '\n';
}

Status AppendTo(int fd, std::string_view line) {
  // Another one's line is seen to grow while it is written, and would be taken for a part. Where
  // the file system has no locks, no more than an empty line comes of that.
  (void)::flock(fd, LOCK_EX);
  ASSIGN_OR_RETURN(const struct stat st, StatFd(fd));
  if (!S_ISREG(st.st_mode)) {
    return MakeError(EINVAL, "expected a regular file");
  }
  std::string data = EndsInsideALine(fd, st.st_size) ? "\n" : "";
  data.append(line).append("\n");
  // One write: with O_APPEND it is at the end also where somebody else appends without the lock.
  const ssize_t written = ::write(fd, data.data(), data.size());
  if (written < 0) {
    return ErrnoError("append");
  }
  if (static_cast<size_t>(written) < data.size()) {
    return MakeError(ENOSPC, "append: only a part of the line was written");
  }
  return {};
}

}  // namespace

std::string ToJsonLine(const RunRecord& record) {
  const ordered_json object = {
      {"schema", record.schema()},
      {"container_id", record.container_id()},
      {"input_root", record.input_root()},
      {"action", record.action()},
      {"cas", record.cas()},
      {"mode", record.mode()},
      {"backend", record.backend()},
      {"destination", record.destination()},
      {"started_unix_ms", record.started_unix_ms()},
      {"finished_unix_ms", record.finished_unix_ms()},
      {"steps", StepsOf(record)},
      {"counters", CountersOf(record)},
      {"counters_error", record.counters_error()},
      {"staged", StagedOf(record.staged())},
      {"stage_error", record.stage_error()},
      {"exit", record.exit()},
      {"version", record.version()},
  };
  return object.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

Result<RunRecord> FromJsonLine(std::string_view line) {
  ASSIGN_OR_RETURN(const nlohmann::json top, ParseJson(line));
  ASSIGN_OR_RETURN(const JsonObject object, JsonObject::From(top, ""));
  RunRecord record;
  for (const StringField& field : kStringFields) {
    ASSIGN_OR_RETURN(auto value, object.String(field.name));
    field.set(record, std::move(value).value_or(""));
  }
  RETURN_IF_ERROR(ReadNumbers(object, record));
  RETURN_IF_ERROR(ReadSteps(object, record));
  RETURN_IF_ERROR(ReadCounters(top, object, record));
  RETURN_IF_ERROR(ReadStaged(object, record));
  return record;
}

Status Append(const std::string& path, std::string_view line) {
  const int flags = O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenAt(AT_FDCWD, path, flags, kRecordMode));
  if (auto status = AppendTo(fd.get(), line); !status) {
    return Wrap(std::move(status).error(), "records " + Quoted(path));
  }
  return {};
}

}  // namespace actiondfs::record
