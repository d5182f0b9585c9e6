#include "gateway/tls_session.h"

namespace fortros::gateway {

Result<OpenSsl<SSL_CTX>> make_tls_context(const Certificates& chain, EVP_PKEY* key) {
    OpenSsl<SSL_CTX> context(SSL_CTX_new(TLS_server_method()));
    if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_num_tickets(context.get(), 0) != 1)
        return fail_openssl(ErrorCode::Internal, "cannot set TLS up");
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
    SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (SSL_CTX_use_certificate(context.get(), chain.front().get()) != 1 ||
        SSL_CTX_use_PrivateKey(context.get(), key) != 1)
        return fail_openssl(ErrorCode::InvalidData, "the gateway's certificate cannot be used");
    for (std::size_t i = 1; i < chain.size(); ++i)
        if (SSL_CTX_add1_chain_cert(context.get(), chain[i].get()) != 1)
            return fail_openssl(ErrorCode::InvalidData, "the gateway's chain cannot be used");
    return context;
}

Result<TlsSession> TlsSession::create(SSL_CTX* context, int socket) {
    OpenSsl<SSL> ssl(SSL_new(context));
    if (!ssl || SSL_set_fd(ssl.get(), socket) != 1)
        return fail_openssl(ErrorCode::Exhausted, "no memory for a TLS connection");
    SSL_set_accept_state(ssl.get());
    return TlsSession(std::move(ssl));
}

Result<TlsSession> TlsSession::create_client(SSL_CTX* context, int socket,
                                             const IpAddress& server) {
    OpenSsl<SSL> ssl(SSL_new(context));
    const ByteView address = server.bytes();
    if (!ssl || SSL_set_fd(ssl.get(), socket) != 1 ||
        X509_VERIFY_PARAM_set1_ip(SSL_get0_param(ssl.get()), address.data(), address.size()) != 1)
        return fail_openssl(ErrorCode::Exhausted, "no memory for a TLS connection");
    SSL_set_connect_state(ssl.get());
    return TlsSession(std::move(ssl));
}

TlsSession::Step TlsSession::step_of(int result) {
    if (result > 0) return Step::Done;
    switch (SSL_get_error(m_ssl.get(), result)) {
        case SSL_ERROR_WANT_READ: return Step::WantRead;
        case SSL_ERROR_WANT_WRITE: return Step::WantWrite;
        case SSL_ERROR_ZERO_RETURN: return Step::Closed;
        default: break;
    }
    // An empty queue means that the socket itself failed: reset, or closed without a good-bye.
    const auto error = ERR_peek_last_error();
    if (error == 0 || ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        forget_openssl_errors();
        return Step::Closed;
    }
    m_why = fail_openssl(ErrorCode::Untrusted, "").error().detail;
    return Step::Failed;
}

// SSL_get_error reads the thread's queue: it must be empty before each call.
TlsSession::Step TlsSession::handshake() {
    forget_openssl_errors();
    return step_of(SSL_do_handshake(m_ssl.get()));
}

TlsSession::Step TlsSession::read(std::span<std::uint8_t> buffer, std::size_t& size) {
    forget_openssl_errors();
    return step_of(SSL_read_ex(m_ssl.get(), buffer.data(), buffer.size(), &size));
}

TlsSession::Step TlsSession::write(ByteView bytes, std::size_t& size) {
    forget_openssl_errors();
    return step_of(SSL_write_ex(m_ssl.get(), bytes.data(), bytes.size(), &size));
}

TlsSession::Step TlsSession::close() {
    forget_openssl_errors();
    const int result = SSL_shutdown(m_ssl.get());
    return result == 0 ? Step::Done : step_of(result);  // 0: ours is sent, the peer's not here
}

Result<Exporter> TlsSession::exporter() {
    Exporter exporter;
    if (SSL_export_keying_material(m_ssl.get(), exporter.writable().data(), 32,
                                   proof_exporter_label.data(), proof_exporter_label.size(),
                                   nullptr, 0, 0) != 1)
        return fail_openssl(ErrorCode::Internal, "cannot derive the proof's salt from TLS");
    return exporter;
}

}  // namespace fortros::gateway
