// A gateway for attacks: it terminates TLS with whatever certificate it was given, tells all that it
// receives, and says what a test makes it say, proved or not, in TLS records of OpenSSL's making or
// of its own. It serves one connection after the other and guards nothing.
//
//   usage: rogue-gateway ADDRESS:PORT FOLDER [OPTION...]
//
// FOLDER is a gateway's: gateway.pem, gateway.key, wireguard.key, org.conf, signer.pem, signer.key.
// Options: tls1.2, group=NAME, suite=NAME, tickets=N, eager (says `asked` before anything came).
//
// Each event is one JSON object on standard output:
//   {"event":"listening"}
//   {"event":"handshake","error":...} or {"event":"handshake","suite":...,"resumed":...}
//   {"event":"asked","bytes":...,"waits":...,"honest":...,"proof_is_right":...}
//   {"event":"gone"}                        the connection has ended, and all that came was told
//                              what came, and what an honest gateway would answer; if it was a
//                              whole request, lines from standard input are obeyed then:
//       prove STATUS RETRY_AFTER BODY   {"proof":...}: Fortros-Answer for it (BODY in base64)
//       attest KEY ROLE                 {"attestation":...}
//       send BYTES                      over TLS; all bytes are in base64
//       record TYPE BYTES COUNT         records encrypted here, beside OpenSSL, which is lost then
//       raw BYTES                       below TLS
//       end                             waits until the node has gone: {"event":"ended","bytes":...}
//       cut, close                      does not wait; says in TLS that it goes, or does not
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <iostream>
#include <map>
#include <optional>
#include <string>

#include "base/encoding.h"
#include "base/text.h"
#include "core/crypto.h"
#include "core/ini.h"
#include "core/messages.h"
#include "core/overlay.h"
#include "core/proof.h"
#include "gateway/certificate.h"
#include "gateway/credentials.h"
#include "gateway/signer.h"
#include "net/server_records.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/files.h"

using namespace fortros;
using gateway::fail_openssl;
using gateway::OpenSsl;

namespace {

constexpr std::uint64_t some_serial = 7;

ServerRecords* g_records =
    nullptr;  // of the connection that is served: the key log knows no other way

void note_secret(const SSL*, const char* line) {
    const auto words = words_of(line);
    if (words.size() == 3 && words[0] == "SERVER_TRAFFIC_SECRET_0")
        g_records->set_secret(*from_hex(words[2]));
}

struct Request {
    std::string method, target, body;
    std::map<std::string, std::string> headers;
};

// Nothing while it is not complete.
std::optional<Request> parse(std::string_view text) {
    const auto end = text.find("\r\n\r\n");
    if (end == std::string_view::npos) return std::nullopt;
    Request request;
    const auto lines = split(text.substr(0, end), '\n');
    const auto first = words_of(lines[0]);
    if (first.size() < 2) return std::nullopt;
    request.method = first[0];
    request.target = first[1];
    for (std::size_t i = 1; i < lines.size(); ++i) {
        const auto colon = lines[i].find(':');
        if (colon == std::string_view::npos) continue;
        request.headers[to_lower(lines[i].substr(0, colon))] = trim(lines[i].substr(colon + 1));
    }
    request.body = text.substr(end + 4);
    const auto size = parse_number<std::size_t>(request.headers["content-length"]);
    if (size && request.body.size() < *size) return std::nullopt;
    return request;
}

struct Org {
    OrgPrefix prefix;
    std::string domain;
    PrivateKey wireguard_key;
    PublicKey wireguard_public;
    std::unique_ptr<gateway::AttestationSigner> signer;

    Result<Bytes> attest(const PublicKey& key, Role role) const {
        return gateway::sign_attestation(*signer,
                                         {.prefix = prefix,
                                          .node = key,
                                          .role = role,
                                          .serial = some_serial,
                                          .not_after = wall_now() + std::chrono::days{30}});
    }

    Result<Bytes> document() const {
        return gateway::sign_org_document(
            *signer, {.prefix = prefix, .serial = some_serial, .domain = domain});
    }

    // What an honest gateway would answer to this node.
    Result<std::string> membership(const PublicKey& node) const {
        MembershipAnswer answer{.time = wall_now(),
                                .node = node,
                                .overlay_address = overlay_address(prefix, node),
                                .attestation = TRY(attest(node, Role::Node)),
                                .prefix = prefix,
                                .domain = domain,
                                .signers = {signer->certificate()},
                                .document = TRY(document())};
        MeshPeer self{.key = wireguard_public,
                      .role = Role::Gateway,
                      .overlay_address = overlay_address(prefix, wireguard_public),
                      .endpoints = {*Endpoint::parse("203.0.113.99:51820")},
                      .attestation = TRY(attest(wireguard_public, Role::Gateway))};
        answer.peers.push_back(std::move(self));
        return to_json_text(answer);
    }
};

Result<Org> load_org(const std::string& folder) {
    Org org;
    const std::string text = TRY(read_file(folder + "/org.conf", 4096));
    const auto lines = split(text, '\n');
    for (std::string_view line : lines) {
        const auto equals = line.find('=');
        if (equals == std::string_view::npos) continue;
        const auto key = trim(line.substr(0, equals)), value = trim(line.substr(equals + 1));
        if (key == "Prefix") org.prefix = OrgPrefix::parse(value).value_or(OrgPrefix{});
        if (key == "Domain") org.domain = value;
    }
    org.wireguard_key = TRY(gateway::load_wireguard_key(folder + "/wireguard.key"));
    org.wireguard_public = TRY(crypto::public_key_of(org.wireguard_key));
    auto certificates = TRY(gateway::load_certificates(folder + "/signer.pem"));
    auto key = TRY(gateway::load_private_key(folder + "/signer.key"));
    org.signer = TRY(gateway::make_signer(certificates[0].get(), std::move(key)));
    return org;
}

void tell(const Json& json) { std::cout << json.dump() << std::endl; }

Json event(std::string_view name) {
    Json json{Json::Object{}};
    json.set("event", name);
    return json;
}

class Connection {
public:
    Connection(Fd socket, SSL_CTX* context, const Org& org)
        : m_socket(std::move(socket)), m_org(org), m_tls(SSL_new(context)) {
        const int on = 1;
        ::setsockopt(m_socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        SSL_set_fd(m_tls.get(), m_socket.get());
        g_records = &m_records;
    }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() { g_records = nullptr; }

    void serve(bool eager) {
        if (!shake_hands()) return;
        const auto asked = eager ? std::optional<Request>{Request{}} : receive();
        Json json = event("asked");
        json.set("bytes", to_base64(as_bytes(m_received)));
        json.set("waits", asked.has_value());
        if (asked) describe(*asked, json);
        tell(json);
        if (!asked) return;
        for (std::string line; std::getline(std::cin, line);)
            if (!obey(line)) return;
    }

private:
    bool shake_hands() {
        Json json = event("handshake");
        const bool done = SSL_accept(m_tls.get()) == 1;
        if (done) {
            json.set("suite", SSL_get_cipher_name(m_tls.get()));
            json.set("resumed", SSL_session_reused(m_tls.get()) == 1);
            SSL_export_keying_material(m_tls.get(), m_exporter.writable().data(), 32,
                                       proof_exporter_label.data(), proof_exporter_label.size(),
                                       nullptr, 0, 0);
        } else {
            json.set("error", fail_openssl(ErrorCode::Untrusted, "refused").error().text());
        }
        tell(json);
        return done;
    }

    // The whole request, or nothing when the node goes before; m_received has what came.
    std::optional<Request> receive() {
        while (read_some())
            if (auto request = parse(m_received)) return request;
        return std::nullopt;
    }

    bool read_some() {
        char bytes[4096];
        const int size = SSL_read(m_tls.get(), bytes, sizeof bytes);
        gateway::forget_openssl_errors();
        if (size > 0) m_received.append(bytes, static_cast<std::size_t>(size));
        return size > 0;
    }

    void describe(const Request& request, Json& json) {
        const auto found = request.headers.find("fortros-node");
        const auto node = found == request.headers.end() ? std::nullopt
                                                         : PublicKey::from_base64url(found->second);
        if (!node) return;
        m_key =
            *proof_key_of_gateway(m_org.wireguard_key, m_org.wireguard_public, *node, m_exporter);
        m_proof =
            request_proof(m_key, request.method, request.target, *node, as_bytes(request.body));
        const auto proof = request.headers.find("fortros-proof");
        json.set("proof_is_right",
                 proof != request.headers.end() && proof->second == to_base64(m_proof));
        if (auto honest = m_org.membership(*node)) json.set("honest", *honest);
    }

    // Whether the conversation goes on.
    bool obey(const std::string& line) {
        const auto words = words_of(line);
        const auto word = [&](std::size_t i) { return i < words.size() ? words[i] : ""; };
        const auto number = [&](std::size_t i) {
            return parse_number<std::uint32_t>(word(i)).value_or(0);
        };
        const auto bytes = [&](std::size_t i) { return from_base64(word(i)).value_or(Bytes{}); };
        Json json{Json::Object{}};
        if (word(0) == "prove") {
            const auto proof =
                answer_proof(m_key, m_proof, static_cast<int>(number(1)), number(2), bytes(3));
            json.set("proof", to_base64(proof));
        } else if (word(0) == "attest") {
            const auto key = PublicKey::from_base64(word(1));
            const auto role = role_from(word(2));
            const auto made = key && role ? m_org.attest(*key, *role) : Bytes{};
            json.set("attestation", to_base64(made.value_or(Bytes{})));
        } else if (word(0) == "send") {
            const Bytes data = bytes(1);
            json.set("sent",
                     SSL_write(m_tls.get(), data.data(), static_cast<int>(data.size())) > 0);
            gateway::forget_openssl_errors();
        } else if (word(0) == "record") {
            bool sent = true;
            for (std::uint32_t i = 0; sent && i < std::max(1U, number(3)); ++i)
                sent = write(m_records.make(static_cast<std::uint8_t>(number(1)), bytes(2)));
            json.set("sent", sent);
        } else if (word(0) == "raw") {
            json.set("sent", write(bytes(1)));
        } else if (word(0) == "end") {
            m_received.clear();
            while (read_some()) {
            }
            json = event("ended");
            json.set("bytes", to_base64(as_bytes(m_received)));
            tell(json);
            return false;
        } else {
            if (word(0) == "close") SSL_shutdown(m_tls.get());
            return false;
        }
        tell(json);
        return true;
    }

    bool write(ByteView bytes) {
        while (!bytes.empty()) {
            const ssize_t size = ::send(m_socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (size <= 0) return false;
            bytes = bytes.subspan(static_cast<std::size_t>(size));
        }
        return true;
    }

    Fd m_socket;
    const Org& m_org;
    OpenSsl<SSL> m_tls;
    ServerRecords m_records;
    std::string m_received;
    Exporter m_exporter;
    ProofKey m_key;
    Proof m_proof{};
};

Result<OpenSsl<SSL_CTX>> make_context(const std::string& folder,
                                      const std::vector<std::string>& options) {
    OpenSsl<SSL_CTX> context(SSL_CTX_new(TLS_server_method()));
    SSL_CTX* tls = context.get();
    bool fine =
        SSL_CTX_use_certificate_chain_file(tls, (folder + "/gateway.pem").c_str()) == 1 &&
        SSL_CTX_use_PrivateKey_file(tls, (folder + "/gateway.key").c_str(), SSL_FILETYPE_PEM) == 1;
    SSL_CTX_set_keylog_callback(tls, note_secret);
    SSL_CTX_set_num_tickets(tls, 0);
    static constexpr unsigned char session_context[] = "rogue";
    SSL_CTX_set_session_id_context(tls, session_context, sizeof session_context);
    for (const auto& option : options) {
        const auto value = option.substr(option.find('=') + 1);
        if (option == "tls1.2")
            fine = fine && SSL_CTX_set_max_proto_version(tls, TLS1_2_VERSION) == 1;
        if (option.starts_with("group="))
            fine = fine && SSL_CTX_set1_groups_list(tls, value.c_str()) == 1;
        if (option.starts_with("suite="))
            fine = fine && SSL_CTX_set_ciphersuites(tls, value.c_str()) == 1;
        if (option.starts_with("tickets="))
            SSL_CTX_set_num_tickets(tls, parse_number<std::size_t>(value).value_or(0));
    }
    if (!fine) return fail_openssl(ErrorCode::InvalidArgument, "cannot prepare TLS");
    return context;
}

Result<Fd> listen_at(std::string_view text) {
    const auto endpoint = Endpoint::parse(text);
    if (!endpoint || !endpoint->address.is_v4())
        return fail(ErrorCode::InvalidArgument, "no endpoint");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(endpoint->port);
    ::inet_pton(AF_INET, endpoint->address.text().c_str(), &address.sin_addr);
    Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0 ||
        ::listen(socket.get(), 16) < 0)
        return fail_errno(errno, "listen");
    return socket;
}

Status run(int argc, char** argv) {
    TRY(crypto::initialise());
    const std::string folder = argv[2];
    const std::vector<std::string> options(argv + 3, argv + argc);
    const Org org = TRY(load_org(folder));
    const auto context = TRY(make_context(folder, options));
    const Fd listener = TRY(listen_at(argv[1]));
    const bool eager = std::ranges::find(options, "eager") != options.end();
    tell(event("listening"));
    while (true) {
        Fd socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (socket.get() < 0) return fail_errno(errno, "accept");
        Connection(std::move(socket), context.get(), org).serve(eager);
        tell(event("gone"));
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) return 2;
    ::signal(SIGPIPE, SIG_IGN);
    auto status = run(argc, argv);
    std::cerr << status.error().text() << "\n";
    return 1;
}
