// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/lease.h"

#include <cerrno>
#include <concepts>
#include <nlohmann/json.hpp>
#include <utility>

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
  visit("pid_namespace", lease.pid_namespace);
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

// Each takes the value, if it is one for the member. The library itself cuts numbers that do not
// fit, and takes flags for numbers: another process would be taken for the container's init.
bool Take(const json& value, std::string& member) {
  if (value.is_string()) {
    member = value.get_ref<const std::string&>();
  }
  return value.is_string();
}

bool Take(const json& value, bool& member) {
  if (value.is_boolean()) {
    member = value.get<bool>();
  }
  return value.is_boolean();
}

template <std::integral T>
bool Take(const json& value, T& member) {
  const bool fits = value.is_number_unsigned()
                        ? std::in_range<T>(value.get<uint64_t>())
                        : value.is_number_integer() && std::in_range<T>(value.get<int64_t>());
  if (fits) {
    member = value.get<T>();
  }
  return fits;
}

bool Take(const json& value, std::vector<std::pair<std::string, uint64_t>>& steps) {
  if (!value.is_array()) {
    return false;
  }
  for (const json& element : value) {
    auto& step = steps.emplace_back();
    if (!element.is_array() || element.size() != 2 || !Take(element[0], step.first) ||
        !Take(element[1], step.second)) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::string ToJson(const Lease& lease) {
  json object = {{"version", kVersion}};
  ForEachField(lease, [&](const char* key, const auto& member) { object[key] = member; });
  return object.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<Lease> ParseLease(std::string_view text) {
  ASSIGN_OR_RETURN(const json object, ParseJson(text, {.bytes = size_t{1} << 20, .depth = 8}));
  int version = 0;
  if (!object.is_object() || !object.contains("version") || !Take(object["version"], version) ||
      version != kVersion) {
    return MakeError(EINVAL, "lease of another version than 1");
  }
  Lease lease;
  const char* wrong = nullptr;
  ForEachField(lease, [&](const char* key, auto& member) {
    const auto found = object.find(key);
    if (found == object.end() || !Take(*found, member)) {
      wrong = key;
    }
  });
  if (wrong != nullptr) {
    return MakeError(EINVAL, std::string("lease: ") + wrong + ": missing, or no value for it");
  }
  return lease;
}

}  // namespace actiondfs::mount
