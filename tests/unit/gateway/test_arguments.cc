#include "gateway/arguments.h"

#include <doctest/doctest.h>

#include "base/text.h"

using namespace fortros;
using namespace fortros::gateway;

namespace {

constexpr OptionSpec options[] = {{"--uses", "N", "how many"}, {"--json", "", "for programs"}};
constexpr OptionSpec several[] = {{"--at", "ADDR", "where", Times::Several}};
constexpr CommandSpec commands[] = {
    {"serve", "", "serve nodes", "", {}},
    {"invite create", "", "make an invite", "More about it.", options},
    {"invite revoke", "ID", "revoke an invite", "", {}},
    {"node move", "NODE", "move a node", "", several},
};

Result<Arguments> parse(std::string_view line) { return parse_arguments(words_of(line), commands); }

std::string error_of(std::string_view line) {
    const auto arguments = parse(line);
    REQUIRE_MESSAGE(!arguments, line);
    CHECK(arguments.error().code == ErrorCode::InvalidArgument);
    return arguments.error().what;
}

}  // namespace

// A script would do something else than it says.
TEST_CASE("arguments: commands, options and words are told apart, in any order of options") {
    for (const char* line :
         {"invite create --uses 3 --json --config /x", "--config /x invite create --json --uses=3",
          "invite --config=/x create --uses 3 --json"}) {
        const auto arguments = parse(line);
        REQUIRE_MESSAGE(arguments, line);
        CHECK(arguments->command == &commands[1]);
        CHECK(arguments->value("--uses") == "3");
        CHECK(arguments->has("--json"));
        CHECK(arguments->value("--config") == "/x");
        CHECK(!arguments->value("--output"));
    }
    CHECK(parse("invite revoke abc")->words == std::vector<std::string>{"abc"});
    CHECK(parse("serve")->command == &commands[0]);
}

// Of two addresses one would be lost.
TEST_CASE("arguments: what may be given several times is all there, in its order") {
    const auto values = [](std::string_view line) { return parse(line)->values("--at"); };
    CHECK(values("node move a --at 1 --at=2") == std::vector<std::string>{"1", "2"});
    CHECK(values("node move a --at 1") == std::vector<std::string>{"1"});
    CHECK(values("node move a").empty());
}

// A typo would be ignored: an invite for one node would be one for all.
TEST_CASE("arguments: whatever is not understood is an error that names it") {
    CHECK(error_of("").contains("which command?"));
    CHECK(error_of("invite").contains("unknown command 'invite'"));
    CHECK(error_of("invite make").contains("unknown command"));
    CHECK(error_of("invite create --use 3").contains("unknown option '--use'"));
    CHECK(error_of("serve --json").contains("unknown option '--json'"));
    CHECK(error_of("invite create --uses").contains("--uses needs a value"));
    CHECK(error_of("invite create --json=yes").contains("--json takes no value"));
    CHECK(error_of("invite create --uses 1 --uses 2").contains("--uses is given twice"));
    CHECK(error_of("invite revoke").contains("ID is missing"));
    CHECK(error_of("invite revoke a b").contains("too many words: 'b'"));
    CHECK(error_of("serve now").contains("too many words: 'now'"));
    CHECK(error_of("invite revoke").contains("fortros-gateway invite revoke --help"));
}

// Somebody who needs help would get an error instead.
TEST_CASE("arguments: help is given wherever it is asked for") {
    CHECK(parse("--help")->help);
    CHECK(parse("--help")->command == nullptr);
    CHECK(parse("invite revoke --help")->help);
    CHECK(parse("invite revoke -h")->command == &commands[2]);
    CHECK(parse("--version")->version);
    const auto program = help_of_program(commands);
    for (const auto& command : commands) CHECK(program.contains(command.summary));
    const auto create = help_of(commands[1]);
    for (const char* text : {"invite create", "More about it.", "--uses N", "--config FILE"})
        CHECK_MESSAGE(create.contains(text), text);
}
