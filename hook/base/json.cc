// SPDX-License-Identifier: Apache-2.0
#include "hook/base/json.h"

#include <cerrno>
#include <nlohmann/json.hpp>
#include <string>

#include "hook/base/text.h"

namespace actiondfs {
namespace {

struct TooDeep {};

}  // namespace

Result<nlohmann::json> ParseJson(std::string_view text, const JsonLimits& limits) {
  using nlohmann::json;
  if (text.size() > limits.bytes) {
    return MakeError(EFBIG, "JSON of over " + std::to_string(limits.bytes) + " bytes");
  }
  const auto check_depth = [&](int depth, json::parse_event_t event, const json& /*value*/) {
    const bool opens =
        event == json::parse_event_t::object_start || event == json::parse_event_t::array_start;
    if (opens && depth >= limits.depth) {
      throw TooDeep();
    }
    return true;
  };
  // The library reports by exceptions; they end here.
  try {
    return json::parse(text, check_depth);
  } catch (const json::parse_error& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 5: ..."
    std::string_view what = error.what();
    if (const size_t end = what.find("] "); end != std::string_view::npos) {
      what.remove_prefix(end + 2);
    }
    return MakeError(EINVAL, "malformed JSON: " + Printable(what));
  } catch (const TooDeep&) {
    return MakeError(EINVAL, "JSON nested over " + std::to_string(limits.depth) + " deep");
  } catch (const std::exception& error) {
    return MakeError(EINVAL, "malformed JSON: " + Printable(error.what()));
  }
}

}  // namespace actiondfs
