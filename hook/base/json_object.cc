// SPDX-License-Identifier: Apache-2.0
#include "hook/base/json_object.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "hook/base/text.h"

namespace actiondfs {
namespace {

using nlohmann::json;

std::string_view TypeOf(const json& value) {
  switch (value.type()) {
    case json::value_t::null:
      return "null";
    case json::value_t::object:
      return "an object";
    case json::value_t::array:
      return "an array";
    case json::value_t::string:
      return "a string";
    case json::value_t::boolean:
      return "a boolean";
    default:
      return "a number";
  }
}

std::unexpected<Error> WrongType(std::string_view path, std::string_view expected,
                                 const json& value) {
  return MakeError(EINVAL, fmt::format("{}: expected {}, got {}", path.empty() ? "top level" : path,
                                       expected, TypeOf(value)));
}

Result<std::string> AsString(const json& value, const std::string& path) {
  if (!value.is_string()) {
    return WrongType(path, "a string", value);
  }
  return value.get_ref<const std::string&>();
}

std::string Indexed(const std::string& path, size_t index) {
  return fmt::format("{}[{}]", path, index);
}

}  // namespace

Result<JsonObject> JsonObject::From(const json& value, std::string path) {
  if (!value.is_object()) {
    return WrongType(path, "an object", value);
  }
  return JsonObject(value, std::move(path));
}

std::string JsonObject::PathOf(std::string_view key) const {
  const std::string shown = Printable(key, 128);
  return path_.empty() ? shown : path_ + "." + shown;
}

const json* JsonObject::Find(std::string_view key) const {
  const auto it = value_->find(std::string(key));
  return it == value_->end() || it->is_null() ? nullptr : &*it;
}

Result<std::optional<std::string>> JsonObject::String(std::string_view key) const {
  const json* value = Find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  return AsString(*value, PathOf(key));
}

Result<std::string> JsonObject::RequiredString(std::string_view key) const {
  const json* value = Find(key);
  if (value == nullptr) {
    return MakeError(EINVAL, PathOf(key) + ": missing, expected a string");
  }
  return AsString(*value, PathOf(key));
}

Result<std::optional<bool>> JsonObject::Bool(std::string_view key) const {
  const json* value = Find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (!value->is_boolean()) {
    return WrongType(PathOf(key), "true or false", *value);
  }
  return value->get<bool>();
}

Result<std::optional<uint64_t>> JsonObject::Integer(std::string_view key, uint64_t min,
                                                    uint64_t max) const {
  const json* value = Find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  const std::string expected = fmt::format("a whole number from {} to {}", min, max);
  if (!value->is_number()) {
    return WrongType(PathOf(key), expected, *value);
  }
  // The library parses what is whole and not negative as unsigned.
  if (!value->is_number_unsigned() || value->get<uint64_t>() < min ||
      value->get<uint64_t>() > max) {
    return MakeError(EINVAL,
                     fmt::format("{}: expected {}, got {}", PathOf(key), expected, value->dump()));
  }
  return value->get<uint64_t>();
}

Result<std::optional<JsonObject>> JsonObject::Object(std::string_view key) const {
  const json* value = Find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  return From(*value, PathOf(key));
}

Result<std::optional<std::vector<std::string>>> JsonObject::Strings(std::string_view key) const {
  const json* value = Find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  const std::string path = PathOf(key);
  if (!value->is_array()) {
    return WrongType(path, "an array of strings", *value);
  }
  std::vector<std::string> strings;
  for (const json& element : *value) {
    ASSIGN_OR_RETURN(std::string text, AsString(element, Indexed(path, strings.size())));
    strings.push_back(std::move(text));
  }
  return strings;
}

Result<std::optional<std::vector<JsonObject>>> JsonObject::Objects(std::string_view key) const {
  const json* value = Find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  const std::string path = PathOf(key);
  if (!value->is_array()) {
    return WrongType(path, "an array of objects", *value);
  }
  std::vector<JsonObject> objects;
  for (const json& element : *value) {
    ASSIGN_OR_RETURN(JsonObject object, From(element, Indexed(path, objects.size())));
    objects.push_back(std::move(object));
  }
  return objects;
}

Result<std::map<std::string, std::string>> JsonObject::StringMap() const {
  std::map<std::string, std::string> members;
  for (const auto& [key, value] : value_->items()) {
    ASSIGN_OR_RETURN(members[key], AsString(value, PathOf(key)));
  }
  return members;
}

Result<std::map<std::string, JsonObject>> JsonObject::ObjectMap() const {
  std::map<std::string, JsonObject> members;
  for (const auto& [key, value] : value_->items()) {
    ASSIGN_OR_RETURN(JsonObject object, From(value, PathOf(key)));
    members.emplace(key, std::move(object));
  }
  return members;
}

Status JsonObject::CheckKeys(std::initializer_list<std::string_view> keys) const {
  for (const auto& [key, value] : value_->items()) {
    if (std::ranges::find(keys, key) == keys.end()) {
      return MakeError(EINVAL, fmt::format("{}: unknown key, expected one of: {}", PathOf(key),
                                           fmt::join(keys, ", ")));
    }
    if (value.is_null()) {
      return MakeError(EINVAL, PathOf(key) + ": expected a value, got null");
    }
  }
  return {};
}

}  // namespace actiondfs
