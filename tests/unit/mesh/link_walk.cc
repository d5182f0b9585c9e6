#include "link_walk.h"

#include <algorithm>
#include <format>
#include <set>

namespace fortros::mesh {

static constexpr Instant start{24h};
static constexpr std::size_t first_anchor = 100;

static PublicKey key_of_node(std::size_t node) {
    PublicKey key;
    key.bytes[0] = static_cast<std::uint8_t>(node);
    return key;
}
static std::size_t node_of_key(const PublicKey& key) { return key.bytes[0]; }
static bool is_anchor(const PublicKey& key) { return node_of_key(key) >= first_anchor; }

static std::uint64_t seed_of(std::size_t node, std::size_t life) {
    return (node + 1) << 56 | (life + 1) << 48 | 1;
}

// Takes up a link and confirms it, as if it had been agreed long ago.
static void hold(Negotiation& negotiation, const PublicKey& peer) {
    negotiation.adopt(peer, start - 23h);
    negotiation.step(peer, start - 22h);
    const auto outcome = negotiation.take();
    ASSERT(outcome.said.size() == 1);
    negotiation.heard(
        peer, {.verb = LinkVerb::Probe, .nonce = outcome.said[0].message.confirm, .linked = true},
        {}, start);
    negotiation.works(peer, true);
    ASSERT(negotiation.find(peer)->firm());
}

LinkWalk::LinkWalk(const LinkScript& script) : m_script(script) {
    for (const auto& thread : script.threads)
        for (const auto& event : thread)
            m_has_fate |= event.kind == LinkEvent::Dies || event.kind == LinkEvent::Forgets ||
                          event.kind == LinkEvent::Restarts;
    fewest.assign(script.nodes.size(), SIZE_MAX);
    most.assign(script.nodes.size(), 0);
}

LinkWalk::World LinkWalk::first_world() const {
    World world{.done = std::vector<std::size_t>(m_script.threads.size()),
                .losses = m_script.losses,
                .repetitions = m_script.repetitions,
                .impatience = m_script.impatience};
    for (std::size_t i = 0; i < m_script.nodes.size(); ++i) {
        Negotiation negotiation(seed_of(i, 0));
        for (std::size_t anchor = 0; anchor < m_script.nodes[i].anchors; ++anchor)
            hold(negotiation, key_of_node(first_anchor + anchor));
        for (const std::size_t peer : m_script.nodes[i].links) hold(negotiation, key_of_node(peer));
        world.nodes.push_back({std::move(negotiation), start});
    }
    return world;
}

bool LinkWalk::walk() { return visit(first_world(), 0); }

bool LinkWalk::give_up(const World& world, std::string why) {
    fault = std::move(why);
    for (const auto& line : world.story) fault += "\n  " + line;
    return false;
}

// --- what a node has decided goes on the wire ---

void LinkWalk::collect(World& world, std::size_t node) const {
    auto outcome = world.nodes[node].negotiation.take();
    for (const auto& change : outcome.changes)
        if (change.up) world.nodes[node].negotiation.works(change.peer, true);
    for (auto& said : outcome.said)
        if (!is_anchor(said.to)) {
            if (said.message.verb == LinkVerb::Want)
                said.message.standing.links =
                    static_cast<std::uint16_t>(world.nodes[node].negotiation.firm_links());
            world.wire.push_back({node, node_of_key(said.to), std::move(said.message)});
        }
}

void LinkWalk::hear(World& world, const Datagram& datagram) const {
    Node& node = world.nodes[datagram.to];
    const auto& place = m_script.nodes[datagram.to];
    const PublicKey from = key_of_node(datagram.from);
    const Agreement* held = node.negotiation.find(from);
    node.negotiation.heard(from, datagram.message,
                           {.member = true,
                            .room = place.room,
                            .lonely_room = place.lonely_room,
                            .keep = place.keeps && held && held->wished},
                           node.now);
    collect(world, datagram.to);
}

bool LinkWalk::is_mutual(const World& world, std::size_t a, std::size_t b) const {
    return world.nodes[a].negotiation.linked(key_of_node(b)) &&
           world.nodes[b].negotiation.linked(key_of_node(a));
}

// That do work: by both ends' word. Anchors are taken to hold theirs.
std::size_t LinkWalk::mutual_links(const World& world, std::size_t node) const {
    std::size_t count = 0;
    for (const auto& [peer, agreement] : world.nodes[node].negotiation.all())
        count += is_anchor(peer) ? agreement.linked() : is_mutual(world, node, node_of_key(peer));
    return count;
}

static std::string text_of(const LinkMessage& message) {
    return std::format("{} {:x} {:x}{}", name_of(message.verb), message.nonce, message.confirm,
                       message.linked ? " linked" : "");
}

// Two worlds are the same when no node can ever tell them apart: nonces are compared only, and of
// times it matters only whether a hold is over.
std::string LinkWalk::key_of(const World& world) const {
    std::set<std::uint64_t> nonces;
    for (const auto& node : world.nodes)
        for (const auto& [peer, it] : node.negotiation.all())
            nonces.insert({it.nonce, it.answers, it.heard});
    for (const auto& it : world.wire) nonces.insert({it.message.nonce, it.message.confirm});
    const auto rank = [&](std::uint64_t nonce) {
        return static_cast<char>(std::distance(nonces.begin(), nonces.find(nonce)));
    };
    std::string key;
    for (const auto& node : world.nodes) {
        key += node.has_forgotten ? 'f' : 'n';
        for (const auto& [peer, it] : node.negotiation.all()) {
            if (is_anchor(peer) && it.confirmed) continue;
            key +=
                {static_cast<char>(node_of_key(peer)),
                 static_cast<char>(it.state),
                 static_cast<char>(it.wished | it.works << 1 | it.confirmed << 2 | it.invited << 3 |
                                   (it.not_before > std::max(node.now, it.due)) << 4 |
                                   (it.not_before > node.now) << 5),
                 rank(it.nonce),
                 rank(it.answers),
                 rank(it.heard),
                 static_cast<char>(it.attempts),
                 static_cast<char>(it.failures)};
        }
    }
    std::vector<std::string> wire;
    for (const auto& it : world.wire)
        wire.push_back({static_cast<char>(it.from), static_cast<char>(it.to),
                        static_cast<char>(it.message.verb), rank(it.message.nonce),
                        rank(it.message.confirm),
                        static_cast<char>(it.message.linked | it.message.standing.links << 1)});
    std::ranges::sort(wire);
    for (const auto& it : wire) key += it;
    for (const std::size_t done : world.done) key += static_cast<char>(done);
    key += {static_cast<char>(world.losses), static_cast<char>(world.repetitions),
            static_cast<char>(world.impatience)};
    return key;
}

static std::uint64_t hash_of(const std::string& key) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char byte : key) {
        hash = (hash ^ static_cast<std::uint8_t>(byte)) * 0x100000001b3;
        hash ^= hash >> 29;
    }
    return hash * 0x9e3779b97f4a7c15;
}

// --- the walk ---

bool LinkWalk::visit(const World& world, std::size_t said) {
    const std::uint64_t hash = hash_of(key_of(world));
    const auto [seen, is_new] = m_seen.try_emplace(hash, true);
    if (!is_new) {
        if (!seen->second) return true;
        return give_up(world, "they would talk for ever: this state comes again");
    }
    ++states;
    most_said = std::max(most_said, said);
    if (!try_deliveries(world, said) || !try_retries(world, said) || !try_events(world, said))
        return false;
    m_seen[hash] = false;
    return !world.wire.empty() || check_end(world);
}

bool LinkWalk::try_deliveries(const World& world, std::size_t said) {
    for (std::size_t i = 0; i < world.wire.size(); ++i) {
        const Datagram datagram = world.wire[i];
        const auto what =
            std::format("{} -> {}: {}", datagram.from, datagram.to, text_of(datagram.message));
        for (const bool is_kept : {false, true}) {
            if (is_kept && world.repetitions == 0) continue;
            World next = world;
            next.story.push_back(what + (is_kept ? " (comes again)" : ""));
            if (is_kept)
                --next.repetitions;
            else
                next.wire.erase(next.wire.begin() + static_cast<std::ptrdiff_t>(i));
            const std::size_t still = next.wire.size();
            hear(next, datagram);
            if (!check_links(world, next, datagram.to, &datagram)) return false;
            if (!visit(next, said + next.wire.size() - still)) return false;
        }
        if (world.losses == 0) continue;
        World next = world;
        next.story.push_back(what + " (lost)");
        --next.losses;
        next.wire.erase(next.wire.begin() + static_cast<std::ptrdiff_t>(i));
        if (!visit(next, said)) return false;
    }
    return true;
}

bool LinkWalk::try_retries(const World& world, std::size_t said) {
    for (std::size_t i = 0; i < world.nodes.size(); ++i) {
        for (const auto& [peer, agreement] : world.nodes[i].negotiation.all()) {
            if (is_anchor(peer) || agreement.nonce == 0) continue;
            if (agreement.linked() && agreement.attempts >= request_attempts) continue;
            const bool is_early = std::ranges::any_of(world.wire, [&](const Datagram& it) {
                const std::size_t other = node_of_key(peer);
                return (it.from == i && it.to == other) || (it.from == other && it.to == i);
            });
            if (is_early && world.impatience == 0) continue;
            World next = world;
            next.story.push_back(std::format("{} is told nothing by {}", i, node_of_key(peer)));
            next.impatience -= is_early ? 1 : 0;
            Node& node = next.nodes[i];
            node.now = std::max(node.now, agreement.due);
            node.negotiation.step(peer, node.now);
            const std::size_t still = next.wire.size();
            collect(next, i);
            if (!check_links(world, next, i, nullptr)) return false;
            if (!visit(next, said + next.wire.size() - still)) return false;
        }
    }
    return true;
}

bool LinkWalk::try_events(const World& world, std::size_t said) {
    static constexpr std::array names = {"wishes for",     "wishes no",   "may ask again",
                                         "holds for dead", "forgets all", "restarts"};
    for (std::size_t i = 0; i < m_script.threads.size(); ++i) {
        if (world.done[i] == m_script.threads[i].size()) continue;
        const LinkEvent& event = m_script.threads[i][world.done[i]];
        World next = world;
        next.story.push_back(std::format("{} {} {}", event.node, names[event.kind], event.peer));
        ++next.done[i];
        const std::size_t still = next.wire.size();
        happen(next, event);
        collect(next, event.node);
        if (!visit(next, said + next.wire.size() - still)) return false;
    }
    return true;
}

void LinkWalk::happen(World& world, const LinkEvent& event) const {
    Node& node = world.nodes[event.node];
    const PublicKey peer = key_of_node(event.peer);
    switch (event.kind) {
        case LinkEvent::Wish:
        case LinkEvent::NoWish:
            node.negotiation.wish(peer, event.kind == LinkEvent::Wish, node.now);
            return node.negotiation.step(peer, node.now);
        case LinkEvent::HoldOver:
            if (const Agreement* it = node.negotiation.find(peer))
                node.now = std::max({node.now, it->not_before, it->due});
            return node.negotiation.step(peer, node.now);
        case LinkEvent::Dies: return node.negotiation.dead(peer, node.now);
        case LinkEvent::Forgets:
        case LinkEvent::Restarts: break;
    }
    Negotiation reborn(seed_of(event.node, 1));
    if (event.kind == LinkEvent::Restarts) {
        for (const auto& [key, agreement] : node.negotiation.all()) {
            if (!agreement.linked()) continue;
            reborn.adopt(key, node.now);
            reborn.works(key, true);
        }
    }
    node.has_forgotten = event.kind == LinkEvent::Forgets;
    node.negotiation = std::move(reborn);
    node.now += 10s;
    node.negotiation.step(node.now);
}

// --- what must never be ---

// `node` has just done something: at `heard`, or because its patience was over.
bool LinkWalk::check_links(const World& before, const World& after, std::size_t node,
                           const Datagram* heard) {
    for (std::size_t other = 0; other < after.nodes.size(); ++other) {
        if (other == node || !is_mutual(before, node, other) || is_mutual(after, node, other))
            continue;
        if (!heard) return give_up(after, "a link ended because nobody answered");
        // An answer of before the other thought better of it. It must not have counted on the link.
        if (heard->message.verb == LinkVerb::Leave) continue;
        if (heard->message.verb != LinkVerb::MayLeave || heard->from != other)
            return give_up(after, "a link ended that nobody had asked to end");
        if (!m_has_fate && mutual_links(after, node) < lifeline_links)
            return give_up(after, std::format("{} was left with too few links", node));
    }
    if (m_has_fate) return true;
    for (std::size_t a = 0; a < after.nodes.size(); ++a)
        for (const auto& [peer, agreement] : after.nodes[a].negotiation.all())
            if (!is_anchor(peer) && agreement.firm() &&
                !after.nodes[node_of_key(peer)].negotiation.linked(key_of_node(a)))
                return give_up(after, std::format("{} counts on a link that {} does not hold", a,
                                                  node_of_key(peer)));
    return true;
}

// Nothing is on its way and nobody waits for an answer: both ends must know the same. Where somebody
// has died, restarted or given up they know it when they ask again, as they do each hour: then all holds
// are over, and all is delivered.
bool LinkWalk::check_end(World world) {
    bool has_given_up = m_has_fate;
    for (const auto& node : world.nodes) {
        for (const auto& [peer, agreement] : node.negotiation.all()) {
            if (is_anchor(peer) || agreement.nonce == 0) continue;
            if (agreement.attempts < request_attempts || !agreement.linked()) return true;
            has_given_up = true;
        }
    }
    for (std::size_t i = 0; i < world.done.size(); ++i)
        if (world.done[i] != m_script.threads[i].size()) return true;
    ++ends;
    if (!has_given_up && !check_halves(world)) return false;

    for (std::size_t i = 0; i < world.nodes.size(); ++i) {
        Node& node = world.nodes[i];
        for (std::size_t other = 0; other < world.nodes.size(); ++other)
            if (const Agreement* it = node.negotiation.find(key_of_node(other)))
                node.negotiation.step(key_of_node(other),
                                      std::max({node.now, it->due, it->not_before}));
        collect(world, i);
    }
    static constexpr std::size_t enough = 100;
    for (std::size_t heard = 0; !world.wire.empty(); ++heard) {
        if (heard == enough) return give_up(world, "they talk on and on");
        const Datagram datagram = world.wire.front();
        world.wire.erase(world.wire.begin());
        world.story.push_back(std::format("at last: {} -> {}: {}", datagram.from, datagram.to,
                                          text_of(datagram.message)));
        hear(world, datagram);
    }
    for (std::size_t i = 0; i < world.nodes.size(); ++i) {
        fewest[i] = std::min(fewest[i], mutual_links(world, i));
        most[i] = std::max(most[i], mutual_links(world, i));
    }
    return check_halves(world);
}

bool LinkWalk::check_halves(const World& world) {
    for (std::size_t a = 0; a < world.nodes.size(); ++a)
        for (std::size_t b = 0; b < world.nodes.size(); ++b)
            if (world.nodes[a].negotiation.linked(key_of_node(b)) &&
                !world.nodes[b].negotiation.linked(key_of_node(a)))
                return give_up(world, std::format("{} holds a link that {} does not", a, b));
    return true;
}

}  // namespace fortros::mesh
