#include "meshsim/options.h"

#include <doctest/doctest.h>

#include <vector>

using namespace fortros;
using namespace fortros::meshsim;

static Result<Options> parsed(std::vector<std::string_view> words) { return parse_options(words); }

// A thousand worlds would be other ones than those that were asked for.
TEST_CASE("a command and its options are what was asked for") {
    const auto options = parsed({"faults", "--seed", "7", "--nodes", "60", "--count", "20", "--lan",
                                 "9", "--liars", "5", "--rest", "30min"});
    REQUIRE(options);
    CHECK(options->command == Options::Command::Faults);
    CHECK(options->world.seed == 7);
    CHECK(options->world.nodes == 60);
    CHECK(options->count == 20);
    CHECK(options->world.lan_nodes == 9);
    CHECK(options->world.liars_percent == 5);
    CHECK(options->rest == 30min);
    CHECK(options->settle == 20min);
    CHECK(parsed({"--help"})->command == Options::Command::Help);
}

// A slip of the finger would be measured for hours.
TEST_CASE("what is not understood is refused") {
    using Words = std::vector<std::string_view>;
    for (const Words& words :
         {Words{}, Words{"fault"}, Words{"faults", "--seed"}, Words{"faults", "--seed", "x"},
          Words{"faults", "--nodes", "9"}, Words{"faults", "--count", "0"},
          Words{"faults", "--lighthouses", "17"}, Words{"faults", "--rest", "soon"},
          Words{"faults", "--frobnicate", "1"}}) {
        const auto options = parse_options(words);
        REQUIRE(!options);
        CHECK(options.error().code == ErrorCode::InvalidArgument);
    }
}
