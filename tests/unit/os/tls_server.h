// A gateway's end of TLS for unit tests, by OpenSSL as in a real gateway: one connection, in a thread
// of its own, on the loopback.
#pragma once

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "core/address.h"
#include "gateway/openssl.h"
#include "os/fd.h"
#include "unit/os/certificates.h"

namespace fortros {

class TlsServer {
public:
    struct Options {
        std::vector<Bytes> chain;  // leaf first
        const TestKey* key = nullptr;
        std::string answer{};  // sent once a request has come that ends in "end"
        int version = TLS1_3_VERSION;
        bool answer_at_once = false;  // before any request
        bool close_after_answer = false;
    };

    explicit TlsServer(Options options);
    TlsServer(const TlsServer&) = delete;
    TlsServer& operator=(const TlsServer&) = delete;
    ~TlsServer() { finish(); }

    Endpoint endpoint() const { return m_endpoint; }

    // Waits until the connection is over, or ends it; the rest is meaningful afterwards.
    void finish();
    const std::string& received() const { return m_received; }
    const ByteArray<32>& exporter() const { return m_exporter; }
    const std::string& server_name() const { return m_server_name; }

private:
    void serve();
    void talk(SSL* ssl);

    Options m_options;
    gateway::OpenSsl<SSL_CTX> m_context;
    Fd m_listener;
    Endpoint m_endpoint;
    std::atomic<int> m_accepted = -1;
    std::string m_received;
    std::string m_server_name;
    ByteArray<32> m_exporter{};
    std::thread m_thread;
};

// A listening socket on a free port of the loopback.
Fd listen_on_loopback(Endpoint& endpoint);

}  // namespace fortros
