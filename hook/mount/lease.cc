// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/lease.h"

#include <cerrno>
#include <nlohmann/json.hpp>

#include "hook/base/json.h"

namespace actiondfs::mount {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;

// One list of the fields for both directions: `visit(key, member)`.
template <typename LeaseT, typename Visit>
void ForEachField(LeaseT& lease, Visit visit) {
  visit("container_id", lease.container_id);
  visit("boot_id", lease.boot_id);
  visit("init_pid", lease.init.pid);
  visit("init_start_time", lease.init.start_time);
  visit("mount_namespace", lease.mount_namespace);
  visit("input_root", lease.input_root);
  visit("action", lease.action);
  visit("cas", lease.cas);
  visit("mode", lease.mode);
  visit("backend", lease.backend);
  visit("destination", lease.destination);
  visit("stage_dir", lease.stage_dir);
  visit("serve_socket", lease.serve_socket);
  visit("keep_stage", lease.keep_stage);
  visit("records_path", lease.records_path);
  visit("prometheus_textfile", lease.prometheus_textfile);
  visit("attached", lease.attached);
  visit("recorded", lease.recorded);
  visit("started_unix_ms", lease.started_unix_ms);
  visit("steps", lease.steps);
}

}  // namespace

std::string ToJson(const Lease& lease) {
  json object = {{"version", kVersion}};
  ForEachField(lease, [&](const char* key, const auto& member) { object[key] = member; });
  return object.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<Lease> ParseLease(std::string_view text) {
  ASSIGN_OR_RETURN(const json object, ParseJson(text, {.bytes = size_t{1} << 20, .depth = 8}));
  // The library reports wrong types and missing keys by exceptions; they end here.
  try {
    if (object.at("version") != kVersion) {
      return MakeError(EINVAL, "lease of another version than 1");
    }
    Lease lease;
    ForEachField(lease, [&](const char* key, auto& member) { object.at(key).get_to(member); });
    return lease;
  } catch (const json::exception& error) {
    return MakeError(EINVAL, std::string("lease: ") + error.what());
  }
}

}  // namespace actiondfs::mount
