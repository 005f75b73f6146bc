// SPDX-License-Identifier: Apache-2.0
//
// The operator's configuration (design 3.2), parsed and checked. Parsing is pure: who may own the
// file is the caller's check (apps). Plain values.
#ifndef ACTIONDFS_HOOK_PLAN_CONFIG_H_
#define ACTIONDFS_HOOK_PLAN_CONFIG_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "hook/base/result.h"
#include "hook/cas/digest.h"
#include "hook/cas/layout.h"
#include "hook/oci/workspace_request.h"

namespace actiondfs::plan {

inline constexpr char kDefaultConfigPath[] = "/etc/actiondfs/hook.json";
inline constexpr char kDefaultStateRoot[] = "/run/actiondfs";
inline constexpr char kDefaultDestination[] = "/workspace";
inline constexpr char kDefaultSocket[] = "/run/actiondfs/serve.sock";

struct CasConfig {
  std::string path;                   // absolute
  std::optional<cas::Layout> layout;  // nullopt: auto
  cas::HashFunction digest_function = cas::HashFunction::kSha256;
};

struct Config {
  std::map<std::string, CasConfig> cas;  // at least one
  std::string stage_root;                // absolute; required
  std::string state_root = kDefaultStateRoot;
  std::string serve_socket = kDefaultSocket;

  struct {
    std::string destination = kDefaultDestination;
    oci::Mode mode = oci::Mode::kStrict;
    oci::Backend backend = oci::Backend::kAuto;
  } defaults;

  // What containers may ask for. Empty optional: everything. A destination is allowed where it is
  // equal to, or below, one of the list.
  struct {
    std::optional<std::set<oci::Mode>> modes;
    std::optional<std::set<oci::Backend>> backends;
    std::optional<std::vector<std::string>> destinations;
  } allow;

  struct {
    std::string path;                 // JSON lines; empty: none is written
    std::string prometheus_textfile;  // empty: none is written
  } records;
  bool keep_stage = false;
};

// EINVAL: malformed, an unknown key, a wrong type, a relative path; the message has the key's JSON
// path and what is expected.
Result<Config> ParseConfig(std::string_view json_text);

}  // namespace actiondfs::plan

#endif  // ACTIONDFS_HOOK_PLAN_CONFIG_H_
