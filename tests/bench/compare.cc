// SPDX-License-Identifier: Apache-2.0
//
// bench_compare WORKLOAD ROUNDS BASE MEASURED [--drop-dentries]: does one thing to the same tree in
// two places, in turn, and prints the nanoseconds of each round as JSON: [[base, measured], ...].
// Which goes first changes from round to round, so that neither always finds the machine as the
// other left it. One round before the first is not counted.
#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

extern char** environ;

namespace {

namespace fs = std::filesystem;

constexpr size_t kReadBuffer = size_t{1} << 20;
constexpr size_t kPageSize = 4096;
constexpr int kExecs = 20;

[[noreturn]] void Die(const std::string& what) {
  (void)std::fprintf(stderr, "bench_compare: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

// What is worked on: found before the clock starts.
struct Tree {
  std::string big, program;
  std::vector<std::string> small;
};

Tree Find(const std::string& root) {
  Tree tree{.big = root + "/big", .program = root + "/program", .small = {}};
  for (const auto& entry : fs::recursive_directory_iterator(root + "/small")) {
    if (entry.is_regular_file()) {
      tree.small.push_back(entry.path());
    }
  }
  return tree;
}

int Open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    Die(path);
  }
  return fd;
}

void ReadAll(const std::string& path) {
  static std::vector<char> buffer(kReadBuffer);
  const int fd = Open(path);
  ssize_t got = 0;
  while ((got = ::read(fd, buffer.data(), buffer.size())) > 0) {
  }
  if (got < 0) {
    Die(path);
  }
  ::close(fd);
}

void Sequential(const Tree& tree) {
  ReadAll(tree.big);
}

void OpenReadClose(const Tree& tree) {
  for (const std::string& path : tree.small) {
    ReadAll(path);
  }
}

void Stat(const Tree& tree) {
  struct stat status = {};
  for (const std::string& path : tree.small) {
    if (::lstat(path.c_str(), &status) < 0) {
      Die(path);
    }
  }
}

// Reads one byte of each page.
void TouchMapping(const Tree& tree) {
  const int fd = Open(tree.big);
  struct stat status = {};
  if (::fstat(fd, &status) < 0) {
    Die(tree.big);
  }
  const auto size = static_cast<size_t>(status.st_size);
  void* mapping = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (mapping == MAP_FAILED) {
    Die(tree.big);
  }
  for (size_t at = 0; at < size; at += kPageSize) {
    (void)static_cast<const volatile char*>(mapping)[at];
  }
  ::munmap(mapping, size);
  ::close(fd);
}

void Execute(const Tree& tree) {
  std::string program = tree.program;
  char* const argv[] = {program.data(), nullptr};
  for (int i = 0; i < kExecs; ++i) {
    pid_t child = 0;
    int status = 0;
    errno = ::posix_spawn(&child, program.c_str(), nullptr, nullptr, argv, environ);
    if (errno != 0 || ::waitpid(child, &status, 0) != child || status != 0) {
      Die(program);
    }
  }
}

void DropDentries() {
  const int fd = ::open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
  if (fd < 0 || ::write(fd, "2", 1) != 1) {
    Die("/proc/sys/vm/drop_caches");
  }
  ::close(fd);
}

using Workload = void (*)(const Tree&);

int64_t Time(Workload workload, const Tree& tree, bool drop) {
  if (drop) {
    DropDentries();
  }
  const auto begin = std::chrono::steady_clock::now();
  workload(tree);
  return std::chrono::nanoseconds(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string_view, Workload> workloads = {
      {"read", Sequential}, {"mmap", TouchMapping},  {"exec", Execute},
      {"stat", Stat},       {"open", OpenReadClose},
  };
  const auto found = argc < 5 ? workloads.end() : workloads.find(argv[1]);
  if (found == workloads.end()) {
    (void)std::fputs(
        "usage: bench_compare read|mmap|exec|stat|open ROUNDS BASE MEASURED [--drop-dentries]\n",
        stderr);
    return 2;
  }
  const int rounds = std::atoi(argv[2]);  // NOLINT(cert-err34-c)
  const bool drop = argc > 5 && std::string_view(argv[5]) == "--drop-dentries";
  const Tree base = Find(argv[3]);
  const Tree measured = Find(argv[4]);

  std::string out = "[";
  for (int round = 0; round <= rounds; ++round) {
    std::pair<int64_t, int64_t> times;
    if (round % 2 == 0) {
      times.first = Time(found->second, base, drop);
      times.second = Time(found->second, measured, drop);
    } else {
      times.second = Time(found->second, measured, drop);
      times.first = Time(found->second, base, drop);
    }
    if (round > 0) {
      out += (round > 1 ? ", [" : "[") + std::to_string(times.first) + ", " +
             std::to_string(times.second) + "]";
    }
  }
  (void)std::printf("%s]\n", out.c_str());
}
