#include "unit/os/tls_server.h"

#include <doctest/doctest.h>
#include <mbedtls/x509_crt.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "core/proof.h"

extern "C" {
#include <mbedtls/psa_util.h>
}

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

TlsServer::TlsServer(Options options) : m_options(std::move(options)) {
    m_listener = listen_on_loopback(m_endpoint);
    m_thread = std::thread([this] { serve(); });
}

void TlsServer::finish() {
    if (!m_thread.joinable()) return;
    ::shutdown(m_listener.get(), SHUT_RDWR);
    if (int fd = m_accepted; fd >= 0) ::shutdown(fd, SHUT_RD);
    m_thread.join();
}

static int send_bytes(void* fd, const unsigned char* bytes, std::size_t size) {
    ssize_t count = ::send(*static_cast<int*>(fd), bytes, size, MSG_NOSIGNAL);
    return count < 0 ? MBEDTLS_ERR_SSL_CONN_EOF : static_cast<int>(count);
}

static int receive_bytes(void* fd, unsigned char* bytes, std::size_t size) {
    ssize_t count = ::recv(*static_cast<int*>(fd), bytes, size, 0);
    return count <= 0 ? MBEDTLS_ERR_SSL_CONN_EOF : static_cast<int>(count);
}

static int remember_name(void* to, mbedtls_ssl_context*, const unsigned char* name,
                         std::size_t size) {
    static_cast<std::string*>(to)->assign(reinterpret_cast<const char*>(name), size);
    return 0;
}

void TlsServer::serve() {
    Fd connection{::accept4(m_listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    if (!connection.valid()) return;
    m_accepted = connection.get();

    mbedtls_ssl_config config;
    mbedtls_ssl_context ssl;
    mbedtls_x509_crt chain;
    mbedtls_ssl_config_init(&config);
    mbedtls_ssl_init(&ssl);
    mbedtls_x509_crt_init(&chain);
    mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_STREAM,
                                MBEDTLS_SSL_PRESET_DEFAULT);
    mbedtls_ssl_conf_min_tls_version(&config, m_options.version);
    mbedtls_ssl_conf_max_tls_version(&config, m_options.version);
    mbedtls_ssl_conf_sni(&config, remember_name, &m_server_name);
    mbedtls_ssl_conf_rng(&config, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    for (const auto& der : m_options.chain)
        mbedtls_x509_crt_parse_der(&chain, der.data(), der.size());
    mbedtls_ssl_conf_own_cert(&config, &chain, const_cast<mbedtls_pk_context*>(&m_options.key->pk));
    int fd = connection.get();
    if (mbedtls_ssl_setup(&ssl, &config) == 0) {
        mbedtls_ssl_set_bio(&ssl, &fd, send_bytes, receive_bytes, nullptr);
        if (mbedtls_ssl_handshake(&ssl) == 0) talk(ssl);
    }
    m_accepted = -1;
    mbedtls_ssl_free(&ssl);
    mbedtls_ssl_config_free(&config);
    mbedtls_x509_crt_free(&chain);
}

void TlsServer::talk(mbedtls_ssl_context& ssl) {
    mbedtls_ssl_export_keying_material(&ssl, m_exporter.data(), m_exporter.size(),
                                       proof_exporter_label.data(), proof_exporter_label.size(),
                                       nullptr, 0, 0);
    while (true) {
        if (m_options.answer_at_once || m_received.ends_with("end")) {
            mbedtls_ssl_write(&ssl, reinterpret_cast<const unsigned char*>(m_options.answer.data()),
                              m_options.answer.size());
            m_options.answer_at_once = false;
            if (m_options.close_after_answer) return;
        }
        unsigned char buffer[1024];
        int count = mbedtls_ssl_read(&ssl, buffer, sizeof buffer);
        if (count <= 0) return;
        m_received.append(reinterpret_cast<const char*>(buffer), static_cast<std::size_t>(count));
    }
}

}  // namespace fortros
