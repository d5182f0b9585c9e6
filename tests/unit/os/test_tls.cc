#include "os/tls.h"

#include <doctest/doctest.h>
#include <mbedtls/x509.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <functional>
#include <optional>

#include "base/encoding.h"
#include "core/crypto.h"
#include "unit/os/certificates.h"
#include "unit/os/tls_server.h"

using namespace fortros;

namespace {

constexpr auto a_day = std::chrono::days{1};
const std::string name = "gateway.example.org";
const std::string wireguard_key = "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo";
const std::string wireguard_uri = std::string(wireguard_uri_prefix) + wireguard_key;
const std::string good_answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

// What certs/ issues for a gateway.
CertificateSpec gateway_spec() {
    return {.subject = "CN=gateway",
            .key_usage = MBEDTLS_X509_KU_DIGITAL_SIGNATURE,
            .extended_usage = {server_auth_oid},
            .dns_names = {name},
            .uris = {wireguard_uri}};
}

// A node's side of the test: the loop, and everything that the connection told, in order.
class Node : public TlsHandler {
public:
    explicit Node(const std::string& anchors_pem) {
        REQUIRE(crypto::initialise().has_value());
        m_loop = std::move(*Loop::create());
        m_anchors = std::move(*TrustAnchors::parse(anchors_pem, "ca.pem"));
        m_connector = std::move(*TlsConnector::create(*m_loop, *m_anchors));
    }

    // Connects and runs until the connection has ended, or for as long as `patience`.
    void talk_to(const Endpoint& endpoint, Duration patience = 20s) {
        m_connection = m_connector->connect(
            {.endpoint = endpoint, .gateway_name = name, .now = test_now}, *this);
        CHECK(told.empty());  // never from inside connect()
        auto deadline = m_loop->after(patience, [this] { m_loop->stop(); });
        REQUIRE(m_loop->run().has_value());
    }

    void authenticated(GatewayIdentity gateway) override {
        told += "authenticated ";
        identity = std::move(gateway);
        if (at_authenticated) return at_authenticated();
        m_connection->send(SecretBytes(std::string_view("request end")));
        CHECK(told == "authenticated ");  // never from inside send()
    }
    void answered(HttpAnswer http_answer) override {
        told += "answered ";
        answer = std::move(http_answer);
        end();
    }
    void failed(Error failure) override {
        told += "failed ";
        error = std::move(failure);
        end();
    }

    void send(SecretBytes request) { m_connection->send(std::move(request)); }
    void destroy_connection() { m_connection.reset(); }
    Loop& loop() { return *m_loop; }

    std::string told;
    std::optional<GatewayIdentity> identity;
    std::optional<HttpAnswer> answer;
    std::optional<Error> error;
    std::function<void()> at_authenticated;

private:
    void end() {
        m_connection.reset();
        m_loop->stop();
    }

    std::unique_ptr<Loop> m_loop;
    std::unique_ptr<TrustAnchors> m_anchors;
    std::unique_ptr<TlsConnector> m_connector;
    std::unique_ptr<TlsConnection> m_connection;
};

bool holds(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

// Talks to a server with this chain. What a refused peer must never have seen is checked here: a
// byte of the request.
std::string refusal(const TestAuthority& authority, std::vector<Bytes> chain, const TestKey& key) {
    Node node(to_pem(authority.certificate));
    TlsServer server({.chain = std::move(chain), .key = &key, .answer = good_answer});
    node.talk_to(server.endpoint());
    server.finish();
    CHECK(server.received().empty());
    CHECK(node.told == "failed ");
    if (!node.error) return "";
    CHECK(node.error->code == ErrorCode::Untrusted);
    return node.error->text();
}

// The same for a leaf that differs from a good one.
std::string refusal_of(const std::function<void(CertificateSpec&)>& change) {
    TestAuthority authority;
    TestKey key;
    auto spec = gateway_spec();
    change(spec);
    return refusal(authority, {authority.issue(spec, key)}, key);
}

// What peers do that speak no TLS: run `act` on the accepted connection, in the node's own loop.
Error failure_with(const std::function<void(int fd)>& act) {
    Node node(to_pem(TestAuthority().certificate));
    Endpoint endpoint;
    Fd listener = listen_on_loopback(endpoint), accepted;
    auto watch = node.loop().watch(listener.get(), EPOLLIN, [&](std::uint32_t) {
        accepted = Fd{::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK)};
        act(accepted.get());
    });
    node.talk_to(endpoint);
    REQUIRE(node.told == "failed ");
    return *node.error;
}

}  // namespace

// No node would ever join.
TEST_CASE("tls: a gateway is authenticated, asked once and its answer delivered") {
    TestAuthority authority;
    TestKey key;
    auto spec = gateway_spec();
    spec.not_before = test_now - 3 * a_day;
    spec.not_after = test_now + 5 * a_day;
    TlsServer server({.chain = {authority.issue(spec, key)}, .key = &key, .answer = good_answer});
    Node node(to_pem(authority.certificate));
    node.talk_to(server.endpoint());
    server.finish();

    CHECK(node.told == "authenticated answered ");
    REQUIRE(node.answer.has_value());
    CHECK(node.answer->status == 200);
    CHECK(node.answer->body == "hi");
    CHECK(server.received() == "request end");
    CHECK(server.server_name() == name);
    CHECK(node.identity->wireguard_key.base64url() == wireguard_key);
    CHECK(to_hex(node.identity->exporter.view()) == to_hex(server.exporter()));
    // The dates of the whole chain: begin of the leaf or the CA, whichever is newer.
    CHECK(node.identity->newest_not_before == test_now - a_day);
    CHECK(node.identity->earliest_not_after == test_now + 5 * a_day);
}

// An org with an intermediate CA, or one that is rotating its CA, would lock its nodes out.
TEST_CASE("tls: intermediates and every pinned anchor are good for a chain") {
    TestAuthority root, other("CN=New CA");
    TestKey intermediate, key;
    auto middle = root.issue(
        {.subject = "CN=issuing", .is_ca = true, .key_usage = MBEDTLS_X509_KU_KEY_CERT_SIGN},
        intermediate);
    auto below = make_certificate(gateway_spec(), key, "CN=issuing", intermediate);
    const std::vector<Bytes> chains[] = {
        {below, middle}, {root.issue(gateway_spec(), key)}, {other.issue(gateway_spec(), key)}};
    for (const auto& chain : chains) {
        TlsServer server({.chain = chain, .key = &key, .answer = good_answer});
        Node node(to_pem(root.certificate) + to_pem(other.certificate));
        node.talk_to(server.endpoint());
        CHECK(node.told == "authenticated answered ");
    }
}

// Anybody on the wire could be the gateway.
TEST_CASE("tls: a leaf that no pinned CA vouches for is refused") {
    TestAuthority authority, impostor, stranger("CN=stranger");
    TestKey key, gateway_key;
    auto spec = gateway_spec();
    auto alone = make_certificate(spec, key, spec.subject, key);
    auto honest = authority.issue(spec, gateway_key);
    auto below_leaf = make_certificate(spec, key, spec.subject, gateway_key);
    const std::vector<Bytes> chains[] = {
        {alone},
        {impostor.issue(spec, key)},  // same name as the pinned CA
        {impostor.issue(spec, key), impostor.certificate},
        {impostor.issue(spec, key), authority.certificate},  // and hides behind the real one
        {stranger.issue(spec, key), stranger.certificate},
        {below_leaf, honest},  // an honest gateway's leaf as a CA
    };
    for (const auto& chain : chains)
        CHECK(holds(refusal(authority, chain, key),
                    "the gateway's certificate is not signed by the pinned organisation CA"));
}

// A certificate of the org for anything else would do for a gateway. (Two more are in
// tests/net/test_tls.py.)
TEST_CASE("tls: a leaf of the right CA that is not exactly a gateway's is refused") {
    CHECK(holds(refusal_of([](auto& spec) { spec.dns_names = {"www.example.org", "b.org"}; }),
                "for other names: www.example.org, b.org"));
    CHECK(holds(refusal_of([](auto& spec) { spec.dns_names = {"*.example.org"}; }),
                "for other names: *.example.org"));
    CHECK(holds(refusal_of([](auto& spec) {
                    spec.dns_names.clear();
                    spec.uris.push_back(name);
                }),
                "no DNS name"));
    CHECK(holds(refusal_of([](auto& spec) {
                    spec.dns_names.clear();
                    spec.uris.clear();
                    spec.subject = "CN=" + name;
                }),
                "no DNS name"));
    CHECK(holds(refusal_of([](auto& spec) { spec.extended_usage = {}; }), "no extended key usage"));
    CHECK(holds(refusal_of([](auto& spec) { spec.extended_usage = {any_usage_oid}; }),
                "anyExtendedKeyUsage"));
    CHECK(holds(refusal_of([](auto& spec) { spec.is_ca = true; }), "CA certificate"));
    CHECK(holds(refusal_of([](auto& spec) { spec.uris = {"https://example.org"}; }),
                "names no WireGuard key"));
    CHECK(holds(refusal_of([](auto& spec) { spec.uris.push_back(wireguard_uri); }),
                "more than one WireGuard key"));
    CHECK(holds(refusal_of([](auto& spec) { spec.uris = {wireguard_uri + "="}; }),
                "WireGuard key that is none"));
    CHECK(holds(refusal_of([](auto& spec) { spec.hash = "SHA1"; }), "is not accepted"));
}

// A chain is as strong as its weakest link, and only two kinds of links were ever looked at.
TEST_CASE("tls: an intermediate with another kind of key is refused") {
    for (const char* kind : {"P-521", "RSA"}) {
        TestAuthority authority;
        TestKey other(kind), key;
        auto middle = authority.issue(
            {.subject = "CN=issuing", .is_ca = true, .key_usage = MBEDTLS_X509_KU_KEY_CERT_SIGN},
            other);
        auto below = make_certificate(gateway_spec(), key, "CN=issuing", other);
        CHECK(holds(refusal(authority, {below, middle}, key), "is not accepted"));
    }
}

// A pinned CA's key, if it were stolen from an image builder, could serve as it is.
TEST_CASE("tls: the anchor itself is no gateway") {
    CertificateSpec spec = gateway_spec();
    spec.key_usage = MBEDTLS_X509_KU_KEY_CERT_SIGN | MBEDTLS_X509_KU_DIGITAL_SIGNATURE;
    TestAuthority authority("CN=CA", spec);
    CHECK(holds(refusal(authority, {authority.certificate}, authority.key), "CA certificate"));
}

// The operator would not know whether the clock or the certificate is to be mended.
TEST_CASE("tls: dates are judged at the given time, and both are told") {
    CHECK(holds(refusal_of([](auto& spec) { spec.not_after = test_now - 1s; }),
                "has expired (not after 2027-01-15T07:59:59Z; the clock says "
                "2027-01-15T08:00:00Z)"));
    CHECK(holds(refusal_of([](auto& spec) { spec.not_before = test_now + 1s; }),
                "is not valid yet (not before 2027-01-15T08:00:01Z; the clock says "
                "2027-01-15T08:00:00Z)"));
    TestAuthority over("CN=Old CA", {.not_after = test_now - 1s});
    TestKey key;
    CHECK(holds(refusal(over, {over.issue(gateway_spec(), key)}, key),
                "the gateway's certificate comes from 'CN=Old CA', which has expired"));
}

// An attacker could choose an older protocol with known holes.
TEST_CASE("tls: a peer that speaks TLS 1.2 only is refused") {
    TestAuthority authority;
    TestKey key;
    TlsServer server({.chain = {authority.issue(gateway_spec(), key)},
                      .key = &key,
                      .answer = good_answer,
                      .version = TLS1_2_VERSION});
    Node node(to_pem(authority.certificate));
    node.talk_to(server.endpoint());
    CHECK(node.told == "failed ");
    CHECK(holds(node.error->text(), "the peer speaks no TLS 1.3"));
    CHECK(node.error->code == ErrorCode::Untrusted);
}

// The boot machine would be told of an end while it still sets up the attempt.
TEST_CASE("tls: what fails at once is told from the loop") {
    Node node(to_pem(TestAuthority().certificate));
    Endpoint endpoint;
    listen_on_loopback(endpoint).reset();  // nobody listens there now
    node.talk_to(endpoint);
    CHECK(node.told == "failed ");
    CHECK(node.error->code == ErrorCode::Unreachable);
    CHECK(node.error->text() == "cannot connect: Connection refused");

    Node second(to_pem(TestAuthority().certificate));
    second.talk_to({IpAddress::v4({255, 255, 255, 255}), 443});
    CHECK(second.told == "failed ");
}

// The same, while it hands over the request.
TEST_CASE("tls: a request that can't be sent is told from the loop") {
    TestAuthority authority;
    TestKey key;
    TlsServer server({.chain = {authority.issue(gateway_spec(), key)}, .key = &key});
    Node node(to_pem(authority.certificate));
    node.at_authenticated = [&] {
        server.finish();
        node.send(SecretBytes(std::size_t{1} << 20));
        CHECK(node.told == "authenticated ");
    };
    node.talk_to(server.endpoint());
    CHECK(node.told == "authenticated failed ");
    CHECK(node.error->code == ErrorCode::Unreachable);
}

// A loser of the race would speak up after it was cancelled, or take the program with it.
TEST_CASE("tls: a connection may be destroyed at any time, and is silent then") {
    TestAuthority authority;
    TestKey key;
    TlsServer server({.chain = {authority.issue(gateway_spec(), key)}, .key = &key});
    Node node(to_pem(authority.certificate));
    SUBCASE("inside authenticated()") {
        node.at_authenticated = [&] {
            node.destroy_connection();
            node.loop().stop();
        };
        node.talk_to(server.endpoint());
        CHECK(node.told == "authenticated ");
    }
    SUBCASE("between authenticated() and the answer") {
        std::optional<Loop::Timer> later;
        node.at_authenticated = [&] {
            later = node.loop().after(0s, [&] {
                node.destroy_connection();
                node.loop().stop();
            });
        };
        node.talk_to(server.endpoint());
        CHECK(node.told == "authenticated ");
    }
    SUBCASE("while it waits for the peer") {
        Endpoint mute;
        Fd listener = listen_on_loopback(mute);
        auto now = node.loop().after(1ms, [&] {
            node.destroy_connection();
            node.loop().stop();
        });
        node.talk_to(mute);
        CHECK(node.told.empty());
    }
    SUBCASE("before it could tell why it failed") {
        auto now = node.loop().after(0s, [&] { node.destroy_connection(); });
        auto end = node.loop().after(1ms, [&] { node.loop().stop(); });
        node.talk_to({IpAddress::v4({255, 255, 255, 255}), 443});
        CHECK(node.told.empty());
    }
}

// A captive portal or a broken middle box would be taken for a gateway with a bad certificate.
TEST_CASE("tls: peers that speak no TLS, or break off, are named for what they do") {
    auto say = [](std::string_view text) {
        return [text](int fd) { ::send(fd, text.data(), text.size(), MSG_NOSIGNAL); };
    };
    CHECK(failure_with(say("HTTP/1.1 400 Bad Request\r\n\r\n")).text() ==
          "the peer does not speak TLS");
    CHECK(failure_with(say("SSH-2.0-OpenSSH_10.0\r\n")).code == ErrorCode::Untrusted);
    CHECK(failure_with(say({"\x15\x03\x03\x00\x02\x02\x46", 7})).text() ==
          "the peer speaks no TLS 1.3");
    CHECK(failure_with(say({"\x15\x03\x03\x00\x02\x02\x70", 7})).text() ==
          "the peer is no 'gateway.example.org': TLS alert unrecognized_name");
    auto closed = failure_with([](int fd) { ::shutdown(fd, SHUT_WR); });
    CHECK(closed.code == ErrorCode::Unreachable);
    CHECK(holds(closed.text(), "closed the connection during the TLS handshake"));
    auto reset = failure_with([](int fd) {
        linger now{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        ::close(::dup(fd));
        ::shutdown(fd, SHUT_RDWR);
    });
    CHECK(reset.code == ErrorCode::Unreachable);
    CHECK(holds(failure_with(say({"\x16\x03\x03\x00\x04\x02\x00\x00\x00", 9})).text(),
                "broke the TLS protocol"));
}

// An answer that somebody played in would be taken for the gateway's.
TEST_CASE("tls: an answer that comes before the request is refused") {
    TestAuthority authority;
    TestKey key;
    TlsServer server({.chain = {authority.issue(gateway_spec(), key)},
                      .key = &key,
                      .answer = good_answer,
                      .answer_at_once = true});
    Node node(to_pem(authority.certificate));
    node.at_authenticated = [] {};  // and asks nothing
    node.talk_to(server.endpoint());
    CHECK(node.told == "authenticated failed ");
    CHECK(holds(node.error->text(), "before it was asked"));
}

// Half an answer would be taken for a whole one, or waited for without end.
TEST_CASE("tls: an answer that is cut off, or is none, is a failure") {
    for (std::string answer :
         {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", "nonsense\r\n\r\n"}) {
        TestAuthority authority;
        TestKey key;
        TlsServer server({.chain = {authority.issue(gateway_spec(), key)},
                          .key = &key,
                          .answer = answer,
                          .close_after_answer = true});
        Node node(to_pem(authority.certificate));
        node.talk_to(server.endpoint());
        CHECK(node.told == "authenticated failed ");
        CHECK(node.error->code ==
              (answer.starts_with("HTTP") ? ErrorCode::Unreachable : ErrorCode::InvalidData));
    }
}

// A peer that never stops sending would keep the boot from its deadlines.
TEST_CASE("tls: a peer that floods the handshake is cut off, and deadlines hold meanwhile") {
    Node node(to_pem(TestAuthority().certificate));
    Endpoint endpoint;
    Fd listener = listen_on_loopback(endpoint), accepted;
    // Change-cipher-spec records, which TLS 1.3 ignores during the handshake.
    std::string flood;
    while (flood.size() < 60'000) flood.append("\x14\x03\x03\x00\x01\x01", 6);
    Loop::Watch writing;
    auto watch = node.loop().watch(listener.get(), EPOLLIN, [&](std::uint32_t) {
        accepted = Fd{::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK)};
        writing = std::move(*node.loop().watch(accepted.get(), EPOLLOUT, [&](std::uint32_t) {
            ::send(accepted.get(), flood.data(), flood.size(), MSG_NOSIGNAL);
        }));
    });
    node.talk_to(endpoint);
    CHECK(node.told == "failed ");
    CHECK(node.error->code == ErrorCode::Untrusted);
    CHECK(holds(node.error->text(), "the peer sends too much"));
}
