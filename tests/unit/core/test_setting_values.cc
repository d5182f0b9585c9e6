#include "core/setting_values.h"

#include <doctest/doctest.h>

using namespace fortros;

static std::string error_of(const auto& result) {
    if (result) return "none";
    CHECK(result.error().code == ErrorCode::InvalidSettings);
    return result.error().text();
}

// Who writes "off" and gets "on", or an error, no longer trusts the file.
TEST_CASE("a switch has systemd's spellings") {
    for (auto text : {"yes", "true", "on", "1"}) CHECK(boolean_setting(text) == true);
    for (auto text : {"no", "false", "off", "0"}) CHECK(boolean_setting(text) == false);
    for (auto text : {"", "y", "YES", "2", "yes "}) {
        CAPTURE(text);
        CHECK(error_of(boolean_setting(text)) == "'" + std::string(text) + "' is not yes or no");
    }
}

// The bounds are promises of the README: both ends belong to them.
TEST_CASE("numbers and time spans include their bounds") {
    CHECK(number_setting("5", 5, 7) == 5U);
    CHECK(number_setting("7", 5, 7) == 7U);
    for (auto text : {"4", "8", "", "-5", "5.5", "4294967301"})
        CHECK(error_of(number_setting(text, 5, 7)) ==
              "'" + std::string(text) + "' is not a number from 5 to 7");
    CHECK(duration_setting("1s", 1s, 2min) == 1s);
    CHECK(duration_setting("2min", 1s, 2min) == 2min);
    CHECK(error_of(duration_setting("999ms", 1s, 2min)) == "'999ms' is not from 1.0 s to 2 min");
    CHECK(error_of(duration_setting("121s", 1s, 2min)) == "'121s' is not from 1.0 s to 2 min");
    CHECK(error_of(duration_setting("soon", 1s, 2min)) ==
          "'soon' is not a time span (such as 500ms, 10s, 2min, 1h)");
}

// A relative path would be looked for wherever the initramfs happens to stand.
TEST_CASE("a path is absolute and names a file") {
    CHECK(path_setting("/etc/fortros/a b") == "/etc/fortros/a b");
    for (auto text : {"", "a", "./a", "~/a", "/", "/etc/"}) CHECK_FALSE(path_setting(text));
}

// A choice that is refused must say what there is to choose from.
TEST_CASE("a choice is one of its words") {
    const auto choose = [](std::string_view text) {
        return choice_setting<int>(text, {{"one", 1}, {"two", 2}});
    };
    CHECK(choose("two") == 2);
    CHECK(error_of(choose("Two")) == "'Two' is not one of one, two");
    CHECK(error_of(choose("")) == "'' is not one of one, two");
}

// An error goes to the console of the machine: it must fit there and do nothing to it.
TEST_CASE("a value in an error is made fit to print") {
    CHECK(not_a("x", "\x1b[31m").error().text() == "'?[31m' is not x");
    CHECK(not_a("x", std::string(100, 'a')).error().text() ==
          "'" + std::string(80, 'a') + "...' is not x");
}
