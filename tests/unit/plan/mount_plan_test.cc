// SPDX-License-Identifier: Apache-2.0
#include "hook/plan/mount_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace actiondfs::plan {
namespace {

using oci::Backend;
using oci::Mode;
using testing::HasSubstr;

cas::Digest SomeDigest(uint8_t byte) {
  cas::Digest digest;
  digest.hash.fill(byte);
  digest.size = byte;
  return digest;
}

class MountPlanTest : public testing::Test {
 protected:
  MountPlanTest() {
    config_.cas["default"].path = "/srv/cas";
    config_.cas["eu"].path = "/srv/eu";
    config_.stage_root = "/srv/stage";
    request_.container_id = "c1";
    request_.annotations.input_root = SomeDigest(1);
    request_.uid = 1000;
    request_.host_uid = 101000;
    request_.host_gid = 100100;
    host_.working = {Backend::kFuse};
  }

  void UseAction(std::optional<bool> mutates_inputs) {
    request_.annotations.input_root.reset();
    request_.annotations.action = SomeDigest(2);
    action_ = {
        .input_root = SomeDigest(3), .mutates_inputs = mutates_inputs, .working_directory = "src"};
  }

  Result<MountPlan> Plan() const { return MakePlan(request_, action_, config_, host_); }

  void ExpectRefused(int code, const std::string& part) const {
    const auto plan = Plan();
    ASSERT_FALSE(plan) << part;
    EXPECT_EQ(plan.error().code(), code);
    EXPECT_THAT(plan.error().what(), HasSubstr(part));
    EXPECT_THAT(plan.error().what(), testing::Not(HasSubstr("\n")));
  }

  oci::WorkspaceRequest request_;
  std::optional<ActionFacts> action_;
  Config config_;
  HostProbe host_;
};

TEST_F(MountPlanTest, Defaults) {
  const MountPlan plan = Plan().value();
  EXPECT_EQ(plan.container_id, "c1");
  EXPECT_EQ(plan.input_root, SomeDigest(1));
  EXPECT_EQ(plan.action, std::nullopt);
  EXPECT_EQ(plan.cas_name, "default");
  EXPECT_EQ(plan.cas.path, "/srv/cas");
  EXPECT_EQ(plan.mode, Mode::kStrict);
  EXPECT_EQ(plan.backend, Backend::kFuse);
  EXPECT_EQ(plan.destination, "/workspace");
  EXPECT_EQ(plan.working_directory, "");
  EXPECT_EQ(plan.owner_uid, 101000U);
  EXPECT_EQ(plan.owner_gid, 100100U);
  EXPECT_EQ(plan.stage_dir, "/srv/stage/c1");
  EXPECT_EQ(plan.state_dir, "/run/actiondfs/c1");
}

TEST_F(MountPlanTest, ReadonlyHasNoStage) {
  request_.annotations.mode = Mode::kReadonly;
  EXPECT_EQ(Plan().value().stage_dir, "");
}

TEST_F(MountPlanTest, ActionGivesInputRootAndWorkingDirectory) {
  UseAction(std::nullopt);
  const MountPlan plan = Plan().value();
  EXPECT_EQ(plan.input_root, SomeDigest(3));
  EXPECT_EQ(plan.action, SomeDigest(2));
  EXPECT_EQ(plan.working_directory, "src");
}

TEST_F(MountPlanTest, ActionThatWasNotReadIsRefused) {
  UseAction(std::nullopt);
  action_.reset();
  ExpectRefused(EINVAL, "annotation dev.actiondfs.action: the Action has to be read");
}

struct ModeCase {
  std::optional<Mode> annotation;
  std::optional<bool> annotation_mutates;
  std::optional<bool> action_mutates;
  Mode configured;
  Mode expected;
};

TEST_F(MountPlanTest, ModePrecedence) {
  const ModeCase cases[] = {
      // The configuration's default, where nobody says anything.
      {{}, {}, {}, Mode::kStrict, Mode::kStrict},
      {{}, {}, {}, Mode::kReadonly, Mode::kReadonly},
      // The Action before the configuration.
      {{}, {}, true, Mode::kStrict, Mode::kOverlay},
      {{}, {}, false, Mode::kOverlay, Mode::kStrict},
      // The annotation mutates-inputs before the Action.
      {{}, true, false, Mode::kStrict, Mode::kOverlay},
      {{}, false, true, Mode::kOverlay, Mode::kStrict},
      // The annotation mode before all, also where the Action says otherwise.
      {Mode::kStrict, {}, true, Mode::kOverlay, Mode::kStrict},
      {Mode::kReadonly, {}, true, Mode::kOverlay, Mode::kReadonly},
      {Mode::kOverlay, {}, false, Mode::kStrict, Mode::kOverlay},
      {Mode::kOverlay, true, {}, Mode::kStrict, Mode::kOverlay},
  };
  for (const ModeCase& c : cases) {
    UseAction(c.action_mutates);
    request_.annotations.mode = c.annotation;
    request_.annotations.mutates_inputs = c.annotation_mutates;
    config_.defaults.mode = c.configured;
    EXPECT_EQ(Plan().value().mode, c.expected) << &c - cases;
  }
}

TEST_F(MountPlanTest, ModeThatIsNotAllowedNamesWhoAskedForIt) {
  config_.allow.modes = {Mode::kStrict, Mode::kReadonly};
  request_.annotations.mode = Mode::kOverlay;
  ExpectRefused(
      EINVAL,
      "annotation dev.actiondfs.mode: mode 'overlay' is not allowed on this host, expected "
      "one of strict, readonly");
  request_.annotations.mode.reset();
  request_.annotations.mutates_inputs = true;
  ExpectRefused(EINVAL, "annotation dev.actiondfs.mutates-inputs: mode 'overlay' is not allowed");
  request_.annotations.mutates_inputs.reset();
  UseAction(true);
  ExpectRefused(EINVAL, "the Action's platform property mutates_inputs: mode 'overlay'");
}

struct BackendCase {
  std::set<Backend> working;
  std::optional<std::set<Backend>> allowed;
  std::optional<Backend> expected;
};

TEST_F(MountPlanTest, AutoTakesTheFirstThatWorksAndIsAllowed) {
  const BackendCase cases[] = {
      {{Backend::kKernel, Backend::kFuse, Backend::kHardlink}, {}, Backend::kKernel},
      {{Backend::kKernel}, {}, Backend::kKernel},
      {{Backend::kFuse, Backend::kHardlink}, {}, Backend::kFuse},
      {{Backend::kHardlink}, {}, Backend::kHardlink},
      {{}, {}, {}},
      {{Backend::kKernel, Backend::kFuse}, {{Backend::kFuse}}, Backend::kFuse},
      {{Backend::kKernel}, {{Backend::kFuse, Backend::kHardlink}}, {}},
  };
  for (const BackendCase& c : cases) {
    host_.working = c.working;
    config_.allow.backends = c.allowed;
    if (c.expected) {
      EXPECT_EQ(Plan().value().backend, *c.expected);
    } else {
      ExpectRefused(EOPNOTSUPP, "configuration defaults.backend: no backend works on this host (");
    }
  }
}

struct CandidatesCase {
  std::optional<Backend> annotation;
  Backend configured;
  std::optional<std::set<Backend>> allowed;
  std::vector<Backend> expected;
};

TEST_F(MountPlanTest, CandidatesAreWhatAPlanMayChooseTheKernelFirst) {
  const CandidatesCase cases[] = {
      {{}, Backend::kAuto, {}, {Backend::kKernel, Backend::kFuse, Backend::kHardlink}},
      {Backend::kAuto, Backend::kFuse, {}, {Backend::kKernel, Backend::kFuse, Backend::kHardlink}},
      {{},
       Backend::kAuto,
       {{Backend::kFuse, Backend::kKernel}},
       {Backend::kKernel, Backend::kFuse}},
      {{}, Backend::kFuse, {}, {Backend::kFuse}},
      {Backend::kKernel, Backend::kFuse, {}, {Backend::kKernel}},
  };
  for (const CandidatesCase& c : cases) {
    request_.annotations.backend = c.annotation;
    config_.defaults.backend = c.configured;
    config_.allow.backends = c.allowed;
    EXPECT_EQ(CandidateBackends(request_, config_), c.expected) << &c - cases;
  }
}

TEST_F(MountPlanTest, AutoWithoutAnyBackendSaysWhyForEach) {
  host_.working.clear();
  host_.hints = {{Backend::kKernel, "not loaded"}, {Backend::kFuse, "no server"}};
  ExpectRefused(EOPNOTSUPP,
                "(kernel: not loaded; fuse: no server; hardlink: it does not work here)");
}

TEST_F(MountPlanTest, BackendByNameThatThisHostLacks) {
  host_.working = {Backend::kFuse, Backend::kHardlink};
  host_.hints = {{Backend::kKernel, "not loaded (load it with `modprobe actiondfs`)"}};
  request_.annotations.backend = Backend::kKernel;
  ExpectRefused(EOPNOTSUPP,
                "annotation dev.actiondfs.backend: kernel: not loaded (load it with `modprobe");
  request_.annotations.backend.reset();
  config_.defaults.backend = Backend::kKernel;
  ExpectRefused(EOPNOTSUPP, "configuration defaults.backend: kernel: not loaded");
}

TEST_F(MountPlanTest, BackendByNameIsTakenWhereItWorks) {
  host_.working = {Backend::kKernel, Backend::kFuse};
  for (const Backend backend : {Backend::kKernel, Backend::kFuse}) {
    request_.annotations.backend = backend;
    EXPECT_EQ(Plan().value().backend, backend);
  }
}

struct OwnerCase {
  bool user_namespace;
  Backend backend;
  Mode mode;
  bool map_ids;
};

TEST_F(MountPlanTest, KernelMapsTheIdsOfAUserNamespaceWhereNoOverlayIsAbove) {
  const OwnerCase cases[] = {
      {true, Backend::kKernel, Mode::kStrict, true},
      {true, Backend::kKernel, Mode::kReadonly, true},
      {true, Backend::kKernel, Mode::kOverlay, false},
      {true, Backend::kFuse, Mode::kStrict, false},
      {false, Backend::kKernel, Mode::kStrict, false},
  };
  for (const OwnerCase& c : cases) {
    request_.has_user_namespace = c.user_namespace;
    request_.gid = 100;
    request_.annotations.mode = c.mode;
    request_.annotations.backend = c.backend;
    host_.working = {c.backend};
    const MountPlan plan = Plan().value();
    EXPECT_EQ(plan.map_ids, c.map_ids) << &c - cases;
    EXPECT_EQ(plan.owner_uid, c.map_ids ? 1000U : 101000U) << &c - cases;
    EXPECT_EQ(plan.owner_gid, c.map_ids ? 100U : 100100U) << &c - cases;
  }
}

TEST_F(MountPlanTest, BackendThatIsNotAllowed) {
  host_.working = {Backend::kKernel};
  config_.allow.backends = {Backend::kFuse};
  request_.annotations.backend = Backend::kKernel;
  ExpectRefused(EINVAL,
                "annotation dev.actiondfs.backend: 'kernel' is not allowed on this host, expected "
                "one of fuse");
}

TEST_F(MountPlanTest, DestinationsAtOrBelowTheList) {
  config_.allow.destinations = {"/workspace", "/src/a"};
  for (const char* allowed : {"/workspace", "/workspace/x", "/src/a", "/src/a/b/c"}) {
    request_.annotations.destination = allowed;
    EXPECT_EQ(Plan().value().destination, allowed);
  }
  for (const char* refused : {"/workspaces", "/src", "/src/ab", "/etc"}) {
    request_.annotations.destination = refused;
    ExpectRefused(
        EINVAL,
        std::string("annotation dev.actiondfs.destination: '") + refused +
            "' is not allowed on this host, expected a path at or below '/workspace', '/src/a'");
  }
}

TEST_F(MountPlanTest, CasByName) {
  request_.annotations.cas = "eu";
  EXPECT_EQ(Plan().value().cas.path, "/srv/eu");
}

TEST_F(MountPlanTest, CasThatIsNotConfiguredListsThoseThatAre) {
  request_.annotations.cas = "us";
  ExpectRefused(
      EINVAL, "annotation dev.actiondfs.cas: 'us' is not configured, expected one of: default, eu");
  request_.annotations.cas.reset();
  config_.cas.erase("default");
  ExpectRefused(
      EINVAL,
      "annotation dev.actiondfs.cas: 'default' (absent) is not configured, expected one of: eu");
}

TEST_F(MountPlanTest, DigestOfAnotherFunctionThanTheCas) {
  request_.annotations.input_root->function = cas::HashFunction::kBlake3;
  ExpectRefused(EINVAL, "annotation dev.actiondfs.input-root: blake3:0101");
  ExpectRefused(EINVAL, "expected a sha256 digest, which is what the CAS 'default' holds");
  config_.cas["default"].digest_function = cas::HashFunction::kBlake3;
  EXPECT_TRUE(Plan());
  UseAction(std::nullopt);
  ExpectRefused(EINVAL, "annotation dev.actiondfs.action: sha256:0202");
}

TEST_F(MountPlanTest, OwnerThatIsNotKnownYetIsRefused) {
  request_.needs_id_maps = true;
  ExpectRefused(EINVAL, "user namespace: its id maps have to be read");
}

}  // namespace
}  // namespace actiondfs::plan
