#include "gateway/etcd_store.h"

#include <poll.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/text.h"
#include "os/loop.h"

namespace fortros::gateway {

static constexpr std::int64_t page_keys = 500;
static constexpr unsigned snapshot_tries = 3;
// A watch that brings nothing for so long, though there is something, is asked elsewhere.
static constexpr Duration watch_patience = 700ms;
static constexpr Duration longest_load = 30s;  // half of what a watchdog waits
static constexpr int reconnect_pause_ms = 20;
static constexpr std::size_t transaction_id_size = 12;

Result<std::unique_ptr<EtcdStore>> EtcdStore::open(const EtcdSettings& settings,
                                                   const OrgPrefix& org, Duration limit) {
    auto client = TRY(EtcdClient::create(settings));
    std::unique_ptr<EtcdStore> store(new EtcdStore(std::move(client),
                                                   etcd_state_folder(settings.prefix, org),
                                                   etcd_audit_folder(settings.prefix, org), limit));
    store->begin();
    TRY(store->load());
    if (store->mirror().revision() == 0) TRY(store->found());
    return store;
}

void EtcdStore::begin() { m_end = monotonic_now() + m_limit; }
bool EtcdStore::has_time() const { return monotonic_now() < m_end; }

// Once no majority was found, calls do not wait for one, each its own time: the probe finds it again.
Result<std::string> EtcdStore::call(std::string_view target, std::string_view body) {
    if (m_is_lost && m_ready.valid())
        return fail(ErrorCode::Busy, "no majority of etcd's members answers");
    auto answer = m_client->call(target, body, m_end - monotonic_now());
    m_is_lost = !answer && answer.error().code == ErrorCode::Busy;
    return answer;
}

// --- reading ---

Status EtcdStore::load() {
    end_watch();
    m_is_loaded = false;
    const EtcdRevision before = m_mirror.revision();
    const Instant begun = monotonic_now();
    for (unsigned tries = 1;; ++tries) {
        auto all = snapshot(begun + longest_load);
        if (!all && all.error().code == ErrorCode::NotFound && tries < snapshot_tries)
            continue;  // compacted away while it was read
        if (!all) return std::unexpected(std::move(all).error());
        TRY(m_mirror.load(*all));
        break;
    }
    m_is_loaded = true;
    m_has_changed = m_has_changed || (before != 0 && before != m_mirror.revision());
    m_confirmed = begun;
    return {};
}

// All pages as of the revision of the first one. Each has the time of an operation: a large registry over a
// slow line takes longer than that. Whoever serves meanwhile is not kept from it for too long.
Result<std::vector<EtcdKeyValue>> EtcdStore::snapshot(Instant end) {
    std::vector<EtcdKeyValue> all;
    EtcdRange range{.key = m_state, .end = etcd_prefix_end(m_state), .limit = page_keys};
    for (;;) {
        begin();
        if (m_ready.valid() && monotonic_now() >= end)
            return fail(ErrorCode::Busy, "etcd takes too long to tell everything");
        auto page = TRY(parse_etcd_range(TRY(call(etcd_range_target, to_json_text(range)))));
        if (range.revision == 0) range.revision = page.store_revision;
        std::ranges::move(page.values, std::back_inserter(all));
        if (!page.has_more) return all;
        if (all.back().key < range.key)
            return fail(ErrorCode::InvalidData, "etcd's pages go round in a circle");
        range.key = all.back().key + '\0';
    }
}

// Whoever comes second finds the first one's head.
Status EtcdStore::found() {
    EtcdHead head;
    head.transaction = "first";
    const EtcdTransaction transaction{
        .compares = {{m_state + std::string(etcd_head_name), 0}},
        .writes = {{m_state + std::string(etcd_head_name), to_json_text(head)}}};
    TRY(call(etcd_txn_target, to_json_text(transaction)));
    TRY(load());
    if (m_mirror.revision() == 0)
        return fail(ErrorCode::InvalidData, "etcd has forgotten what it was told just now");
    return {};
}

Status EtcdStore::require_recent() {
    if (!m_is_loaded) TRY(load());
    if (monotonic_now() - m_confirmed <= mirror_trust) return {};
    return is_current().transform([](bool) {});
}

Result<bool> EtcdStore::is_current() {
    if (!m_is_loaded) {
        TRY(load());
        return false;
    }
    const Instant begun = monotonic_now();
    const EtcdRange head{.key = m_state + std::string(etcd_head_name)};
    const auto answer = TRY(parse_etcd_range(TRY(call(etcd_range_target, to_json_text(head)))));
    const EtcdRevision revision = answer.values.empty() ? 0 : answer.values.front().revision;
    const bool is_current = revision == m_mirror.revision();
    if (revision > m_mirror.revision())
        TRY(catch_up(revision));
    else if (!is_current)
        TRY(load());  // a backup was restored under our feet
    m_confirmed = std::max(m_confirmed, begun);
    return is_current;
}

Status EtcdStore::catch_up(EtcdRevision revision) {
    Instant patience = monotonic_now() + watch_patience;
    while (m_mirror.revision() < revision) {
        const Instant now = monotonic_now();
        if (now >= m_end) {
            m_is_lost = true;  // the next calls need not wait as long
            return fail(ErrorCode::Busy, "etcd does not tell what has changed");
        }
        if (now >= patience) {
            end_watch();
            patience = now + watch_patience;
        }
        auto status = advance_watch();
        if (!status && !may_pass(status.error().code)) return status;
        if (m_mirror.revision() >= revision) break;
        if (m_watch)
            wait_for(*m_watch, std::min(m_end, patience));
        else
            ::poll(nullptr, 0, reconnect_pause_ms);
    }
    return {};
}

Result<std::vector<AuditEntry>> EtcdStore::audit(std::size_t limit) {
    TRY(is_current());
    std::vector<AuditEntry> entries;
    const std::uint64_t newest = m_mirror.head().audit.number;
    std::uint64_t next = newest - std::min<std::uint64_t>(newest, limit) + 1;
    EtcdRange range{.end = etcd_prefix_end(m_audit), .limit = page_keys};
    while (next <= newest) {
        range.key = m_audit + etcd_audit_name(next);
        const auto page = TRY(parse_etcd_range(TRY(call(etcd_range_target, to_json_text(range)))));
        for (const auto& row : page.values) {
            if (next > newest) break;  // written meanwhile
            if (row.key != m_audit + etcd_audit_name(next))
                return fail(ErrorCode::InvalidData,
                            "the audit log in etcd lacks the entry " + std::to_string(next));
            auto entry = TRY(parse_etcd_audit(row.value)).entry;
            entry.number = next++;
            entries.push_back(std::move(entry));
        }
        if (page.values.empty())
            return fail(ErrorCode::InvalidData,
                        "the audit log in etcd ends before the entry " + std::to_string(next));
    }
    return entries;
}

Result<std::vector<AuditLink>> EtcdStore::audit_after(std::uint64_t number, std::size_t limit) {
    const EtcdRange range{.key = m_audit + etcd_audit_name(number + 1),
                          .end = etcd_prefix_end(m_audit),
                          .limit = static_cast<std::int64_t>(limit)};
    const auto page = TRY(parse_etcd_range(TRY(call(etcd_range_target, to_json_text(range)))));
    std::vector<AuditLink> links;
    for (const auto& row : page.values) {
        const auto key = parse_number<std::uint64_t>(
            std::string_view(row.key).substr(std::min(m_audit.size(), row.key.size())));
        auto entry = parse_etcd_audit(row.value);
        // What is not even an entry fits nowhere.
        if (!entry) entry = EtcdAuditEntry{};
        entry->entry.number = key.value_or(0);
        links.push_back({std::move(entry->entry), entry->hash});
    }
    return links;
}

// --- writing ---

// All of our transactions compare and write the head, which would be enough among ourselves; each
// written key is compared as well, against hands that do not know of it.
EtcdTransaction EtcdStore::transaction_of(const EtcdChange& change) const {
    EtcdTransaction transaction;
    const std::string head = m_state + std::string(etcd_head_name);
    transaction.compares.push_back({head, m_mirror.revision()});
    transaction.reads.push_back(head);
    for (const auto& [name, value] : change.writes()) {
        if (value) transaction.compares.push_back({m_state + name, m_mirror.revision_of(name)});
        transaction.writes.push_back({m_state + name, value});
    }
    for (auto row : change.audit()) {
        const std::string key = m_audit + etcd_audit_name(row.entry.number);
        row.transaction = change.head.transaction;
        transaction.compares.push_back({key, 0});
        transaction.writes.push_back({key, to_json_text(row)});
    }
    if (!change.audit().empty())
        transaction.reads.push_back(m_audit + etcd_audit_name(change.audit().front().entry.number));
    transaction.writes.push_back({head, to_json_text(change.head)});
    return transaction;
}

Status EtcdStore::settle(const EtcdChange& change, EtcdRevision revision, Instant begun) {
    auto writes = change.writes();
    writes.push_back({std::string(etcd_head_name), to_json_text(change.head)});
    TRY(m_mirror.apply(writes, revision));
    m_confirmed = std::max(m_confirmed, begun);
    return {};
}

// The call may have been done and repeated, the repetition failing because of the first: then the
// head, or the audit log behind which others have written, names this very transaction.
Result<EtcdStore::Commit> EtcdStore::commit(EtcdChange change) {
    ASSERT(m_is_loaded);
    ByteArray<transaction_id_size> id;
    m_random.fill(id);
    change.head.transaction = to_hex(id);
    const EtcdTransaction transaction = transaction_of(change);
    const Instant begun = monotonic_now();
    const auto answer = TRY(parse_etcd_transaction(
        TRY(call(etcd_txn_target, to_json_text(transaction))), transaction.reads.size()));
    if (answer.done) {
        TRY(settle(change, answer.store_revision, begun));
        return Commit::Done;
    }
    const auto& head = answer.reads.front();
    if (!head || head->revision <= m_mirror.revision()) {
        TRY(load());  // somebody has written here by hand, or restored a backup
        return Commit::Conflict;
    }
    EtcdRevision done = 0;
    if (TRY(parse_etcd_head(head->value)).transaction == change.head.transaction)
        done = head->revision;
    else if (answer.reads.size() > 1 && answer.reads[1] &&
             TRY(parse_etcd_audit(answer.reads[1]->value)).transaction == change.head.transaction)
        done = answer.reads[1]->revision;
    if (done != 0) TRY(settle(change, done, begun));
    TRY(catch_up(head->revision));
    return done != 0 ? Commit::Done : Commit::Conflict;
}

}  // namespace fortros::gateway
