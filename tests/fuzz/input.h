// SPDX-License-Identifier: Apache-2.0
//
// Takes a fuzzer's bytes apart. Past the end there are zeros, so that each prefix of an input is
// one, too. Belongs to one thread.
#ifndef ACTIONDFS_TESTS_FUZZ_INPUT_H_
#define ACTIONDFS_TESTS_FUZZ_INPUT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace actiondfs::fuzz {

class Input {
 public:
  // Stands between the parts of an input; no UTF-8 has it.
  static constexpr char kSeparator = '\xff';

  Input(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }
  uint8_t Byte() {
    const std::string_view byte = Take(1);
    return byte.empty() ? 0 : static_cast<uint8_t>(byte[0]);
  }
  uint16_t Short() {
    const uint16_t low = Byte();
    return static_cast<uint16_t>(low | Byte() << 8);
  }
  // At most so many.
  std::string Bytes(size_t count) { return std::string(Take(count)); }
  // What is left.
  std::string Rest() { return Bytes(rest_.size()); }
  // Up to the next separator, which is left out, or the end.
  std::string Part(char separator = kSeparator) {
    std::string part(Take(std::min(rest_.find(separator), rest_.size())));
    (void)Take(1);
    return part;
  }

 private:
  std::string_view Take(size_t count) {
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(taken.size());
    return taken;
  }

  std::string_view rest_;
};

}  // namespace actiondfs::fuzz

#endif  // ACTIONDFS_TESTS_FUZZ_INPUT_H_
