// SPDX-License-Identifier: Apache-2.0
#include "hook/oci/bundle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <string>

namespace actiondfs::oci {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json Config() {
  return json::parse(R"({"ociVersion":"1.0.2","root":{"path":"rootfs","readonly":true},
    "process":{"user":{"uid":1000,"gid":100},"cwd":"/workspace","args":["true"]},
    "linux":{"namespaces":[{"type":"pid"},{"type":"mount"}],"mountLabel":"system_u:object_r:x_t:s0:c1,c2"}})");
}

json WithUserNamespace() {
  json config = Config();
  config["linux"]["namespaces"].push_back({{"type", "user"}});
  config["linux"]["uidMappings"] = {{{"containerID", 0}, {"hostID", 100000}, {"size", 1000}},
                                    {{"containerID", 1000}, {"hostID", 500}, {"size", 1}}};
  config["linux"]["gidMappings"] = {{{"containerID", 0}, {"hostID", 200000}, {"size", 65536}}};
  return config;
}

ContainerState State() {
  ContainerState state;
  state.id = "c1";
  state.pid = 77;
  state.bundle = "/run/b";
  state.annotations = {{"dev.actiondfs.input-root", std::string(64, 'a') + "/42"}};
  return state;
}

Result<WorkspaceRequest> Request(const json& config, const ContainerState& state = State()) {
  ASSIGN_OR_RETURN(const BundleSpec spec, ParseBundleConfig(config.dump()));
  return MakeRequest(state, spec);
}

TEST(BundleTest, RequestOfAPlainContainer) {
  const auto request = Request(Config()).value();
  EXPECT_EQ(request.container_id, "c1");
  EXPECT_EQ(request.pid, 77);
  EXPECT_EQ(request.bundle, "/run/b");
  EXPECT_EQ(request.rootfs, "/run/b/rootfs");
  EXPECT_TRUE(request.rootfs_readonly);
  EXPECT_EQ(request.uid, 1000U);
  EXPECT_EQ(request.host_uid, 1000U);
  EXPECT_EQ(request.host_gid, 100U);
  EXPECT_EQ(request.host_root_uid, 0U);
  EXPECT_FALSE(request.has_user_namespace || request.needs_id_maps);
  EXPECT_EQ(request.cwd, "/workspace");
  EXPECT_EQ(request.mount_label, "system_u:object_r:x_t:s0:c1,c2");
}

TEST(BundleTest, AbsoluteRootfs) {
  json config = Config();
  config["root"] = {{"path", "/var/lib/rootfs"}};
  const auto request = Request(config).value();
  EXPECT_EQ(request.rootfs, "/var/lib/rootfs");
  EXPECT_FALSE(request.rootfs_readonly);
}

TEST(BundleTest, UserNamespaceMapsOwnerAndRoot) {
  const auto request = Request(WithUserNamespace()).value();
  EXPECT_EQ(request.uid, 1000U);
  EXPECT_EQ(request.host_uid, 500U);
  EXPECT_EQ(request.host_gid, 200100U);
  EXPECT_EQ(request.host_root_uid, 100000U);
  EXPECT_EQ(request.host_root_gid, 200000U);
  EXPECT_TRUE(request.has_user_namespace);
}

TEST(BundleTest, IdThatIsNotMappedIsNamed) {
  json config = WithUserNamespace();
  config["process"]["user"]["uid"] = 1001;
  const auto result = Request(config);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), EINVAL);
  EXPECT_EQ(result.error().what(),
            "user namespace: uid 1001 has no id on the host: expected uid mappings that cover it");
}

TEST(BundleTest, JoinedUserNamespaceNeedsTheKernelsMaps) {
  json config = WithUserNamespace();
  config["linux"]["namespaces"].back()["path"] = "/proc/9/ns/user";
  config["linux"].erase("uidMappings");
  config["linux"].erase("gidMappings");
  auto request = Request(config).value();
  EXPECT_TRUE(request.has_user_namespace);
  EXPECT_TRUE(request.needs_id_maps);
  const auto maps = ParseIdMap("         0     300000      65536\n").value();
  ASSERT_TRUE(ApplyIdMaps(request, maps, maps));
  EXPECT_FALSE(request.needs_id_maps);
  EXPECT_EQ(request.host_uid, 301000U);
  EXPECT_EQ(request.host_root_gid, 300000U);
}

TEST(BundleTest, WithoutMountNamespaceIsRefused) {
  json config = Config();
  config["linux"]["namespaces"] = {{{"type", "pid"}}};
  for (const json& refused :
       {config, json::parse(R"({"root":{"path":"r"},"process":{"cwd":"/"}})")}) {
    const auto result = Request(refused);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), EINVAL);
    EXPECT_THAT(result.error().what(), HasSubstr("linux.namespaces: expected a mount namespace"));
  }
}

TEST(BundleTest, JoinedMountNamespaceIsLeftToTheInodeCheck) {
  json config = Config();
  config["linux"]["namespaces"] = {{{"type", "mount"}, {"path", "/proc/9/ns/mnt"}}};
  EXPECT_TRUE(Request(config));
}

TEST(BundleTest, PrestartNeedsAPid) {
  ContainerState state = State();
  state.pid = 0;
  const auto result = Request(Config(), state);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().what(), HasSubstr("pid: missing"));
}

TEST(BundleTest, BadAnnotationRefusesTheRequest) {
  ContainerState state = State();
  state.annotations["dev.actiondfs.mode"] = "x";
  EXPECT_THAT(Request(Config(), state).error().what(), HasSubstr("dev.actiondfs.mode"));
}

struct BadMember {
  const char* pointer;
  json value;  // null: the member is removed
  const char* expected;
};

TEST(BundleTest, WrongMembersAreNamed) {
  const BadMember cases[] = {
      {"/root", nullptr, "root: missing"},
      {"/root/path", nullptr, "root.path: missing"},
      {"/root/path", "", "root.path: expected a path"},
      {"/root/path", std::string("a\0b", 3), "root.path: expected a path; got 'a\\x00b'"},
      {"/root/readonly", "yes", "root.readonly: expected true or false, got a string"},
      {"/process", nullptr, "process: missing"},
      {"/process/user", 7, "process.user: expected an object, got a number"},
      {"/process/user/uid", -1, "process.user.uid: expected a whole number"},
      {"/process/user/gid", 4294967295, "process.user.gid: expected a whole number"},
      {"/process/cwd", nullptr, "process.cwd: missing"},
      {"/process/cwd", "x\n", "process.cwd: expected an absolute path; got 'x\\n'"},
      {"/linux", json::array(), "linux: expected an object, got an array"},
      {"/linux/namespaces", json::object(), "linux.namespaces: expected an array of objects"},
      {"/linux/namespaces/0", "mount", "linux.namespaces[0]: expected an object, got a string"},
      {"/linux/namespaces/1/type", 3, "linux.namespaces[1].type: expected a string, got a number"},
      {"/linux/namespaces/1/path", 3, "linux.namespaces[1].path: expected a string"},
      {"/linux/uidMappings/0/size", 0, "linux.uidMappings[0].size: expected a whole number from 1"},
      {"/linux/uidMappings/0/size", 4294967295,
       "linux.uidMappings[0].size: expected a range of 32-bit ids"},
      {"/linux/gidMappings/0/hostID", "0", "linux.gidMappings[0].hostID: expected a whole number"},
      {"/linux/mountLabel", "a\nb", "linux.mountLabel: expected a label"},
      {"/linux/mountLabel", 1, "linux.mountLabel: expected a string"},
  };
  for (const BadMember& c : cases) {
    json config = WithUserNamespace();
    const json::json_pointer pointer(c.pointer);
    if (c.value.is_null()) {
      config[pointer.parent_pointer()].erase(pointer.back());
    } else {
      config[pointer] = c.value;
    }
    const auto result = ParseBundleConfig(config.dump());
    ASSERT_FALSE(result) << c.pointer;
    EXPECT_EQ(result.error().code(), EINVAL);
    EXPECT_THAT(result.error().what(), HasSubstr(c.expected));
    EXPECT_THAT(result.error().what(), testing::StartsWith("config.json: "));
  }
}

TEST(BundleTest, TruncatedAndDeep) {
  EXPECT_EQ(ParseBundleConfig("{").error().code(), EINVAL);
  EXPECT_EQ(ParseBundleConfig(std::string(100, '[')).error().code(), EINVAL);
}

TEST(BundleTest, TooManyMappings) {
  json config = WithUserNamespace();
  config["linux"]["uidMappings"] = json::array();
  for (int i = 0; i < 341; ++i) {
    config["linux"]["uidMappings"].push_back({{"containerID", i}, {"hostID", i}, {"size", 1}});
  }
  EXPECT_THAT(ParseBundleConfig(config.dump()).error().what(),
              HasSubstr("at most 340 mappings; got 341"));
}

TEST(IdMapTest, OfTheInitialNamespace) {
  const auto map = ParseIdMap("         0          0 4294967295\n").value();
  EXPECT_EQ(MapId(map, 4294967294, "uid").value(), 4294967294U);
  EXPECT_FALSE(MapId(map, 4294967295, "uid"));
}

TEST(IdMapTest, SeveralLines) {
  const auto map = ParseIdMap("0 1000 1\n1 100000 65536\n").value();
  EXPECT_EQ(MapId(map, 0, "uid").value(), 1000U);
  EXPECT_EQ(MapId(map, 1, "uid").value(), 100000U);
  EXPECT_EQ(MapId(map, 65536, "uid").value(), 165535U);
  EXPECT_FALSE(MapId(map, 65537, "uid"));
}

TEST(IdMapTest, MalformedIsRefused) {
  for (const char* text :
       {"0 0", "0 0 1 2", "a b c", "-1 0 1", "0 0 0", "1 0 4294967295x", "0 4294967295 2"}) {
    const auto map = ParseIdMap(text);
    ASSERT_FALSE(map) << text;
    EXPECT_EQ(map.error().code(), EINVAL);
  }
}

}  // namespace
}  // namespace actiondfs::oci
