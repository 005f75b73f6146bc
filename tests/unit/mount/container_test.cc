// SPDX-License-Identifier: Apache-2.0
#include "hook/mount/container.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "tests/unit/mount/private_mounts.h"

namespace actiondfs::mount {
namespace {

class ContainerTest : public PrivateMounts {};

TEST_F(ContainerTest, RefusesTheCallersOwnMountNamespace) {
  EXPECT_EQ(Container::Open(::getpid()).error().code(), EINVAL);
}

TEST_F(ContainerTest, RefusesAProcessThatIsGone) {
  FakeInit init;
  const pid_t pid = init.pid();
  init.Stop();
  EXPECT_EQ(Container::Open(pid).error().code(), ESRCH);
}

TEST_F(ContainerTest, IdentityTellsAliveFromGone) {
  FakeInit init;
  const ProcessIdentity identity = FindProcess(init.pid()).value().value();
  EXPECT_TRUE(IsAlive(identity).value());
  EXPECT_FALSE(IsAlive({identity.pid, identity.start_time + 1}).value())
      << "the number was used again";
  init.Stop();
  EXPECT_FALSE(IsAlive(identity).value());
}

TEST_F(ContainerTest, EntersItsNamespaceAndReturns) {
  const FakeInit init;
  const std::string mark = Path("mark");
  {
    const Container container = Container::Open(init.pid()).value();
    const NamespaceReturn back = NamespaceReturn::Here().value();
    ASSERT_TRUE(container.EnterMountNamespace());
    ASSERT_EQ(::mount("inside", dir_.c_str(), "tmpfs", 0, nullptr), 0);
    std::ofstream(mark) << "x";
    EXPECT_TRUE(std::filesystem::exists(mark));
  }
  EXPECT_FALSE(std::filesystem::exists(mark));
  EXPECT_TRUE(std::filesystem::exists(init.Inside(mark)));
}

}  // namespace
}  // namespace actiondfs::mount
