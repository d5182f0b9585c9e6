// Keeps the mirror of the registry in etcd in step, and commits what was decided by it: a commit is
// one transaction that is done only if nothing has changed since. It knows how changes travel, and
// nothing of what they mean.
//
//   watch ──▶ mirror ◀── own commits          what a majority has, within milliseconds
//   probe ──▶ "the head is at revision R"     every few seconds: the mirror was whole at that time
//
// Whoever decides asks is_current() or commits; whoever serves a known node is content with
// require_recent(). A watch that lags behind what a probe has seen is taken elsewhere.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/audit_chain.h"
#include "gateway/etcd_client.h"
#include "gateway/etcd_mirror.h"
#include "os/fd.h"
#include "os/random.h"

namespace fortros::gateway {

// How old the mirror may be when it is answered from: so long after it was acknowledged a revocation
// may be unknown to a gateway that is cut off from etcd, and not longer.
inline constexpr Duration mirror_trust = 15s;

// What one transaction is to change.
class EtcdChange {
public:
    explicit EtcdChange(EtcdHead before) : head(std::move(before)) {}

    EtcdHead head;  // to be counted up by whoever changes something

    void put(std::string name, std::string value) {
        m_writes.push_back({std::move(name), std::move(value)});
    }
    void erase(std::string name) { m_writes.push_back({std::move(name), std::nullopt}); }
    void note(AuditEntry entry) {
        entry.number = ++head.audit.number;
        entry = as_kept(entry);
        head.audit.hash = hash_of(head.audit.hash, entry);
        m_audit.push_back({.entry = std::move(entry), .hash = head.audit.hash});
    }

    bool is_empty() const { return m_writes.empty() && m_audit.empty(); }
    const std::vector<EtcdTransaction::Write>& writes() const { return m_writes; }
    const std::vector<EtcdAuditEntry>& audit() const { return m_audit; }

private:
    std::vector<EtcdTransaction::Write> m_writes;
    std::vector<EtcdAuditEntry> m_audit;
};

class EtcdStore {
public:
    // `limit`: how long one operation waits for etcd. Reads everything, and writes the first head where
    // there is none.
    static Result<std::unique_ptr<EtcdStore>> open(const EtcdSettings& settings,
                                                   const OrgPrefix& org, Duration limit);

    const EtcdMirror& mirror() const { return m_mirror; }

    // Before each operation, whatever calls it is made of: its time runs from now.
    void begin();
    bool has_time() const;

    // Busy unless the mirror was whole not longer than mirror_trust ago.
    Status require_recent();
    // Whether nothing has been committed that the mirror did not have. It has it now.
    Result<bool> is_current();

    enum class Commit { Done, Conflict };
    // Conflict: something else was committed before; the mirror has it now. After Busy it may have
    // been done or not: who decides again by the mirror of a later call finds out.
    Result<Commit> commit(EtcdChange change);

    // The newest entries of the audit log, oldest first.
    Result<std::vector<AuditEntry>> audit(std::size_t limit);
    // A page of what is there behind `number`, gaps and all.
    Result<std::vector<AuditLink>> audit_after(std::uint64_t number, std::size_t limit);

    // Once for a long life: from now on changed() will be called now and then, and when this can be
    // read; a majority that is lost is then looked for beside the calls and not by each of them.
    Result<int> follow();
    // Takes what is there, without waiting. Whether somebody else has committed since the last call.
    Result<bool> changed();

private:
    EtcdStore(std::unique_ptr<EtcdClient> client, std::string state, std::string audit,
              Duration limit)
        : m_client(std::move(client)),
          m_state(std::move(state)),
          m_audit(std::move(audit)),
          m_limit(limit),
          m_mirror(m_state) {}

    Result<std::string> call(std::string_view target, std::string_view body);
    Status load();
    Result<std::vector<EtcdKeyValue>> snapshot(Instant end);
    Status found();
    Status catch_up(EtcdRevision revision);
    EtcdTransaction transaction_of(const EtcdChange& change) const;
    Status settle(const EtcdChange& change, EtcdRevision revision, Instant begun);

    // etcd_follow.cc
    Status advance_watch();
    Status read_watch();
    void end_watch();
    Status advance_probe(Instant now);
    void listen_to(const EtcdConnection* connection, int op) const;

    std::unique_ptr<EtcdClient> m_client;
    std::string m_state;  // folders
    std::string m_audit;
    Duration m_limit;
    Instant m_end{};  // of the operation
    KernelRandom m_random;

    EtcdMirror m_mirror;
    bool m_is_loaded = false;
    Instant m_confirmed{};       // when the mirror was whole, by the word of a majority
    bool m_is_lost = false;      // the last call has found no majority
    bool m_has_changed = false;  // by somebody else

    std::unique_ptr<EtcdConnection> m_watch{};
    std::unique_ptr<EtcdConnection> m_probe{};
    bool m_is_probing = false;
    Instant m_probe_begun{};
    EtcdRevision m_probed{};  // of the head, when the last probe that was answered began
    Instant m_probed_at{};
    Fd m_ready;  // an epoll of both, once somebody follows
};

}  // namespace fortros::gateway
