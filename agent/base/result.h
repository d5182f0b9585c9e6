// Errors as values: Result<T>, the Error that it carries, and TRY. It never throws and never logs.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace fortros {

// What went wrong, coarsely: the part of an error that a program may branch on. The names are
// stable: they appear in events, in exit statuses and in the README.
enum class ErrorCode {
    InvalidArgument,   // a command line or a caller's request that cannot be meant
    InvalidSettings,   // the settings file or the kernel command line
    InvalidData,       // bytes from outside that do not parse
    NotFound,          // a file, variable, interface or name that is not there
    Unsupported,       // the kernel, the firmware or the peer cannot do this
    PermissionDenied,  // the operating system said no
    Io,                // the operating system failed; see `system`
    Timeout,           // a deadline passed
    Unreachable,       // no route, connection refused, reset or closed
    NameNotResolved,   // a resolver answered, and the answer is no
    Untrusted,         // authentication failed: certificate, proof, signature
    Refused,           // an authenticated gateway said no
    Revoked,           // an authenticated gateway said: never again
    Conflict,          // taken by somebody else
    Busy,              // come back later
    Exhausted,         // a budget or a bound was reached
    Cancelled,         // somebody else won
    Internal,          // a library failed in a way that has no meaning to a user
};

// The stable, kebab-case name of a code ("name-not-resolved").
std::string_view name_of(ErrorCode code);

// An operating error. Cheap to move; built only on failure.
struct Error {
    ErrorCode code = ErrorCode::Internal;
    std::string what;      // the operation and what it concerned, in words: "cannot open '/x'"
    int system = 0;        // errno of the failed call, 0 if none
    std::string detail{};  // a library's or the kernel's own words, may be empty

    // One line for people: "cannot open '/x': Permission denied (kernel's words)".
    std::string text() const;

    // The same error seen from one level up: "context: what".
    Error in(std::string_view context) &&;
};

template <typename T>
using Result = std::expected<T, Error>;

using Status = Result<void>;

// An error, ready to be returned from any function that returns a Result.
inline std::unexpected<Error> fail(ErrorCode code, std::string what, std::string detail = {}) {
    return std::unexpected(Error{code, std::move(what), 0, std::move(detail)});
}

// An error from errno. The code follows from the number: ENOENT is NotFound, EACCES, EPERM and
// EROFS are PermissionDenied, ETIMEDOUT is Timeout, ECONN* and E*UNREACH are Unreachable.
std::unexpected<Error> fail_errno(int error_number, std::string what, std::string detail = {});

// Ends the process with a clear line. For programmers' errors only, in every build.
[[noreturn]] void panic(const char* expression, const char* file, int line);

}  // namespace fortros

#define FORTROS_JOIN_(a, b) a##b
#define FORTROS_JOIN(a, b) FORTROS_JOIN_(a, b)

// Unwraps a Result, or returns its error from the enclosing function:
//     auto file = TRY(read_file(path, limit));
// Not inside a braced initialiser after a member that owns memory: when it returns, GCC forgets to
// destroy what the same initialiser has already made.
// Of a temporary the value is moved, of a variable copied: what it holds stays there.
// NOLINTNEXTLINE(cppcoreguidelines-macro-usage): a statement expression is the whole point.
#define TRY(...)                                                    \
    __extension__({                                                 \
        auto&& FORTROS_JOIN(try_, __LINE__) = (__VA_ARGS__);        \
        if (!FORTROS_JOIN(try_, __LINE__).has_value()) [[unlikely]] \
            return std::unexpected(FORTROS_FORWARD_TRY_.error());   \
        FORTROS_FORWARD_TRY_.value();                               \
    })
#define FORTROS_FORWARD_TRY_ \
    std::forward<decltype(FORTROS_JOIN(try_, __LINE__))>(FORTROS_JOIN(try_, __LINE__))

// An invariant that only a programmer can break. Never for input from outside.
#define ASSERT(expression) \
    (static_cast<bool>(expression) ? void() : ::fortros::panic(#expression, __FILE__, __LINE__))
