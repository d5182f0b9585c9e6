// Clients that are slow or silent, in five kinds of equal numbers; whoever is thrown out comes again.
// It runs until it is told to end (SIGTERM), and says then how often that was.
//
//   usage: slow-crowd ADDRESS:PORT GATEWAY_NAME COUNT
//
//   idle        a connection, and not a word
//   half-open   the first bytes of a handshake, and no more
//   quiet       a whole handshake, and not a word after it
//   slow head   a request, a byte a second
//   slow body   a whole head, and a body of a byte a second
//
// When all have come once, the line `ready` is printed.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include <array>
#include <csignal>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "base/text.h"
#include "core/address.h"
#include "gateway/openssl.h"
#include "os/fd.h"
#include "os/loop.h"

using namespace fortros;
using gateway::OpenSsl;

namespace {

constexpr std::size_t clients_per_address = 50;

enum class Kind { Idle, HalfOpen, Quiet, SlowHead, SlowBody };
constexpr std::size_t kinds = static_cast<std::size_t>(Kind::SlowBody) + 1;

struct Ground {
    Loop& loop;
    SSL_CTX* tls;
    sockaddr_in server;
    std::string name;
    std::size_t not_here_yet = 0;
    std::size_t thrown_out = 0;
};

class SlowClient {
public:
    SlowClient(Ground& ground, std::size_t number)
        : m_ground(ground), m_number(number), m_kind(static_cast<Kind>(number % kinds)) {}

    void come() {
        m_tls.reset();
        m_sent = 0;
        m_is_shaking = false;
        m_socket = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        const auto group = static_cast<std::uint32_t>(m_number / clients_per_address);
        const sockaddr_in here{.sin_family = AF_INET,
                               .sin_addr = {htonl(0x7F800001U + (group << 8))}};
        const int later = 1;
        ::setsockopt(m_socket.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &later, sizeof(later));
        ::bind(m_socket.get(), reinterpret_cast<const sockaddr*>(&here), sizeof(here));
        ::connect(m_socket.get(), reinterpret_cast<const sockaddr*>(&m_ground.server),
                  sizeof(m_ground.server));
        auto watch = m_ground.loop.watch(m_socket.get(), EPOLLOUT,
                                         [this](std::uint32_t events) { on_ready(events); });
        if (!watch) return leave();
        m_watch = std::move(*watch);
    }

private:
    void on_ready(std::uint32_t events) {
        if ((events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0) return leave();
        if (!m_has_come) {
            m_has_come = true;
            if (--m_ground.not_here_yet == 0) std::cout << "ready" << std::endl;
        }
        if (m_kind == Kind::Idle) return wait();
        if (m_kind == Kind::HalfOpen) {
            static constexpr char beginning[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01};
            [[maybe_unused]] const auto sent =
                ::send(m_socket.get(), beginning, sizeof(beginning), MSG_NOSIGNAL);
            return wait();
        }
        if (!m_is_shaking) {
            m_is_shaking = true;
            m_tls.reset(SSL_new(m_ground.tls));
            SSL_set_fd(m_tls.get(), m_socket.get());
            SSL_set_tlsext_host_name(m_tls.get(), m_ground.name.c_str());
            SSL_set_connect_state(m_tls.get());
        }
        const int result = SSL_do_handshake(m_tls.get());
        if (result == 1) return m_kind == Kind::Quiet ? wait() : drip();
        const int error = SSL_get_error(m_tls.get(), result);
        ERR_clear_error();
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return leave();
        if (!m_watch.change((error == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT) | EPOLLRDHUP))
            leave();
    }

    // For being thrown out.
    void wait() {
        if (!m_watch.change(EPOLLRDHUP)) leave();
    }

    void drip() {
        const std::string head = "POST /v1/join HTTP/1.1\r\nHost: " + m_ground.name +
                                 "\r\nContent-Length: 20000\r\nX-Filler: ";
        const bool is_body = m_kind == Kind::SlowBody;
        const std::string bytes = m_sent == 0 && is_body             ? head + "x\r\n\r\n"
                                  : m_sent < head.size() && !is_body ? std::string(1, head[m_sent])
                                                                     : "x";
        if (SSL_write(m_tls.get(), bytes.data(), static_cast<int>(bytes.size())) <= 0)
            return leave();
        m_sent += bytes.size();
        m_timer = m_ground.loop.after(1s, [this] { drip(); });
        wait();
    }

    void leave() {
        ++m_ground.thrown_out;
        m_watch = {};
        m_tls.reset();
        m_socket = {};
        m_timer = m_ground.loop.after(1s, [this] { come(); });
    }

    Ground& m_ground;
    std::size_t m_number;
    Kind m_kind;
    bool m_has_come = false;
    bool m_is_shaking = false;
    std::size_t m_sent = 0;
    Fd m_socket;
    OpenSsl<SSL> m_tls;
    Loop::Watch m_watch;
    Loop::Timer m_timer;
};

Status play(const Endpoint& endpoint, std::string name, std::size_t count) {
    const OpenSsl<SSL_CTX> tls(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_min_proto_version(tls.get(), TLS1_3_VERSION);
    SSL_CTX_set1_groups_list(tls.get(), "P-256:X25519:P-384");  // as the agent
    SSL_CTX_set_mode(tls.get(), SSL_MODE_RELEASE_BUFFERS);
    const auto loop = TRY(Loop::create());
    Ground ground{.loop = *loop,
                  .tls = tls.get(),
                  .server = {},
                  .name = std::move(name),
                  .not_here_yet = count};
    ground.server.sin_family = AF_INET;
    ground.server.sin_port = htons(endpoint.port);
    ::inet_pton(AF_INET, endpoint.address.text().c_str(), &ground.server.sin_addr);

    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &signals, nullptr);
    const Fd told(::signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC));
    const auto end = TRY(loop->watch(told.get(), EPOLLIN, [&](std::uint32_t) { loop->stop(); }));

    std::vector<std::unique_ptr<SlowClient>> crowd;
    for (std::size_t i = 0; i < count; ++i) {
        crowd.push_back(std::make_unique<SlowClient>(ground, i));
        crowd.back()->come();
    }
    TRY(loop->run());
    std::cout << ground.thrown_out << std::endl;
    return {};
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    ::signal(SIGPIPE, SIG_IGN);
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    const auto endpoint = Endpoint::parse(argv[1]);
    const auto count = parse_number<std::size_t>(argv[3]);
    if (!endpoint || !count) return 2;
    if (auto status = play(*endpoint, argv[2], *count); !status) {
        std::cerr << "slow-crowd: " << status.error().text() << "\n";
        return 1;
    }
    return 0;
}
