// Beacons on the links of this host, never on the overlay's: so that members on one link find each other.
// What is heard is a hint, and told as one. It knows no peer.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/random.h"
#include "core/overlay.h"
#include "maintainer/beacon_links.h"
#include "mesh/beacon.h"
#include "mesh/mesh.h"
#include "os/loop.h"
#include "os/multicast_socket.h"

namespace fortros {

class Beacons {
public:
    using Heard = std::function<void(const mesh::LanHint& hint)>;

    // `loop` and `random` must outlive it.
    Beacons(Loop& loop, Random& random, const OrgPrefix& prefix, const PublicKey& own, Heard heard)
        : m_loop(loop), m_random(random), m_prefix(prefix), m_own(own), m_heard(std::move(heard)) {}
    Beacons(const Beacons&) = delete;
    Beacons& operator=(const Beacons&) = delete;
    ~Beacons() = default;

    // The links that there are now, and the port that this node's direct interface listens on. Returns
    // why one of them can't be used, in words; empty: all can.
    std::string set_links(const std::vector<BeaconLink>& links, std::uint16_t port);

private:
    struct Link {
        BeaconLink link;
        std::vector<std::unique_ptr<MulticastSocket>> sockets{};
        mesh::BeaconSchedule schedule;
    };
    void receive(unsigned ifindex, ByteView payload, const Endpoint& source);
    void step();

    Loop& m_loop;
    Random& m_random;
    OrgPrefix m_prefix;
    PublicKey m_own;
    Heard m_heard;
    std::uint16_t m_port = 0;
    std::map<unsigned, Link> m_links;       // by ifindex
    std::map<PublicKey, Endpoint> m_known;  // who was heard where last
    Loop::Timer m_next;
};

}  // namespace fortros
