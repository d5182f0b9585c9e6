#include "gateway/log.h"

#include <doctest/doctest.h>

using namespace fortros;
using namespace fortros::gateway;

// A program that reads the log would take one field for another.
TEST_CASE("log: the message first, then fields that can be split") {
    CHECK(
        to_logfmt({Level::Info,
                   "refused",
                   "refused a node",
                   {{"from", std::string("192.0.2.1:5")},
                    {"why", std::string("two words")},
                    {"quote", std::string("a\"b")},
                    {"empty", std::string()},
                    {"count", std::int64_t{3}},
                    {"yes", true}}}) ==
        R"(refused a node event=refused from=192.0.2.1:5 why="two words" quote="a\"b" empty="" count=3 yes=true)");
}

// A stranger could write a line of his own into the log, or on the terminal of its reader.
TEST_CASE("log: nothing from outside ends a line or reaches a terminal") {
    const auto line =
        to_logfmt({Level::Info, "x", "a\nb\x1b[0m", {{"agent", std::string("c\r\nd")}}});
    CHECK(line == "a?b?[0m event=x agent=c??d");
}

// Most lines would end in a number that says nothing.
TEST_CASE("log: what was not logged before is named only if there is something") {
    CHECK(to_logfmt({Level::Info, "x", "m", {{"not_logged_before", std::int64_t{0}}}}) ==
          "m event=x");
    CHECK(to_logfmt({Level::Info, "x", "m", {{"not_logged_before", std::int64_t{7}}}}) ==
          "m event=x not_logged_before=7");
}
