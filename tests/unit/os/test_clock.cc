#include "os/clock.h"

#include <doctest/doctest.h>

#include <ctime>

using namespace fortros;

// Certificates would be judged at a wrong time.
TEST_CASE("clock: the wall clock is the system's") {
    auto before = std::time(nullptr);
    auto now = wall_now().time_since_epoch().count();
    auto after = std::time(nullptr);
    CHECK(before - 1 <= now);  // time() may lag behind by a tick
    CHECK(now <= after + 1);
}

// A boot would go on believing that its clock is right. (A time that no kernel takes, so that the
// test never touches the clock of the machine that it runs on.)
TEST_CASE("clock: a clock that can't be set is an error that says to what") {
    auto done = set_wall_clock(WallTime{-1s});
    REQUIRE_FALSE(done.has_value());
    CHECK(done.error().text().find("1969-12-31T23:59:59Z") != std::string::npos);
}

// A machine without a hardware clock, or an initramfs without its driver, would not boot.
TEST_CASE("clock: a hardware clock that is not there, or is none, is an error that names it") {
    auto done = set_hardware_clock(WallTime{1s}, "/dev/no-such-clock");
    REQUIRE_FALSE(done.has_value());
    CHECK(done.error().code == ErrorCode::NotFound);
    CHECK(done.error().text().find("/dev/no-such-clock") != std::string::npos);
    CHECK_FALSE(set_hardware_clock(WallTime{1s}, "/dev/null").has_value());
}
