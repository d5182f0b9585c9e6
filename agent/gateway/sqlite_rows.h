// The rows of the registry's tables as values: which columns are read, in which order, and what they
// mean. It reads a row that somebody else has asked for, and asks for none itself.
#pragma once

#include <string_view>

#include "gateway/registry.h"
#include "gateway/sqlite.h"

namespace fortros::gateway {

// What stands behind SELECT. Those of an invite need the time as ?1: a use is reserved for a while.
#define NODE_COLUMNS                                                                         \
    "key, overlay_address, role, hostname, invite, enrolled, revoked, retired, key_shared, " \
    "serial, attested_until, revision, endpoints"
#define INVITE_COLUMNS                                                                         \
    "id, uses, used, (SELECT count(*) FROM waiting WHERE invite = invites.id AND rejected IS " \
    "NULL AND waiting.expires > ?1), approval, role, hostname, created, expires, revoked"
#define WAITING_COLUMNS \
    "key, overlay_address, invite, hostname, came_from, since, expires, rejected"
#define AUDIT_COLUMNS "number, time, event, actor, node, invite, detail"

Result<NodeRecord> node_from(const Query& row);
Result<InviteRecord> invite_from(const Query& row);
Result<WaitingRecord> waiting_from(const Query& row);
AuditEntry audit_from(const Query& row);
std::optional<AuditHash> audit_hash_at(const Query& row, int column);

WallTime time_of(std::int64_t seconds);
// The first column of the first row.
Result<std::int64_t> number_at(Result<Query> query);

// InvalidData: what a sound registry cannot hold.
std::unexpected<Error> damaged(std::string_view what);

}  // namespace fortros::gateway
