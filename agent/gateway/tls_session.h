// TLS 1.3 for one connection, by OpenSSL directly on a non-blocking socket, so that a connection that
// is silent costs no buffers. It never waits: it says what to wait for.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "core/address.h"
#include "core/proof.h"
#include "gateway/certificate.h"
#include "gateway/openssl.h"

namespace fortros::gateway {

// TLS 1.3 and nothing older, no client certificates, no tickets and no resumption: a resumed
// session would skip the certificate, and with it revocation and rotation.
Result<OpenSsl<SSL_CTX>> make_tls_context(const Certificates& chain, EVP_PKEY* key);

class TlsSession {
public:
    enum class Step {
        Done,
        WantRead,   // call again when the socket can be read
        WantWrite,  // call again when the socket can be written
        Closed,     // by the peer, properly or not
        Failed,     // see why()
    };

    // `socket` is borrowed, non-blocking, and must outlive the session.
    static Result<TlsSession> create(SSL_CTX* context, int socket);
    // The client's side; the server's certificate must name this address.
    static Result<TlsSession> create_client(SSL_CTX* context, int socket, const IpAddress& server);

    Step handshake();
    // Reads at least one byte into `buffer`; `size` is how many.
    Step read(std::span<std::uint8_t> buffer, std::size_t& size);
    // Writes a part of `bytes`; `size` is how many.
    Step write(ByteView bytes, std::size_t& size);
    // Says good-bye; does not wait for the peer's.
    Step close();

    // Of a connection whose handshake is done (RFC 8446 section 7.5).
    Result<Exporter> exporter();

    // OpenSSL's words for the last Failed.
    const std::string& why() const { return m_why; }

private:
    explicit TlsSession(OpenSsl<SSL> ssl) : m_ssl(std::move(ssl)) {}
    Step step_of(int result);

    OpenSsl<SSL> m_ssl;
    std::string m_why{};
};

}  // namespace fortros::gateway
