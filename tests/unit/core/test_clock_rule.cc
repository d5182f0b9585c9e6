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

// Who stands before a machine with an empty battery would not know what is wrong with it.
TEST_CASE("a verdict says what the clock said and why it is not trusted") {
    CHECK(to_text(judge_clock(evidence_at("2027-03-01"))) == "2027-03-01T00:00:00Z");
    CHECK(to_text(judge_clock(evidence_at("1970-01-01"))) ==
          "1970-01-01T00:00:00Z, not trusted: it is 2026-11-22T00:00:00Z or later");
    CHECK(to_text(judge_clock(evidence_at("2036-11-22"))) ==
          "2036-11-22T00:00:00Z, not trusted: too long after 2026-11-22T00:00:00Z, the newest time "
          "that is certain");
    CHECK(to_text(judge_clock({.rtc = at("2026-11-22")}))
              .ends_with("nothing is known to judge it by"));
}

// A chain whose leaf was issued after the image was built would be "not yet valid", for ever; or, if
// that were simply forgiven, one that has ended would be good, for ever.
TEST_CASE(
    "certificates are judged by a trusted clock, or else at the earliest time that they allow") {
    const auto time_of_chain = [](std::string_view rtc, std::string_view newest_not_before) {
        const auto verdict = judge_clock(evidence_at(rtc));
        return certificate_time(verdict, verdict.now + 5s).of_chain(at(newest_not_before));
    };
    CHECK(time_of_chain("2027-03-01", "2026-12-01") == at("2027-03-01") + 5s);
    CHECK(time_of_chain("2027-03-01", "2027-04-01") == at("2027-03-01") + 5s);
    for (const auto* rtc : {"1970-01-01", "2026-11-21", "2036-11-22"}) {
        CHECK(time_of_chain(rtc, "2026-10-01") == at("2026-11-22"));
        CHECK(time_of_chain(rtc, "2026-12-01") == at("2026-12-01"));
    }
}

// A right clock would be set wrong by every slow gateway; a wrong one would stay wrong.
TEST_CASE("a clock is wrong when the gateway's time lies well outside of the request's") {
    const WallTime asked = at("2027-03-01");
    const WallTime answered = asked + 3s;
    CHECK(clock_error(asked, asked + 1s, answered) == ClockError::None);
    CHECK(clock_error(asked, asked - clock_tolerance, answered) == ClockError::None);
    CHECK(clock_error(asked, asked - clock_tolerance - 1s, answered) == ClockError::Ahead);
    CHECK(clock_error(asked, answered + clock_tolerance, answered) == ClockError::None);
    CHECK(clock_error(asked, answered + clock_tolerance + 1s, answered) == ClockError::Behind);
    CHECK(clock_error(WallTime{}, answered, WallTime{3s}) == ClockError::Behind);
}
