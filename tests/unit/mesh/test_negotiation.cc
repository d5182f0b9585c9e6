#include "mesh/negotiation.h"

#include <doctest/doctest.h>

using namespace fortros;
using namespace fortros::mesh;

static PublicKey key_of(std::uint8_t name) {
    PublicKey key;
    key.bytes[0] = name;
    return key;
}

static constexpr Instant start{1h};
static constexpr Welcome nobody{.member = true};
static const PublicKey peer = key_of(1);

// What was said since the last time: "want", "may-leave", ... in their order.
static std::string said(Negotiation& node) {
    std::string text;
    for (const auto& it : node.take().said)
        text += (text.empty() ? "" : " ") + std::string(name_of(it.message.verb));
    return text;
}

// Links that both ends hold.
static void hold(Negotiation& node, std::uint8_t name, Instant now, bool needs_place = true) {
    node.wish(key_of(name), true, now, needs_place);
    node.step(key_of(name), now);
    const auto nonce = node.take().said.at(0).message.nonce;
    node.heard(key_of(name), {.verb = LinkVerb::Accept, .nonce = nonce, .confirm = name}, nobody,
               now);
    node.works(key_of(name), true);
    node.take();
    REQUIRE(node.find(key_of(name))->firm());
}

// (Every interleaving of small worlds is walked in test_negotiation_walk.cc; here are the times.)

// What was wished for and refused would be asked for again without a look at what is free: a link too many.
TEST_CASE("a wish waits until there is a place, a LAN neighbour's does not") {
    Negotiation node(1, 1);
    hold(node, 4, start);
    node.wish(peer, true, start);
    CHECK(node.next_step() > start);
    node.step(start);
    CHECK(node.state(peer) == LinkState::None);
    hold(node, 2, start, false);
    CHECK(node.places_taken() == 2);
    node.on_link(key_of(2), true);
    CHECK(node.places_taken() == 1);
    node.dead(key_of(4), start);
    CHECK(node.next_step() <= start);
    node.step(start);
    CHECK(node.state(peer) == LinkState::Wanting);
    // A place is given once.
    node.wish(key_of(3), true, start);
    node.step(start);
    CHECK(node.state(key_of(3)) == LinkState::None);
}

// Nodes whose NATs leave no way would make a link that never works, again and again.
TEST_CASE("whom the NATs leave no way to is refused, even where it is wished for") {
    Negotiation node(1);
    node.wish(peer, true, start);
    node.step(start);
    CHECK(said(node) == "want");
    node.heard(peer, {.verb = LinkVerb::Want, .nonce = 7},
               {.member = true, .reachable = false, .room = 5, .lonely_room = 5}, start);
    CHECK(said(node) == "refuse");
    CHECK_FALSE(node.linked(peer));
}

// A peer that is switched off would be asked every second for ever.
TEST_CASE("a want that nobody answers is said six times, and then rarely") {
    Negotiation node(1);
    node.wish(peer, true, start);
    unsigned wants = 0;
    Instant now = start;
    const auto asks_again_soon = [&] { return node.next_step() < now + 1min; };
    for (; now < start + 24h; now = std::max(now + 1ms, node.next_step())) {
        node.step(now);
        for (const auto& it : node.take().said) {
            CHECK(it.message.verb == LinkVerb::Want);
            ++wants;
        }
        if (now < start + 1min) CHECK(wants <= request_attempts);
    }
    CHECK(wants >= request_attempts * 96);  // all ten minutes and a little
    CHECK(wants <= request_attempts * 144);
    // News of the underlay is worth another try at once.
    for (int i = 0; i < 10 && asks_again_soon(); ++i) node.step(now = node.next_step());
    REQUIRE_FALSE(asks_again_soon());
    node.take();
    node.wish(peer, true, now);
    node.moved(now);
    node.step(now);
    CHECK(said(node) == "want");
}

// A full peer would be asked at once again, or never.
TEST_CASE("a refused want comes again when the other said, within bounds") {
    for (const auto& [said_s, least, most] :
         {std::tuple{0, 10s, 13s}, {300, 300s, 376s}, {65535, 3600s, 4501s}}) {
        Negotiation node(1);
        node.wish(peer, true, start);
        node.step(start);
        node.heard(peer,
                   {.verb = LinkVerb::Refuse,
                    .nonce = node.take().said.at(0).message.nonce,
                    .retry_after_s = static_cast<std::uint16_t>(said_s)},
                   nobody, start);
        CHECK(node.next_step() >= start + least);
        CHECK(node.next_step() <= start + most);
        node.step(node.next_step());
        CHECK(said(node) == "want");
    }
}

// Somebody who is no member could be let in, or a full node be made to take in everybody.
TEST_CASE("who may have a link that was not wished for") {
    const auto answer = [](const Welcome& welcome, std::uint16_t links) {
        Negotiation node(1);
        node.heard(peer, {.verb = LinkVerb::Want, .nonce = 7, .standing = {.links = links}},
                   welcome, start);
        const auto outcome = node.take();
        const auto& message = outcome.said.at(0).message;
        CHECK(message.nonce == 7);
        CHECK(outcome.changes.size() == (message.verb == LinkVerb::Accept ? 1 : 0));
        return message.verb == LinkVerb::Accept ? "accept" : std::string(name_of(message.refusal));
    };
    CHECK(answer({.member = true, .room = 1}, 10) == "accept");
    CHECK(answer({.member = true, .lonely_room = 1}, lonely_links) == "accept");
    CHECK(answer({.member = true, .lonely_room = 1}, lonely_links + 1) == "full");
    CHECK(answer({.member = true}, 0) == "full");
    CHECK(answer({.member = true, .willing = false, .room = 1}, 0) == "unwilling");
    CHECK(answer({.member = false, .room = 1}, 0) == "not-member");
}

// A node would ask to leave links that it lives by, or count on some that do not work.
TEST_CASE("only links that work and are confirmed are a lifeline") {
    Negotiation node(1);
    for (std::uint8_t i = 1; i <= lifeline_links + 2; ++i) hold(node, i, start);
    CHECK(node.firm_links() == lifeline_links + 2);
    CHECK(node.may_end(peer));
    node.works(key_of(2), false);
    CHECK(!node.may_end(peer));
    node.wish(peer, false, start);
    node.step(start + keep_hold * 2);
    CHECK(node.state(peer) == LinkState::Linked);
    node.works(key_of(2), true);
    node.step(start + keep_hold * 2);
    CHECK(node.state(peer) == LinkState::Leaving);
    CHECK(said(node).contains("may-leave"));
}

// A link that the other keeps would be asked about each round.
TEST_CASE("after keep, and without an answer, leaving is asked for again only later") {
    for (const bool is_answered : {true, false}) {
        Negotiation node(1);
        for (std::uint8_t i = 1; i <= 5; ++i) hold(node, i, start);
        node.wish(peer, false, start);
        unsigned asked = 0;
        for (Instant now = start; now < start + 2h; now += 1s) {
            node.step(peer, now);
            for (const auto& it : node.take().said) {
                asked += it.message.verb == LinkVerb::MayLeave;
                if (is_answered && it.message.verb == LinkVerb::MayLeave)
                    node.heard(peer, {.verb = LinkVerb::Keep, .nonce = it.message.nonce}, nobody,
                               now);
            }
            CHECK(node.linked(peer));  // no answer is no permission
        }
        CHECK(asked >= 2);
        CHECK(asked <= (is_answered ? 12 : 12 * request_attempts));
    }
}

// A link that only one end holds would stay so until traffic is lost on it.
TEST_CASE("doubt makes a node ask at once, and the other's no takes the link down") {
    const LinkMessage doubts[] = {{.verb = LinkVerb::Leave, .nonce = 99},
                                  {.verb = LinkVerb::Refuse, .nonce = 99},
                                  {.verb = LinkVerb::Probe, .nonce = 99, .linked = false},
                                  {.verb = LinkVerb::Echo, .nonce = 99, .linked = false},
                                  {.verb = LinkVerb::Want, .nonce = 99}};
    for (const auto& doubt : doubts) {
        CAPTURE(name_of(doubt.verb));
        Negotiation node(1);
        hold(node, 1, start);
        node.heard(peer, doubt, nobody, start);
        CHECK(node.linked(peer));
        CHECK(node.firm_links() == 0);
        const auto outcome = node.take();
        REQUIRE(outcome.said.size() == 1);
        CHECK(outcome.said[0].message.verb == LinkVerb::Accept);
        node.heard(peer, doubt, nobody, start);  // asking already
        node.heard(peer, {.verb = LinkVerb::Leave, .nonce = outcome.said[0].message.confirm},
                   nobody, start);
        CHECK(!node.linked(peer));
        CHECK(node.take().changes.at(0) == Negotiation::Change{peer, false});
    }
}

// Half-open links that nothing points at would stay for ever.
TEST_CASE("a confirmed link is asked about within an hour and a quarter, and silence keeps it") {
    Negotiation node(1);
    hold(node, 1, start);
    CHECK(node.next_step() >= start + audit_interval);
    CHECK(node.next_step() <= start + audit_interval * 5 / 4);
    unsigned asked = 0;
    for (Instant now = start; now < start + 12h; now += 10s) {
        node.step(now);
        asked += static_cast<unsigned>(node.take().said.size());
    }
    CHECK(node.linked(peer));
    CHECK(asked <= 12 * request_attempts);
}

// An upgrade would cut every link, or flood the lighthouses with questions in one moment.
TEST_CASE("links that the kernel has after a restart are kept, and asked about within seconds") {
    Negotiation node(1);
    for (std::uint8_t i = 1; i <= 100; ++i) node.adopt(key_of(i), start);
    CHECK(node.take() == Negotiation::Outcome{});  // nothing changes for the kernel
    std::size_t most_at_once = 0;
    std::size_t asked = 0;
    for (Instant now = start; now < start + 6s; now += 100ms) {
        node.step(now);
        const auto outcome = node.take();
        CHECK(outcome.changes.empty());
        most_at_once = std::max(most_at_once, outcome.said.size());
        asked += outcome.said.size();
    }
    CHECK(asked >= 100);
    CHECK(most_at_once <= 20);
    for (std::uint8_t i = 1; i <= 100; ++i) CHECK(node.linked(key_of(i)));
}

// A revoked node would stay a peer, or a peer that died for good would be kept for ever.
TEST_CASE("expelled and dead peers are taken down at once, the dead are told") {
    Negotiation node(1);
    hold(node, 1, start);
    hold(node, 2, start);
    node.expelled(key_of(1));
    auto outcome = node.take();
    CHECK(outcome.said.empty());
    CHECK(outcome.changes.at(0) == Negotiation::Change{key_of(1), false});
    CHECK(!node.find(key_of(1)));
    node.dead(key_of(2), start);
    outcome = node.take();
    CHECK(outcome.said.at(0).message.verb == LinkVerb::Leave);
    CHECK(outcome.changes.at(0) == Negotiation::Change{key_of(2), false});
    CHECK(node.next_step() >= start + unanswered_hold);
}

// Wishes of a mad plan, or strangers, could fill memory.
TEST_CASE("no more peers are remembered than the limit, and none that is nothing") {
    Negotiation node(1);
    const auto nth = [](std::size_t i) {
        PublicKey key;
        key.bytes[0] = static_cast<std::uint8_t>(i);
        key.bytes[1] = static_cast<std::uint8_t>(i >> 8);
        return key;
    };
    for (std::size_t i = 0; i < agreements_limit + 10; ++i) node.wish(nth(i), true, start);
    CHECK(node.all().size() == agreements_limit);
    node.heard(nth(agreements_limit + 1), {.verb = LinkVerb::Want, .nonce = 1},
               {.member = true, .room = 1}, start);
    CHECK(said(node) == "refuse");
    for (std::size_t i = 0; i < agreements_limit + 10; ++i) node.wish(nth(i), false, start);
    node.step(start);
    CHECK(node.all().empty());
    CHECK(node.next_step() == Instant::max());
}
