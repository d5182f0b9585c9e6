#include "os/tls.h"

#include <mbedtls/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <utility>

#include "core/proof.h"
#include "os/certificate.h"
#include "os/fd.h"
#include "os/tcp.h"

extern "C" {  // which this header of mbedTLS 3.6 forgets
#include <mbedtls/psa_util.h>
}

namespace fortros {

// What a peer may send at most. The library reads for as long as there is something to read, so
// this is also what bounds a turn of the loop.
static constexpr std::size_t handshake_bytes_limit = std::size_t{64} * 1024;
static constexpr std::size_t connection_bytes_limit =
    handshake_bytes_limit + 2 * (http_head_limit + http_answer_limit);

// What a TLS 1.3 stack of any make can speak, in order of preference. AES without the processor's
// help is slow, and by its tables tells a neighbour on the machine what they are read for.
static constexpr int suites_for_aes_hardware[] = {MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
                                                  MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
                                                  MBEDTLS_TLS1_3_AES_256_GCM_SHA384, 0};
static constexpr int suites_for_no_aes_hardware[] = {MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
                                                     MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
                                                     MBEDTLS_TLS1_3_AES_256_GCM_SHA384, 0};

static bool has_aes_hardware() {
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_cpu_supports("aes") != 0 && __builtin_cpu_supports("pclmul") != 0;
#else
    return false;  // the library is built with nothing but AES-NI (the wrap's mbedtls_config.h)
#endif
}

// Only what certs/ issues for gateways. The first group is the one that a key share is sent for.
static constexpr std::uint16_t groups[] = {
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1, MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1, MBEDTLS_SSL_IANA_TLS_GROUP_NONE};
static constexpr std::uint16_t signature_algorithms[] = {MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256,
                                                         MBEDTLS_TLS1_3_SIG_ECDSA_SECP384R1_SHA384,
                                                         MBEDTLS_TLS1_3_SIG_NONE};

// What mbedTLS holds against a leaf that core/gateway_identity.h says in better words.
static constexpr std::uint32_t leaf_flags =
    MBEDTLS_X509_BADCERT_CN_MISMATCH | MBEDTLS_X509_BADCERT_EXT_KEY_USAGE;

static Error untrusted(std::string what, std::string detail = {}) {
    return Error{ErrorCode::Untrusted, std::move(what), 0, std::move(detail)};
}

static Error unreachable(std::string what) {
    return Error{ErrorCode::Unreachable, std::move(what)};
}

static Error system_error(int number, std::string what) {
    return fail_errno(number, std::move(what)).error();
}

static std::string library_words(int error) {
    char text[32];
    std::snprintf(text, sizeof text, "mbedTLS error -0x%04x", static_cast<unsigned>(-error));
    return text;
}

struct TlsConnector::Config {
    Config() { mbedtls_ssl_config_init(&ssl); }
    Config(const Config&) = delete;
    Config& operator=(const Config&) = delete;
    ~Config() { mbedtls_ssl_config_free(&ssl); }

    mbedtls_ssl_config ssl;
};

class TlsConnection::Machine {
public:
    Machine(Loop& loop, const mbedtls_ssl_config& config, const TlsTarget& target,
            TlsHandler& handler)
        : m_loop(loop), m_target(target), m_handler(handler), m_judge(target.now) {
        mbedtls_ssl_init(&m_ssl);
        if (auto begun = begin(config); !begun)
            // Told from the loop, so that a caller has its connection before it hears of its end.
            m_failure = m_loop.after(
                0s, [this, error = std::move(begun.error())]() mutable { fail(std::move(error)); });
    }
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;
    ~Machine() { mbedtls_ssl_free(&m_ssl); }

    void send(SecretBytes request) {
        ASSERT(m_phase == Phase::Authenticated);
        m_request = std::move(request);
        m_phase = Phase::Sending;
        watch_for(EPOLLOUT);  // and never a call back from here
    }

private:
    enum class Phase { Connecting, Handshaking, Authenticated, Sending, Receiving, Done };

    Status begin(const mbedtls_ssl_config& config);

    // One turn of the loop. A function that calls the handler does so as the last thing that it and
    // its callers do: `this` may be gone afterwards.
    void turn();
    void connected();
    void handshake();
    void finish_handshake();
    void write();
    void read();
    void fail(Error error);

    void watch_for(std::uint32_t events);
    // Whether the library waits for the socket; then the loop watches for what it needs.
    bool waits(int result);

    Error handshake_error(int result) const;
    Error certificate_error() const;
    Error stream_error(int result) const;
    std::optional<Error> transport_error(int result) const;
    Error alert() const;

    static int send_bytes(void* machine, const unsigned char* bytes, std::size_t size);
    static int receive_bytes(void* machine, unsigned char* bytes, std::size_t size);

    Loop& m_loop;
    TlsTarget m_target;
    TlsHandler& m_handler;
    ChainJudge m_judge;
    Phase m_phase = Phase::Connecting;

    Fd m_socket;
    Loop::Watch m_watch;  // after the socket: it goes first
    std::uint32_t m_events = 0;
    Loop::Timer m_failure;
    mbedtls_ssl_context m_ssl;

    std::size_t m_bytes = 0;
    std::optional<std::uint8_t> m_first_byte;
    int m_system_error = 0;
    bool m_flooded = false;
    bool m_ended = false;  // the peer sends no more

    SecretBytes m_request;
    std::size_t m_sent = 0;
    HttpAnswerParser m_parser;
};

// --- connecting ---

Status TlsConnection::Machine::begin(const mbedtls_ssl_config& config) {
    int error = mbedtls_ssl_setup(&m_ssl, &config);
    if (error == 0) error = mbedtls_ssl_set_hostname(&m_ssl, m_target.gateway_name.c_str());
    if (error != 0)
        return fortros::fail(ErrorCode::Internal, "cannot prepare TLS", library_words(error));
    mbedtls_ssl_set_verify(&m_ssl, ChainJudge::callback, &m_judge);
    mbedtls_ssl_set_bio(&m_ssl, this, send_bytes, receive_bytes, nullptr);

    m_socket = TRY(start_connecting(m_target.endpoint, m_target.ifindex));
    m_events = EPOLLOUT;
    m_watch = TRY(m_loop.watch(m_socket.get(), m_events, [this](std::uint32_t) { turn(); }));
    return {};
}

void TlsConnection::Machine::turn() {
    switch (m_phase) {
        case Phase::Connecting: return connected();
        case Phase::Handshaking: return handshake();
        case Phase::Sending: return write();
        case Phase::Authenticated:
        case Phase::Receiving: return read();
        case Phase::Done: return;
    }
}

void TlsConnection::Machine::connected() {
    if (auto done = finish_connecting(m_socket); !done) return fail(std::move(done.error()));
    m_phase = Phase::Handshaking;  // in the next turn: the socket is still writable
    m_handler.connected();
}

// --- the handshake ---

void TlsConnection::Machine::handshake() {
    const int result = mbedtls_ssl_handshake(&m_ssl);
    if (result == 0) return finish_handshake();
    if (!waits(result)) fail(handshake_error(result));
}

void TlsConnection::Machine::finish_handshake() {
    auto wireguard_key = check_leaf(m_judge.leaf(), m_target.gateway_name);
    if (!wireguard_key) {
        // So that the other side's log tells why we went; nothing depends on it.
        mbedtls_ssl_send_alert_message(&m_ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL,
                                       MBEDTLS_SSL_ALERT_MSG_BAD_CERT);
        return fail(std::move(wireguard_key.error()));
    }
    GatewayIdentity identity{.wireguard_key = *wireguard_key,
                             .newest_not_before = m_judge.leaf().newest_not_before,
                             .earliest_not_after = m_judge.leaf().earliest_not_after};
    const int error = mbedtls_ssl_export_keying_material(
        &m_ssl, identity.exporter.writable().data(), identity.exporter.view().size(),
        proof_exporter_label.data(), proof_exporter_label.size(), nullptr, 0, 0);
    if (error != 0)
        return fail({ErrorCode::Internal, "cannot derive from TLS", 0, library_words(error)});
    m_phase = Phase::Authenticated;
    watch_for(EPOLLIN);  // a peer that goes away is noticed, whatever the owner does meanwhile
    m_handler.authenticated(std::move(identity));
}

// --- request and answer ---

void TlsConnection::Machine::write() {
    while (m_sent < m_request.size()) {
        const ByteView rest = m_request.view().subspan(m_sent);
        const int result = mbedtls_ssl_write(&m_ssl, rest.data(), rest.size());
        if (result < 0) {
            if (!waits(result)) fail(stream_error(result));
            return;
        }
        m_sent += static_cast<std::size_t>(result);
    }
    m_request.clear();
    m_phase = Phase::Receiving;
    watch_for(EPOLLIN);
}

void TlsConnection::Machine::read() {
    while (true) {
        std::uint8_t buffer[4096];
        const int result = mbedtls_ssl_read(&m_ssl, buffer, sizeof buffer);
        if (waits(result)) return;
        // Records may be empty (RFC 8446 section 5.4); the library tells them like an end.
        if (result == 0 && !m_ended && !m_flooded && m_system_error == 0) continue;
        if (result <= 0) return fail(stream_error(result));
        if (m_phase == Phase::Authenticated)
            return fail(untrusted("the gateway answered before it was asked"));
        auto fed = m_parser.feed({buffer, static_cast<std::size_t>(result)});
        if (!fed) return fail(std::move(fed.error()));
        if (std::optional<HttpAnswer> answer = std::move(*fed)) {
            m_phase = Phase::Done;
            mbedtls_ssl_close_notify(&m_ssl);
            m_watch = {};
            return m_handler.answered(std::move(*answer));
        }
    }
}

void TlsConnection::Machine::fail(Error error) {
    m_phase = Phase::Done;
    m_watch = {};
    m_socket.reset();
    m_handler.failed(std::move(error));
}

void TlsConnection::Machine::watch_for(std::uint32_t events) {
    if (m_events == events) return;
    m_events = events;
    // It fails only for a descriptor that is not watched.
    ASSERT(m_watch.change(events).has_value());
}

bool TlsConnection::Machine::waits(int result) {
    if (result != MBEDTLS_ERR_SSL_WANT_READ && result != MBEDTLS_ERR_SSL_WANT_WRITE) return false;
    watch_for(result == MBEDTLS_ERR_SSL_WANT_READ ? EPOLLIN : EPOLLOUT);
    return true;
}

// --- the socket below ---

int TlsConnection::Machine::send_bytes(void* machine, const unsigned char* bytes,
                                       std::size_t size) {
    auto& self = *static_cast<Machine*>(machine);
    const ssize_t count = ::send(self.m_socket.get(), bytes, size, MSG_NOSIGNAL);
    if (count >= 0) return static_cast<int>(count);
    if (errno == EAGAIN || errno == EINTR) return MBEDTLS_ERR_SSL_WANT_WRITE;
    self.m_system_error = errno;
    return MBEDTLS_ERR_SSL_CONN_EOF;
}

int TlsConnection::Machine::receive_bytes(void* machine, unsigned char* bytes, std::size_t size) {
    auto& self = *static_cast<Machine*>(machine);
    const bool in_handshake = self.m_phase == Phase::Handshaking;
    if (self.m_bytes >= (in_handshake ? handshake_bytes_limit : connection_bytes_limit)) {
        self.m_flooded = true;
        return MBEDTLS_ERR_SSL_CONN_EOF;
    }
    const ssize_t count = ::recv(self.m_socket.get(), bytes, size, 0);
    if (count == 0) {
        self.m_ended = true;
        return MBEDTLS_ERR_SSL_CONN_EOF;
    }
    if (count < 0) {
        if (errno == EAGAIN || errno == EINTR) return MBEDTLS_ERR_SSL_WANT_READ;
        self.m_system_error = errno;
        return MBEDTLS_ERR_SSL_CONN_EOF;
    }
    if (!self.m_first_byte) self.m_first_byte = bytes[0];
    self.m_bytes += static_cast<std::size_t>(count);
    return static_cast<int>(count);
}

// --- what went wrong, in words for an operator ---

Error TlsConnection::Machine::alert() const {
    // The library tells that an alert came and keeps to itself which; its second byte is the
    // description (RFC 8446 section 6).
    const unsigned char description = m_ssl.MBEDTLS_PRIVATE(in_msg)[1];
    switch (description) {
        case MBEDTLS_SSL_ALERT_MSG_PROTOCOL_VERSION: return untrusted("the peer speaks no TLS 1.3");
        case MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE:
            return untrusted("the peer speaks no TLS 1.3, or none that we do",
                             "TLS alert handshake_failure");
        case MBEDTLS_SSL_ALERT_MSG_UNRECOGNIZED_NAME:
            return untrusted("the peer is no '" + m_target.gateway_name + "'",
                             "TLS alert unrecognized_name");
        default:
            return untrusted("the peer broke off TLS", "TLS alert " + std::to_string(description));
    }
}

std::optional<Error> TlsConnection::Machine::transport_error(int result) const {
    if (m_flooded) return untrusted("the peer sends too much", std::to_string(m_bytes) + " bytes");
    if (m_system_error != 0) return system_error(m_system_error, "the connection was lost");
    if (result == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) return alert();
    return std::nullopt;
}

Error TlsConnection::Machine::certificate_error() const {
    const std::uint32_t flags = mbedtls_ssl_get_verify_result(&m_ssl);
    // Our own check of the leaf says more about names and usages than a flag does.
    if ((flags & ~leaf_flags) == 0)
        if (auto key = check_leaf(m_judge.leaf(), m_target.gateway_name); !key)
            return std::move(key.error());
    return m_judge.refusal(flags, "the gateway's certificate");
}

Error TlsConnection::Machine::handshake_error(int result) const {
    if (auto error = transport_error(result)) return std::move(*error);
    // RFC 8446 section 5.1: an answer begins with a handshake record or an alert.
    if (m_first_byte && *m_first_byte != MBEDTLS_SSL_MSG_HANDSHAKE &&
        *m_first_byte != MBEDTLS_SSL_MSG_ALERT)
        return untrusted("the peer does not speak TLS");
    switch (result) {
        case MBEDTLS_ERR_SSL_CONN_EOF:
        case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
            return unreachable("the peer closed the connection during the TLS handshake");
        case MBEDTLS_ERR_X509_CERT_VERIFY_FAILED:
        case MBEDTLS_ERR_SSL_BAD_CERTIFICATE:
            if (m_judge.has_seen_leaf()) return certificate_error();
            break;
        case MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION: return untrusted("the peer speaks no TLS 1.3");
        case MBEDTLS_ERR_SSL_BAD_INPUT_DATA:  // so says the library of a peer's message
        case MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL:
            return untrusted("the peer sends a TLS message that is too large",
                             library_words(result));
        case MBEDTLS_ERR_SSL_ALLOC_FAILED:
            return {ErrorCode::Exhausted, "no memory for a TLS connection"};
        default: break;
    }
    if (is_of_unknown_kind(result))
        return untrusted("the gateway's certificate " + std::string(not_accepted_words));
    // Errors of the X.509 and ASN.1 modules.
    if (result <= -0x2080 && result >= -0x2fff)
        return untrusted("the peer's certificate cannot be read", library_words(result));
    return untrusted("the peer broke the TLS protocol", library_words(result));
}

Error TlsConnection::Machine::stream_error(int result) const {
    if (auto error = transport_error(result)) return std::move(*error);
    if (result == 0 || result == MBEDTLS_ERR_SSL_CONN_EOF ||
        result == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
        return unreachable("the gateway closed the connection before its answer was complete");
    return untrusted("the gateway broke the TLS protocol", library_words(result));
}

// --- the outside ---

TlsConnection::TlsConnection(std::unique_ptr<Machine> machine) : m_machine(std::move(machine)) {}
TlsConnection::~TlsConnection() = default;

void TlsConnection::send(SecretBytes request) { m_machine->send(std::move(request)); }

TlsConnector::TlsConnector(Loop& loop, std::unique_ptr<Config> config)
    : m_loop(loop), m_config(std::move(config)) {}
TlsConnector::~TlsConnector() = default;

Result<std::unique_ptr<TlsConnector>> TlsConnector::create(Loop& loop,
                                                           const TrustAnchors& anchors) {
    auto config = std::make_unique<Config>();
    mbedtls_ssl_config* ssl = &config->ssl;
    const int error = mbedtls_ssl_config_defaults(
        ssl, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
    if (error != 0) return fail(ErrorCode::Internal, "cannot configure TLS", library_words(error));
    mbedtls_ssl_conf_min_tls_version(ssl, MBEDTLS_SSL_VERSION_TLS1_3);
    mbedtls_ssl_conf_max_tls_version(ssl, MBEDTLS_SSL_VERSION_TLS1_3);
    mbedtls_ssl_conf_authmode(ssl, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(ssl, anchors.chain(), nullptr);
    mbedtls_ssl_conf_cert_profile(ssl, &certificate_profile);
    mbedtls_ssl_conf_ciphersuites(
        ssl, has_aes_hardware() ? suites_for_aes_hardware : suites_for_no_aes_hardware);
    mbedtls_ssl_conf_groups(ssl, groups);
    mbedtls_ssl_conf_sig_algs(ssl, signature_algorithms);
    mbedtls_ssl_conf_rng(ssl, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    return std::unique_ptr<TlsConnector>(new TlsConnector(loop, std::move(config)));
}

std::unique_ptr<TlsConnection> TlsConnector::connect(const TlsTarget& target, TlsHandler& handler) {
    return std::unique_ptr<TlsConnection>(new TlsConnection(
        std::make_unique<TlsConnection::Machine>(m_loop, m_config->ssl, target, handler)));
}

}  // namespace fortros
