#include "core/org_document.h"

#include <algorithm>

#include "core/address.h"

namespace fortros {

static constexpr std::string_view magic = "fortros/org-document/v1";
static constexpr std::size_t signature_size = sizeof(crypto::Signature);
static_assert(magic.size() == 23);

// 9999-12-31T23:59:59Z, as in attestations.
static constexpr std::uint64_t latest_time = 253402300799;

bool revokes(const OrgDocument& document, const PublicKey& node) {
    return std::ranges::contains(document.revoked, node);
}

Bytes document_bytes_to_sign(const OrgDocument& document) {
    ASSERT(document.domain.size() <= document_domain_limit);
    ASSERT(document.revoked.size() <= document_revoked_limit);
    ByteWriter out;
    out.text(magic)
        .bytes(document.prefix.bytes)
        .u64(document.serial)
        .u64(static_cast<std::uint64_t>(document.signers_since.time_since_epoch().count()))
        .u8(document.sources ? document.sources->bits() : std::uint8_t{0})
        .u64(document.revocation_number)
        .bytes(document.signer)
        .u8(static_cast<std::uint8_t>(document.domain.size()))
        .text(document.domain)
        .u16(static_cast<std::uint16_t>(document.revoked.size()));
    for (const auto& key : document.revoked) out.bytes(key.bytes);
    return out.take();
}

static std::unexpected<Error> malformed(std::string_view how) {
    return fail(ErrorCode::InvalidData, std::string("org document ").append(how));
}

static Result<std::vector<PublicKey>> read_keys(ByteReader& in) {
    const std::size_t count = in.u16();
    if (count > document_revoked_limit) return malformed("revokes too many");
    std::vector<PublicKey> keys;
    for (std::size_t i = 0; i < count; ++i) {
        const auto key = PublicKey::from_bytes(in.take(key_size));
        if (!in.ok()) return malformed("is cut off");
        if (!key) return malformed("revokes a key that is none");
        keys.push_back(*key);
    }
    return keys;
}

Result<OrgDocument> parse_org_document(ByteView bytes) {
    if (bytes.size() > document_size_limit) return malformed("is too large");
    if (!as_text(bytes).starts_with(magic)) return malformed("has an unknown format");
    if (bytes.size() < magic.size() + signature_size) return malformed("is cut off");
    ByteReader in(bytes.subspan(magic.size(), bytes.size() - magic.size() - signature_size));
    const auto prefix = OrgPrefix::from_bytes(in.take(6));
    OrgDocument document{.prefix = {}, .serial = in.u64()};
    const std::uint64_t since = in.u64();
    const std::uint8_t sources = in.u8();
    document.revocation_number = in.u64();
    document.signer = in.array<8>();
    document.domain = as_text(in.take(in.u8()));
    document.revoked = TRY(read_keys(in));
    if (!in.ok()) return malformed("is cut off");
    if (in.left() > 0) return malformed("has bytes after its last key");
    if (sources != 0) document.sources = SourceSet::from_bits(sources);
    const bool is_named =
        document.domain.empty() || parse_host_name(document.domain) == document.domain;
    if (!prefix || since > latest_time || !is_named || (sources != 0 && !document.sources))
        return malformed("has a field that cannot be");
    document.prefix = *prefix;
    document.signers_since = WallTime{std::chrono::seconds{since}};
    return document;
}

Result<OrgDocument> check_org_document(ByteView bytes, const std::vector<Signer>& signers,
                                       WallTime now) {
    auto document = TRY(parse_org_document(bytes));
    TRY(check_signature("org document", bytes, document.signer, signers, now));
    const auto signer = std::ranges::find(signers, document.signer, &Signer::id);
    if (signer->not_before < document.signers_since)
        return fail(ErrorCode::Untrusted, "org document is by a signer that it disowns itself");
    return document;
}

}  // namespace fortros
