// The part of the store that follows what others commit: the watch, and the probe beside it.
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>

#include "gateway/etcd_store.h"
#include "os/loop.h"

namespace fortros::gateway {

static constexpr Duration probe_interval = 2s;
static constexpr Duration probe_limit = 2s;
// The watch has so long to bring what a probe has seen.
static constexpr Duration watch_lag = 1s;

// --- the watch ---

void EtcdStore::end_watch() {
    m_watch.reset();
    m_mirror.forget_incomplete();
}

Status EtcdStore::advance_watch() {
    if (!m_is_loaded) TRY(load());
    if (!m_watch) {
        m_watch = TRY(m_client->connect());
        m_watch->ask(etcd_watch_target,
                     watch_request(m_state, etcd_prefix_end(m_state), m_mirror.revision() + 1));
    }
    auto status = m_watch->advance();
    if (status || m_watch->answer().status() == 200)
        if (auto read = read_watch(); !read) status = read;
    if (!status || m_watch->is_answered() || !m_is_loaded) end_watch();
    if (m_watch) listen_to(m_watch.get(), EPOLL_CTL_ADD);
    if (status && !m_is_loaded) return load();
    return status;
}

Status EtcdStore::read_watch() {
    auto& answer = m_watch->answer();
    if (answer.status() != 0 && answer.status() != 200)
        return answer.is_whole() ? outcome_of(*m_watch).transform([](const auto&) {}) : Status();
    while (const auto line = answer.take_line()) {
        auto news = parse_etcd_news(*line);
        if (!news) return std::unexpected(std::move(news).error());
        for (auto& change : news->changes) {
            const auto complete = m_mirror.take(std::move(change));
            // What the mirror can't take it may be able to read: if not, that says why.
            if (!complete) m_is_loaded = false;
            if (!complete) return std::unexpected(complete.error());
            m_has_changed = m_has_changed || *complete;
        }
        if (news->compacted != 0) {
            m_is_loaded = false;
            return {};
        }
        if (news->has_ended) return fail(ErrorCode::Unreachable, "etcd has ended the watch");
    }
    return {};
}

// --- the probe ---

// Asks a majority where the head is, without waiting for the answer.
Status EtcdStore::advance_probe(Instant now) {
    if (!m_is_probing) {
        if (!m_is_lost && now - std::max(m_probe_begun, m_confirmed) < probe_interval) return {};
        m_probe_begun = now;
        if (!m_probe) m_probe = TRY(m_client->connect());
        m_probe->ask(etcd_range_target,
                     to_json_text(EtcdRange{.key = m_state + std::string(etcd_head_name)}));
        m_is_probing = true;
    }
    auto status = m_probe->advance();
    if (status && !m_probe->is_answered() && now - m_probe_begun < probe_limit) {
        listen_to(m_probe.get(), EPOLL_CTL_ADD);
        return {};
    }
    listen_to(m_probe.get(), EPOLL_CTL_DEL);
    m_is_probing = false;
    const auto connection = std::exchange(m_probe, nullptr);
    TRY(std::move(status));
    if (!connection->is_answered())
        return fail(ErrorCode::Busy, "no majority of etcd's members answers");
    const auto answer = TRY(parse_etcd_range(TRY(outcome_of(*connection))));
    m_is_lost = false;
    if (answer.values.empty()) return load();
    m_probed = answer.values.front().revision;
    m_probed_at = m_probe_begun;
    return {};
}

// --- both ---

Result<int> EtcdStore::follow() {
    m_ready = Fd(::epoll_create1(EPOLL_CLOEXEC));
    if (!m_ready.valid()) return fail_errno(errno, "cannot watch etcd");
    begin();
    if (auto status = advance_watch(); !status && !may_pass(status.error().code))
        return std::unexpected(std::move(status).error());
    return m_ready.get();
}

// It is fine for it to be there already, or gone.
void EtcdStore::listen_to(const EtcdConnection* connection, int op) const {
    if (!m_ready.valid()) return;
    epoll_event event{.events = static_cast<std::uint32_t>(connection->events()), .data = {}};
    if (::epoll_ctl(m_ready.get(), op, connection->fd(), &event) < 0 && errno == EEXIST)
        ::epoll_ctl(m_ready.get(), EPOLL_CTL_MOD, connection->fd(), &event);
}

Result<bool> EtcdStore::changed() {
    begin();
    const Instant now = monotonic_now();
    auto status = m_is_loaded || !m_is_lost ? advance_watch() : Status();
    if (auto probed = advance_probe(now); !probed) status = std::move(probed);
    if (m_probed != 0 && m_probed <= m_mirror.revision()) {
        m_confirmed = std::max(m_confirmed, m_probed_at);
    } else if (m_probed != 0 && now - m_probed_at > watch_lag) {
        // It begins at another member at the next call, and has until the next probe.
        end_watch();
        m_probed = 0;
    }
    if (std::exchange(m_has_changed, false)) return true;
    if (!status) return std::unexpected(std::move(status).error());
    return false;
}

}  // namespace fortros::gateway
