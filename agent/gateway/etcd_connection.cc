#include "gateway/etcd_connection.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "os/tcp.h"

namespace fortros::gateway {

static constexpr std::size_t read_size = std::size_t{16} * 1024;

Result<OpenSsl<SSL_CTX>> make_etcd_tls_context(const EtcdSettings& settings) {
    bool needed = false;
    for (const auto& endpoint : settings.endpoints)
        needed = needed || endpoint.transport == EtcdTransport::Tls;
    if (!needed) return nullptr;
    OpenSsl<SSL_CTX> context(SSL_CTX_new(TLS_client_method()));
    if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) != 1)
        return fail_openssl(ErrorCode::Internal, "cannot set TLS up");
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_mode(context.get(),
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    auto* store = SSL_CTX_get_cert_store(context.get());
    for (const auto& ca : TRY(load_certificates(settings.ca)))
        if (X509_STORE_add_cert(store, ca.get()) != 1)
            return fail_openssl(ErrorCode::InvalidData, "'" + settings.ca + "' cannot be used");
    if (settings.certificate.empty()) return context;

    const auto chain = TRY(load_certificates(settings.certificate));
    const auto key = TRY(load_private_key(settings.certificate_key));
    if (SSL_CTX_use_certificate(context.get(), chain.front().get()) != 1 ||
        SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1)
        return fail_openssl(ErrorCode::InvalidData, "'" + settings.certificate + "' and '" +
                                                        settings.certificate_key +
                                                        "' cannot be used together");
    for (std::size_t i = 1; i < chain.size(); ++i)
        if (SSL_CTX_add1_chain_cert(context.get(), chain[i].get()) != 1)
            return fail_openssl(ErrorCode::InvalidData,
                                "'" + settings.certificate + "' cannot be used");
    return context;
}

Result<std::unique_ptr<EtcdConnection>> EtcdConnection::open(const EtcdEndpoint& endpoint,
                                                             SSL_CTX* tls) {
    auto socket = start_connecting(endpoint.endpoint, 0);
    if (!socket) return std::unexpected(std::move(socket).error().in("etcd at " + endpoint.text()));
    std::optional<TlsSession> session;
    if (endpoint.transport == EtcdTransport::Tls) {
        ASSERT(tls != nullptr);
        session = TRY(TlsSession::create_client(tls, socket->get(), endpoint.endpoint.address));
    }
    std::unique_ptr<EtcdConnection> connection(
        new EtcdConnection(endpoint, std::move(*socket), std::move(session)));
    connection->m_events = POLLOUT;
    return connection;
}

std::unexpected<Error> EtcdConnection::lost(std::string_view how) const {
    return fail(ErrorCode::Unreachable, "etcd at " + m_endpoint.text() + ": " + std::string(how));
}

void EtcdConnection::ask(std::string_view target, std::string_view body) {
    ASSERT(!m_answer || is_reusable());
    m_answer = std::make_unique<EtcdAnswerReader>();
    m_out = "POST " + std::string(target) + " HTTP/1.1\r\nHost: " + m_endpoint.endpoint.text() +
            "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
            "\r\n\r\n" + std::string(body);
    m_events = POLLOUT;
}

Status EtcdConnection::advance() {
    if (m_phase == Phase::Connecting && !TRY(connect())) return {};
    if (m_phase == Phase::Handshaking && !TRY(shake_hands())) return {};
    while (!m_out.empty())
        if (!TRY(send_some())) return {};
    while (!is_answered())
        if (!TRY(receive_some())) return {};
    m_events = POLLIN;
    return {};
}

Result<bool> EtcdConnection::connect() {
    pollfd ready{.fd = m_socket.get(), .events = POLLOUT, .revents = 0};
    m_events = POLLOUT;
    if (::poll(&ready, 1, 0) != 1) return false;
    if (auto status = finish_connecting(m_socket); !status)
        return std::unexpected(std::move(status).error().in("etcd at " + m_endpoint.text()));
    m_phase = m_tls ? Phase::Handshaking : Phase::Open;
    return true;
}

Result<bool> EtcdConnection::outcome_of(TlsSession::Step step) {
    switch (step) {
        case TlsSession::Step::Done: return true;
        case TlsSession::Step::WantRead: m_events = POLLIN; return false;
        case TlsSession::Step::WantWrite: m_events = POLLOUT; return false;
        case TlsSession::Step::Closed: return lost("it has closed the connection");
        case TlsSession::Step::Failed: break;
    }
    return fail(ErrorCode::Untrusted, "etcd at " + m_endpoint.text() + ": TLS failed",
                m_tls->why());
}

Result<bool> EtcdConnection::shake_hands() {
    if (!TRY(outcome_of(m_tls->handshake()))) return false;
    m_phase = Phase::Open;
    return true;
}

Result<bool> EtcdConnection::send_some() {
    std::size_t sent = 0;
    if (m_tls) {
        if (!TRY(outcome_of(m_tls->write(as_bytes(m_out), sent)))) return false;
    } else {
        const auto size = ::send(m_socket.get(), m_out.data(), m_out.size(), MSG_NOSIGNAL);
        m_events = POLLOUT;
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) return false;
        if (size < 0) return lost("it has closed the connection");
        sent = static_cast<std::size_t>(size);
    }
    m_out.erase(0, sent);
    return true;
}

Result<bool> EtcdConnection::receive_some() {
    std::array<std::uint8_t, read_size> buffer;
    std::size_t received = 0;
    if (m_tls) {
        if (!TRY(outcome_of(m_tls->read(buffer, received)))) return false;
    } else {
        const auto size = ::recv(m_socket.get(), buffer.data(), buffer.size(), 0);
        m_events = POLLIN;
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) return false;
        if (size <= 0) return lost("it has closed the connection");
        received = static_cast<std::size_t>(size);
    }
    if (auto status = m_answer->feed(ByteView(buffer).first(received)); !status)
        return std::unexpected(std::move(status).error().in("etcd at " + m_endpoint.text()));
    return true;
}

}  // namespace fortros::gateway
