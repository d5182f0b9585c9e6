#include "maintainer/settings.h"

#include <doctest/doctest.h>

using namespace fortros;

static std::string why_not(std::string_view text) {
    const auto settings = parse_maintainer_settings(text, "m.conf");
    return settings ? "" : settings.error().text();
}

TEST_CASE("maintainer settings: an empty file is good") {
    CHECK(*parse_maintainer_settings("", "m.conf") == MaintainerSettings{});
}

TEST_CASE("maintainer settings: what is said counts") {
    const auto settings =
        parse_maintainer_settings("[Membership]\nEngine=gateway\n[Mesh]\nMetered=yes\n", "m.conf");
    REQUIRE(settings);
    CHECK(settings->metered);
}

// A typing mistake would be a setting that nobody obeys.
TEST_CASE("maintainer settings: what is not known is an error with its line") {
    CHECK(why_not("[Mesh]\nMeterd=yes\n").contains("m.conf:2"));
    CHECK(why_not("[Mish]\n").contains("unknown section"));
    CHECK(why_not("[Mesh]\nMetered=perhaps\n").contains("Metered="));
    CHECK(why_not("[Membership]\nEngine=rumour\n").contains("one of gateway"));
}
