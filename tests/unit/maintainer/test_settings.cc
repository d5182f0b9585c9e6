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

// A stranger's agent would be believed, or the agent's password sent to another host.
TEST_CASE("maintainer settings: Serf's agent is on this host") {
    const auto settings = parse_maintainer_settings(
        "[Membership]\nEngine=serf\n[Serf]\nAgent=[::1]:7000\nKeyFile=/etc/serf.key\n", "m.conf");
    REQUIRE(settings);
    CHECK(settings->engine == Engine::Serf);
    CHECK(settings->serf_agent == *Endpoint::parse("[::1]:7000"));
    CHECK(settings->serf_key_file == "/etc/serf.key");
    CHECK(why_not("[Serf]\nAgent=192.0.2.1:7373\n").contains("this host"));
    CHECK(why_not("[Serf]\nAgent=localhost\n").contains("this host"));
}
