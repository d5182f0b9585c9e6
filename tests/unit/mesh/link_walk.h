// Small worlds of nodes that negotiate links, walked through every interleaving: datagrams arrive in
// any order, some are lost, some come twice, some are said again too early, and what the nodes' plans,
// deaths and restarts do happens at any moment. What must never be is checked in every state.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "mesh/negotiation.h"

namespace fortros::mesh {

// Something that happens once, to `node` and about `peer`.
struct LinkEvent {
    enum Kind : std::uint8_t {
        Wish,
        NoWish,
        HoldOver,  // `node` may ask again whatever it had to wait with
        Dies,      // `node` holds `peer` for dead, rightly or not
        Forgets,   // `node` restarts and knows of nothing
        Restarts,  // `node` restarts and takes up the links that its kernel has
    };
    Kind kind;
    std::size_t node;
    std::size_t peer = 0;
};

struct LinkScript {
    struct Node {
        std::size_t anchors = 0;           // further links, to peers that say nothing
        std::vector<std::size_t> links{};  // to nodes of the world, wished for
        std::size_t room = 0;
        std::size_t lonely_room = 0;
        bool keeps = false;  // what it wishes for
    };
    std::vector<Node> nodes;
    // Each in its own order, in any order among each other.
    std::vector<std::vector<LinkEvent>> threads;
    unsigned losses = 0;
    unsigned repetitions = 0;
    // Requests said again although something of the two is still on its way.
    unsigned impatience = 0;
};

class LinkWalk {
public:
    explicit LinkWalk(const LinkScript& script);

    // Walks everything that may happen. False with `fault` where something must not be.
    bool walk();
    std::string fault{};
    std::size_t states = 0;
    std::size_t ends = 0;       // states in which nothing more can happen
    std::size_t most_said = 0;  // datagrams on one way through

    // Of the ends: how many links each node had at least and at most, anchors included.
    std::vector<std::size_t> fewest{};
    std::vector<std::size_t> most{};

private:
    struct Datagram {
        std::size_t from;
        std::size_t to;
        LinkMessage message;
    };
    struct Node {
        Negotiation negotiation;
        Instant now;
        bool has_forgotten = false;
    };
    struct World {
        std::vector<Node> nodes;
        std::vector<Datagram> wire{};
        std::vector<std::size_t> done{};  // events of each thread
        unsigned losses = 0;
        unsigned repetitions = 0;
        unsigned impatience = 0;
        std::vector<std::string> story{};
    };
    enum class Cause : std::uint8_t { Own, Message, Fate };

    World first_world() const;
    bool visit(const World& world, std::size_t said);
    bool try_deliveries(const World& world, std::size_t said);
    bool try_retries(const World& world, std::size_t said);
    bool try_events(const World& world, std::size_t said);
    bool check_end(World world);
    bool check_halves(const World& world);
    bool check_links(const World& before, const World& after, std::size_t node,
                     const Datagram* heard);
    void happen(World& world, const LinkEvent& event) const;
    void hear(World& world, const Datagram& datagram) const;
    void collect(World& world, std::size_t node) const;
    bool is_mutual(const World& world, std::size_t a, std::size_t b) const;
    std::size_t mutual_links(const World& world, std::size_t node) const;
    std::string key_of(const World& world) const;
    bool give_up(const World& world, std::string why);

    const LinkScript& m_script;
    bool m_has_fate = false;                           // somebody may die or restart
    std::unordered_map<std::uint64_t, bool> m_seen{};  // true: on the way that is walked just now
};

}  // namespace fortros::mesh
