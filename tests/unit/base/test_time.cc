#include "base/time.h"

#include <doctest/doctest.h>

using namespace fortros;

// The image builder writes its time so, and gateways answer with it: it decides about certificates.
TEST_CASE("a wall time survives RFC 3339") {
    CHECK(to_rfc3339(WallTime{}) == "1970-01-01T00:00:00Z");
    CHECK(to_rfc3339(WallTime{1795341600s}) == "2026-11-22T10:00:00Z");
    CHECK(from_rfc3339("2026-11-22T10:00:00Z") == WallTime{1795341600s});
    CHECK(from_rfc3339("2024-02-29T23:59:59Z") == WallTime{1709251199s});
    CHECK(to_rfc3339(*from_rfc3339("9999-12-31T23:59:59Z")) == "9999-12-31T23:59:59Z");
    CHECK(to_rfc3339(*from_rfc3339("0001-01-01T00:00:00Z")) == "0001-01-01T00:00:00Z");
}

// A time from a stranger may be any number: it is shown in a log, whatever it is.
TEST_CASE("a time that no year can say is written as the nearest") {
    CHECK(to_rfc3339(WallTime::max()) == "9999-12-31T23:59:59Z");
    CHECK(to_rfc3339(WallTime::min()) == "0000-01-01T00:00:00Z");
    CHECK(to_rfc3339(WallTime{-1s}) == "1969-12-31T23:59:59Z");
}

// A time in another zone or form, read as UTC, would be hours off without a word.
TEST_CASE("what is not exactly a time in UTC is refused") {
    for (std::string_view text : {"",
                                  "2026-11-22",
                                  "2026-11-22T10:00:00",
                                  "2026-11-22T10:00:00+01:00",
                                  "2026-11-22t10:00:00z",
                                  "2026-11-22 10:00:00Z",
                                  "2026-11-22T10:00:00.5Z",
                                  "2026-02-29T10:00:00Z",
                                  "2026-13-01T10:00:00Z",
                                  "2026-00-01T10:00:00Z",
                                  "2026-11-31T10:00:00Z",
                                  "2026-11-00T10:00:00Z",
                                  "2026-11-22T24:00:00Z",
                                  "2026-11-22T10:60:00Z",
                                  "2026-11-22T10:00:60Z",
                                  "+026-11-22T10:00:00Z",
                                  "-026-11-22T10:00:00Z",
                                  "2026-+1-22T10:00:00Z",
                                  "2026-1 -22T10:00:00Z",
                                  " 2026-11-22T10:00:00Z",
                                  "2026-11-22T10:00:00ZZ"}) {
        CAPTURE(text);
        CHECK_FALSE(from_rfc3339(text));
    }
}

// An operator writes what systemd.time(7) says, and waits as long as was meant.
TEST_CASE("a time span is read as systemd reads it") {
    CHECK(parse_duration("5") == 5s);
    CHECK(parse_duration("0") == 0s);
    CHECK(parse_duration("500ms") == 500ms);
    CHECK(parse_duration("10s") == 10s);
    CHECK(parse_duration("10 sec") == 10s);
    CHECK(parse_duration("2min") == 2min);
    CHECK(parse_duration("2m") == 2min);
    CHECK(parse_duration("1h") == 1h);
    CHECK(parse_duration("7d") == 7 * one_day);
    CHECK(parse_duration("2w") == 14 * one_day);
    CHECK(parse_duration(" 1min 30s ") == 90s);
    CHECK(parse_duration("1min30s") == 90s);
    CHECK(parse_duration("1 min\t30") == 90s);
    CHECK(parse_duration("3660d") == 3660 * one_day);
}

// A span that wraps around would be a deadline in the past, and a boot that gives up at once.
TEST_CASE("a time span that is none, or too long, is refused") {
    for (std::string_view text : {"",
                                  " ",
                                  "s",
                                  "ms",
                                  "-1s",
                                  "+1s",
                                  "1.5s",
                                  "1x",
                                  "1 x",
                                  "1s-",
                                  "1,5s",
                                  "infinity",
                                  "1y",
                                  "1month",
                                  "1 30",
                                  "1 30s",
                                  "1min 30 5",
                                  "5S",
                                  "3661d",
                                  "1000000w",
                                  "18446744073709551616",
                                  "18446744073709551615s",
                                  "9223372036854775807ms",
                                  "3660d 1ms",
                                  "1s\x01"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_duration(text));
    }
}

// Stages and errors show these on the console.
TEST_CASE("a time span is shown in a unit that fits") {
    CHECK(to_text(0s) == "0 ms");
    CHECK(to_text(41ms) == "41 ms");
    CHECK(to_text(1s) == "1.0 s");
    CHECK(to_text(90s) == "90.0 s");
    CHECK(to_text(2min) == "2 min");
    CHECK(to_text(150s) == "150 s");
    CHECK(to_text(36h) == "36 h");
    CHECK(to_text(400 * one_day) == "400 d");
    CHECK(milliseconds_of(1500us) == doctest::Approx(1.5));
}
