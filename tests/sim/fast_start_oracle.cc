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

// The longest between two tries at one and the same endpoint.
Duration longest_wait(const MeshPeer& peer, const Expectation& expected) {
    const bool has_both = std::ranges::any_of(peer.endpoints, [&](const Endpoint& endpoint) {
        return endpoint.address.family() != peer.endpoints.front().address.family();
    });
    // The families take turns, a round each.
    return handshake_retry + (has_both ? 3 * (expected.round + expected.pause) : Duration{});
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
        for (const auto& endpoint : peer.endpoints) {
            const Duration needed = longest_wait(peer, expected) + around.handshake_takes + slack;
            std::optional<Instant> since;
            for (const Instant moment : moments) {
                if (moment < begin) continue;
                const bool answers = moment != Instant::max() &&
                                     around.answers_handshake(endpoint, peer.key, moment);
                if (answers && !since) since = moment;
                if (answers || !since) continue;
                if (moment - *since >= needed)
                    fast.tunnel_due = std::min(*since + needed, fast.tunnel_due.value_or(moment));
                since.reset();
            }
        }
    return fast;
}

}  // namespace fortros::sim
