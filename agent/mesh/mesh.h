// A node's part in the mesh: the one door through which all enters (members, observations, datagrams)
// and the overlay that should be leaves. The maintainer performs what it says on a kernel, the simulator
// in a world; neither decides anything.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "core/address.h"
#include "core/key.h"
#include "mesh/link_message.h"
#include "mesh/members.h"
#include "mesh/negotiation.h"
#include "mesh/path.h"

namespace fortros::mesh {

// Of scored peers; LAN neighbours and lighthouses come beside them.
inline constexpr std::size_t scored_limit = 20;
// So many the node seeks by itself; the rest is for who asks.
inline constexpr std::size_t scored_target = 14;
inline constexpr std::size_t lan_limit = 256;

struct Self {
    PublicKey key;
    IpAddress address;
    Role role = Role::Node;
    Bytes attestation{};
    bool metered = false;  // seeks half as many peers, and keeps no NAT open for idle ones
};

// How a datagram travels.
enum class Via : std::uint8_t {
    Overlay,     // as the routes lead: direct, or through a lighthouse
    Direct,      // bound to the direct interface, whatever the routes say
    Lighthouse,  // bound to the interface of the lighthouse that it is for
    Relay,       // not by the direct route: through a lighthouse
};

struct Outgoing {
    PublicKey to;
    Via via = Via::Overlay;
    LinkMessage message;
};

// What the kernel says of one peer.
struct PeerObservation {
    PublicKey key;
    std::uint64_t rx_bytes = 0;
    std::uint64_t tx_bytes = 0;
    std::optional<Duration> handshake_age{};  // absent: never
    std::optional<Endpoint> endpoint{};       // where the kernel sends to
};

// Once a round: everything, not what has changed.
struct Observation {
    std::vector<PeerObservation> direct{};       // on the direct interface
    std::vector<PeerObservation> lighthouses{};  // one an interface
    std::vector<IpAddress> underlay{};           // this node's own addresses, best first
    std::uint16_t direct_port = 0;               // where its direct interface listens
    std::optional<WallTime> wall{};              // absent: not known, and nobody is expired
    // Bytes since the last round to members that are no direct peers; most first, a bounded number.
    struct Demand {
        IpAddress overlay_address;
        std::uint64_t bytes = 0;
    };
    std::vector<Demand> demand{};
};

// A beacon on the link: somebody on it claims this key, at this address. A hint.
struct LanHint {
    PublicKey key;
    Endpoint endpoint;
};

enum class Tier : std::uint8_t { Lan, Lighthouse, Scored };
std::string_view name_of(Tier tier);

// The overlay as this node wants it; the maintainer brings the kernel to it by difference.
struct WantedPeer {
    PublicKey key;
    IpAddress address;
    std::optional<Endpoint> endpoint{};  // absent: leave to the kernel what it has
    std::uint16_t keepalive_s = 0;
    bool routed = false;  // its /128 leads here
    bool operator==(const WantedPeer&) const = default;
};
struct WantedLighthouse {
    PublicKey key;
    IpAddress address;
    std::vector<Endpoint> endpoints{};
    std::optional<Endpoint> endpoint{};  // as above
    std::uint16_t keepalive_s = 0;
    unsigned rank = 0;  // of the route of the prefix; 0 is preferred
    bool alive = true;  // dead ones rank last
    bool operator==(const WantedLighthouse&) const = default;
};
struct WantedOverlay {
    std::vector<WantedPeer> peers{};              // by key
    std::vector<WantedLighthouse> lighthouses{};  // by rank
    bool operator==(const WantedOverlay&) const = default;
};

// For `status`, for the simulator's checks, and for whoever asks why.
struct PeerReport {
    PublicKey key;
    std::optional<Tier> tier{};  // absent: not a peer
    LinkState link = LinkState::None;
    PathState path = PathState::New;
    std::optional<Duration> rtt{};
    double score = 0;
    std::string
        reason{};  // in words: "fallback order 2", "40 MB in the last hour", "refused: full"
    bool lifeline = false;  // the other would be left with too few
};

class Mesh {
public:
    // `members` and `random` must outlive it. A step later than `now`.
    Mesh(Self self, const Members& members, Random& random, Instant now);
    Mesh(Mesh&&) noexcept;
    Mesh& operator=(Mesh&&) noexcept;
    ~Mesh();

    // --- what happens ---
    // The members have changed, or another set is in force.
    void members_changed(const Members& members);
    void attested(Bytes attestation);  // this node's own, renewed
    void observed(const Observation& observation, Instant now);
    void heard(const LanHint& hint, Instant now);
    // An authentic message. `via`: Direct or Lighthouse (by its interface) or Relay.
    void received(const PublicKey& from, Via via, const LinkMessage& message, Instant now);
    // The underlay has changed: every candidate and every path is news.
    void moved(Instant now);
    // Takes up peers that the kernel has already, as agreed, and its lighthouses in the order in which it
    // prefers them: a restart loses no link, and no traffic to a lighthouse of which nothing is known yet.
    void adopt(const std::vector<WantedPeer>& peers, const std::vector<PublicKey>& lighthouses,
               Instant now);
    // An estimate of the RTT to a member that was never spoken to, where an engine has one.
    void estimated(const PublicKey& key, Duration rtt, Instant now);

    // --- what follows ---
    // Plans, asks, answers. overlay() may have changed: bring the kernel to it first, then send what is
    // returned (a probe tries an endpoint that overlay() has just named).
    std::vector<Outgoing> step(Instant now);
    // When step() has something to do although nothing happens.
    Instant next_step() const;
    const WantedOverlay& overlay() const;
    std::uint64_t overlay_revision() const;  // grows when overlay() changes

    // Every peer and, with their reasons, `others` of those that are not.
    std::vector<PeerReport> report(std::size_t others, Instant now) const;
    std::size_t direct_links() const;

private:
    struct State;
    std::unique_ptr<State> m_state;
};

}  // namespace fortros::mesh
