// The beacon by which members on one link find each other: a multicast datagram with a key and a port.
// A hint that anybody on the link can forge: it says whom to ask, never whom to trust.
//
//   "FB1" || 0 || org tag (8) || sender key (32) || port of its direct interface (2, big-endian)
//
// The org tag is the first 8 bytes of SHA-256("fortros/lan-beacon/v1" || prefix48): beacons of others
// are ignored, and who does not know the prefix can't tell whose they are. The sender's address is the
// datagram's. UDP, mesh_port, to ff12::5180 (transient, scope link: RFC 4291 section 2.7) or
// 239.255.51.80 (RFC 2365, TTL 1).
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "core/address.h"
#include "core/key.h"
#include "core/overlay.h"

namespace fortros::mesh {

inline constexpr std::size_t beacon_size = 4 + 8 + key_size + 2;
inline constexpr std::size_t beacon_size_limit = 64;
static_assert(beacon_size <= beacon_size_limit);

// Where beacons are sent, one datagram an uplink and family.
Endpoint beacon_group(Family family);

struct Beacon {
    PublicKey sender;
    std::uint16_t port = 0;
    bool operator==(const Beacon&) const = default;
};

Bytes encode(const Beacon& beacon, const OrgPrefix& org);
// Absent: another org's, which is nothing wrong. InvalidData where the form is.
Result<std::optional<Beacon>> parse_beacon(ByteView bytes, const OrgPrefix& org);

inline constexpr Duration beacon_interval = 5min;
// A few after a start or a change, because one is easily lost while links come up.
inline constexpr unsigned beacon_burst = 3;
inline constexpr Duration beacon_burst_interval = 2s;
// Answers to strangers: spread, so that a whole LAN does not answer a newcomer at once, and rare.
inline constexpr Duration beacon_answer_spread = 500ms;
inline constexpr Duration beacon_answer_interval = 10s;

// When to send a beacon on an uplink: at the start, when the uplink has changed, every five minutes, and
// soon after one of somebody unknown was heard, who may not have heard ours. One schedule an uplink.
class BeaconSchedule {
public:
    explicit BeaconSchedule(Instant now);

    // Another address or carrier.
    void changed(Instant now);
    // Somebody whom we did not know.
    void heard_unknown(Instant now, Random& random);

    // True: send one now.
    bool step(Instant now, Random& random);
    Instant next_step() const { return m_due; }

private:
    Instant m_due;
    unsigned m_burst = beacon_burst;
    std::optional<Instant> m_answered{};
};

}  // namespace fortros::mesh
