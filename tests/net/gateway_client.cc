// A node for the gateway's tests: speaks the protocol over OpenSSL with the agent's own core, and
// does, a line at a time, what a test tells it on standard input. Its keys come from seeds; it
// guards nothing.
//
//   usage: gateway-client ADDRESS:PORT CA.pem GATEWAY_NAME
//
//   connect                    opens a connection; every request opens one if there is none
//   close
//   enroll SEED INVITE         the key made from SEED asks with INVITE
//   join SEED [stepped-back | has-session | boot=DIGIT]
//   post SEED TARGET BODY      a proved request with any body (the rest of the line)
//   get SEED TARGET [gzip]     a proved GET
//   raw VERB ...               any of the above that asks; told is the answer as it came, and what was sent
//   replay                     the bytes of the last request, over a new connection
//   key SEED                   the key made from SEED, both halves: for a tunnel of its own
//
// Each line is answered by one JSON object on standard output.
#include <netdb.h>
#include <sys/socket.h>

#include <cerrno>
#include <csignal>
#include <iostream>
#include <optional>
#include <string>

#include "base/encoding.h"
#include "base/text.h"
#include "core/enrolment.h"
#include "core/json.h"
#include "gateway/certificate.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/random.h"

using namespace fortros;
using gateway::Certificates;
using gateway::fail_openssl;
using gateway::OpenSsl;

namespace {

// Signers are believed as the agent believes them, by OpenSSL instead of mbedTLS.
class Verifier final : public SignerVerifier {
public:
    explicit Verifier(const Certificates& anchors) : m_anchors(anchors) {}

    Result<Signer> verify(ByteView der, WallTime now) const override {
        const auto* position = der.data();
        const OpenSsl<X509> certificate(
            d2i_X509(nullptr, &position, static_cast<long>(der.size())));
        if (!certificate) return fail_openssl(ErrorCode::Untrusted, "no certificate");
        TRY(gateway::verify_chain(certificate.get(), {}, m_anchors));
        TRY(gateway::check_signer_profile(certificate.get()));
        Signer signer{.id = signer_id_of(der),
                      .not_before = TRY(gateway::not_before_of(certificate.get())),
                      .not_after = TRY(gateway::not_after_of(certificate.get()))};
        if (now < signer.not_before || now > signer.not_after)
            return fail(ErrorCode::Untrusted, "the signer is not valid now");
        std::size_t size = 0;
        if (EVP_PKEY_get_octet_string_param(X509_get0_pubkey(certificate.get()), "encoded-pub-key",
                                            signer.key.data(), signer.key.size(), &size) != 1)
            return fail_openssl(ErrorCode::Untrusted, "no P-256 key");
        return signer;
    }

private:
    const Certificates& m_anchors;
};

struct Connection {
    Fd socket;
    OpenSsl<SSL> tls;
    GatewayIdentity gateway;
};

struct Node {
    PrivateKey key;
    PublicKey public_key;
};

class Client {
public:
    Client(Endpoint endpoint, std::string name, Certificates anchors)
        : m_endpoint(endpoint), m_name(std::move(name)), m_anchors(std::move(anchors)) {
        m_tls.reset(SSL_CTX_new(TLS_client_method()));
        SSL_CTX_set_min_proto_version(m_tls.get(), TLS1_3_VERSION);
        SSL_CTX_set_verify(m_tls.get(), SSL_VERIFY_PEER, nullptr);
        for (const auto& anchor : m_anchors)
            X509_STORE_add_cert(SSL_CTX_get_cert_store(m_tls.get()), anchor.get());
    }

    Result<Json> obey(std::string line) {
        m_raw = line.starts_with("raw ");
        if (m_raw) line.erase(0, 4);
        const auto words = words_of(line);
        const std::string_view verb = words.empty() ? "" : words[0];
        const auto word = [&](std::size_t i) { return i < words.size() ? words[i] : ""; };
        if (verb == "connect") {
            TRY(connect());
            return Json(Json::Object{});
        }
        if (verb == "close") {
            m_connection.reset();
            return Json(Json::Object{});
        }
        if (verb == "replay") return replay();
        const Node node = TRY(node_of(word(1)));
        if (verb == "key") {
            Json json{Json::Object{}};
            json.set("private_key", to_base64(node.key.view()));
            json.set("public_key", node.public_key.base64());
            return json;
        }
        if (!m_connection) TRY(connect());
        NodeRequest body{
            .hostname = "client-" + std::string(word(1)),
            .boot_id = std::string(32, word(2).starts_with("boot=") ? word(2).back() : 'b'),
            .agent = "gateway-client",
            .clock_stepped_back = word(2) == "stepped-back",
            .has_session = word(2) == "has-session"};
        KernelRandom random;
        const std::string invite(verb == "enroll" ? word(2) : "");
        auto pending = TRY(make_request(node.key, node.public_key, m_connection->gateway, m_name,
                                        std::move(body), as_bytes(invite), random));
        if (verb == "post") {
            const auto at = line.find(word(2)) + word(2).size();
            replace(pending, node, "POST", std::string(word(2)),
                    std::string(trim(line.substr(at))));
        }
        if (verb == "get") {
            replace(pending, node, "GET", std::string(word(2)), "");
            if (word(3) == "gzip") pending.request.headers.emplace_back("Accept-Encoding", "gzip");
            m_last = SecretBytes(serialize(pending.request).view());
            return repeat(TRY(exchange(HttpAnswerParser::Encoding::Gzip)), pending);
        }
        m_last = SecretBytes(serialize(pending.request).view());
        return tell(TRY(exchange()), pending, node);
    }

private:
    static Result<Node> node_of(std::string_view seed) {
        const auto number = parse_number<std::uint64_t>(seed);
        if (!number) return fail(ErrorCode::InvalidArgument, "no seed");
        SeededRandom random(*number);
        auto key = crypto::make_private_key(random);
        const auto public_key = TRY(crypto::public_key_of(key));
        return Node{std::move(key), public_key};
    }

    Status connect() {
        m_connection.reset();
        addrinfo* found = nullptr;
        const addrinfo hints{.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM};
        if (::getaddrinfo(m_endpoint.address.text().c_str(),
                          std::to_string(m_endpoint.port).c_str(), &hints, &found) != 0)
            return fail(ErrorCode::Internal, "getaddrinfo");
        Connection connection{.socket = Fd(::socket(found->ai_family, SOCK_STREAM, 0))};
        const int status = ::connect(connection.socket.get(), found->ai_addr, found->ai_addrlen);
        ::freeaddrinfo(found);
        if (status < 0) return fail_errno(errno, "connect");
        connection.tls.reset(SSL_new(m_tls.get()));
        SSL* tls = connection.tls.get();
        if (SSL_set_fd(tls, connection.socket.get()) != 1 ||
            SSL_set_tlsext_host_name(tls, m_name.c_str()) != 1 ||
            SSL_set1_host(tls, m_name.c_str()) != 1 || SSL_connect(tls) != 1)
            return fail_openssl(ErrorCode::Unreachable, "handshake");
        const OpenSsl<X509> leaf(SSL_get1_peer_certificate(tls));
        const auto facts = TRY(gateway::leaf_facts_of(leaf.get()));
        connection.gateway.wireguard_key = TRY(check_leaf(facts, m_name));
        connection.gateway.newest_not_before = facts.newest_not_before;
        connection.gateway.earliest_not_after = facts.earliest_not_after;
        if (SSL_export_keying_material(tls, connection.gateway.exporter.writable().data(), 32,
                                       proof_exporter_label.data(), proof_exporter_label.size(),
                                       nullptr, 0, 0) != 1)
            return fail_openssl(ErrorCode::Internal, "exporter");
        m_gateway = connection.gateway.wireguard_key;
        m_connection = std::move(connection);
        return {};
    }

    // What was said, unjudged but for its seal.
    Json repeat(const HttpAnswer& answer, const PendingRequest& pending) const {
        if (m_raw) return as_it_came(answer);
        const auto proof = answer_proof(pending.proof_key, pending.proof, answer.status,
                                        retry_after_of(answer).value_or(0), as_bytes(answer.body));
        const auto* header = answer.header("fortros-answer");
        Json json{Json::Object{}};
        json.set("status", answer.status);
        json.set("proved", header != nullptr && *header == to_base64(proof));
        const auto* encoding = answer.header("content-encoding");
        if (encoding != nullptr)
            json.set(*encoding, to_base64(as_bytes(answer.body)));
        else
            json.set("body", answer.body);
        return json;
    }

    void replace(PendingRequest& pending, const Node& node, std::string method, std::string target,
                 const std::string& body) const {
        pending.request.method = std::move(method);
        pending.request.target = std::move(target);
        pending.request.body = SecretBytes(body);
        pending.proof = request_proof(pending.proof_key, pending.request.method,
                                      pending.request.target, node.public_key, as_bytes(body));
        for (auto& [name, value] : pending.request.headers)
            if (name == proof_header) value = to_base64(pending.proof);
    }

    Result<HttpAnswer> exchange(
        HttpAnswerParser::Encoding accepted = HttpAnswerParser::Encoding::None) {
        SSL* tls = m_connection->tls.get();
        if (SSL_write(tls, m_last.view().data(), static_cast<int>(m_last.size())) <= 0) {
            m_connection.reset();
            return fail_openssl(ErrorCode::Unreachable, "write");
        }
        HttpAnswerParser parser(accepted);
        char bytes[4096];
        for (;;) {
            const int size = SSL_read(tls, bytes, sizeof(bytes));
            if (size <= 0) {
                m_connection.reset();
                return fail_openssl(ErrorCode::Unreachable, "read");
            }
            auto answer = TRY(parser.feed(as_bytes({bytes, static_cast<std::size_t>(size)})));
            if (!answer) continue;
            const auto* connection = answer->header("connection");
            if (connection != nullptr && *connection == "close") m_connection.reset();
            return std::move(*answer);
        }
    }

    Result<Json> replay() {
        TRY(connect());
        const auto answer = TRY(exchange());
        Json json{Json::Object{}};
        json.set("status", answer.status);
        json.set("proved", answer.header("fortros-answer") != nullptr);
        return json;
    }

    // Each peer, and what an agent would make of it: its interface, and what is allowed there.
    static Json peers_of(const MembershipAnswer& answer) {
        const auto plan =
            make_overlay_plan(answer.prefix, answer.overlay_address, answer.peers, {});
        Json peers{Json::Array{}};
        for (const auto& peer : answer.peers) {
            Json json = to_json(peer);
            for (const auto& interface : plan.interfaces)
                for (const auto& planned : interface.peers) {
                    if (planned.key != peer.key) continue;
                    json.set("interface", interface.name);
                    json.set("endpoint", planned.endpoint ? planned.endpoint->text() : "");
                    json.set("allowed_ips", planned.allowed_ips.front().text());
                }
            peers.push(std::move(json));
        }
        return peers;
    }

    Json as_it_came(const HttpAnswer& answer) const {
        Json headers{Json::Object{}};
        for (const auto& [name, value] : answer.headers) headers.set(name, value);
        Json json{Json::Object{}};
        json.set("status", answer.status);
        json.set("headers", std::move(headers));
        json.set("body", answer.body);
        json.set("sent", std::string(m_last.text()));
        return json;
    }

    Result<Json> tell(const HttpAnswer& answer, const PendingRequest& pending,
                      const Node& node) const {
        if (m_raw) return as_it_came(answer);
        Json json{Json::Object{}};
        json.set("status", answer.status);
        json.set("public_key", node.public_key.base64());
        if (auto retry_after = retry_after_of(answer))
            json.set("retry_after", std::int64_t{*retry_after});
        const JudgeContext context{.node = node.public_key,
                                   .gateway = m_gateway,
                                   .chain_not_before = WallTime{},
                                   .chain_not_after = WallTime::max()};
        auto verdict = judge_answer(answer, pending, context, Verifier(m_anchors));
        json.set("proved", verdict.has_value() || verdict.error().code != ErrorCode::Untrusted);
        if (!verdict) {
            json.set("error", verdict.error().text());
            return json;
        }
        if (auto* joined = std::get_if<Joined>(&*verdict)) {
            json.set("overlay_address", joined->answer.overlay_address.text());
            json.set("hostname", joined->answer.hostname);
            json.set("role", name_of(joined->answer.role));
            json.set("serial", static_cast<std::int64_t>(joined->attestation.serial));
            json.set("peers", peers_of(joined->answer));
            json.set("bootstrap", to_base64(joined->answer.bootstrap));
            json.set("bootstrap_problem", joined->bootstrap_problem);
        }
        if (auto* later = std::get_if<NotYet>(&*verdict)) {
            json.set("refusal", name_of(later->refusal.code));
            if (later->refusal.overlay_address)
                json.set("overlay_address", later->refusal.overlay_address->text());
        }
        if (auto* rejected = std::get_if<Rejected>(&*verdict))
            json.set("refusal", name_of(rejected->refusal.code));
        return json;
    }

    Endpoint m_endpoint;
    std::string m_name;
    Certificates m_anchors;
    OpenSsl<SSL_CTX> m_tls;
    std::optional<Connection> m_connection;
    PublicKey m_gateway;  // of the newest connection
    SecretBytes m_last;   // the newest request
    bool m_raw = false;
};

Result<Client> make_client(char** argv) {
    TRY(crypto::initialise());
    const auto endpoint = Endpoint::parse(argv[1]);
    if (!endpoint) return fail(ErrorCode::InvalidArgument, "no endpoint");
    auto anchors = TRY(gateway::load_certificates(argv[2]));
    return Client(*endpoint, argv[3], std::move(anchors));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    ::signal(SIGPIPE, SIG_IGN);
    auto client = make_client(argv);
    if (!client) {
        std::cerr << client.error().text() << "\n";
        return 1;
    }
    for (std::string line; std::getline(std::cin, line);) {
        auto told = client->obey(line);
        Json json = told ? std::move(*told) : Json(Json::Object{});
        if (!told) json.set("error", told.error().text());
        std::cout << json.dump() << std::endl;
    }
    return 0;
}
