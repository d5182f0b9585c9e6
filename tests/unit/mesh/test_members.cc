#include "mesh/members.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "twin.h"
#include "unit/core/vectors.h"

using namespace fortros;
using namespace fortros::mesh;

namespace {

std::vector<std::string> names(const std::vector<const Member*>& members) {
    std::vector<std::string> out;
    for (const Member* member : members) out.push_back(member->key.base64());
    return out;
}

std::vector<std::string> texts(const Json& list) {
    std::vector<std::string> out;
    for (const Json& text : *list.array()) out.push_back(*text.string());
    return out;
}

}  // namespace

// Two nodes that compute different neighbours would each wait for a link that the other never wants.
TEST_CASE("the fallback's neighbours are those of the published vectors") {
    const Json vectors = read_vectors("fallback.json");
    for (const Json& vector : *vectors.array()) {
        Members members;
        for (const std::string& key : texts(*vector.find("members"))) {
            Member member{.key = *PublicKey::from_base64(key), .address = {}};
            member.address = overlay_address(*OrgPrefix::parse("fd12:3456:789a::/48"), member.key);
            members.put(member);
        }
        for (const Json& of : *vector.find("of")->array()) {
            const auto key = *PublicKey::from_base64(text_of(of, "key"));
            for (std::size_t order = 0; order < fallback_sorts; ++order) {
                const Json& expected = (*of.find("neighbours")->array())[order];
                const auto next = texts(*expected.find("next"));
                const auto previous = texts(*expected.find("previous"));
                // In a ring too small for two sides nobody is named twice.
                std::vector<std::string> all;
                for (std::size_t i = 0; i < next.size(); ++i)
                    for (const std::string& name : {next[i], previous[i]})
                        if (!std::ranges::contains(all, name)) all.push_back(name);
                CHECK(names(members.neighbours(key, order, 2)) == all);
            }
        }
    }
}

// A member that moved in an index but not in another would be found and yet have no neighbours.
TEST_CASE("members that come, change and go leave every order as if they had come alone") {
    SeededRandom dice(1);
    Members churned;
    std::set<unsigned> left;
    for (unsigned i = 0; i < 6000; ++i) {
        const auto number = static_cast<unsigned>(dice.below(1500));
        if (dice.below(3) == 0) {
            CHECK(churned.remove(numbered_key(number)) == (left.erase(number) > 0));
        } else {
            churned.put(numbered_member(number, number % 50 == 0 ? Role::Lighthouse : Role::Node));
            left.insert(number);
        }
    }
    Members fresh;
    for (const unsigned number : left)
        fresh.put(numbered_member(number, number % 50 == 0 ? Role::Lighthouse : Role::Node));
    REQUIRE(churned.size() == left.size());
    CHECK(names(churned.all()) == names(fresh.all()));
    CHECK(names(churned.relays()) == names(fresh.relays()));
    for (unsigned i = 0; i < 200; ++i)
        CHECK(names(churned.fallback(numbered_key(i), 3)) ==
              names(fresh.fallback(numbered_key(i), 3)));
    for (const unsigned number : left) {
        const Member member = numbered_member(number);
        REQUIRE(churned.find(member.address));
        CHECK(churned.find(member.address)->key == member.key);
    }
}

// An old or empty announcement would take a lighthouse's address away from everybody.
TEST_CASE("an older word about a member changes nothing, and no endpoints replace none") {
    Members members;
    Member lighthouse = numbered_member(1, Role::Lighthouse);
    lighthouse.serial = 5;
    CHECK(members.put(lighthouse));
    CHECK(!members.put(lighthouse));
    const auto revision = members.revision();
    Member old = lighthouse;
    old.serial = 4;
    old.endpoints = {*Endpoint::parse("192.0.2.1:1")};
    CHECK(!members.put(old));
    Member empty = lighthouse;
    empty.endpoints.clear();
    CHECK(!members.put(empty));
    CHECK(members.revision() == revision);
    CHECK(members.relays().size() == 1);
    Member demoted = lighthouse;
    demoted.serial = 6;
    demoted.role = Role::Node;
    demoted.endpoints.clear();
    CHECK(members.put(demoted));
    CHECK(members.relays().empty());
    CHECK(members.fallback(numbered_key(2)).size() == 1);
}

// A copy that shared its index with the original would change under a running plan.
TEST_CASE("a copy of the members is on its own") {
    Members members;
    for (unsigned i = 0; i < 300; ++i) members.put(numbered_member(i));
    Members copy = members;
    copy.remove(numbered_key(3));
    CHECK(members.find(numbered_key(3)));
    CHECK(!copy.find(numbered_key(3)));
    CHECK(copy.size() == 299);
    CHECK(members.fallback(numbered_key(4)).size() == 8);
}
