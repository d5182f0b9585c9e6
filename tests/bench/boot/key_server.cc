// What a script is enrolled by: an HTTPS endpoint that takes a WireGuard key and answers with the settings of
// the tunnel. It asks for a token that all know, and for no proof: a shell cannot compute one. One connection at
// a time, and the kernel is told by netlink, as the gateway does it: the script waits for nothing needless.
//
//   usage: boot-key-server ADDRESS CERTIFICATE KEY TOKEN ENDPOINT    (port 443; wg0 is there already)
//
//   POST {"token":"...","public_key":"..."}   ->   OWN_ADDRESS PEER_KEY ENDPOINT NETWORK
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <iostream>
#include <optional>
#include <string>

#include "base/text.h"
#include "core/address.h"
#include "core/key.h"
#include "gateway/openssl.h"
#include "os/fd.h"
#include "os/wireguard.h"

using namespace fortros;
using gateway::fail_openssl;
using gateway::OpenSsl;

namespace {

constexpr std::uint16_t port = 443;
constexpr std::size_t request_limit = 4096;
constexpr const char* interface = "wg0";
constexpr const char* network = "10.43.0.0/16";
constexpr unsigned first_host = 256, host_limit = 65000;

// The value of a member of a flat JSON object of strings, without escapes.
std::optional<std::string> member(const std::string& body, const std::string& name) {
    const auto key = body.find('"' + name + '"');
    if (key == std::string::npos) return std::nullopt;
    const auto begin = body.find('"', body.find(':', key));
    if (begin == std::string::npos) return std::nullopt;
    const auto end = body.find('"', begin + 1);
    if (end == std::string::npos) return std::nullopt;
    return body.substr(begin + 1, end - begin - 1);
}

class KeyServer {
public:
    KeyServer(WireGuard kernel, OpenSsl<SSL_CTX> tls, std::string token, std::string own_key,
              std::string endpoint)
        : m_kernel(std::move(kernel)),
          m_tls(std::move(tls)),
          m_token(std::move(token)),
          m_own_key(std::move(own_key)),
          m_endpoint(std::move(endpoint)) {}

    Status serve_one(int listener) {
        const Fd socket{::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC)};
        if (!socket.valid()) return fail_errno(errno, "cannot accept a connection");
        const int yes = 1;
        ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        const OpenSsl<SSL> session{SSL_new(m_tls.get())};
        if (!session || SSL_set_fd(session.get(), socket.get()) != 1 ||
            SSL_accept(session.get()) != 1)
            return fail_openssl(ErrorCode::Unreachable, "cannot shake hands");
        auto answered = answer(TRY(read_body(session.get())));
        const auto& body = answered ? *answered : answered.error().text();
        const auto head = "HTTP/1.1 " + std::string(answered ? "200 OK" : "403 Forbidden") +
                          "\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: " +
                          std::to_string(body.size()) + "\r\n\r\n";
        const auto whole = head + body;
        if (SSL_write(session.get(), whole.data(), static_cast<int>(whole.size())) <= 0)
            return fail_openssl(ErrorCode::Unreachable, "cannot answer");
        SSL_shutdown(session.get());
        return {};
    }

private:
    static Result<std::string> read_body(SSL* session) {
        std::string request;
        std::array<char, request_limit> part{};
        while (request.size() < request_limit) {
            const int size = SSL_read(session, part.data(), static_cast<int>(part.size()));
            if (size <= 0) return fail_openssl(ErrorCode::InvalidData, "the request ended early");
            request.append(part.data(), static_cast<std::size_t>(size));
            const auto end = request.find("\r\n\r\n");
            if (end == std::string::npos) continue;
            const auto head = to_lower(request.substr(0, end));
            const auto length = head.find("content-length: ");
            if (length == std::string::npos)
                return fail(ErrorCode::InvalidData, "no Content-Length");
            const auto digits = head.substr(length + 16, head.find('\r', length) - length - 16);
            const auto wanted = parse_number<std::size_t>(digits);
            if (!wanted || *wanted > request_limit)
                return fail(ErrorCode::InvalidData, "a body too long");
            if (request.size() >= end + 4 + *wanted) return request.substr(end + 4, *wanted);
        }
        return fail(ErrorCode::InvalidData, "a request too long");
    }

    Result<std::string> answer(const std::string& body) {
        if (member(body, "token") != m_token)
            return fail(ErrorCode::Refused, "not with this token");
        const auto key = PublicKey::from_base64(member(body, "public_key").value_or(""));
        if (!key) return fail(ErrorCode::InvalidData, "no public_key");
        if (m_hosts >= host_limit) return fail(ErrorCode::Exhausted, "no address is left");
        const unsigned host = m_hosts++;
        const auto own =
            "10.43." + std::to_string(host >> 8) + "." + std::to_string(host & 255) + "/32";
        const WireGuardChange change{.peer = {.key = *key, .allowed_ips = {*IpNetwork::parse(own)}},
                                     .replace_allowed_ips = true};
        TRY(m_kernel.apply(interface, {&change, 1}));
        return own + " " + m_own_key + " " + m_endpoint + " " + network + "\n";
    }

    WireGuard m_kernel;
    OpenSsl<SSL_CTX> m_tls;
    std::string m_token;
    std::string m_own_key;
    std::string m_endpoint;
    unsigned m_hosts = first_host;
};

Result<Fd> listen_on(const char* address) {
    Fd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (!socket.valid()) return fail_errno(errno, "cannot make a socket");
    const int yes = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in here{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}};
    if (::inet_pton(AF_INET, address, &here.sin_addr) != 1)
        return fail(ErrorCode::InvalidArgument, std::string("no address: ") + address);
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&here), sizeof here) < 0 ||
        ::listen(socket.get(), SOMAXCONN) < 0)
        return fail_errno(errno, std::string("cannot listen on ") + address);
    return socket;
}

Status run(const char* address, const char* certificate, const char* key, const char* token,
           const char* endpoint) {
    OpenSsl<SSL_CTX> tls{SSL_CTX_new(TLS_server_method())};
    if (!tls || SSL_CTX_use_certificate_chain_file(tls.get(), certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls.get(), key, SSL_FILETYPE_PEM) != 1)
        return fail_openssl(ErrorCode::InvalidSettings, "cannot use the certificate and its key");
    SSL_CTX_set_num_tickets(tls.get(), 0);
    auto kernel = TRY(WireGuard::create());
    const auto own = TRY(kernel.status(interface)).public_key;
    if (!own) return fail(ErrorCode::NotFound, std::string(interface) + " has no key");
    KeyServer server(std::move(kernel), std::move(tls), token, own->base64(), endpoint);
    const auto listener = TRY(listen_on(address));
    std::cout << "serving" << std::endl;
    while (true) {
        if (auto served = server.serve_one(listener.get()); !served)
            std::cout << served.error().text() << std::endl;
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 6) {
        std::cerr << "usage: boot-key-server ADDRESS CERTIFICATE KEY TOKEN ENDPOINT\n";
        return 2;
    }
    std::signal(SIGPIPE, SIG_IGN);
    const auto done = run(argv[1], argv[2], argv[3], argv[4], argv[5]);
    std::cerr << done.error().text() << "\n";
    return 1;
}
