// TLS to one gateway: connect, authenticate, one request, one answer. TLS 1.3 only, trusting the
// pinned anchors and nothing else. It resolves no names, keeps no session and has no deadline of
// its own: its owner cancels it by destroying it.
//
//   connect ─▶ connected() ─▶ handshake ─▶ authenticated() ── send() ─▶ answered()
//      └────────────┴─────────────┴──────────────┴──────────────┴─────▶ failed()
//
// failed() and answered() are the last that a connection says, and exactly one of them comes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "core/address.h"
#include "core/clock_rule.h"
#include "core/gateway_identity.h"
#include "core/http.h"
#include "os/loop.h"
#include "os/trust.h"

namespace fortros {

struct TlsTarget {
    Endpoint endpoint;
    std::string gateway_name;  // what the peer must prove to be; also sent as SNI
    CertificateTime now{};     // when its certificates are judged
    unsigned ifindex = 0;      // leave by this link only; 0: as the routes say
};

// Called from the loop, never from inside connect() or send(). Any of these calls may destroy the
// connection.
class TlsHandler {
public:
    TlsHandler() = default;
    TlsHandler(const TlsHandler&) = delete;
    TlsHandler& operator=(const TlsHandler&) = delete;

    // Somebody took the TCP connection.
    virtual void connected() {}
    virtual void authenticated(GatewayIdentity identity) = 0;
    virtual void answered(HttpAnswer answer) = 0;
    // Unreachable: no connection, or closed. Untrusted: somebody is there who is not the gateway,
    // or speaks no TLS that we do. InvalidData: the gateway's answer is no HTTP.
    virtual void failed(Error error) = 0;

protected:
    ~TlsHandler() = default;
};

// Destroying it closes the connection, silently.
class TlsConnection {
public:
    TlsConnection(const TlsConnection&) = delete;
    TlsConnection& operator=(const TlsConnection&) = delete;
    ~TlsConnection();

    // The one request. Only after authenticated(), and only once.
    void send(SecretBytes request);

private:
    friend class TlsConnector;
    class Machine;
    explicit TlsConnection(std::unique_ptr<Machine> machine);

    std::unique_ptr<Machine> m_machine;
};

class TlsConnector {
public:
    // `loop` and `anchors` must outlive the connector, and the connector its connections.
    // crypto::initialise() must have succeeded.
    static Result<std::unique_ptr<TlsConnector>> create(Loop& loop, const TrustAnchors& anchors);
    TlsConnector(const TlsConnector&) = delete;
    TlsConnector& operator=(const TlsConnector&) = delete;
    ~TlsConnector();

    // Begins. Whatever goes wrong, at once or later, is told by failed().
    std::unique_ptr<TlsConnection> connect(const TlsTarget& target, TlsHandler& handler);

private:
    struct Config;
    TlsConnector(Loop& loop, std::unique_ptr<Config> config);

    Loop& m_loop;
    std::unique_ptr<Config> m_config;
};

}  // namespace fortros
