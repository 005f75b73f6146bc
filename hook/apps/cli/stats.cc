// SPDX-License-Identifier: Apache-2.0
//
// actiondfs stats [ID]: counters of one mount, or of all live ones together; of a container that
// has ended, from its run record.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "actiondfs/run_record.pb.h"
#include "hook/apps/cli/command.h"
#include "hook/apps/cli/host_state.h"
#include "hook/apps/cli/mount_names.h"
#include "hook/base/text.h"
#include "hook/record/record.h"

namespace actiondfs::cli {
namespace {

struct Options {
  std::string config, id;
  bool json = false, prometheus = false;
};

using mount::Counters;

Result<Counters> SumOfAll(const plan::Config& config) {
  ASSIGN_OR_RETURN(const auto mounts, ListMounts(config));
  Counters sum;
  for (const LiveMount& live : mounts) {
    const auto stats = ReadStatistics(live, config);
    if (!stats) {
      continue;  // it ended while we looked
    }
    if (sum.empty()) {
      sum = stats->counters;
      continue;
    }
    for (size_t i = 0; i < sum.size() && i < stats->counters.size(); ++i) {
      sum[i].second += stats->counters[i].second;
    }
  }
  return sum;
}

// The newest record of a container that has ended; nullopt: there is none.
std::optional<RunRecord> FindRecord(const plan::Config& config, const std::string& id) {
  std::optional<RunRecord> found;
  std::ifstream file(config.records.path);
  for (std::string line; std::getline(file, line);) {
    auto record = record::FromJsonLine(line);
    if (record && record->container_id() == id) {
      found = std::move(*record);
    }
  }
  return found;
}

// An id that is no valid label value cannot be: container ids are [A-Za-z0-9_.+-], mounts of
// `actiondfs mount` paths.
std::string Label(const std::string& id) {
  std::string label;
  for (const char c : id) {
    if (c == '"' || c == '\\') {
      label += '\\';
    }
    label += c;
  }
  return label;
}

void Print(const Counters& counters, const Options& options) {
  if (options.json) {
    nlohmann::ordered_json object;
    for (const auto& [name, value] : counters) {
      object[name] = value;
    }
    fmt::print("{}\n", object.dump(1));
    return;
  }
  for (const auto& [name, value] : counters) {
    if (options.prometheus) {
      const std::string label =
          options.id.empty() ? "" : fmt::format("{{id=\"{}\"}}", Label(options.id));
      fmt::print("# TYPE actiondfs_{0} counter\nactiondfs_{0}{1} {2}\n", name, label, value);
    } else {
      fmt::print("{} {}\n", name, value);
    }
  }
}

// A live mount by its id, which may be the path of a mount point.
Result<Counters> LiveCountersOf(const plan::Config& config, const std::string& id) {
  const std::string name = id.starts_with('/') ? RealPath(id).value_or(id) : id;
  ASSIGN_OR_RETURN(const auto mounts, ListMounts(config));
  for (const LiveMount& live : mounts) {
    if (live.tree.id == name) {
      ASSIGN_OR_RETURN(mount::Statistics stats, ReadStatistics(live, config));
      return std::move(stats.counters);
    }
  }
  return MakeError(ENOENT, "no mount");
}

Result<Counters> CountersOf(const plan::Config& config, const std::string& id) {
  auto live = LiveCountersOf(config, id);
  if (live) {
    return live;
  }
  const auto record = FindRecord(config, id);
  if (!record) {
    return Wrap(std::move(live).error(), Quoted(id) + " is neither mounted nor in the records");
  }
  Counters counters(record->counters().begin(), record->counters().end());
  std::ranges::sort(counters);
  return counters;
}

Status Run(const Options& options) {
  ASSIGN_OR_RETURN(const plan::Config config, LoadConfigOrDefaults(options.config));
  ASSIGN_OR_RETURN(const Counters counters,
                   options.id.empty() ? SumOfAll(config) : CountersOf(config, options.id));
  Print(counters, options);
  return {};
}

}  // namespace

void RegisterStats(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("stats", "Show counters of a workspace, or of all mounts together");
  command->add_option("ID", options->id, "Container id; without one, the sum of all live mounts");
  AddConfigOption(*command, options->config);
  CLI::Option* json = command->add_flag("--json", options->json, "As a JSON object");
  command->add_flag("--prometheus", options->prometheus, "In Prometheus' text format")
      ->excludes(json);
  command->callback([options, &outcome] { outcome.code = Report(Run(*options)); });
}

}  // namespace actiondfs::cli
