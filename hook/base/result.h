// SPDX-License-Identifier: Apache-2.0
//
// The one way in which fallible functions of hook/ report failure: Result<T>, a value or an Error.
// An Error keeps the exact errno and a chain of what was being done, outermost first, so that the
// last line a user sees reads like "mount workspace: open CAS '/srv/cas': Permission denied". No
// exception crosses a room. Values are plain data: safe to move between threads, not to share while
// one of them writes.
#ifndef ACTIONDFS_HOOK_BASE_RESULT_H_
#define ACTIONDFS_HOOK_BASE_RESULT_H_

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace actiondfs {

class [[nodiscard]] Error {
 public:
  // `code` is a positive errno; `what` says what failed, without the errno's own text.
  Error(int code, std::string what) : code_(code), what_(std::move(what)) {}

  int code() const { return code_; }
  // The chain alone, without the errno's text.
  const std::string& what() const { return what_; }
  // The chain, then the errno's text: "open 'x': No such file or directory".
  std::string ToString() const;
  // Puts "context: " before the chain.
  Error&& Wrap(std::string_view context) &&;

 private:
  int code_;
  std::string what_;
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = std::expected<void, Error>;

// An Error with the current errno. Call it before anything else can change errno.
std::unexpected<Error> ErrnoError(std::string what);
std::unexpected<Error> MakeError(int code, std::string what);
// Hands on another result's error, with context before it.
std::unexpected<Error> Wrap(Error error, std::string_view context);

// The errno's text ("No such file or directory"), thread-safe.
std::string ErrnoText(int code);

}  // namespace actiondfs

#define ACTIONDFS_CONCAT_INNER(a, b) a##b
#define ACTIONDFS_CONCAT(a, b) ACTIONDFS_CONCAT_INNER(a, b)

// RETURN_IF_ERROR(expr): returns expr's error from the calling function.
#define RETURN_IF_ERROR(expr)                             \
  do {                                                    \
    if (auto status_ = (expr); !status_.has_value()) {    \
      return std::unexpected(std::move(status_).error()); \
    }                                                     \
  } while (false)

// ASSIGN_OR_RETURN(auto x, expr): x takes expr's value, or the calling function returns its error.
#define ASSIGN_OR_RETURN(lhs, expr) \
  ASSIGN_OR_RETURN_INNER(ACTIONDFS_CONCAT(result_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_INNER(tmp, lhs, expr)      \
  auto tmp = (expr);                                \
  if (!tmp.has_value()) {                           \
    return std::unexpected(std::move(tmp).error()); \
  }                                                 \
  lhs = std::move(tmp).value() /* NOLINT(bugprone-macro-parentheses): a declaration */

#endif  // ACTIONDFS_HOOK_BASE_RESULT_H_
