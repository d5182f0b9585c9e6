#include "base/result.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <memory>
#include <set>

using namespace fortros;

// An operator reads this one line on a console, and nothing else.
TEST_CASE("an error says what, why and in whose words") {
    CHECK(fail(ErrorCode::InvalidData, "bad answer").error().text() == "bad answer");
    CHECK(fail(ErrorCode::InvalidData, "bad answer", "at 7").error().text() == "bad answer: at 7");
    CHECK(fail_errno(EACCES, "cannot open '/x'").error().text() ==
          "cannot open '/x': Permission denied");
    CHECK(fail_errno(EINVAL, "cannot add route", "Nexthop is unreachable").error().text() ==
          "cannot add route: Invalid argument (Nexthop is unreachable)");
    CHECK(fail(ErrorCode::Io, "b").error().code == ErrorCode::Io);
}

// Each level adds where it was; the cause and its code must survive to the exit status.
TEST_CASE("an error gains context on its way up") {
    Error error = fail_errno(ENOENT, "cannot open '/x'").error();
    error = std::move(error).in("cannot read the invite");
    CHECK(error.text() == "cannot read the invite: cannot open '/x': No such file or directory");
    CHECK(error.code == ErrorCode::NotFound);
    CHECK(error.system == ENOENT);
}

// The program branches on these: a full or read-only NVRAM must not look like a missing one.
TEST_CASE("errno has a code") {
    const auto code = [](int number) { return fail_errno(number, "x").error().code; };
    CHECK(code(ENOENT) == ErrorCode::NotFound);
    CHECK(code(EACCES) == ErrorCode::PermissionDenied);
    CHECK(code(EROFS) == ErrorCode::PermissionDenied);
    CHECK(code(ETIMEDOUT) == ErrorCode::Timeout);
    CHECK(code(ECONNREFUSED) == ErrorCode::Unreachable);
    CHECK(code(EHOSTUNREACH) == ErrorCode::Unreachable);
    CHECK(code(ENETUNREACH) == ErrorCode::Unreachable);
    CHECK(code(ENOSYS) == ErrorCode::Unsupported);
    CHECK(code(EEXIST) == ErrorCode::Conflict);
    CHECK(code(EBUSY) == ErrorCode::Busy);
    CHECK(code(ENOSPC) == ErrorCode::Exhausted);
    CHECK(code(EIO) == ErrorCode::Io);
}

// The names are in events and in the README: programs of others read them.
TEST_CASE("every code has a name of its own") {
    std::set<std::string_view> names;
    for (int i = 0; i <= static_cast<int>(ErrorCode::Internal); ++i)
        CHECK(names.insert(name_of(static_cast<ErrorCode>(i))).second);
    CHECK(name_of(ErrorCode::NameNotResolved) == "name-not-resolved");
    CHECK(name_of(ErrorCode::Internal) == "internal");
}

static Result<std::unique_ptr<int>> make(bool good) {
    if (!good) return fail(ErrorCode::Busy, "no");
    return std::make_unique<int>(5);
}

static Status nothing(bool good) {
    if (!good) return fail(ErrorCode::Timeout, "late");
    return {};
}

static Result<int> add(bool first, bool second, bool last) {
    const auto a = TRY(make(first));
    const int sum = *a + *TRY(make(second));
    TRY(nothing(last));
    return sum;
}

// Every operation in every program is written with TRY.
TEST_CASE("TRY unwraps a value or returns the error") {
    CHECK(*add(true, true, true) == 10);
    CHECK(add(false, true, true).error().text() == "no");
    CHECK(add(true, false, true).error().text() == "no");
    CHECK(add(true, true, false).error().code == ErrorCode::Timeout);
}

// A result that is looked at twice must still hold its value the second time.
TEST_CASE("TRY of a variable copies, and TRY may be nested") {
    const auto twice = []() -> Result<std::string> {
        Result<std::string> text = std::string(100, 'x');
        return TRY(text) + TRY(text);
    };
    CHECK(*twice() == std::string(200, 'x'));
    const auto nested = []() -> Result<int> { return *TRY(make(*TRY(make(true)) == 5)); };
    CHECK(*nested() == 5);
}
