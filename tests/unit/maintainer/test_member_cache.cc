#include "maintainer/member_cache.h"

#include <doctest/doctest.h>

#include "core/crypto.h"

using namespace fortros;

namespace {

PublicKey key_of(std::uint64_t seed) {
    SeededRandom random(seed);
    return *crypto::public_key_of(crypto::make_private_key(random));
}

MemberCache cache() {
    const OrgPrefix prefix = *OrgPrefix::parse("fd12:3456:789a::/48");
    MemberCache cache{.time = WallTime{std::chrono::seconds{1'800'000'000}},
                      .signers = {Bytes{1, 2, 3}},
                      .document = Bytes{4, 5},
                      .own = Bytes{6}};
    for (std::uint64_t seed = 1; seed <= 3; ++seed)
        cache.members.push_back({{.key = key_of(seed),
                                  .role = seed == 1 ? Role::Lighthouse : Role::Node,
                                  .overlay_address = overlay_address(prefix, key_of(seed)),
                                  .attestation = Bytes(attestation_size, 9)},
                                 seed == 2 ? "desk" : ""});
    cache.members[0].peer.endpoints = {*Endpoint::parse("[2001:db8::1]:51820")};
    return cache;
}

}  // namespace

// A restart while every gateway is dead would forget the whole org.
TEST_CASE("member cache: what is written is read back") {
    const auto written = cache();
    const auto read = parse_member_cache(to_text(written));
    REQUIRE_MESSAGE(read, (read ? "" : read.error().text()));
    CHECK(read->time == written.time);
    CHECK(read->signers == written.signers);
    CHECK(read->document == written.document);
    CHECK(read->own == written.own);
    CHECK(read->members == written.members);
}

// Half of an org would be taken for the whole.
TEST_CASE("member cache: what is cut off or changed is refused") {
    const std::string text = to_text(cache());
    for (const std::size_t size : {std::size_t{0}, std::size_t{10}, text.size() - 1})
        CHECK(!parse_member_cache(text.substr(0, size)));
    std::string other = text;
    other.replace(other.find("\"version\":1"), 11, "\"version\":2");
    CHECK(!parse_member_cache(other));
    CHECK(!parse_member_cache(text + "{}\n"));
}

TEST_CASE("member cache: only whose attestation is known is written") {
    mesh::Members members;
    members.put({.key = key_of(1), .role = Role::Gateway});  // remembered from a bootstrap set
    members.put({.key = key_of(2), .attestation = Bytes{1}});
    const auto news = news_of(members);
    REQUIRE(news.size() == 1);
    CHECK(news[0].peer.key == key_of(2));
}
