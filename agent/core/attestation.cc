#include "core/attestation.h"

namespace fortros {

static constexpr std::string_view magic = "fortros/attestation/v1";
static_assert(attestation_size == magic.size() + 6 + key_size + 1 + 8 + 8 + 8 + 64);

// 9999-12-31T23:59:59Z: what X.509 uses for "for ever". Later times only overflow somebody.
static constexpr std::uint64_t latest_time = 253402300799;

std::string_view name_of(Role role) {
    switch (role) {
        case Role::Node: return "node";
        case Role::Lighthouse: return "lighthouse";
        case Role::Gateway: return "gateway";
    }
    return "node";
}

std::optional<Role> role_from(std::string_view name) {
    for (Role role : {Role::Node, Role::Lighthouse, Role::Gateway})
        if (name == name_of(role)) return role;
    return std::nullopt;
}

Bytes attestation_bytes_to_sign(const Attestation& attestation) {
    ByteWriter out;
    out.text(magic)
        .bytes(attestation.prefix.bytes)
        .bytes(attestation.node.bytes)
        .u8(static_cast<std::uint8_t>(attestation.role))
        .u64(attestation.serial)
        .u64(static_cast<std::uint64_t>(attestation.not_after.time_since_epoch().count()))
        .bytes(attestation.signer);
    return out.take();
}

Result<Attestation> parse_attestation(ByteView bytes) {
    if (bytes.size() != attestation_size)
        return fail(ErrorCode::InvalidData, "attestation has a wrong size");
    ByteReader in(bytes);
    if (as_text(in.take(magic.size())) != magic)
        return fail(ErrorCode::InvalidData, "attestation has an unknown format");
    auto prefix = OrgPrefix::from_bytes(in.take(6));
    auto node = PublicKey::from_bytes(in.take(key_size));
    const std::uint8_t role = in.u8();
    const std::uint64_t serial = in.u64();
    const std::uint64_t not_after = in.u64();
    const auto signer = in.array<8>();
    if (!prefix || !node || role < static_cast<std::uint8_t>(Role::Node) ||
        role > static_cast<std::uint8_t>(Role::Gateway) || not_after > latest_time)
        return fail(ErrorCode::InvalidData, "attestation has a field that cannot be");
    return Attestation{
        *prefix, *node, static_cast<Role>(role), serial, WallTime{std::chrono::seconds{not_after}},
        signer};
}

Result<Attestation> check_attestation(ByteView bytes, const std::vector<Signer>& signers,
                                      const OrgPrefix& prefix, WallTime now) {
    const auto attestation = TRY(parse_attestation(bytes));
    if (attestation.prefix != prefix)
        return fail(ErrorCode::Untrusted, "attestation is for another organisation's prefix");
    TRY(check_signature("attestation", bytes, attestation.signer, signers, now));
    if (now > attestation.not_after)
        return fail(ErrorCode::Untrusted,
                    "attestation expired at " + to_rfc3339(attestation.not_after));
    return attestation;
}

}  // namespace fortros
