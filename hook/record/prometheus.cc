// SPDX-License-Identifier: Apache-2.0
#include "hook/record/prometheus.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "hook/base/files.h"
#include "hook/base/text.h"

namespace actiondfs::record {
namespace {

constexpr size_t kMaxText = size_t{1} << 20;
constexpr uint64_t kMicro = 1'000'000;
// Where a sum stays: the largest number that can be read again.
constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
constexpr std::string_view kSecondsSum = "actiondfs_prestart_seconds_sum";

// Series with its labels -> value; seconds are kept in microseconds, so that sums stay exact.
using Series = std::map<std::string, uint64_t>;

std::optional<uint64_t> ParseSeconds(std::string_view text) {
  const size_t point = text.find('.');
  if (point == std::string_view::npos || text.size() - point != 7) {
    return std::nullopt;
  }
  const auto whole = ParseDecimal(text.substr(0, point));
  // A digit before the fraction keeps its leading zeros.
  const auto fraction = ParseDecimal("1" + std::string(text.substr(point + 1)));
  if (!whole || !fraction) {
    return std::nullopt;
  }
  const uint64_t seconds = std::min(static_cast<uint64_t>(*whole), kMost / kMicro - 1);
  return seconds * kMicro + (static_cast<uint64_t>(*fraction) - kMicro);
}

std::optional<uint64_t> ParseValue(std::string_view series, std::string_view text) {
  if (series == kSecondsSum) {
    return ParseSeconds(text);
  }
  const auto value = ParseDecimal(text);
  return value ? std::optional(static_cast<uint64_t>(*value)) : std::nullopt;
}

Result<Series> ParseText(std::string_view text) {
  Series series;
  for (const std::string& line : Split(text, '\n')) {
    if (line.empty() || line.starts_with('#')) {
      continue;
    }
    const size_t space = line.rfind(' ');
    const std::string name = line.substr(0, space);
    const auto value = space == std::string::npos
                           ? std::nullopt
                           : ParseValue(name, std::string_view(line).substr(space + 1));
    if (!value || !name.starts_with("actiondfs_")) {
      return MakeError(
          EINVAL,
          "expected the counters of actiondfs and nothing else, got the line " + Quoted(line));
    }
    series[name] = *value;
  }
  return series;
}

bool IsMetricName(std::string_view name) {
  return !name.empty() && name.size() <= 128 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

std::string Label(std::string_view value) {
  // Our own words: strict, fuse. A record from elsewhere must not break the file.
  return IsMetricName(value) ? std::string(value) : "unknown";
}

void AddTo(uint64_t& sum, uint64_t value) {
  sum += std::min(value, kMost - sum);
}

Status Add(Series& series, const RunRecord& record) {
  AddTo(series[fmt::format(R"(actiondfs_containers_total{{mode="{}",backend="{}"}})",
                           Label(record.mode()), Label(record.backend()))],
        1);
  for (const StepTiming& step : record.steps()) {
    if (step.name().starts_with("prestart.")) {
      AddTo(series[std::string(kSecondsSum)], step.microseconds());
    }
  }
  AddTo(series["actiondfs_prestart_seconds_count"], 1);
  AddTo(series["actiondfs_staged_files_total"], record.staged().files());
  AddTo(series["actiondfs_staged_bytes_total"], record.staged().bytes());
  AddTo(series["actiondfs_stage_errors_total"], record.stage_error().empty() ? 0 : 1);
  for (const auto& [name, value] : record.counters()) {
    if (!IsMetricName(name)) {
      return MakeError(EINVAL,
                       "counter " + Quoted(name) + ": expected lowercase letters, digits and '_'");
    }
    AddTo(series["actiondfs_" + name + "_total"], value);
  }
  return {};
}

struct Family {
  std::string name;
  std::string_view type;
};

Family FamilyOf(std::string_view series) {
  const std::string_view name = series.substr(0, series.find('{'));
  if (name.starts_with("actiondfs_prestart_seconds_")) {
    return {"actiondfs_prestart_seconds", "summary"};
  }
  return {std::string(name), "counter"};
}

std::string_view HelpOf(std::string_view family) {
  static const std::map<std::string_view, std::string_view> help = {
      {"actiondfs_containers_total", "Containers that had a workspace and have ended."},
      {"actiondfs_prestart_seconds", "Time that the prestart hook took."},
      {"actiondfs_staged_files_total", "Regular files that containers left in their stages."},
      {"actiondfs_staged_bytes_total", "Bytes that containers left in their stages."},
      {"actiondfs_stage_errors_total", "Containers whose writes to the stage met an error."},
  };
  const auto it = help.find(family);
  return it == help.end() ? "Counter of the mounts, summed over all containers." : it->second;
}

std::string Format(const Series& series) {
  std::string text, last;
  for (const auto& [name, value] : series) {
    const Family family = FamilyOf(name);
    if (family.name != last) {
      text += fmt::format("# HELP {} {}\n# TYPE {} {}\n", family.name, HelpOf(family.name),
                          family.name, family.type);
      last = family.name;
    }
    text += name == kSecondsSum ? fmt::format("{} {}.{:06}\n", name, value / kMicro, value % kMicro)
                                : fmt::format("{} {}\n", name, value);
  }
  return text;
}

Result<UniqueFd> Lock(int dirfd, const std::string& name) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(dirfd, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  while (::flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) {
      return ErrnoError("lock " + Quoted(name));
    }
  }
  return fd;
}

Status AccumulateIn(int dirfd, const std::string& name, const RunRecord& record) {
  ASSIGN_OR_RETURN(const UniqueFd lock, Lock(dirfd, name + ".lock"));
  auto old_text = ReadFileAt(dirfd, name, kMaxText);
  if (!old_text && old_text.error().code() != ENOENT) {
    return std::unexpected(std::move(old_text).error());
  }
  ASSIGN_OR_RETURN(const std::string text, AddToText(old_text.value_or(""), record));
  return WriteFileAtomically(dirfd, name, text, 0644, /*durable=*/false);
}

}  // namespace

Result<std::string> AddToText(std::string_view old_text, const RunRecord& record) {
  ASSIGN_OR_RETURN(Series series, ParseText(old_text));
  RETURN_IF_ERROR(Add(series, record));
  return Format(series);
}

Status Accumulate(const std::string& path, const RunRecord& record) {
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  ASSIGN_OR_RETURN(const UniqueFd dir, OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY));
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (auto status = AccumulateIn(dir.get(), name, record); !status) {
    return Wrap(std::move(status).error(), "prometheus_textfile " + Quoted(path));
  }
  return {};
}

}  // namespace actiondfs::record
