// SPDX-License-Identifier: Apache-2.0
//
// bench_compare WORKLOAD ROUNDS [--drop-dentries | --drop-all] [--threads N] PLACE...: does one
// thing to the same tree in each place, in turn, and prints the nanoseconds of each round as JSON:
// [[first place, second place, ...], ...]. Which goes first changes from round to round, so that
// none always finds the machine as another left it. One round before the first is not counted.
//
// Each place is worked on as the working directory, by paths from there: how deep it is mounted is
// not what is measured.
//
// --drop-dentries, --drop-all: before each, the kernel forgets names and attributes, or file
// content too. --threads: the small files are shared among that many threads.
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
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <thread>
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
  std::string top, big, program;
  std::vector<std::string> small;
};

Tree Find(const std::string& root) {
  Tree tree{.top = fs::absolute(root), .big = "big", .program = "./program", .small = {}};
  for (const auto& entry : fs::recursive_directory_iterator(root + "/small")) {
    if (entry.is_regular_file()) {
      tree.small.push_back(entry.path().lexically_relative(root));
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
  thread_local std::vector<char> buffer(kReadBuffer);
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

// As an action does that looks at everything: each directory is read, each name looked at.
void Walk(const Tree& /*tree*/) {
  struct stat status = {};
  for (const auto& entry : fs::recursive_directory_iterator("small")) {
    if (::lstat(entry.path().c_str(), &status) < 0) {
      Die(entry.path());
    }
  }
}

using Workload = void (*)(const Tree&);

// The same work, by some threads at once; each has its share of the small files.
void InThreads(Workload workload, const Tree& tree, size_t count) {
  if (count == 1) {
    workload(tree);
    return;
  }
  std::vector<Tree> shares(count, Tree{.top = tree.top, .big = "", .program = "", .small = {}});
  for (size_t i = 0; i < tree.small.size(); ++i) {
    // In runs, since neighbours are in one directory.
    shares[i * count / tree.small.size()].small.push_back(tree.small[i]);
  }
  std::vector<std::jthread> threads;
  threads.reserve(count);
  for (const Tree& share : shares) {
    threads.emplace_back(workload, std::cref(share));
  }
}

struct Options {
  Workload workload = nullptr;
  int rounds = 0;
  const char* drop = nullptr;  // what /proc/sys/vm/drop_caches is given
  size_t threads = 1;
  std::vector<Tree> places;
};

void DropCaches(const char* which) {
  ::sync();
  const int fd = ::open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
  if (fd < 0 || ::write(fd, which, 1) != 1) {
    Die("/proc/sys/vm/drop_caches");
  }
  ::close(fd);
}

int64_t Time(const Options& options, const Tree& tree) {
  if (::chdir(tree.top.c_str()) < 0) {
    Die(tree.top);
  }
  if (options.drop != nullptr) {
    DropCaches(options.drop);
  }
  const auto begin = std::chrono::steady_clock::now();
  InThreads(options.workload, tree, options.threads);
  return std::chrono::nanoseconds(std::chrono::steady_clock::now() - begin).count();
}

std::string Measure(const Options& options) {
  const size_t count = options.places.size();
  std::string out;
  for (int round = 0; round <= options.rounds; ++round) {
    std::vector<int64_t> times(count);
    for (size_t k = 0; k < count; ++k) {
      const size_t at = (static_cast<size_t>(round) + k) % count;
      times[at] = Time(options, options.places[at]);
    }
    if (round == 0) {
      continue;
    }
    out += out.empty() ? "[" : ", [";
    for (size_t k = 0; k < count; ++k) {
      out += (k > 0 ? ", " : "") + std::to_string(times[k]);
    }
    out += "]";
  }
  return "[" + out + "]";
}

bool Parse(const std::vector<std::string>& words, Options& options) {
  const std::map<std::string_view, Workload> workloads = {
      {"read", Sequential}, {"mmap", TouchMapping},  {"exec", Execute},
      {"stat", Stat},       {"open", OpenReadClose}, {"walk", Walk},
  };
  if (words.size() < 3) {
    return false;
  }
  const auto found = workloads.find(words[0]);
  if (found == workloads.end()) {
    return false;
  }
  options.workload = found->second;
  options.rounds = std::atoi(words[1].c_str());  // NOLINT(cert-err34-c)
  for (size_t i = 2; i < words.size(); ++i) {
    if (words[i] == "--drop-dentries") {
      options.drop = "2";
    } else if (words[i] == "--drop-all") {
      options.drop = "3";
    } else if (words[i] == "--threads" && i + 1 < words.size()) {
      options.threads = std::strtoul(words[++i].c_str(), nullptr, 10);
    } else {
      options.places.push_back(Find(words[i]));
    }
  }
  return !options.places.empty() && options.rounds > 0 && options.threads > 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!Parse({argv + 1, argv + argc}, options)) {
    (void)std::fputs(
        "usage: bench_compare read|mmap|exec|stat|open|walk ROUNDS "
        "[--drop-dentries | --drop-all] [--threads N] PLACE...\n",
        stderr);
    return 2;
  }
  (void)std::printf("%s\n", Measure(options).c_str());
}
