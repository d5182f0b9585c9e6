#include "core/clock_rule.h"

#include <doctest/doctest.h>

using namespace fortros;

static WallTime at(std::string_view day) { return *from_rfc3339(std::string(day) + "T00:00:00Z"); }

// An image of 2026-11-22 that pins a CA of 2026 to 2036.
static ClockEvidence evidence_at(std::string_view rtc) {
    return {.rtc = at(rtc),
            .build_time = at("2026-11-22"),
            .ca_not_before = at("2026-01-01"),
            .ca_not_after = at("2036-01-01")};
}

// An empty battery starts at 1970 or 2000: certificates would be "not yet valid", for ever.
TEST_CASE("a clock before the floor is moved to the floor and not trusted") {
    const auto verdict = judge_clock(evidence_at("2000-01-01"));
    CHECK(verdict.floor == at("2026-11-22"));
    CHECK(verdict.now == at("2026-11-22"));
    CHECK_FALSE(verdict.trusted);
}

// An ordinary machine with a good clock: its certificates are judged by it, to the second.
TEST_CASE("a clock within the window is trusted") {
    const auto verdict = judge_clock(evidence_at("2027-03-01"));
    CHECK(verdict.now == at("2027-03-01"));
    CHECK(verdict.trusted);
    CHECK(judge_clock(evidence_at("2026-11-22")).trusted);

    ClockEvidence last = evidence_at("2026-11-22");
    last.rtc += std::chrono::days{400};
    CHECK(judge_clock(last).trusted);
    last.rtc += 1s;
    CHECK_FALSE(judge_clock(last).trusted);
}

// A clock years ahead poisons WireGuard's peers: it may be used to look around, not be believed.
TEST_CASE("a clock beyond the window stays and is not trusted") {
    const auto verdict = judge_clock(evidence_at("2035-01-01"));
    CHECK(verdict.now == at("2035-01-01"));
    CHECK_FALSE(verdict.trusted);
    ClockEvidence wide = evidence_at("2035-01-01");
    wide.window = std::chrono::days{3660};
    CHECK(judge_clock(wide).trusted);
}

// Each piece alone must lift the floor, or an expired certificate passes with an empty battery.
TEST_CASE("the floor is the newest of what surely lies in the past") {
    ClockEvidence evidence{.rtc = at("2000-01-01")};
    CHECK(judge_clock(evidence).floor == WallTime{});
    evidence.ca_not_before = at("2026-01-01");
    CHECK(judge_clock(evidence).floor == at("2026-01-01"));
    evidence.build_time = at("2026-02-01");
    CHECK(judge_clock(evidence).floor == at("2026-02-01"));
    evidence.remembered = at("2026-03-01");
    CHECK(judge_clock(evidence).floor == at("2026-03-01"));
    evidence.ca_not_before = at("2026-04-01");
    CHECK(judge_clock(evidence).floor == at("2026-04-01"));
}

// One bad write into NVRAM must not make every certificate expired until somebody opens the case.
TEST_CASE("a remembered floor after the end of the CAs is garbage") {
    ClockEvidence evidence = evidence_at("2027-03-01");
    evidence.remembered = at("2036-01-01") + 1s;
    CHECK(judge_clock(evidence).floor == at("2026-11-22"));
    CHECK(judge_clock(evidence).trusted);
    evidence.remembered = at("2036-01-01");
    CHECK(judge_clock(evidence).floor == at("2036-01-01"));
}

// Without any evidence a clock is not to be believed, whatever it shows.
TEST_CASE("nothing known, nothing trusted") {
    CHECK_FALSE(judge_clock({.rtc = at("2026-11-22")}).trusted);
    CHECK_FALSE(judge_clock({.rtc = WallTime::min()}).trusted);
    CHECK_FALSE(judge_clock({.rtc = WallTime::max()}).trusted);
    CHECK_FALSE(judge_clock({.rtc = at("1970-06-01")}).trusted);
}
