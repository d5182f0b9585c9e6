// One connection to a member of an etcd cluster: TCP, TLS 1.3 where the settings say so, and one
// HTTP request after the other. It never waits: it says what to wait for. What it is asked and
// answered means nothing to it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gateway/etcd_answer_reader.h"
#include "gateway/etcd_settings.h"
#include "gateway/openssl.h"
#include "gateway/tls_session.h"
#include "os/fd.h"

namespace fortros::gateway {

// TLS 1.3 towards servers that the CA of the settings vouches for, with the client's certificate
// where one is set. Null if no endpoint needs TLS.
Result<OpenSsl<SSL_CTX>> make_etcd_tls_context(const EtcdSettings& settings);

class EtcdConnection {
public:
    // Begins to connect. `tls` is borrowed and needed if the endpoint is one for TLS.
    static Result<std::unique_ptr<EtcdConnection>> open(const EtcdEndpoint& endpoint, SSL_CTX* tls);

    // Queues a POST. The answer to the one before must be whole, and its connection kept.
    void ask(std::string_view target, std::string_view body);

    // Goes as far as it can without waiting. An error ends the connection: Unreachable, Untrusted,
    // InvalidData.
    Status advance();

    int fd() const { return m_socket.get(); }
    // What to wait for before the next advance(): POLLIN or POLLOUT.
    short events() const { return m_events; }

    bool is_answered() const { return m_answer && m_answer->is_whole(); }
    bool is_reusable() const { return is_answered() && m_answer->keeps_alive(); }
    EtcdAnswerReader& answer() { return *m_answer; }
    const EtcdEndpoint& endpoint() const { return m_endpoint; }

private:
    enum class Phase { Connecting, Handshaking, Open };

    EtcdConnection(const EtcdEndpoint& endpoint, Fd socket, std::optional<TlsSession> tls)
        : m_endpoint(endpoint), m_socket(std::move(socket)), m_tls(std::move(tls)) {}

    // Done, or what to wait for is in m_events.
    Result<bool> connect();
    Result<bool> shake_hands();
    Result<bool> send_some();
    Result<bool> receive_some();
    Result<bool> outcome_of(TlsSession::Step step);
    std::unexpected<Error> lost(std::string_view how) const;

    EtcdEndpoint m_endpoint;
    Fd m_socket;
    std::optional<TlsSession> m_tls;
    Phase m_phase = Phase::Connecting;
    short m_events = 0;
    std::string m_out{};  // not sent yet
    std::unique_ptr<EtcdAnswerReader> m_answer{};
};

}  // namespace fortros::gateway
