#include "mesh/link_message.h"

#include "core/attestation.h"

namespace fortros::mesh {

std::string_view name_of(LinkVerb verb) {
    switch (verb) {
        case LinkVerb::Hello: return "hello";
        case LinkVerb::Want: return "want";
        case LinkVerb::Accept: return "accept";
        case LinkVerb::Refuse: return "refuse";
        case LinkVerb::MayLeave: return "may-leave";
        case LinkVerb::Leave: return "leave";
        case LinkVerb::Keep: return "keep";
        case LinkVerb::Down: return "down";
        case LinkVerb::Probe: return "probe";
        case LinkVerb::Echo: return "echo";
    }
    return "?";
}

std::string_view name_of(RefuseReason reason) {
    switch (reason) {
        case RefuseReason::Full: return "full";
        case RefuseReason::NotMember: return "not-member";
        case RefuseReason::Unwilling: return "unwilling";
    }
    return "?";
}

std::string_view name_of(Nat nat) {
    switch (nat) {
        case Nat::Unknown: return "unknown";
        case Nat::None: return "none";
        case Nat::Cone: return "cone";
        case Nat::Symmetric: return "symmetric";
    }
    return "?";
}

// What each verb carries after itself and its nonce, in this order.
static bool has_flag(LinkVerb verb) { return verb == LinkVerb::Probe || verb == LinkVerb::Echo; }
static bool has_attestation(LinkVerb verb) {
    return verb == LinkVerb::Want || verb == LinkVerb::Accept;
}
static bool has_standing(LinkVerb verb) {
    return has_attestation(verb) || verb == LinkVerb::Echo || verb == LinkVerb::MayLeave;
}
static bool has_seen(LinkVerb verb) { return verb == LinkVerb::Accept || verb == LinkVerb::Echo; }

static constexpr std::size_t endpoint_size_limit = 1 + 16 + 2;
static constexpr std::uint8_t sleeps_bit = 128;
static constexpr std::size_t coordinate_size = 3 * 2 + 2 + 2;
static constexpr std::size_t standing_size_limit =
    1 + candidates_limit * endpoint_size_limit + 1 + 2 + 2 + coordinate_size;
static_assert(1 + 8 + 8 + standing_size_limit + 1 + attestation_size + endpoint_size_limit <=
              body_size_limit);  // Accept
static_assert(1 + 8 + 1 + standing_size_limit + endpoint_size_limit + 1 +
                  introductions_limit * (key_size + 2 + coordinate_size) <=
              body_size_limit);  // Echo

// --- writing ---

// A family of 0 stands for none.
static void put(ByteWriter& out, const std::optional<Endpoint>& endpoint) {
    if (!endpoint) {
        out.u8(0);
        return;
    }
    out.u8(static_cast<std::uint8_t>(endpoint->address.family()))
        .bytes(endpoint->address.bytes())
        .u16(endpoint->port);
}

static void put(ByteWriter& out, const Coordinate& place) {
    for (const std::int16_t axis : place.position) out.u16(static_cast<std::uint16_t>(axis));
    out.u16(place.height).u16(place.error);
}

static void put(ByteWriter& out, const Standing& standing) {
    ASSERT(standing.candidates.size() <= candidates_limit);
    out.u8(static_cast<std::uint8_t>(standing.candidates.size()));
    for (const auto& candidate : standing.candidates) put(out, candidate);
    out.u8(static_cast<std::uint8_t>(standing.nat) | (standing.sleeps ? sleeps_bit : 0))
        .u16(standing.links)
        .u16(standing.room);
    put(out, standing.place);
}

Bytes encode(const LinkMessage& message) {
    const LinkVerb verb = message.verb;
    ByteWriter out;
    out.u8(static_cast<std::uint8_t>(verb)).u64(message.nonce);
    if (verb == LinkVerb::Accept) out.u64(message.confirm);
    if (verb == LinkVerb::Refuse)
        out.u8(static_cast<std::uint8_t>(message.refusal)).u16(message.retry_after_s);
    if (has_flag(verb)) out.u8(message.linked ? 1 : 0);
    if (has_standing(verb)) put(out, message.standing);
    if (has_attestation(verb)) {
        ASSERT(message.attestation.size() <= attestation_size);
        out.u8(static_cast<std::uint8_t>(message.attestation.size())).bytes(message.attestation);
    }
    if (has_seen(verb)) put(out, message.seen);
    if (verb == LinkVerb::Echo) {
        ASSERT(message.introductions.size() <= introductions_limit);
        out.u8(static_cast<std::uint8_t>(message.introductions.size()));
        for (const auto& it : message.introductions) {
            out.bytes(it.key.bytes).u16(it.rtt_ms);
            put(out, it.place);
        }
    }
    return out.take();
}

// --- parsing ---

static std::unexpected<Error> malformed(std::string_view how) {
    return fail(ErrorCode::InvalidData, std::string("link message ").append(how));
}

static Result<std::optional<Endpoint>> read_endpoint(ByteReader& in) {
    const std::uint8_t family = in.u8();
    if (family == 0) return std::optional<Endpoint>{};
    if (family != 4 && family != 6) return malformed("holds an address of no family");
    const auto address = IpAddress::from_bytes(in.take(family == 4 ? 4 : 16));
    const std::uint16_t port = in.u16();
    if (!in.ok()) return malformed("is cut off");
    if (!address || port == 0) return malformed("holds an endpoint that is none");
    return Endpoint{*address, port};
}

static Coordinate read_coordinate(ByteReader& in) {
    Coordinate place;
    for (std::int16_t& axis : place.position) axis = static_cast<std::int16_t>(in.u16());
    place.height = in.u16();
    place.error = in.u16();
    return place;
}

static Result<Standing> read_standing(ByteReader& in) {
    Standing standing;
    const std::size_t candidates = in.u8();
    if (candidates > candidates_limit) return malformed("holds too many candidates");
    for (std::size_t i = 0; i < candidates; ++i) {
        const auto candidate = TRY(read_endpoint(in));
        if (!candidate) return malformed("holds a candidate that is none");
        standing.candidates.push_back(*candidate);
    }
    const std::uint8_t how = in.u8();
    standing.sleeps = (how & sleeps_bit) != 0;
    const auto nat = static_cast<std::uint8_t>(how & ~sleeps_bit);
    if (nat > static_cast<std::uint8_t>(Nat::Symmetric)) return malformed("names an unknown NAT");
    standing.nat = static_cast<Nat>(nat);
    standing.links = in.u16();
    standing.room = in.u16();
    standing.place = read_coordinate(in);
    return standing;
}

static Result<std::vector<Introduction>> read_introductions(ByteReader& in) {
    std::vector<Introduction> introductions;
    const std::size_t count = in.u8();
    if (count > introductions_limit) return malformed("introduces too many");
    for (std::size_t i = 0; i < count; ++i) {
        const auto key = PublicKey::from_bytes(in.take(key_size));
        const std::uint16_t rtt_ms = in.u16();
        const Coordinate place = read_coordinate(in);
        if (!in.ok()) return malformed("is cut off");
        if (!key) return malformed("introduces a key that is none");
        introductions.push_back({*key, rtt_ms, place});
    }
    return introductions;
}

static Status read_refusal(ByteReader& in, LinkMessage& message) {
    const std::uint8_t reason = in.u8();
    message.retry_after_s = in.u16();
    if (reason < static_cast<std::uint8_t>(RefuseReason::Full) ||
        reason > static_cast<std::uint8_t>(RefuseReason::Unwilling))
        return malformed("refuses for an unknown reason");
    message.refusal = static_cast<RefuseReason>(reason);
    return {};
}

static Result<bool> read_flag(ByteReader& in) {
    const std::uint8_t flag = in.u8();
    if (flag > 1) return malformed("holds a flag that is none");
    return flag == 1;
}

static Result<Bytes> read_attestation(ByteReader& in) {
    const std::size_t size = in.u8();
    if (size > attestation_size) return malformed("holds too large an attestation");
    const ByteView bytes = in.take(size);
    return Bytes(bytes.begin(), bytes.end());
}

Result<LinkMessage> parse_link_message(ByteView bytes) {
    if (bytes.size() > body_size_limit) return malformed("is too large");
    ByteReader in(bytes);
    const std::uint8_t number = in.u8();
    if (number < static_cast<std::uint8_t>(LinkVerb::Hello) ||
        number > static_cast<std::uint8_t>(LinkVerb::Echo))
        return malformed("has an unknown verb");
    const auto verb = static_cast<LinkVerb>(number);
    LinkMessage message{.verb = verb, .nonce = in.u64()};
    if (verb == LinkVerb::Accept) message.confirm = in.u64();
    if (verb == LinkVerb::Refuse) TRY(read_refusal(in, message));
    if (has_flag(verb)) message.linked = TRY(read_flag(in));
    if (has_standing(verb)) message.standing = TRY(read_standing(in));
    if (has_attestation(verb)) message.attestation = TRY(read_attestation(in));
    if (has_seen(verb)) message.seen = TRY(read_endpoint(in));
    if (verb == LinkVerb::Echo) message.introductions = TRY(read_introductions(in));
    if (!in.ok()) return malformed("is cut off");
    if (in.left() > 0) return malformed("has bytes after its last field");
    return message;
}

}  // namespace fortros::mesh
