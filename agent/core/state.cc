#include "core/state.h"

#include <algorithm>
#include <bitset>
#include <string_view>

#include "core/bootstrap_set.h"
#include "core/crypto.h"

namespace fortros {

static constexpr std::string_view magic = "FORTROS\x01";
static constexpr std::size_t checksum_size = 8;
static constexpr std::size_t frame_size = magic.size() + 2 + checksum_size;

// 9999-12-31T23:59:59Z: the last second that a certificate can name (RFC 5280 section 4.1.2.5).
static constexpr std::uint64_t latest_time = 253402300799;

enum class Tag : std::uint8_t {
    Node = 1,               // 32 bytes
    Prefix = 2,             // 6 bytes
    Gateways = 3,           // each: family (4 or 6), address (4 or 16 bytes), port (2)
    ClockFloor = 4,         // 8 bytes, seconds since 1970
    Policy = 5,             // 1 byte, SourceSet::bits()
    DocumentSerial = 6,     // 8 bytes
    AttestationSerial = 7,  // 8 bytes
    Flags = 8,              // 1 byte
    Attestation = 9,        // attestation_size bytes
    BootstrapSet = 10,      // at most bootstrap_set_limit bytes
    BootstrapSigner = 11,   // at most bootstrap_signer_limit bytes
    BootstrapSerial = 12,   // 8 bytes
    SignersSince = 13,      // 8 bytes, seconds since 1970
};
static constexpr Tag last_tag = Tag::SignersSince;

static constexpr std::uint8_t flag_enrolled = 1;
static constexpr std::uint8_t flag_revoked = 2;

static ByteArray<checksum_size> checksum_of(ByteView bytes) {
    const auto digest = crypto::sha256({bytes});
    return ByteReader(digest).array<checksum_size>();
}

static void add_field(ByteWriter& fields, Tag tag, ByteView value) {
    fields.u8(static_cast<std::uint8_t>(tag));
    fields.u16(static_cast<std::uint16_t>(value.size())).bytes(value);
}

static void add_number(ByteWriter& fields, Tag tag, std::uint64_t number) {
    if (number != 0) add_field(fields, tag, ByteWriter().u64(number).view());
}

// A time before 1970 (a large number here) or after 9999 is no evidence of anything.
static void add_time(ByteWriter& fields, Tag tag, WallTime time) {
    const auto seconds = static_cast<std::uint64_t>(time.time_since_epoch().count());
    if (seconds <= latest_time) add_number(fields, tag, seconds);
}

static bool fits(ByteView value, std::size_t limit) {
    return !value.empty() && value.size() <= limit;
}

static Bytes encode_gateways(const std::vector<Endpoint>& gateways) {
    ByteWriter list;
    for (std::size_t i = 0; i < std::min(gateways.size(), state_gateways_limit); ++i) {
        list.u8(static_cast<std::uint8_t>(gateways[i].address.family()));
        list.bytes(gateways[i].address.bytes()).u16(gateways[i].port);
    }
    return list.take();
}

// Never at the cost of anything else in the state: `room` is what that leaves.
static Bytes encode_bootstrap(const NodeState& state, std::size_t room) {
    ByteWriter fields;
    if (!fits(state.bootstrap_set, bootstrap_set_limit) ||
        !fits(state.bootstrap_signer, bootstrap_signer_limit))
        return {};
    add_field(fields, Tag::BootstrapSet, state.bootstrap_set);
    add_field(fields, Tag::BootstrapSigner, state.bootstrap_signer);
    return fields.view().size() <= room ? fields.take() : Bytes{};
}

Bytes encode(const NodeState& state) {
    ByteWriter fields;
    add_field(fields, Tag::Node, state.node.bytes);
    if (state.prefix) add_field(fields, Tag::Prefix, state.prefix->bytes);
    if (!state.gateways.empty()) add_field(fields, Tag::Gateways, encode_gateways(state.gateways));
    add_time(fields, Tag::ClockFloor, state.clock_floor);
    if (state.policy) add_field(fields, Tag::Policy, ByteArray<1>{state.policy->bits()});
    add_number(fields, Tag::DocumentSerial, state.document_serial);
    add_number(fields, Tag::AttestationSerial, state.attestation_serial);
    const int flags = (state.enrolled ? flag_enrolled : 0) | (state.revoked ? flag_revoked : 0);
    add_field(fields, Tag::Flags, ByteArray<1>{static_cast<std::uint8_t>(flags)});
    if (state.attestation.size() == attestation_size)
        add_field(fields, Tag::Attestation, state.attestation);
    add_number(fields, Tag::BootstrapSerial, state.bootstrap_serial);
    add_time(fields, Tag::SignersSince, state.signers_since);
    fields.bytes(encode_bootstrap(state, state_size_limit - frame_size - fields.view().size()));

    ByteWriter whole;
    whole.text(magic).u16(static_cast<std::uint16_t>(fields.view().size())).bytes(fields.view());
    whole.bytes(checksum_of(whole.view()));
    ASSERT(whole.view().size() <= state_size_limit);
    return whole.take();
}

static std::unexpected<Error> bad(std::string_view why) {
    return fail(ErrorCode::InvalidData, std::string("the remembered state ").append(why));
}

// The fields, once frame and checksum are right.
static Result<ByteView> open_frame(ByteView bytes) {
    if (bytes.empty()) return bad("is empty");
    if (bytes.size() > state_size_limit) return bad("is too large");
    ByteReader reader(bytes);
    const ByteView head = reader.take(magic.size());
    if (!reader.ok()) return bad("is cut off");
    if (!as_text(head).starts_with(magic.substr(0, magic.size() - 1))) return bad("is garbage");
    if (as_text(head) != magic)
        return bad("has version " + std::to_string(head.back()) + ", which is not known here");
    const ByteView fields = reader.take(reader.u16());
    const auto checksum = reader.array<checksum_size>();
    if (!reader.ok()) return bad("is cut off");
    if (reader.left() > 0) return bad("has bytes after its end");
    if (checksum != checksum_of(bytes.first(bytes.size() - checksum_size)))
        return bad("has a wrong checksum");
    return fields;
}

static Result<std::vector<Endpoint>> read_gateways(ByteView value) {
    std::vector<Endpoint> gateways;
    ByteReader reader(value);
    while (reader.left() > 0) {
        const std::uint8_t family = reader.u8();
        if (family != 4 && family != 6) return bad("names a gateway of no family");
        const auto address = IpAddress::from_bytes(reader.take(family == 4 ? 4 : 16));
        const std::uint16_t port = reader.u16();
        if (!reader.ok() || !address || port == 0 || address->is_unspecified() ||
            address->is_multicast())
            return bad("names a gateway at no address");
        if (gateways.size() == state_gateways_limit) return bad("names too many gateways");
        gateways.push_back({*address, port});
    }
    return gateways;
}

template <typename T>
static Status read_optional(std::optional<T>& field, std::optional<T> value) {
    if (!value) return bad("has a field that is no value");
    field = std::move(value);
    return {};
}

static Result<std::uint64_t> read_number(ByteView value) {
    if (value.size() != 8) return bad("has a number of the wrong size");
    return ByteReader(value).u64();
}

static Result<WallTime> read_time(ByteView value) {
    const std::uint64_t seconds = TRY(read_number(value));
    if (seconds > latest_time) return bad("has a time after the year 9999");
    return WallTime{std::chrono::seconds{seconds}};
}

static Result<std::uint8_t> read_byte(ByteView value) {
    if (value.size() != 1) return bad("has a byte of the wrong size");
    return value.front();
}

static Result<Bytes> read_bytes(ByteView value, std::size_t limit) {
    if (!fits(value, limit)) return bad("has bytes of the wrong size");
    return Bytes(value.begin(), value.end());
}

static Status read_field(NodeState& state, Tag tag, ByteView value) {
    switch (tag) {
        case Tag::Node: {
            const auto key = PublicKey::from_bytes(value);
            if (!key) return bad("names a node key that is none");
            state.node = *key;
            return {};
        }
        case Tag::Prefix: return read_optional(state.prefix, OrgPrefix::from_bytes(value));
        case Tag::Gateways: state.gateways = TRY(read_gateways(value)); return {};
        case Tag::ClockFloor: state.clock_floor = TRY(read_time(value)); return {};
        case Tag::Policy: {
            const auto policy = SourceSet::from_bits(TRY(read_byte(value)));
            if (!policy || policy->empty()) return bad("has a policy that is none");
            state.policy = policy;
            return {};
        }
        case Tag::DocumentSerial: state.document_serial = TRY(read_number(value)); return {};
        case Tag::AttestationSerial: state.attestation_serial = TRY(read_number(value)); return {};
        case Tag::Flags: {
            const std::uint8_t flags = TRY(read_byte(value));
            state.enrolled = (flags & flag_enrolled) != 0;
            state.revoked = (flags & flag_revoked) != 0;
            return {};
        }
        case Tag::Attestation:
            if (value.size() != attestation_size) return bad("has bytes of the wrong size");
            state.attestation = TRY(read_bytes(value, attestation_size));
            return {};
        case Tag::BootstrapSet:
            state.bootstrap_set = TRY(read_bytes(value, bootstrap_set_limit));
            return {};
        case Tag::BootstrapSigner:
            state.bootstrap_signer = TRY(read_bytes(value, bootstrap_signer_limit));
            return {};
        case Tag::SignersSince: state.signers_since = TRY(read_time(value)); return {};
        case Tag::BootstrapSerial: state.bootstrap_serial = TRY(read_number(value)); return {};
    }
    return {};  // from a newer version; it may be skipped
}

Result<NodeState> decode_state(ByteView bytes) {
    ByteReader fields(TRY(open_frame(bytes)));
    NodeState state;
    std::bitset<256> seen;
    while (fields.left() > 0) {
        const std::uint8_t tag = fields.u8();
        const ByteView value = fields.take(fields.u16());
        if (!fields.ok()) return bad("has a field that is cut off");
        if (seen[tag] && tag <= static_cast<std::uint8_t>(last_tag))
            return bad("has a field twice");
        seen.set(tag);
        TRY(read_field(state, static_cast<Tag>(tag), value));
    }
    if (!seen[static_cast<std::uint8_t>(Tag::Node)]) return bad("names no node key");
    if (state.bootstrap_set.empty() != state.bootstrap_signer.empty())
        return bad("has half of a bootstrap set");
    return state;
}

}  // namespace fortros
