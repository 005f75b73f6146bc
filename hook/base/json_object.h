// SPDX-License-Identifier: Apache-2.0
//
// Typed access to the members of one JSON object, for text from other hands: a member of another
// type than expected is an EINVAL whose message has the member's path ("linux.namespaces[2].type:
// expected a string, got a number"). A member that is null counts as absent, as Go's decoder has
// it. A JsonObject borrows the parsed value, which must outlive it; it is immutable and may be
// shared between threads.
#ifndef ACTIONDFS_HOOK_BASE_JSON_OBJECT_H_
#define ACTIONDFS_HOOK_BASE_JSON_OBJECT_H_

#include <cstdint>
#include <initializer_list>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hook/base/result.h"

namespace actiondfs {

class JsonObject {
 public:
  // `path` is what the value is called in messages; empty for a document's top.
  static Result<JsonObject> From(const nlohmann::json& value, std::string path);

  // The path of a member: "linux.mountLabel". Bytes that no terminal should see are escaped.
  std::string PathOf(std::string_view key) const;

  Result<std::optional<std::string>> String(std::string_view key) const;
  Result<std::string> RequiredString(std::string_view key) const;
  Result<std::optional<bool>> Bool(std::string_view key) const;
  // A whole number in [min, max].
  Result<std::optional<uint64_t>> Integer(std::string_view key, uint64_t min, uint64_t max) const;
  Result<std::optional<JsonObject>> Object(std::string_view key) const;
  // An array of strings, or of objects.
  Result<std::optional<std::vector<std::string>>> Strings(std::string_view key) const;
  Result<std::optional<std::vector<JsonObject>>> Objects(std::string_view key) const;
  // All members, which must be strings, or objects.
  Result<std::map<std::string, std::string>> StringMap() const;
  Result<std::map<std::string, JsonObject>> ObjectMap() const;

  // EINVAL for a member that `keys` does not list (the message lists them), and for a null.
  Status CheckKeys(std::initializer_list<std::string_view> keys) const;

 private:
  JsonObject(const nlohmann::json& value, std::string path)
      : value_(&value), path_(std::move(path)) {}
  const nlohmann::json* Find(std::string_view key) const;

  const nlohmann::json* value_;
  std::string path_;
};

}  // namespace actiondfs

#endif  // ACTIONDFS_HOOK_BASE_JSON_OBJECT_H_
