// SPDX-License-Identifier: Apache-2.0
#include "hook/plan/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <string>

namespace actiondfs::plan {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

json Minimal() {
  return json::parse(R"({"cas":{"default":{"path":"/srv/cas"}},"stage_root":"/srv/stage"})");
}

TEST(ConfigTest, Defaults) {
  const Config config = ParseConfig(Minimal().dump()).value();
  const CasConfig& cas = config.cas.at("default");
  EXPECT_EQ(cas.path, "/srv/cas");
  EXPECT_EQ(cas.layout, std::nullopt);
  EXPECT_EQ(cas.digest_function, cas::HashFunction::kSha256);
  EXPECT_EQ(config.stage_root, "/srv/stage");
  EXPECT_EQ(config.state_root, "/run/actiondfs");
  EXPECT_EQ(config.serve_socket, "/run/actiondfs/serve.sock");
  EXPECT_EQ(config.defaults.destination, "/workspace");
  EXPECT_EQ(config.defaults.mode, oci::Mode::kStrict);
  EXPECT_EQ(config.defaults.backend, oci::Backend::kAuto);
  EXPECT_FALSE(config.allow.modes || config.allow.backends || config.allow.destinations);
  EXPECT_EQ(config.records.path, "");
  EXPECT_EQ(config.records.prometheus_textfile, "");
  EXPECT_FALSE(config.keep_stage);
}

TEST(ConfigTest, EverythingSet) {
  const Config config = ParseConfig(R"({
    "cas": {"a": {"path": "/a", "layout": "hash-size", "digest_function": "blake3"},
            "b": {"path": "/b", "layout": "auto"}},
    "stage_root": "/stage", "state_root": "/state", "serve_socket": "/state/s",
    "defaults": {"destination": "/src/x", "mode": "readonly", "backend": "fuse"},
    "allow": {"modes": ["readonly", "strict"], "backends": ["fuse"], "destinations": ["/src"]},
    "records": {"path": "/log/runs", "prometheus_textfile": "/prom/a.prom"},
    "keep_stage": true})")
                            .value();
  EXPECT_EQ(config.cas.at("a").layout, cas::Layout::kHashDashSize);
  EXPECT_EQ(config.cas.at("a").digest_function, cas::HashFunction::kBlake3);
  EXPECT_EQ(config.cas.at("b").layout, std::nullopt);
  EXPECT_EQ(config.state_root, "/state");
  EXPECT_EQ(config.serve_socket, "/state/s");
  EXPECT_EQ(config.defaults.destination, "/src/x");
  EXPECT_EQ(config.defaults.mode, oci::Mode::kReadonly);
  EXPECT_EQ(config.defaults.backend, oci::Backend::kFuse);
  EXPECT_EQ(config.allow.modes, (std::set{oci::Mode::kReadonly, oci::Mode::kStrict}));
  EXPECT_EQ(config.allow.backends, std::set{oci::Backend::kFuse});
  EXPECT_EQ(config.allow.destinations, std::vector<std::string>{"/src"});
  EXPECT_EQ(config.records.path, "/log/runs");
  EXPECT_EQ(config.records.prometheus_textfile, "/prom/a.prom");
  EXPECT_TRUE(config.keep_stage);
}

struct BadMember {
  const char* pointer;
  json value;
  const char* expected;  // the message, or its beginning
};

TEST(ConfigTest, BadMembersAreNamedByTheirPath) {
  const BadMember cases[] = {
      {"/cas", json::object(), "cas: expected at least one CAS, got none"},
      {"/cas", "x", "cas: expected an object, got a string"},
      {"/cas/default", "/srv/cas", "cas.default: expected an object, got a string"},
      {"/cas/default", json::object(), "cas.default.path: missing, expected a string"},
      {"/cas/default/path", "x", "cas.default.path: expected an absolute path, got 'x'"},
      {"/cas/default/path", "/a/../b", "cas.default.path: expected a path below '/' without empty"},
      {"/cas/default/path", "/", "cas.default.path: expected a path below '/'"},
      {"/cas/default/path", "/a/", "cas.default.path: expected a path below '/'"},
      {"/cas/default/path", "/a\n\x1b[2J", "cas.default.path: expected a path below '/'"},
      {"/cas/default/layout", "tree", "cas.default.layout: "},
      {"/cas/default/layout", 3, "cas.default.layout: expected a string, got a number"},
      {"/cas/default/digest_function", "md5", "cas.default.digest_function: "},
      {"/cas/default/pth", "/x",
       "cas.default.pth: unknown key, expected one of: path, layout, digest_function"},
      {"/cas/a~1b", {{"path", "/x"}}, "cas: name of a CAS: expected 1 to 64 letters"},
      {"/stage_root", "stage", "stage_root: expected an absolute path, got 'stage'"},
      {"/stage_root", "/srv", "stage_root: expected a directory of its own, got '/srv'"},
      {"/stage_root", nullptr, "stage_root: expected a value, got null"},
      {"/state_root", "/srv/stage", "stage_root: expected a directory apart from state_root, got"},
      {"/state_root", "/srv/stage/x", "stage_root: expected a directory apart from state_root"},
      {"/stage_root", "/run/actiondfs/x", "stage_root: expected a directory apart from"},
      {"/state_root", "run", "state_root: expected an absolute path, got 'run'"},
      {"/serve_socket", "@abstract", "serve_socket: expected an absolute path"},
      {"/defaults", json::array(), "defaults: expected an object, got an array"},
      {"/defaults/mode", "rw",
       "defaults.mode: expected one of strict, overlay, readonly; got 'rw'"},
      {"/defaults/backend", "nfs", "defaults.backend: expected one of auto, kernel"},
      {"/defaults/destination", "/proc/x",
       "defaults.destination: expected a path outside of /proc"},
      {"/defaults/uid", 0,
       "defaults.uid: unknown key, expected one of: destination, mode, backend"},
      {"/allow/modes", "strict", "allow.modes: expected an array of strings, got a string"},
      {"/allow/modes", json::array(), "allow.modes: expected at least one element, got none"},
      {"/allow/modes", {"strict", "rw"}, "allow.modes[1]: expected one of strict"},
      {"/allow/modes", {"strict", 1}, "allow.modes[1]: expected a string, got a number"},
      {"/allow/modes", {"readonly"}, "defaults.mode: expected one of allow.modes, got 'strict'"},
      {"/allow/modes", nullptr, "allow.modes: expected a value, got null"},
      {"/allow/backends", {"auto"}, "allow.backends[0]: expected one of kernel, fuse, hardlink"},
      {"/allow/destinations", {"/"}, "allow.destinations[0]: expected a directory below '/'"},
      {"/allow/destinations",
       {"/src"},
       "defaults.destination: expected a path in allow.destinations"},
      {"/allow/x", 1, "allow.x: unknown key, expected one of: modes, backends, destinations"},
      {"/records/path", "runs", "records.path: expected an absolute path, got 'runs'"},
      {"/records/prometheus_textfile", 1, "records.prometheus_textfile: expected a string"},
      {"/records/x", 1, "records.x: unknown key, expected one of: path, prometheus_textfile"},
      {"/keep_stage", "yes", "keep_stage: expected true or false, got a string"},
      {"/stage_rot", "/x", "stage_rot: unknown key, expected one of: cas, stage_root"},
  };
  for (const BadMember& c : cases) {
    json config = Minimal();
    config[json::json_pointer(c.pointer)] = c.value;
    const auto result = ParseConfig(config.dump());
    ASSERT_FALSE(result) << config.dump();
    EXPECT_EQ(result.error().code(), EINVAL);
    EXPECT_THAT(result.error().what(), testing::StartsWith(c.expected));
    EXPECT_THAT(result.error().what(), Not(HasSubstr("\n")));
    EXPECT_THAT(result.error().what(), Not(HasSubstr("\x1b")));
  }
}

TEST(ConfigTest, DefaultBackendMustBeAllowed) {
  json config = Minimal();
  config["defaults"]["backend"] = "kernel";
  config["allow"]["backends"] = {"fuse"};
  EXPECT_THAT(ParseConfig(config.dump()).error().what(),
              HasSubstr("defaults.backend: expected auto or one of allow.backends, got 'kernel'"));
}

TEST(ConfigTest, MissingMembers) {
  for (const char* key : {"cas", "stage_root"}) {
    json config = Minimal();
    config.erase(key);
    EXPECT_THAT(ParseConfig(config.dump()).error().what(),
                HasSubstr(std::string(key) + ": missing"));
  }
}

TEST(ConfigTest, Malformed) {
  for (const char* text : {"", "{", "[]", "{\"cas\":}", "null"}) {
    const auto result = ParseConfig(text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().code(), EINVAL);
  }
}

}  // namespace
}  // namespace actiondfs::plan
