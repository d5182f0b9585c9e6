#include "preboot/options.h"

#include <doctest/doctest.h>

#include <vector>

using namespace fortros;

static Result<PrebootOptions> parse(std::vector<const char*> arguments) {
    return parse_preboot_options(arguments);
}

// An initramfs calls it without a word, and a person with a few.
TEST_CASE("the command line says what to do and with which files") {
    const auto plain = parse({});
    REQUIRE(plain);
    CHECK(plain->verb == PrebootOptions::Verb::Run);
    CHECK(plain->config == "/etc/fortros/preboot.conf");
    CHECK(plain->run_directory == "/run/fortros");

    const auto full =
        parse({"run", "--config", "/a", "--run-directory", "/b", "--kernel-command-line", "/c"});
    REQUIRE(full);
    CHECK(full->config == "/a");
    CHECK(full->run_directory == "/b");
    CHECK(full->kernel_command_line == "/c");
    CHECK(!plain->kernel_command_line);

    CHECK(parse({"check-config", "/x"})->config == "/x");
    CHECK(parse({"check-config"})->verb == PrebootOptions::Verb::CheckConfig);
    CHECK(parse({"report"})->verb == PrebootOptions::Verb::Report);
    CHECK(parse({"report", "--svg", "/s", "--events", "/e"})->svg == "/s");
    CHECK(parse({"report", "--svg", "/s", "--events", "/e"})->events == "/e");
    CHECK(parse({"explain"})->explained.empty());
    CHECK(parse({"explain", "7"})->explained == "7");
    CHECK(parse({"explain", "7"})->verb == PrebootOptions::Verb::Explain);
    CHECK(parse({"--help"})->verb == PrebootOptions::Verb::Help);
    CHECK(parse({"run", "-h"})->verb == PrebootOptions::Verb::Help);
    CHECK(parse({"--version"})->verb == PrebootOptions::Verb::Version);
}

// A misspelt option must not boot a machine with other settings than were meant.
TEST_CASE("what is not understood is an error that points to the help") {
    for (const auto& bad : std::vector<std::vector<const char*>>{{"walk"},
                                                                 {"--confg", "/a"},
                                                                 {"--config"},
                                                                 {"run", "run"},
                                                                 {"run", "/x"},
                                                                 {"check-config", "/x", "/y"},
                                                                 {"explain", "7", "8"},
                                                                 {"report", "/x"},
                                                                 {"report", "--svg"},
                                                                 {"--svg", "/s"},
                                                                 {"run", "--events", "/e"},
                                                                 {"report", "explain"}}) {
        const auto options = parse(bad);
        REQUIRE(!options);
        CHECK(options.error().code == ErrorCode::InvalidArgument);
        CHECK(options.error().text().contains("--help"));
    }
}
