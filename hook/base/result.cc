// SPDX-License-Identifier: Apache-2.0
#include "hook/base/result.h"

#include <cerrno>
#include <cstring>

namespace actiondfs {

std::string ErrnoText(int code) {
  char buffer[128];
  // The GNU form: returns the text, which may or may not be in the buffer.
  return strerror_r(code, buffer, sizeof(buffer));
}

std::string Error::ToString() const {
  return what_ + ": " + ErrnoText(code_);
}

Error&& Error::Wrap(std::string_view context) && {
  what_.insert(0, ": ").insert(0, context);
  return std::move(*this);
}

std::unexpected<Error> ErrnoError(std::string what) {
  const int code = errno;
  return std::unexpected(Error(code, std::move(what)));
}

std::unexpected<Error> MakeError(int code, std::string what) {
  return std::unexpected(Error(code, std::move(what)));
}

std::unexpected<Error> Wrap(Error error, std::string_view context) {
  return std::unexpected(std::move(error).Wrap(context));
}

}  // namespace actiondfs
