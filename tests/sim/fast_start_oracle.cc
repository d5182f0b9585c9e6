#include "sim/fast_start_oracle.h"

#include <algorithm>

namespace fortros::sim {

using namespace fakes;

namespace {

constexpr Duration slack = 100ms;

bool may_start_fast(const RandomWorld& world, const Expectation& expected) {
    const BootWorld& around = world.boot_world;
    return world.past == Past::Enrolled && world.set == RememberedSet::Sound &&
           around.settings.fast_start && around.clock_trusted && !around.stored_state->revoked &&
           expected.allowed.has(Source::Cached) && !expected.at_once;
}

// Every moment at which a peer may begin or cease to answer.
std::set<Instant> changes(const BootWorld& world) {
    std::set<Instant> moments;
    for (const auto& link : world.links)
        for (const auto& piece : link.is.pieces()) moments.insert(piece.from);
    for (const auto& [endpoint, wireguard] : world.wireguards)
        for (const auto& piece : wireguard.answers.pieces()) moments.insert(piece.from);
    return moments;
}

// The families by the links take turns, a round each: as many as there could ever be.
std::ptrdiff_t ways_of(const RandomWorld& world) {
    std::set<Family> families;
    for (const auto& peer : world.members)
        for (const auto& endpoint : peer.endpoints) families.insert(endpoint.address.family());
    return std::ssize(families) * std::ssize(world.boot_world.links);
}

// The longest between two tries by one and the same way; `at_first`: it is the one that is taken first.
Duration longest_wait(const RandomWorld& world, const MeshPeer& peer, const Expectation& expected,
                      bool at_first) {
    const bool has_both = std::ranges::any_of(peer.endpoints, [&](const Endpoint& endpoint) {
        return endpoint.address.family() != peer.endpoints.front().address.family();
    });
    const auto turns = has_both || !at_first ? ways_of(world) : 0;
    return handshake_retry + turns * (expected.round + expected.pause);
}

// By the routes, and where there are several links by each of them.
std::vector<unsigned> links_of(const BootWorld& world) {
    std::vector<unsigned> links = {0};
    if (world.links.size() > 1)
        for (const auto& link : world.links) links.push_back(link.report.ifindex);
    return links;
}

}  // namespace

FastStartExpectation expect_fast_start(const RandomWorld& world, const Expectation& expected) {
    FastStartExpectation fast{.allowed = may_start_fast(world, expected)};
    if (!fast.allowed || !expected.first_link) return fast;
    const BootWorld& around = world.boot_world;
    const Instant begin = *expected.first_link;
    auto moments = changes(around);
    moments.insert(begin);
    moments.insert(Instant::max());
    for (const auto& peer : world.members)
        for (const auto& endpoint : peer.endpoints)
            for (const unsigned ifindex : links_of(around)) {
                std::optional<Instant> since;
                for (const Instant moment : moments) {
                    if (moment < begin) continue;
                    const bool answers =
                        moment != Instant::max() &&
                        around.answers_handshake(endpoint, peer.key, ifindex, moment);
                    if (answers && !since) since = moment;
                    if (answers || !since) continue;
                    const bool at_first =
                        around.links.size() == 1 || (ifindex == 0 && *since == begin);
                    const Duration needed = longest_wait(world, peer, expected, at_first) +
                                            around.handshake_takes + slack;
                    if (moment - *since >= needed)
                        fast.tunnel_due =
                            std::min(*since + needed, fast.tunnel_due.value_or(moment));
                    since.reset();
                }
            }
    return fast;
}

}  // namespace fortros::sim
