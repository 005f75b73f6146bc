// SPDX-License-Identifier: Apache-2.0
#include "hook/oci/annotations.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include "hook/base/text.h"

namespace actiondfs::oci {
namespace {

std::unexpected<Error> BadAnnotation(std::string_view key, std::string_view message) {
  return MakeError(EINVAL, fmt::format("annotation {}: {}", key, message));
}

// Stores what `parse` makes of `value`.
template <typename T>
Status Set(std::optional<T>& field, Result<T> parsed) {
  ASSIGN_OR_RETURN(field, std::move(parsed));
  return {};
}

Result<std::string> Checked(std::string_view value, Status (*validate)(std::string_view)) {
  RETURN_IF_ERROR(validate(value));
  return std::string(value);
}

Result<cas::Digest> DigestValue(std::string_view value) {
  auto digest = cas::ParseDigest(value);
  if (!digest) {
    return MakeError(EINVAL,
                     "expected a digest, <64 lowercase hex digits>/<size in bytes>, optionally "
                     "with sha256: or blake3: before it; got " +
                         Quoted(value));
  }
  return digest;
}

using Setter = Status (*)(Annotations& annotations, std::string_view value);

struct Key {
  std::string_view name;
  Setter set;
};

constexpr std::array<Key, 7> kKeys = {{
    {kInputRootKey,
     [](Annotations& a, std::string_view v) { return Set(a.input_root, DigestValue(v)); }},
    {kActionKey, [](Annotations& a, std::string_view v) { return Set(a.action, DigestValue(v)); }},
    {kDestinationKey,
     [](Annotations& a, std::string_view v) {
       return Set(a.destination, Checked(v, ValidateDestination));
     }},
    {kModeKey, [](Annotations& a, std::string_view v) { return Set(a.mode, ParseMode(v)); }},
    {kMutatesInputsKey,
     [](Annotations& a, std::string_view v) { return Set(a.mutates_inputs, ParseFlag(v)); }},
    {kBackendKey,
     [](Annotations& a, std::string_view v) { return Set(a.backend, ParseBackend(v)); }},
    {kCasKey,
     [](Annotations& a, std::string_view v) { return Set(a.cas, Checked(v, ValidateCasName)); }},
}};

std::string KnownKeys() {
  std::string known;
  for (const Key& key : kKeys) {
    known += known.empty() ? "" : ", ";
    known += key.name.substr(kAnnotationPrefix.size());
  }
  return known;
}

Status ParseOne(Annotations& annotations, std::string_view name, std::string_view value) {
  for (const Key& key : kKeys) {
    if (key.name != name) {
      continue;
    }
    if (value.empty()) {
      return BadAnnotation(name, "expected a value; got ''");
    }
    if (value.size() > kMaxAnnotationValue) {
      return BadAnnotation(name, fmt::format("expected at most {} bytes; got {}: {}",
                                             kMaxAnnotationValue, value.size(), Quoted(value, 64)));
    }
    if (auto status = key.set(annotations, value); !status) {
      return BadAnnotation(name, status.error().what());
    }
    return {};
  }
  return BadAnnotation(Printable(name, 128),
                       fmt::format("unknown key (value {}), expected {}*, with one of {}",
                                   Quoted(value, 64), kAnnotationPrefix, KnownKeys()));
}

Status CheckTogether(const Annotations& annotations) {
  if (annotations.input_root && annotations.action) {
    return MakeError(
        EINVAL,
        fmt::format(
            "annotations {}={} and {}={}: expected one of them, an Action has an input root",
            kInputRootKey, Quoted(annotations.input_root->ToString()), kActionKey,
            Quoted(annotations.action->ToString())));
  }
  if (!annotations.input_root && !annotations.action) {
    return BadAnnotation(kInputRootKey,
                         fmt::format("missing, expected a digest here or in {}", kActionKey));
  }
  if (annotations.mode && annotations.mutates_inputs &&
      *annotations.mutates_inputs != (*annotations.mode == Mode::kOverlay)) {
    return MakeError(
        EINVAL,
        fmt::format(
            "annotations {}='{}' and {}='{}' contradict each other: expected mode overlay with "
            "inputs that are changed, strict or readonly with inputs that are not",
            kModeKey, ToString(*annotations.mode), kMutatesInputsKey,
            *annotations.mutates_inputs ? "true" : "false"));
  }
  return {};
}

}  // namespace

Result<Annotations> ParseAnnotations(const std::map<std::string, std::string>& annotations) {
  Annotations parsed;
  for (auto it = annotations.lower_bound(std::string(kAnnotationPrefix));
       it != annotations.end() && it->first.starts_with(kAnnotationPrefix); ++it) {
    RETURN_IF_ERROR(ParseOne(parsed, it->first, it->second));
  }
  RETURN_IF_ERROR(CheckTogether(parsed));
  return parsed;
}

}  // namespace actiondfs::oci
