#include "mesh/beacon.h"

#include <algorithm>

#include "core/crypto.h"
#include "mesh/link_message.h"

namespace fortros::mesh {

static constexpr std::string_view magic{"FB1\0", 4};
static constexpr std::string_view tag_label = "fortros/lan-beacon/v1";
static constexpr std::size_t tag_size = 8;

Endpoint beacon_group(Family family) {
    if (family == Family::IPv4) return {IpAddress::v4({239, 255, 51, 80}), mesh_port};
    return {IpAddress::v6({0xff, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x51, 0x80}), mesh_port};
}

static ByteArray<tag_size> tag_of(const OrgPrefix& org) {
    const auto digest = crypto::sha256({as_bytes(tag_label), org.bytes});
    ByteArray<tag_size> tag;
    std::copy_n(digest.begin(), tag_size, tag.begin());
    return tag;
}

Bytes encode(const Beacon& beacon, const OrgPrefix& org) {
    ByteWriter out;
    return out.text(magic).bytes(tag_of(org)).bytes(beacon.sender.bytes).u16(beacon.port).take();
}

Result<std::optional<Beacon>> parse_beacon(ByteView bytes, const OrgPrefix& org) {
    if (!as_text(bytes).starts_with(magic))
        return fail(ErrorCode::InvalidData, "beacon has an unknown format");
    if (bytes.size() != beacon_size) return fail(ErrorCode::InvalidData, "beacon has a wrong size");
    ByteReader in(bytes.subspan(magic.size()));
    if (in.array<tag_size>() != tag_of(org)) return std::optional<Beacon>{};
    const auto sender = PublicKey::from_bytes(in.take(key_size));
    const std::uint16_t port = in.u16();
    if (!sender || port == 0)
        return fail(ErrorCode::InvalidData, "beacon holds a key or port that is none");
    return Beacon{*sender, port};
}

// --- when ---

// Up to `most` later.
static Duration spread(Duration most, Random& random) {
    return Duration(random.below(static_cast<std::uint64_t>(most.count()) + 1));
}

BeaconSchedule::BeaconSchedule(Instant now) : m_due(now) {}

void BeaconSchedule::changed(Instant now) {
    m_due = now;
    m_burst = beacon_burst;
}

void BeaconSchedule::heard_unknown(Instant now, Random& random) {
    if (m_answered && now - *m_answered < beacon_answer_interval) return;
    m_answered = now;
    m_due = std::min(m_due, now + spread(beacon_answer_spread, random));
}

bool BeaconSchedule::step(Instant now, Random& random) {
    if (now < m_due) return false;
    if (m_burst > 0) --m_burst;
    const Duration pause = m_burst > 0 ? beacon_burst_interval : beacon_interval;
    m_due = now + pause * 3 / 4 + spread(pause / 2, random);
    return true;
}

}  // namespace fortros::mesh
