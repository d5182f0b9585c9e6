// Asks an etcd cluster and waits for its answer, never longer than it is told: one member after the
// other, while one is down, slow or without a leader. What is asked may be done more than once, or
// done and its answer lost: it must be such that this does no harm.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "gateway/etcd_connection.h"
#include "gateway/etcd_messages.h"

namespace fortros::gateway {

class EtcdClient {
public:
    static Result<std::unique_ptr<EtcdClient>> create(EtcdSettings settings);

    // The body of a 200. Busy when nobody could say within the limit, and then it is not known
    // whether it was done; otherwise as etcd_refusal() says.
    Result<std::string> call(std::string_view target, std::string_view body, Duration limit);

    // A connection of its own to the next member, for what the caller waits for himself.
    Result<std::unique_ptr<EtcdConnection>> connect();

private:
    EtcdClient(EtcdSettings settings, OpenSsl<SSL_CTX> tls)
        : m_settings(std::move(settings)), m_tls(std::move(tls)) {}

    Result<std::string> try_one(std::string_view target, std::string_view body, Instant end);

    EtcdSettings m_settings;
    OpenSsl<SSL_CTX> m_tls;
    std::size_t m_next = 0;  // endpoint
    std::unique_ptr<EtcdConnection> m_connection{};
};

// Whether the same member may do it when it is asked again, or another one.
bool may_pass(ErrorCode code);

// What has come of a request: the body of a 200, or why there is none.
Result<std::string> outcome_of(EtcdConnection& connection);

// Waits until the connection can go on, or the time is over; never less than a millisecond.
void wait_for(const EtcdConnection& connection, Instant end);

}  // namespace fortros::gateway
