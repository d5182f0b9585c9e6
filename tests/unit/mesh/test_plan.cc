#include "mesh/plan.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "twin.h"

using namespace fortros;
using namespace fortros::mesh;

namespace {

struct Setting {
    Members members;
    std::vector<Candidate> candidates{};
    Budget budget{};

    explicit Setting(unsigned count) {
        for (unsigned i = 0; i < count; ++i) members.put(numbered_member(i));
    }
    Candidate& about(const PublicKey& key) {
        const auto at = std::ranges::lower_bound(candidates, key, {}, &Candidate::key);
        if (at != candidates.end() && at->key == key) return *at;
        return *candidates.insert(at, Candidate{.key = key});
    }
    Plan make() const { return plan(numbered_key(0), members, candidates, budget, std::nullopt); }
};

std::size_t count(const Plan& plan, Why why) {
    return static_cast<std::size_t>(std::ranges::count(plan.wishes, why, &Wish::why));
}
bool wishes(const Plan& plan, const PublicKey& key) {
    return std::ranges::contains(plan.wishes, key, &Wish::key);
}

}  // namespace

// A node that has just come would not know whom to ask, and be alone.
TEST_CASE("with nothing measured the fallback's neighbours are wished for") {
    const Setting setting(1000);
    const Plan plan = setting.make();
    CHECK(plan.wishes.size() == 8);
    for (const Member* member : setting.members.fallback(numbered_key(0)))
        CHECK(wishes(plan, member->key));
}

// Two of five would talk through a lighthouse until they have had enough to say, which one in sixteen pairs
// would notice and nobody understand.
TEST_CASE("in an org that has no more nodes than places everybody is wished for") {
    Setting few(15);
    few.about(numbered_key(3)).willing = false;
    const Plan plan = few.make();
    CHECK(plan.wishes.size() == 13);
    CHECK_FALSE(wishes(plan, numbered_key(3)));
    CHECK(count(plan, Why::Fallback) + count(plan, Why::Everybody) == 13);
    CHECK(Setting(16).make().wishes.size() <= 8);
    few.budget.target = 7;
    CHECK(few.make().wishes.size() <= 8);
}

// A link that has just been found not to work would be asked for again in seconds, for ever.
TEST_CASE("a neighbour that is held back is not waited for") {
    Setting setting(1000);
    const auto ring = setting.members.neighbours(numbered_key(0), 2, 3);
    setting.about(ring[0]->key).willing = false;
    setting.about(ring[0]->key).held = true;
    const Plan plan = setting.make();
    CHECK_FALSE(std::ranges::contains(plan.waiting, ring[0]->key));
    CHECK_FALSE(wishes(plan, ring[0]->key));
}

// Estimates go on changing: with them the nearest would come and go in a world that is at rest.
TEST_CASE("the longer a node has rested, the nearer somebody new must be") {
    Setting setting(1000);
    setting.budget.target = 10;
    for (const unsigned i : {901U, 902U}) {
        auto& linked = setting.about(numbered_key(i));
        linked.merits.rtt = 16ms;
        linked.merits.measured = linked.merits.linked = linked.works = linked.wished = true;
    }
    setting.about(numbered_key(903)).merits.rtt = 4ms;
    CHECK(wishes(setting.make(), numbered_key(903)));
    setting.budget.reluctance = 30;
    CHECK_FALSE(wishes(setting.make(), numbered_key(903)));
    CHECK(wishes(setting.make(), numbered_key(901)));
}

// Somebody nearer would be met by chance for hours, and each time a link would change.
TEST_CASE("a node that has rested looks for nobody nearer, however near") {
    Setting setting(1000);
    setting.about(numbered_key(903)).merits.rtt = 1us;
    setting.budget.reluctance = reluctance_limit - 1;
    CHECK(wishes(setting.make(), numbered_key(903)));
    setting.budget.reluctance = reluctance_limit;
    CHECK_FALSE(wishes(setting.make(), numbered_key(903)));
}

// Two that are as near as each other and linked for other reasons would take turns in the last place.
TEST_CASE("at rest whoever is wished for stays wished for, and as far as he may have become") {
    Setting setting(1000);
    setting.budget.target = setting.budget.limit = 9;
    setting.budget.reluctance = 20;
    for (const unsigned i : {901U, 902U}) {
        auto& linked = setting.about(numbered_key(i));
        linked.merits = {.rtt = 5ms, .measured = true, .linked = true};
        linked.works = true;
    }
    auto& wished = setting.about(numbered_key(902));
    wished.merits.rtt = 8ms;
    wished.wished = true;
    CHECK(wishes(setting.make(), numbered_key(902)));
    CHECK_FALSE(wishes(setting.make(), numbered_key(901)));
    wished.merits.rtt = 22ms;  // more than twice what is near
    CHECK(wishes(setting.make(), numbered_key(902)));
    wished.works = false;
    CHECK_FALSE(wishes(setting.make(), numbered_key(902)));
}

// What was wished for while the world was another would end link by link for an hour after.
TEST_CASE(
    "a node that rests keeps whom it has while there is a place, and one that searches does not") {
    Setting setting(1000);
    for (const unsigned i : {901U, 902U, 903U}) {
        auto& far = setting.about(numbered_key(i));
        far.merits = {.rtt = 300ms, .measured = true, .linked = true};
        far.works = i != 903;
    }
    CHECK(setting.make().wishes.size() == 8);
    setting.budget.reluctance = 1;
    CHECK(count(setting.make(), Why::Kept) == 2);
    CHECK_FALSE(wishes(setting.make(), numbered_key(903)));
    setting.budget.limit = 9;
    CHECK(count(setting.make(), Why::Kept) == 1);
}

// Traffic that hardly is worth a link would make one hours later, when its decayed sum gets there at last.
TEST_CASE(
    "a new link takes traffic of late, and a link that is there is kept by what it had before") {
    Setting setting(1000);
    auto& busy = setting.about(numbered_key(901));
    busy.merits.demand = 3 * demand_to_gain;
    CHECK_FALSE(wishes(setting.make(), numbered_key(901)));
    busy.merits.recent_demand = demand_to_gain;
    CHECK(wishes(setting.make(), numbered_key(901)));
    busy.merits.recent_demand = 0;
    busy.merits.linked = busy.works = true;
    CHECK(wishes(setting.make(), numbered_key(901)));
}

// With 30 of 100 dead the survivors would fall apart: nobody would look for the next.
TEST_CASE(
    "for a neighbour that can't be had the next in its order is taken, and it is not forgotten") {
    Setting setting(1000);
    const auto ring = setting.members.neighbours(numbered_key(0), 2, 3);
    setting.about(ring[0]->key).willing = false;
    setting.about(ring[2]->key).willing = false;
    const Plan plan = setting.make();
    CHECK(wishes(plan, ring[4]->key));
    CHECK(plan.wishes.size() == 8);
    CHECK(std::ranges::contains(plan.waiting, ring[0]->key));
    const auto at = std::ranges::find(plan.wishes, ring[4]->key, &Wish::key);
    CHECK(at->in_words() == "fallback order 2, for 2 nearer that can't be had");
}

// A nearer one that NATs leave no way to is asked again each few hours, and each time a link that works would go.
TEST_CASE("a substitute that works stays until somebody nearer in the order is had") {
    Setting setting(1000);
    const auto ring = setting.members.neighbours(numbered_key(0), 2, 3);
    setting.about(ring[0]->key);
    setting.about(ring[4]->key);
    auto& nearer = setting.about(ring[0]->key);
    auto& substitute = setting.about(ring[4]->key);
    substitute.merits.linked = substitute.works = true;
    CHECK(wishes(setting.make(), ring[0]->key));
    CHECK(wishes(setting.make(), ring[4]->key));
    CHECK_FALSE(wishes(setting.make(), ring[2]->key));
    substitute.works = false;
    CHECK_FALSE(wishes(setting.make(), ring[4]->key));
    substitute.works = true;
    nearer.merits.linked = true;
    CHECK(wishes(setting.make(), ring[4]->key));
    nearer.works = true;
    CHECK_FALSE(wishes(setting.make(), ring[4]->key));
}

// The links would go to whoever is loudest, and the mesh would fall into cliques.
TEST_CASE("traffic and nearness share what the fallback leaves, and traffic does not take it all") {
    Setting setting(1000);
    for (unsigned i = 100; i < 130; ++i) setting.about(numbered_key(i)).merits.recent_demand = 1e9;
    for (unsigned i = 200; i < 230; ++i)
        setting.about(numbered_key(i)).merits.rtt = Duration(1000 * (i - 199));
    const Plan plan = setting.make();
    CHECK(count(plan, Why::Fallback) == 8);
    CHECK(count(plan, Why::Demand) == 4);
    CHECK(count(plan, Why::Near) == 2);
    CHECK(wishes(plan, numbered_key(200)));
    CHECK(wishes(plan, numbered_key(201)));
}

// Every jitter of an RTT would cost a handshake, and two nodes would change places for ever.
TEST_CASE("a link is not left for somebody slightly nearer") {
    Setting setting(1000);
    setting.budget.target = 9;
    Candidate& linked = setting.about(numbered_key(100));
    linked.merits = {.rtt = 10ms, .measured = true, .linked = true};
    linked.works = true;
    setting.about(numbered_key(101)).merits.rtt = 8ms;
    CHECK(wishes(setting.make(), numbered_key(100)));
    setting.about(numbered_key(101)).merits.rtt = 3ms;
    CHECK(wishes(setting.make(), numbered_key(101)));
}

// The one node of a branch office would lose its only path.
TEST_CASE("whoever would have few links left is wished for, whatever it is worth") {
    Setting setting(1000);
    for (unsigned i = 200; i < 230; ++i) setting.about(numbered_key(i)).merits.rtt = 1ms;
    Candidate& lonely = setting.about(numbered_key(100));
    lonely.merits = {.rtt = 300ms, .failures = 5, .linked = true, .lifeline = true};
    CHECK(wishes(setting.make(), numbered_key(100)));
    lonely.merits.lifeline = false;
    CHECK(!wishes(setting.make(), numbered_key(100)));
}

// A member whose time is over would be let in by those who look at it late.
TEST_CASE("an expired member is not wished for, but keeps the link that it has") {
    Setting setting(30);
    Member expired = *setting.members.fallback(numbered_key(0))[0];
    expired.serial = 2;
    expired.not_after = WallTime{100s};
    setting.members.put(expired);
    const auto at = [&](std::int64_t wall) {
        return plan(numbered_key(0), setting.members, setting.candidates, setting.budget,
                    WallTime{std::chrono::seconds{wall}});
    };
    CHECK(wishes(at(100), expired.key));
    CHECK(!wishes(at(101), expired.key));
    setting.about(expired.key).merits.linked = true;
    CHECK(wishes(at(101), expired.key));
}

// A burst of wants would be a burst of handshakes, which a responder drops beyond 20 a second.
TEST_CASE("only so many are asked in one round") {
    const Setting setting(1000);
    const Difference some = difference(setting.make(), {}, 3, 100);
    CHECK(some.ask.size() == 3);
    CHECK(some.more);
    CHECK(difference(setting.make(), {}, 100, 100).ask.size() == 8);
}

// A node that is full would reach the machine on the desk beside by way of another town.
TEST_CASE("who is on the link is asked although there is no place left") {
    Setting setting(1000);
    setting.about(numbered_key(901)).lan = true;
    const Difference full = difference(setting.make(), {}, 3, 0);
    CHECK(full.ask == std::vector{numbered_key(901)});
    CHECK_FALSE(full.more);
    CHECK(difference(setting.make(), {}, 100, 2).ask.size() == 3);
}

// Whoever asks why a peer was chosen would get a number.
TEST_CASE("a score says what made it") {
    CHECK(in_words({.rtt = 12ms,
                    .measured = true,
                    .failures = 3,
                    .demand = 40e6,
                    .nat = Nat::Symmetric,
                    .links = 19}) ==
          "12 ms, 40 MB of traffic of late, 3 failures of late, symmetric NAT, 19 links");
    CHECK(score({.rtt = 10ms}).value() > score({.rtt = 20ms}).value());
    CHECK(score({.rtt = 10ms, .lifeline = true}).value() > 900);
    CHECK(score({.failures = 2}).value() < score({}).value());
}

TEST_CASE("what was seen loses half its weight in its half-life") {
    Decaying bytes(10min);
    bytes.add(1000, Instant{1h});
    CHECK(bytes.at(Instant{1h + 10min}) == doctest::Approx(500));
    bytes.add(500, Instant{1h + 10min});
    CHECK(bytes.at(Instant{1h + 20min}) == doctest::Approx(500));
}
