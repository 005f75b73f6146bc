// SPDX-License-Identifier: Apache-2.0
//
// Runs a fuzz target over the files of directories: what libFuzzer found stays found, under any
// compiler. A file is named <outcome>.<detail>, or regression.<detail> where the outcome does not
// matter.
#include <algorithm>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz_target.h"

namespace {

std::vector<uint8_t> Read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  file.exceptions(std::ios::badbit | std::ios::failbit);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  return {bytes.begin(), bytes.end()};
}

// True where the outcome is the one in the file's name.
bool Replay(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  // Before the run, so that the last line names the file that aborts.
  std::cerr << name << std::endl;
  const std::vector<uint8_t> bytes = Read(path);
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());

  const std::string expected = name.substr(0, name.find('.'));
  const std::string outcome = actiondfs::fuzz::Outcome(bytes.data(), bytes.size());
  if (expected == outcome || expected == "regression") return true;
  std::cerr << "  expected " << expected << ", was " << outcome << "\n";
  return false;
}

int Run(const std::vector<std::string>& directories) {
  std::vector<std::filesystem::path> paths;
  for (const std::string& directory : directories) {
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      paths.push_back(entry.path());
    }
  }
  std::ranges::sort(paths);
  const auto failed = std::ranges::count_if(paths, [](const auto& path) { return !Replay(path); });
  std::cerr << paths.size() << " files, " << failed << " failed\n";
  return paths.empty() || failed != 0 ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run({argv + 1, argv + argc});
  } catch (const std::exception& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
