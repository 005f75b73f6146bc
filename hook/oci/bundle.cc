// SPDX-License-Identifier: Apache-2.0
#include "hook/oci/bundle.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <climits>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "hook/base/json.h"
#include "hook/base/json_object.h"
#include "hook/base/text.h"
#include "hook/oci/annotations.h"

namespace actiondfs::oci {
namespace {

constexpr uint32_t kMaxId =
    std::numeric_limits<uint32_t>::max() - 1;  // (uid_t)-1 means "unchanged"
constexpr uint64_t kMaxIdCount = std::numeric_limits<uint32_t>::max();
constexpr size_t kMaxMappings = 340;  // the kernel's limit (user_namespaces(7))
constexpr size_t kMaxMountLabel = 4096;

bool IsPath(std::string_view text) {
  return !text.empty() && text.size() < PATH_MAX && text.find('\0') == std::string_view::npos;
}

Result<uint32_t> Id(const JsonObject& object, std::string_view key) {
  ASSIGN_OR_RETURN(const auto id, object.Integer(key, 0, kMaxId));
  return static_cast<uint32_t>(id.value_or(0));
}

Status CheckRange(const IdMapping& mapping, std::string_view where) {
  if (mapping.size == 0 || uint64_t{mapping.container_id} + mapping.size > kMaxIdCount + 1 ||
      uint64_t{mapping.host_id} + mapping.size > kMaxIdCount + 1) {
    return MakeError(
        EINVAL, fmt::format("{}: expected a range of 32-bit ids; got {} ids from {} at {}", where,
                            mapping.size, mapping.container_id, mapping.host_id));
  }
  return {};
}

Result<std::vector<IdMapping>> Mappings(const JsonObject& linux_object, std::string_view key) {
  std::vector<IdMapping> mappings;
  ASSIGN_OR_RETURN(const auto objects, linux_object.Objects(key));
  if (!objects) {
    return mappings;
  }
  if (objects->size() > kMaxMappings) {
    return MakeError(EINVAL, fmt::format("{}: expected at most {} mappings; got {}",
                                         linux_object.PathOf(key), kMaxMappings, objects->size()));
  }
  for (const JsonObject& object : *objects) {
    IdMapping mapping;
    ASSIGN_OR_RETURN(mapping.container_id, Id(object, "containerID"));
    ASSIGN_OR_RETURN(mapping.host_id, Id(object, "hostID"));
    ASSIGN_OR_RETURN(const auto size, object.Integer("size", 1, kMaxIdCount));
    mapping.size = static_cast<uint32_t>(size.value_or(0));
    RETURN_IF_ERROR(CheckRange(mapping, object.PathOf("size")));
    mappings.push_back(mapping);
  }
  return mappings;
}

Status ParseRoot(const JsonObject& config, BundleSpec& spec) {
  ASSIGN_OR_RETURN(const auto root, config.Object("root"));
  if (!root) {
    return MakeError(EINVAL, "root: missing, expected an object");
  }
  ASSIGN_OR_RETURN(spec.root_path, root->RequiredString("path"));
  if (!IsPath(spec.root_path)) {
    return MakeError(EINVAL, "root.path: expected a path; got " + Quoted(spec.root_path));
  }
  ASSIGN_OR_RETURN(const auto readonly, root->Bool("readonly"));
  spec.root_readonly = readonly.value_or(false);
  return {};
}

Status ParseProcess(const JsonObject& config, BundleSpec& spec) {
  ASSIGN_OR_RETURN(const auto process, config.Object("process"));
  if (!process) {
    return MakeError(EINVAL, "process: missing, expected an object");
  }
  ASSIGN_OR_RETURN(const auto user, process->Object("user"));
  if (user) {
    ASSIGN_OR_RETURN(spec.uid, Id(*user, "uid"));
    ASSIGN_OR_RETURN(spec.gid, Id(*user, "gid"));
  }
  ASSIGN_OR_RETURN(spec.cwd, process->RequiredString("cwd"));
  if (!IsPath(spec.cwd) || !spec.cwd.starts_with('/')) {
    return MakeError(EINVAL, "process.cwd: expected an absolute path; got " + Quoted(spec.cwd));
  }
  return {};
}

Status ParseNamespaces(const JsonObject& linux_object, BundleSpec& spec) {
  ASSIGN_OR_RETURN(const auto namespaces, linux_object.Objects("namespaces"));
  if (!namespaces) {
    return {};
  }
  for (const JsonObject& object : *namespaces) {
    ASSIGN_OR_RETURN(const std::string type, object.RequiredString("type"));
    ASSIGN_OR_RETURN(const auto path, object.String("path"));
    if (type == "mount") {
      spec.has_mount_namespace = true;
    } else if (type == "user") {
      spec.has_user_namespace = true;
      spec.joins_user_namespace = path.has_value() && !path->empty();
    }
  }
  return {};
}

Status ParseLinux(const JsonObject& config, BundleSpec& spec) {
  ASSIGN_OR_RETURN(const auto linux_object, config.Object("linux"));
  if (!linux_object) {
    return {};  // no namespaces: MakeRequest refuses it
  }
  RETURN_IF_ERROR(ParseNamespaces(*linux_object, spec));
  ASSIGN_OR_RETURN(spec.uid_mappings, Mappings(*linux_object, "uidMappings"));
  ASSIGN_OR_RETURN(spec.gid_mappings, Mappings(*linux_object, "gidMappings"));
  ASSIGN_OR_RETURN(auto label, linux_object->String("mountLabel"));
  spec.mount_label = std::move(label).value_or("");
  if (spec.mount_label.size() > kMaxMountLabel ||
      Printable(spec.mount_label, kMaxMountLabel) != spec.mount_label) {
    return MakeError(EINVAL,
                     "linux.mountLabel: expected a label of at most 4096 printable bytes; got " +
                         Quoted(spec.mount_label));
  }
  return {};
}

Result<BundleSpec> FromObject(const JsonObject& config) {
  BundleSpec spec;
  RETURN_IF_ERROR(ParseRoot(config, spec));
  RETURN_IF_ERROR(ParseProcess(config, spec));
  RETURN_IF_ERROR(ParseLinux(config, spec));
  return spec;
}

std::string RootfsPath(const std::string& bundle, const std::string& root) {
  if (root.starts_with('/')) {
    return root;
  }
  return bundle.ends_with('/') ? bundle + root : bundle + "/" + root;
}

// The next number of a line of a map; the blanks before it are skipped.
std::optional<uint32_t> TakeNumber(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  const size_t end = std::min(line.find_first_of(" \t"), line.size());
  const auto number = ParseDecimal(line.substr(0, end));
  line.remove_prefix(end);
  if (!number || static_cast<uint64_t>(*number) > kMaxIdCount) {
    return std::nullopt;
  }
  return static_cast<uint32_t>(*number);
}

Result<BundleSpec> FromText(std::string_view json_text) {
  ASSIGN_OR_RETURN(const nlohmann::json parsed, ParseJson(json_text));
  ASSIGN_OR_RETURN(const JsonObject object, JsonObject::From(parsed, ""));
  return FromObject(object);
}

}  // namespace

Result<BundleSpec> ParseBundleConfig(std::string_view json_text) {
  auto spec = FromText(json_text);
  if (!spec) {
    return Wrap(std::move(spec).error(), "config.json");
  }
  return spec;
}

Result<WorkspaceRequest> MakeRequest(const ContainerState& state, const BundleSpec& spec) {
  WorkspaceRequest request;
  ASSIGN_OR_RETURN(request.annotations, ParseAnnotations(state.annotations));
  if (state.pid <= 0) {
    return MakeError(EINVAL, "container state: pid: missing, expected the container's init");
  }
  if (!spec.has_mount_namespace) {
    return MakeError(
        EINVAL,
        "config.json: linux.namespaces: expected a mount namespace; without one the workspace "
        "would be mounted on the host");
  }
  request.container_id = state.id;
  request.pid = state.pid;
  request.bundle = state.bundle;
  request.rootfs = RootfsPath(state.bundle, spec.root_path);
  request.rootfs_readonly = spec.root_readonly;
  request.uid = request.host_uid = spec.uid;
  request.gid = request.host_gid = spec.gid;
  request.has_user_namespace = spec.has_user_namespace;
  request.cwd = spec.cwd;
  request.mount_label = spec.mount_label;
  if (!spec.has_user_namespace) {
    return request;
  }
  request.needs_id_maps = spec.joins_user_namespace;
  if (!request.needs_id_maps) {
    RETURN_IF_ERROR(ApplyIdMaps(request, spec.uid_mappings, spec.gid_mappings));
  }
  return request;
}

Result<std::vector<IdMapping>> ParseIdMap(std::string_view text) {
  std::vector<IdMapping> mappings;
  for (std::string_view line : Split(text, '\n')) {
    if (line.empty()) {
      continue;
    }
    const std::string_view whole = line;
    std::array<std::optional<uint32_t>, 3> fields;
    for (auto& field : fields) {
      field = TakeNumber(line);
    }
    if (!fields[0] || !fields[1] || !fields[2] ||
        line.find_first_not_of(" \t") != std::string_view::npos) {
      return MakeError(EINVAL, "id map: expected three numbers a line; got " + Quoted(whole));
    }
    const IdMapping mapping = {
        .container_id = *fields[0], .host_id = *fields[1], .size = *fields[2]};
    RETURN_IF_ERROR(CheckRange(mapping, "id map"));
    mappings.push_back(mapping);
  }
  return mappings;
}

Result<uint32_t> MapId(const std::vector<IdMapping>& mappings, uint32_t id, std::string_view kind) {
  for (const IdMapping& mapping : mappings) {
    if (id >= mapping.container_id && id - mapping.container_id < mapping.size) {
      return mapping.host_id + (id - mapping.container_id);
    }
  }
  return MakeError(
      EINVAL,
      fmt::format("user namespace: {} {} has no id on the host: expected {} mappings that cover it",
                  kind, id, kind));
}

Status ApplyIdMaps(WorkspaceRequest& request, const std::vector<IdMapping>& uid_mappings,
                   const std::vector<IdMapping>& gid_mappings) {
  ASSIGN_OR_RETURN(request.host_uid, MapId(uid_mappings, request.uid, "uid"));
  ASSIGN_OR_RETURN(request.host_gid, MapId(gid_mappings, request.gid, "gid"));
  ASSIGN_OR_RETURN(request.host_root_uid, MapId(uid_mappings, 0, "uid"));
  ASSIGN_OR_RETURN(request.host_root_gid, MapId(gid_mappings, 0, "gid"));
  request.needs_id_maps = false;
  return {};
}

}  // namespace actiondfs::oci
