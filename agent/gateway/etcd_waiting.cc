// The part of the registry in etcd about invites and those who wait with them.
#include <algorithm>

#include "gateway/etcd_transact.h"

namespace fortros::gateway {

// Of one transaction: etcd takes 128 operations, and each of these is two.
static constexpr std::size_t expire_batch = 32;

static std::unexpected<Error> nobody_waits(const PublicKey& key) {
    return fail(ErrorCode::NotFound, "no node waits with the key " + key.base64());
}

// --- invites ---

Result<InviteRecord> EtcdRegistry::create_invite(const NewInvite& wanted, const Actor& actor,
                                                 WallTime now) {
    ASSERT(wanted.uses > 0);
    const EtcdInvite invite{.record = {.id = invite_id_of(wanted.hash),
                                       .uses = wanted.uses,
                                       .approval = wanted.approval,
                                       .role = wanted.role,
                                       .hostname = wanted.hostname,
                                       .created = now,
                                       .expires = wanted.expires},
                            .hash = wanted.hash};
    return transact<InviteRecord>([&](EtcdChange& change) -> Result<InviteRecord> {
        if (mirror().find_invite(invite.record.id) != nullptr)
            return fail(ErrorCode::Conflict, "there is an invite " + invite.record.id + " already");
        change.put(etcd_invite_name(invite.record.id), to_json_text(invite));
        change.note({.time = now,
                     .event = "invite-created",
                     .actor = actor,
                     .invite = invite.record.id,
                     .detail = description_of(invite.record)});
        return invite.record;
    });
}

Result<std::vector<InviteRecord>> EtcdRegistry::invites(WallTime now) {
    m_store->begin();
    TRY(m_store->require_recent());
    std::vector<InviteRecord> invites;
    for (const auto& [id, invite] : mirror().invites())
        invites.push_back(mirror().record_of(invite, now));
    std::ranges::stable_sort(invites, {}, &InviteRecord::created);
    return invites;
}

Result<InviteRecord> EtcdRegistry::revoke_invite(const std::string& id, const Actor& actor,
                                                 WallTime now) {
    return transact<InviteRecord>([&](EtcdChange& change) -> Result<InviteRecord> {
        const auto* found = mirror().find_invite(id);
        if (found == nullptr) return fail(ErrorCode::NotFound, "no invite has the id " + id);
        EtcdInvite invite = *found;
        if (invite.record.revoked) return mirror().record_of(invite, now);
        invite.record.revoked = now;
        change.put(etcd_invite_name(id), to_json_text(invite));
        change.erase(etcd_waiting_name(id));
        const auto waiting = mirror().record_of(invite, now).waiting;
        change.note({.time = now,
                     .event = "invite-revoked",
                     .actor = actor,
                     .invite = id,
                     .detail = "waiting=" + std::to_string(waiting)});
        return invite.record;
    });
}

// --- who waits ---

// In transactions of its own, so that it lasts when what follows is refused. Mostly there is nothing
// to do, and then nothing is asked or written.
Status EtcdRegistry::expire_waiting(WallTime now) {
    for (bool has_more = true; has_more;) {
        const auto has_expired = [&](const auto& entry) { return entry.second.expires <= now; };
        if (std::ranges::none_of(mirror().waiting(), has_expired)) return {};
        has_more = TRY(transact<bool>([&](EtcdChange& change) -> Result<bool> {
            std::size_t expired = 0;
            for (const auto& entry : mirror().waiting()) {
                if (!has_expired(entry)) continue;
                if (++expired > expire_batch) return true;
                const auto& node = entry.second;
                change.erase(etcd_waiting_name(node.invite, node.key));
                if (!node.rejected)
                    change.note(entry_about("waiting-expired", "gateway", node, now));
            }
            return false;
        }));
    }
    return {};
}

Decision EtcdRegistry::begin_waiting(EtcdChange& change, const Enrolment& enrolment,
                                     const EtcdInvite& invite, const Actor& actor,
                                     WallTime now) const {
    const auto* before = mirror().find_waiting(enrolment.key);  // with another invite
    const auto all = std::ranges::count_if(mirror().waiting(), [&](const auto& entry) {
        return !entry.second.rejected && entry.first != enrolment.key;
    });
    if (all >= waiting_limit || mirror().record_of(invite, now).waiting >= waiting_per_invite_limit)
        return RefusalCode::Busy;
    if (before != nullptr) change.erase(etcd_waiting_name(before->invite, before->key));
    const auto& given = invite.record;
    WaitingRecord node{
        .key = enrolment.key,
        .overlay_address = enrolment.overlay_address,
        .invite = given.id,
        .hostname = given.hostname.empty() ? enrolment.hostname : given.hostname,
        .from = actor,
        .since = now,
        .expires = now + std::chrono::duration_cast<std::chrono::seconds>(waiting_life),
    };
    change.put(etcd_waiting_name(node.invite, node.key), to_json_text(node));
    change.note(entry_about("waiting", actor, node, now));
    return Waiting{std::move(node), true};
}

Result<std::vector<WaitingRecord>> EtcdRegistry::waiting(WallTime now) {
    m_store->begin();
    TRY(m_store->require_recent());
    std::vector<WaitingRecord> nodes;
    for (const auto& [key, node] : mirror().waiting())
        if (node.expires > now) nodes.push_back(node);
    std::ranges::stable_sort(nodes, {}, &WaitingRecord::since);
    return nodes;
}

Result<NodeRecord> EtcdRegistry::approve(const PublicKey& key, const Actor& actor, WallTime now) {
    TRY(expire_waiting(now));
    return transact<NodeRecord>([&](EtcdChange& change) -> Result<NodeRecord> {
        const auto* waits = mirror().find_waiting(key);
        if (waits == nullptr) return nobody_waits(key);
        const auto* invite = mirror().find_invite(waits->invite);
        if (invite == nullptr)
            return fail(ErrorCode::InvalidData,
                        "the registry in etcd is damaged: a waiting node without its invite");
        const auto state = state_of(mirror().record_of(*invite, now), now);
        if (waits->rejected && state != InviteState::Open)
            return fail(ErrorCode::Conflict,
                        waits->overlay_address.text() + " was rejected, and its invite is " +
                            std::string(name_of(state)) + " since: the node needs another one");
        change.erase(etcd_waiting_name(waits->invite, key));
        // Who signs attestations is the gateway that serves: it renews this one when the node comes.
        const auto node = admit(change,
                                {.key = key,
                                 .overlay_address = waits->overlay_address,
                                 .hostname = waits->hostname,
                                 .attested_until = now},
                                *invite, now);
        change.note(entry_about("node-approved", actor, *waits, now));
        return node;
    });
}

Result<WaitingRecord> EtcdRegistry::reject(const PublicKey& key, const Actor& actor, WallTime now) {
    TRY(expire_waiting(now));
    return transact<WaitingRecord>([&](EtcdChange& change) -> Result<WaitingRecord> {
        const auto* found = mirror().find_waiting(key);
        if (found == nullptr) return nobody_waits(key);
        WaitingRecord waits = *found;
        if (waits.rejected) return waits;
        waits.rejected = now;
        waits.expires = now + std::chrono::duration_cast<std::chrono::seconds>(waiting_life);
        change.put(etcd_waiting_name(waits.invite, key), to_json_text(waits));
        change.note(entry_about("node-rejected", actor, waits, now));
        return waits;
    });
}

}  // namespace fortros::gateway
