#include "gateway/sqlite_rows.h"

#include <algorithm>

namespace fortros::gateway {

std::unexpected<Error> damaged(std::string_view what) {
    return fail(ErrorCode::InvalidData, "the registry is damaged: " + std::string(what));
}

WallTime time_of(std::int64_t seconds) { return WallTime{std::chrono::seconds{seconds}}; }

static std::optional<WallTime> time_at(const Query& row, int column) {
    if (row.is_null(column)) return std::nullopt;
    return time_of(row.integer(column));
}

static Result<Role> role_at(const Query& row, int column) {
    const auto role = static_cast<Role>(row.integer(column));
    if (name_of(role) == name_of(Role::Node) && role != Role::Node)
        return damaged("a role that does not exist");
    return role;
}

Result<NodeRecord> node_from(const Query& row) {
    const auto key = PublicKey::from_bytes(row.blob(0));
    const auto address = IpAddress::from_bytes(row.blob(1));
    if (!key || !address) return damaged("a node without a key or an address");
    auto endpoints = endpoints_from(row.text(12));
    if (!endpoints) return damaged("a node with endpoints that are none");
    return NodeRecord{
        .key = *key,
        .overlay_address = *address,
        .role = TRY(role_at(row, 2)),
        .hostname = std::string(row.text(3)),
        .endpoints = std::move(*endpoints),
        .invite = std::string(row.text(4)),
        .enrolled = time_of(row.integer(5)),
        .revoked = time_at(row, 6),
        .retired = time_at(row, 7),
        .key_shared = time_at(row, 8),
        .serial = static_cast<std::uint64_t>(row.integer(9)),
        .attested_until = time_of(row.integer(10)),
        .revision = static_cast<std::uint64_t>(row.integer(11)),
    };
}

Result<InviteRecord> invite_from(const Query& row) {
    const Role role = TRY(role_at(row, 5));
    return InviteRecord{
        .id = std::string(row.text(0)),
        .uses = static_cast<std::uint32_t>(row.integer(1)),
        .used = static_cast<std::uint32_t>(row.integer(2)),
        .waiting = static_cast<std::uint32_t>(row.integer(3)),
        .approval = row.integer(4) == 0 ? Approval::NotNeeded : Approval::Needed,
        .role = role,
        .hostname = std::string(row.text(6)),
        .created = time_of(row.integer(7)),
        .expires = time_of(row.integer(8)),
        .revoked = time_at(row, 9),
    };
}

Result<WaitingRecord> waiting_from(const Query& row) {
    const auto key = PublicKey::from_bytes(row.blob(0));
    const auto address = IpAddress::from_bytes(row.blob(1));
    if (!key || !address) return damaged("a waiting node without a key or an address");
    return WaitingRecord{
        .key = *key,
        .overlay_address = *address,
        .invite = std::string(row.text(2)),
        .hostname = std::string(row.text(3)),
        .from = std::string(row.text(4)),
        .since = time_of(row.integer(5)),
        .expires = time_of(row.integer(6)),
        .rejected = time_at(row, 7),
    };
}

AuditEntry audit_from(const Query& row) {
    return AuditEntry{
        .number = static_cast<std::uint64_t>(row.integer(0)),
        .time = time_of(row.integer(1)),
        .event = std::string(row.text(2)),
        .actor = std::string(row.text(3)),
        .node = PublicKey::from_bytes(row.blob(4)),
        .invite = std::string(row.text(5)),
        .detail = std::string(row.text(6)),
    };
}

std::optional<AuditHash> audit_hash_at(const Query& row, int column) {
    const ByteView bytes = row.blob(column);
    AuditHash hash{};
    if (bytes.size() != hash.size()) return std::nullopt;
    std::ranges::copy(bytes, hash.begin());
    return hash;
}

Result<std::int64_t> number_at(Result<Query> query) {
    auto row = TRY(std::move(query));
    if (!TRY(row.next())) return damaged("a number is missing");
    return row.integer(0);
}

}  // namespace fortros::gateway
