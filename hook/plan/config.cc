// SPDX-License-Identifier: Apache-2.0
#include "hook/plan/config.h"

#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "hook/base/json.h"
#include "hook/base/json_object.h"
#include "hook/base/text.h"
#include "hook/plan/allow.h"

namespace actiondfs::plan {
namespace {

// Puts the member's path before the error of a value.
std::unexpected<Error> At(const JsonObject& object, std::string_view key, Error error) {
  return Wrap(std::move(error), object.PathOf(key));
}

// An absolute path of the host, written in one way only: paths are compared.
Result<std::string> CheckedPath(const JsonObject& object, std::string_view key, std::string path) {
  if (!path.starts_with('/')) {
    return MakeError(EINVAL,
                     object.PathOf(key) + ": expected an absolute path, got " + Quoted(path));
  }
  if (auto valid = oci::ValidateRelativePath(std::string_view(path).substr(1));
      !valid || path == "/") {
    return MakeError(EINVAL,
                     object.PathOf(key) +
                         ": expected a path below '/' without empty, '.' or '..' components "
                         "and control characters, got " +
                         Quoted(path));
  }
  return path;
}

// Sets `field` where the member is there.
Status SetPath(const JsonObject& object, std::string_view key, std::string& field) {
  ASSIGN_OR_RETURN(auto text, object.String(key));
  if (text) {
    ASSIGN_OR_RETURN(field, CheckedPath(object, key, *std::move(text)));
  }
  return {};
}

template <typename T>
Status SetParsed(const JsonObject& object, std::string_view key, T& field,
                 Result<T> (*parse)(std::string_view)) {
  ASSIGN_OR_RETURN(const auto text, object.String(key));
  if (!text) {
    return {};
  }
  auto parsed = parse(*text);
  if (!parsed) {
    return At(object, key, std::move(parsed).error());
  }
  field = *std::move(parsed);
  return {};
}

Result<std::string> ParseDestination(std::string_view text) {
  RETURN_IF_ERROR(oci::ValidateDestination(text));
  return std::string(text);
}

Result<oci::Backend> ParseRealBackend(std::string_view text) {
  ASSIGN_OR_RETURN(const oci::Backend backend, oci::ParseBackend(text));
  if (backend == oci::Backend::kAuto) {
    return MakeError(
        EINVAL, "expected one of kernel, fuse, hardlink; got 'auto', which chooses among them");
  }
  return backend;
}

Result<std::optional<cas::Layout>> ParseLayoutOrAuto(std::string_view text) {
  if (text == "auto") {
    return std::nullopt;
  }
  ASSIGN_OR_RETURN(const cas::Layout layout, cas::ParseLayout(text));
  return layout;
}

// A list of what is allowed: absent it allows everything, empty it would allow nothing.
template <typename Container>
Status SetList(const JsonObject& object, std::string_view key, std::optional<Container>& field,
               Result<typename Container::value_type> (*parse)(std::string_view)) {
  ASSIGN_OR_RETURN(const auto texts, object.Strings(key));
  if (!texts) {
    return {};
  }
  if (texts->empty()) {
    return MakeError(EINVAL, object.PathOf(key) + ": expected at least one element, got none");
  }
  Container values;
  for (size_t i = 0; i < texts->size(); ++i) {
    auto value = parse((*texts)[i]);
    if (!value) {
      return At(object, std::string(key) + "[" + std::to_string(i) + "]", std::move(value).error());
    }
    values.insert(values.end(), *std::move(value));
  }
  field = std::move(values);
  return {};
}

Result<CasConfig> ParseCas(const JsonObject& object) {
  CasConfig cas;
  RETURN_IF_ERROR(object.CheckKeys({"path", "layout", "digest_function"}));
  ASSIGN_OR_RETURN(std::string path, object.RequiredString("path"));
  ASSIGN_OR_RETURN(cas.path, CheckedPath(object, "path", std::move(path)));
  RETURN_IF_ERROR(SetParsed(object, "layout", cas.layout, ParseLayoutOrAuto));
  RETURN_IF_ERROR(
      SetParsed(object, "digest_function", cas.digest_function, cas::ParseHashFunction));
  return cas;
}

Status ParseAllCas(const JsonObject& top, Config& config) {
  ASSIGN_OR_RETURN(const auto object, top.Object("cas"));
  if (!object) {
    return MakeError(EINVAL, "cas: missing, expected an object of at least one CAS by name");
  }
  ASSIGN_OR_RETURN(const auto members, object->ObjectMap());
  for (const auto& [name, member] : members) {
    if (auto valid = oci::ValidateCasName(name); !valid) {
      return Wrap(std::move(valid).error(), "cas: name of a CAS");
    }
    ASSIGN_OR_RETURN(config.cas[name], ParseCas(member));
  }
  if (config.cas.empty()) {
    return MakeError(EINVAL, "cas: expected at least one CAS, got none");
  }
  return {};
}

Status ParseRoots(const JsonObject& top, Config& config) {
  ASSIGN_OR_RETURN(std::string stage_root, top.RequiredString("stage_root"));
  ASSIGN_OR_RETURN(config.stage_root, CheckedPath(top, "stage_root", std::move(stage_root)));
  RETURN_IF_ERROR(SetPath(top, "state_root", config.state_root));
  RETURN_IF_ERROR(SetPath(top, "serve_socket", config.serve_socket));
  // Both have a directory for each container, by its id.
  if ((config.stage_root + "/").starts_with(config.state_root + "/") ||
      (config.state_root + "/").starts_with(config.stage_root + "/")) {
    return MakeError(EINVAL, "stage_root: expected a directory apart from state_root, got " +
                                 Quoted(config.stage_root) + " and " + Quoted(config.state_root));
  }
  // gc removes from stage_root what no workspace owns.
  for (const auto& [name, cas] : config.cas) {
    if ((cas.path + "/").starts_with(config.stage_root + "/")) {
      return MakeError(EINVAL, "stage_root: expected a directory of its own, got " +
                                   Quoted(config.stage_root) + ", in which CAS " + Quoted(name) +
                                   " is");
    }
  }
  return {};
}

Status ParseDefaults(const JsonObject& top, Config& config) {
  ASSIGN_OR_RETURN(const auto object, top.Object("defaults"));
  if (!object) {
    return {};
  }
  RETURN_IF_ERROR(object->CheckKeys({"destination", "mode", "backend"}));
  RETURN_IF_ERROR(SetParsed(*object, "destination", config.defaults.destination, ParseDestination));
  RETURN_IF_ERROR(SetParsed(*object, "mode", config.defaults.mode, oci::ParseMode));
  return SetParsed(*object, "backend", config.defaults.backend, oci::ParseBackend);
}

Status ParseAllow(const JsonObject& top, Config& config) {
  ASSIGN_OR_RETURN(const auto object, top.Object("allow"));
  if (!object) {
    return {};
  }
  RETURN_IF_ERROR(object->CheckKeys({"modes", "backends", "destinations"}));
  RETURN_IF_ERROR(SetList(*object, "modes", config.allow.modes, oci::ParseMode));
  RETURN_IF_ERROR(SetList(*object, "backends", config.allow.backends, ParseRealBackend));
  return SetList(*object, "destinations", config.allow.destinations, ParseDestination);
}

Status ParseRecords(const JsonObject& top, Config& config) {
  ASSIGN_OR_RETURN(const auto object, top.Object("records"));
  if (!object) {
    return {};
  }
  RETURN_IF_ERROR(object->CheckKeys({"path", "prometheus_textfile"}));
  RETURN_IF_ERROR(SetPath(*object, "path", config.records.path));
  return SetPath(*object, "prometheus_textfile", config.records.prometheus_textfile);
}

// A default that the operator's own list refuses would fail every container: say it once, here.
Status CheckDefaults(const Config& config) {
  if (!IsAllowed(config, config.defaults.mode)) {
    return MakeError(EINVAL, "defaults.mode: expected one of allow.modes, got " +
                                 Quoted(oci::ToString(config.defaults.mode)));
  }
  if (!IsAllowed(config, config.defaults.backend)) {
    return MakeError(EINVAL, "defaults.backend: expected auto or one of allow.backends, got " +
                                 Quoted(oci::ToString(config.defaults.backend)));
  }
  if (!IsAllowed(config, config.defaults.destination)) {
    return MakeError(EINVAL, "defaults.destination: expected a path in allow.destinations, got " +
                                 Quoted(config.defaults.destination));
  }
  return {};
}

}  // namespace

Result<Config> ParseConfig(std::string_view json_text) {
  Config config;
  ASSIGN_OR_RETURN(const nlohmann::json parsed, ParseJson(json_text));
  ASSIGN_OR_RETURN(const JsonObject top, JsonObject::From(parsed, ""));
  RETURN_IF_ERROR(top.CheckKeys({"cas", "stage_root", "state_root", "serve_socket", "defaults",
                                 "allow", "records", "keep_stage"}));
  RETURN_IF_ERROR(ParseAllCas(top, config));
  RETURN_IF_ERROR(ParseRoots(top, config));
  RETURN_IF_ERROR(ParseDefaults(top, config));
  RETURN_IF_ERROR(ParseAllow(top, config));
  RETURN_IF_ERROR(ParseRecords(top, config));
  ASSIGN_OR_RETURN(const auto keep_stage, top.Bool("keep_stage"));
  config.keep_stage = keep_stage.value_or(false);
  RETURN_IF_ERROR(CheckDefaults(config));
  return config;
}

}  // namespace actiondfs::plan
