#include "core/command_line.h"

#include <doctest/doctest.h>

using namespace fortros;

using Words = std::vector<CommandLineWord>;

// A word that is taken apart otherwise than by the kernel narrows something else, or nothing.
TEST_CASE("words are split at blanks and at the first equals sign") {
    CHECK(parse_command_line("root=/dev/vda1  ro a=b=c d=\n") ==
          Words{{"root", "/dev/vda1"}, {"ro"}, {"a", "b=c"}, {"d", ""}});
    CHECK(parse_command_line("").empty());
    CHECK(parse_command_line(" \t\n").empty());
    CHECK(parse_command_line("=x") == Words{{"", "x"}});
}

// A boot loader quotes what has blanks: the quotes must not become a part of a pattern.
TEST_CASE("double quotes hold blanks together and are dropped") {
    CHECK(parse_command_line(R"(a="b c" "d=e f" g"h i"j ')") ==
          Words{{"a", "b c"}, {"d", "e f"}, {"gh ij"}, {"'"}});
    CHECK(parse_command_line(R"(a="b c)") == Words{{"a", "b c"}});
    CHECK(parse_command_line(R"(a="" "")") == Words{{"a", ""}, {""}});
}

// Words that the kernel leaves to init may hold a limit too: dropping one would widen the boot.
TEST_CASE("words after two dashes are words") {
    CHECK(parse_command_line("quiet -- a=1") == Words{{"quiet"}, {"--"}, {"a", "1"}});
}
