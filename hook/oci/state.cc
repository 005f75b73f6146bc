// SPDX-License-Identifier: Apache-2.0
#include "hook/oci/state.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "hook/base/json.h"
#include "hook/base/json_object.h"
#include "hook/base/text.h"
#include "hook/oci/annotations.h"
#include "hook/oci/workspace_request.h"

namespace actiondfs::oci {
namespace {

constexpr size_t kMaxWord = 64;          // of ociVersion and status
constexpr uint64_t kMaxPid = 1U << 22U;  // PID_MAX_LIMIT of Linux

Result<std::string> ShortWord(const JsonObject& object, std::string_view key) {
  ASSIGN_OR_RETURN(std::string word, object.RequiredString(key));
  if (word.empty() || word.size() > kMaxWord) {
    return MakeError(
        EINVAL, object.PathOf(key) + ": expected a word of 1 to 64 bytes; got " + Quoted(word, 80));
  }
  return word;
}

Result<std::string> Bundle(const JsonObject& object) {
  ASSIGN_OR_RETURN(std::string path, object.RequiredString("bundle"));
  if (!path.starts_with('/') || path.size() >= PATH_MAX || path.find('\0') != std::string::npos) {
    return MakeError(EINVAL, "bundle: expected an absolute path; got " + Quoted(path));
  }
  return path;
}

Status ReadAnnotations(const JsonObject& object, ContainerState& state) {
  ASSIGN_OR_RETURN(const auto annotations, object.Object("annotations"));
  if (annotations) {
    ASSIGN_OR_RETURN(state.annotations, annotations->StringMap());
  }
  return {};
}

Result<ContainerState> FromObject(const JsonObject& object) {
  ContainerState state;
  ASSIGN_OR_RETURN(state.oci_version, ShortWord(object, "ociVersion"));
  ASSIGN_OR_RETURN(state.id, object.RequiredString("id"));
  if (auto valid = ValidateContainerId(state.id); !valid) {
    return Wrap(std::move(valid).error(), "id");
  }
  ASSIGN_OR_RETURN(state.status, ShortWord(object, "status"));
  ASSIGN_OR_RETURN(const auto pid, object.Integer("pid", 0, kMaxPid));
  state.pid = static_cast<pid_t>(pid.value_or(0));
  ASSIGN_OR_RETURN(state.bundle, Bundle(object));
  RETURN_IF_ERROR(ReadAnnotations(object, state));
  return state;
}

Result<ContainerState> FromText(std::string_view json_text) {
  ASSIGN_OR_RETURN(const nlohmann::json parsed, ParseJson(json_text));
  ASSIGN_OR_RETURN(const JsonObject object, JsonObject::From(parsed, ""));
  return FromObject(object);
}

// In a text that is no proper state; nothing else of it is looked at.
Result<bool> LookForAnnotation(std::string_view json_text) {
  ASSIGN_OR_RETURN(const nlohmann::json parsed, ParseJson(json_text));
  ASSIGN_OR_RETURN(const JsonObject object, JsonObject::From(parsed, ""));
  ContainerState state;
  RETURN_IF_ERROR(ReadAnnotations(object, state));
  return HasActiondfsAnnotation(state);
}

}  // namespace

Result<ContainerState> ParseState(std::string_view json_text) {
  auto state = FromText(json_text);
  if (!state) {
    return Wrap(std::move(state).error(), "container state");
  }
  return state;
}

bool HasActiondfsAnnotation(const ContainerState& state) {
  const auto it = state.annotations.lower_bound(std::string(kAnnotationPrefix));
  return it != state.annotations.end() && it->first.starts_with(kAnnotationPrefix);
}

Result<std::optional<ContainerState>> ParseStateUnlessForeign(std::string_view json_text) {
  auto state = ParseState(json_text);
  // Looked for only now: that it is refused is rare, and each container's start pays for parsing.
  if (!state && !LookForAnnotation(json_text).value_or(true)) {
    return std::nullopt;
  }
  return state;
}

}  // namespace actiondfs::oci
