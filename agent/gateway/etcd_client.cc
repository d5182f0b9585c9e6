#include "gateway/etcd_client.h"

#include <poll.h>

#include <algorithm>

#include "os/loop.h"
#include "os/random.h"

namespace fortros::gateway {

// A member that is cut off, or frozen, does not use up the time that the others would need.
static constexpr Duration try_limit = 1500ms;
// Before a cluster that has just said no is asked again.
static constexpr Duration shortest_pause = 10ms;
static constexpr Duration longest_pause = 80ms;

Result<std::unique_ptr<EtcdClient>> EtcdClient::create(EtcdSettings settings) {
    ASSERT(!settings.endpoints.empty());
    auto tls = TRY(make_etcd_tls_context(settings));
    std::unique_ptr<EtcdClient> client(new EtcdClient(std::move(settings), std::move(tls)));
    // Not all gateways at the same member.
    KernelRandom random;
    client->m_next = random.below(client->m_settings.endpoints.size());
    return client;
}

Result<std::unique_ptr<EtcdConnection>> EtcdClient::connect() {
    const auto& endpoints = m_settings.endpoints;
    return EtcdConnection::open(endpoints[m_next++ % endpoints.size()], m_tls.get());
}

Result<std::string> outcome_of(EtcdConnection& connection) {
    const auto& answer = connection.answer();
    if (answer.status() == 200) return answer.body();
    return std::unexpected(
        etcd_refusal(answer.status(), answer.body()).in("etcd at " + connection.endpoint().text()));
}

void wait_for(const EtcdConnection& connection, Instant end) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - monotonic_now());
    pollfd ready{.fd = connection.fd(), .events = connection.events(), .revents = 0};
    ::poll(&ready, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 1)));
}

Result<std::string> EtcdClient::try_one(std::string_view target, std::string_view body,
                                        Instant end) {
    if (!m_connection) m_connection = TRY(connect());
    m_connection->ask(target, body);
    TRY(m_connection->advance());
    while (!m_connection->is_answered()) {
        if (monotonic_now() >= end)
            return fail(ErrorCode::Timeout,
                        "etcd at " + m_connection->endpoint().text() + " did not answer in time");
        wait_for(*m_connection, end);
        TRY(m_connection->advance());
    }
    auto outcome = outcome_of(*m_connection);
    if (!m_connection->is_reusable()) m_connection.reset();
    return outcome;
}

bool may_pass(ErrorCode code) {
    return code == ErrorCode::Busy || code == ErrorCode::Timeout || code == ErrorCode::Unreachable;
}

Result<std::string> EtcdClient::call(std::string_view target, std::string_view body,
                                     Duration limit) {
    KernelRandom random;
    const Instant end = monotonic_now() + limit;
    for (std::size_t tries = 1;; ++tries) {
        auto answer = try_one(target, body, std::min(end, monotonic_now() + try_limit));
        if (answer) return answer;
        m_connection.reset();
        const Error& error = answer.error();
        if (!may_pass(error.code) && tries >= m_settings.endpoints.size()) return answer;
        if (monotonic_now() >= end)
            return fail(ErrorCode::Busy, "etcd could not serve this in time", error.text());
        const auto pause = shortest_pause + (longest_pause - shortest_pause) * random.unit();
        ::poll(nullptr, 0,
               static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(pause).count()));
    }
}

}  // namespace fortros::gateway
