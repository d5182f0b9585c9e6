#include "unit/os/tls_server.h"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <csignal>

#include "core/proof.h"

namespace fortros {

Fd listen_on_loopback(Endpoint& endpoint) {
    Fd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(socket.get(), 1) == 0);
    REQUIRE(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    endpoint = {IpAddress::v4({127, 0, 0, 1}), ntohs(address.sin_port)};
    return socket;
}

static gateway::OpenSsl<SSL_CTX> context_for(const TlsServer::Options& options) {
    gateway::OpenSsl<SSL_CTX> context(SSL_CTX_new(TLS_server_method()));
    SSL_CTX_set_security_level(context.get(), 0);  // bad certificates are the node's to refuse
    SSL_CTX_set_min_proto_version(context.get(), options.version);
    SSL_CTX_set_max_proto_version(context.get(), options.version);
    for (const auto& der : options.chain) {
        const auto* from = der.data();
        gateway::OpenSsl<X509> certificate(d2i_X509(nullptr, &from, static_cast<long>(der.size())));
        REQUIRE(certificate != nullptr);
        if (&der == &options.chain.front())
            REQUIRE(SSL_CTX_use_certificate(context.get(), certificate.get()) == 1);
        else
            REQUIRE(SSL_CTX_add1_chain_cert(context.get(), certificate.get()) == 1);
    }
    REQUIRE(SSL_CTX_use_PrivateKey(context.get(), options.key->pkey.get()) == 1);
    return context;
}

TlsServer::TlsServer(Options options) : m_options(std::move(options)) {
    m_listener = listen_on_loopback(m_endpoint);
    m_context = context_for(m_options);
    m_thread = std::thread([this] { serve(); });
}

void TlsServer::finish() {
    if (!m_thread.joinable()) return;
    ::shutdown(m_listener.get(), SHUT_RDWR);
    if (int fd = m_accepted; fd >= 0) ::shutdown(fd, SHUT_RD);
    m_thread.join();
}

void TlsServer::serve() {
    // OpenSSL writes to its socket as to a file: to one that is closed, with a signal.
    sigset_t broken_pipe;
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);

    Fd connection{::accept4(m_listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    if (!connection.valid()) return;
    m_accepted = connection.get();
    const gateway::OpenSsl<SSL> ssl(SSL_new(m_context.get()));
    SSL_set_fd(ssl.get(), connection.get());
    if (SSL_accept(ssl.get()) == 1) talk(ssl.get());
    m_accepted = -1;
}

void TlsServer::talk(SSL* ssl) {
    if (const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) m_server_name = name;
    SSL_export_keying_material(ssl, m_exporter.data(), m_exporter.size(),
                               proof_exporter_label.data(), proof_exporter_label.size(), nullptr, 0,
                               0);
    while (true) {
        if (m_options.answer_at_once || m_received.ends_with("end")) {
            if (!m_options.answer.empty())
                SSL_write(ssl, m_options.answer.data(), static_cast<int>(m_options.answer.size()));
            m_options.answer_at_once = false;
            if (m_options.close_after_answer) return;
        }
        char buffer[1024];
        const int count = SSL_read(ssl, buffer, sizeof buffer);
        if (count <= 0) return;
        m_received.append(buffer, static_cast<std::size_t>(count));
    }
}

}  // namespace fortros
