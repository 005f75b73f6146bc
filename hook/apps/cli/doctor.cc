// SPDX-License-Identifier: Apache-2.0
//
// actiondfs doctor: is this host ready for containers with workspaces; one line a check.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "hook/apps/cli/command.h"
#include "hook/apps/cli/doctor_checks.h"
#include "hook/apps/cli/host_state.h"
#include "hook/apps/common/config_file.h"
#include "hook/base/text.h"

namespace actiondfs::cli {
namespace {

struct Options {
  std::string config;
  bool json = false;
};

std::string_view NameOf(Level level) {
  switch (level) {
    case Level::kOk:
      return "ok";
    case Level::kWarn:
      return "warn";
    case Level::kFail:
      break;
  }
  return "fail";
}

void PrintJson(const Findings& findings) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    list.push_back(
        {{"level", NameOf(finding.level)}, {"check", finding.check}, {"message", finding.message}});
  }
  fmt::print("{}\n", list.dump(1, ' ', false, nlohmann::json::error_handler_t::replace));
}

int Run(const Options& options) {
  Findings findings;
  if (const auto config = apps::LoadConfig(options.config); config) {
    findings.push_back({Level::kOk, "configuration", Quoted(options.config)});
    CheckConfigured(*config, findings);
    CheckBackends(*config, findings);
  } else {
    findings.push_back({Level::kFail, "configuration", config.error().ToString()});
    CheckBackends(plan::Config{}, findings);
  }
  CheckHost(findings);
  if (options.json) {
    PrintJson(findings);
  } else {
    for (const Finding& finding : findings) {
      fmt::print("{:<5} {:<16} {}\n", NameOf(finding.level), finding.check, finding.message);
    }
  }
  const bool failed = std::ranges::any_of(
      findings, [](const Finding& finding) { return finding.level == Level::kFail; });
  return failed ? kFailure : kSuccess;
}

}  // namespace

void RegisterDoctor(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "doctor", "Check the configuration and the host; exit code 1 on a failure");
  AddConfigOption(*command, options->config);
  command->add_flag("--json", options->json, "As a JSON array");
  command->callback([options, &outcome] { outcome.code = Run(*options); });
}

}  // namespace actiondfs::cli
