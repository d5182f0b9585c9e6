// Many nodes that come to a gateway at the same moment, or spread evenly, in one thread: each makes a
// connection of its own, a full TLS handshake by OpenSSL, and one proved request; who is sent away or
// not served comes again as the agent does. Their keys come from seeds, so that who has enrolled can
// join later.
//
//   usage: storm-client VERB --server ADDRESS:PORT --ca FILE --name GATEWAY_NAME
//                       [--nodes 1] [--first SEED] [--over S] [--patience S] [--limit S]
//                       [--per-address 50] [--invites FILE]
//                       [--since REVISION --document SERIAL --wait S]
//
//   handshake   and nothing after it
//   enroll      each with a line of FILE, in turn
//   join
//   poll        each waits for a change of the member feed after REVISION and SERIAL; when all have
//               asked, the line `waiting` is printed
//
// The result is one JSON object: how many are in, the tries that they needed, when the last was in,
// how long each took from its own beginning, and the bytes of all the answers.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/encoding.h"
#include "base/text.h"
#include "core/enrolment.h"
#include "core/json.h"
#include "gateway/certificate.h"
#include "os/fd.h"
#include "os/loop.h"
#include "os/random.h"

using namespace fortros;
using gateway::fail_openssl;
using gateway::OpenSsl;

namespace {

enum class Verb { Handshake, Enroll, Join, Poll };

struct Orders {
    Endpoint endpoint;
    std::string name;
    Verb verb = Verb::Handshake;
    Duration patience{};
    std::uint32_t nodes_per_address = 1;
    std::string target{};  // of a poll
    std::vector<std::string> invites{};
};

struct Tally {
    std::size_t in = 0;
    std::size_t left = 0;          // to come in
    std::vector<Duration> when{};  // since all have begun
    std::vector<Duration> took{};  // since each has begun
    std::vector<unsigned> tries{};
    std::size_t refused_for_good = 0;
    std::size_t too_slow = 0;
    std::size_t sent_away = 0;
    std::size_t broken = 0;
    std::size_t asked = 0;  // how often
    std::size_t answer_bytes = 0;
    std::string first_refusal{};
};

class Node {
public:
    Node(Loop& loop, SSL_CTX* tls, const Orders& orders, Tally& tally, std::uint64_t seed,
         const Instant& began)
        : m_loop(loop),
          m_context(tls),
          m_orders(orders),
          m_tally(tally),
          m_seed(seed),
          m_random(seed),
          m_key(crypto::make_private_key(m_random)),
          m_public(crypto::public_key_of(m_key).value()),
          m_invite(orders.invites.empty() ? "" : orders.invites[seed % orders.invites.size()]),
          m_began(began) {}

    void begin_after(Duration pause) { again(pause); }

private:
    enum class Phase { Connecting, Handshaking, Writing, Reading };

    void try_now() {
        if (m_tries++ == 0) m_first_try = monotonic_now();
        m_phase = Phase::Connecting;
        m_parser = {};
        m_deadline = m_loop.after(m_orders.patience, [this] { give_up(m_tally.too_slow); });
        if (auto status = open(); !status) give_up(m_tally.broken);
    }

    Status open() {
        m_socket = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        if (!m_socket.valid()) return fail_errno(errno, "socket");
        const sockaddr_in here{
            .sin_family = AF_INET,
            .sin_addr = {htonl(0x7F010001U + static_cast<std::uint32_t>(
                                                 m_seed / m_orders.nodes_per_address << 8))}};
        const int later = 1;  // the port is chosen for both ends, so that there are enough
        ::setsockopt(m_socket.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &later, sizeof(later));
        if (::bind(m_socket.get(), reinterpret_cast<const sockaddr*>(&here), sizeof(here)) < 0)
            return fail_errno(errno, "bind");
        const int at_once = 1;  // as the agent
        ::setsockopt(m_socket.get(), IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof(at_once));
        sockaddr_in to{.sin_family = AF_INET, .sin_port = htons(m_orders.endpoint.port)};
        ::inet_pton(AF_INET, m_orders.endpoint.address.text().c_str(), &to.sin_addr);
        if (::connect(m_socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) < 0 &&
            errno != EINPROGRESS)
            return fail_errno(errno, "connect");
        m_watch = TRY(m_loop.watch(m_socket.get(), EPOLLOUT, [this](std::uint32_t) { advance(); }));
        m_tls.reset(SSL_new(m_context));
        if (SSL_set_fd(m_tls.get(), m_socket.get()) != 1 ||
            SSL_set_tlsext_host_name(m_tls.get(), m_orders.name.c_str()) != 1 ||
            SSL_set1_host(m_tls.get(), m_orders.name.c_str()) != 1)
            return fail_openssl(ErrorCode::Internal, "TLS");
        SSL_set_connect_state(m_tls.get());
        return {};
    }

    void close() {
        m_watch = {};
        m_tls.reset();
        m_socket = {};
    }

    // Like the agent: twice as long each time, with chance, from a second on.
    void give_up(std::size_t& why) {
        close();
        ++why;
        const auto base = std::min<std::uint64_t>(1000U << std::min(m_tries - 1, 4U), 15000);
        again(std::chrono::milliseconds{base / 2 + m_random.below(base)});
    }

    void again(Duration pause) {
        m_deadline = m_loop.after(pause, [this] { try_now(); });
    }

    void settle(bool is_in) {
        close();
        m_deadline = {};
        if (is_in) {
            ++m_tally.in;
            m_tally.when.push_back(monotonic_now() - m_began);
            m_tally.took.push_back(monotonic_now() - m_first_try);
            m_tally.tries.push_back(m_tries);
        } else {
            ++m_tally.refused_for_good;
        }
        if (--m_tally.left == 0) m_loop.stop();
    }

    // True when there is more to do at once.
    bool wants(int result) {
        const int error = SSL_get_error(m_tls.get(), result);
        ERR_clear_error();
        if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
            if (!m_watch.change(error == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT))
                give_up(m_tally.broken);
        } else {
            give_up(m_tally.broken);
        }
        return false;
    }

    void advance() {
        while (step()) {
        }
    }

    bool step() {
        switch (m_phase) {
            case Phase::Connecting: {
                int error = 0;
                socklen_t size = sizeof(error);
                ::getsockopt(m_socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
                if (error != 0) return give_up(m_tally.broken), false;
                m_phase = Phase::Handshaking;
                return true;
            }
            case Phase::Handshaking: {
                const int result = SSL_do_handshake(m_tls.get());
                if (result != 1) return wants(result);
                if (m_orders.verb == Verb::Handshake) return settle(true), false;
                if (!prepare()) return give_up(m_tally.broken), false;
                m_phase = Phase::Writing;
                return true;
            }
            case Phase::Writing: {
                const int result =
                    SSL_write(m_tls.get(), m_bytes.view().data(), static_cast<int>(m_bytes.size()));
                if (result <= 0) return wants(result);
                m_phase = Phase::Reading;
                if (++m_tally.asked == m_tally.left + m_tally.in && m_orders.verb == Verb::Poll)
                    std::cout << "waiting" << std::endl;
                return true;
            }
            case Phase::Reading: return read();
        }
        return false;
    }

    Status prepare() {
        GatewayIdentity gateway;
        const OpenSsl<X509> leaf(SSL_get1_peer_certificate(m_tls.get()));
        gateway.wireguard_key =
            TRY(check_leaf(TRY(gateway::leaf_facts_of(leaf.get())), m_orders.name));
        if (SSL_export_keying_material(m_tls.get(), gateway.exporter.writable().data(), 32,
                                       proof_exporter_label.data(), proof_exporter_label.size(),
                                       nullptr, 0, 0) != 1)
            return fail_openssl(ErrorCode::Internal, "exporter");
        m_pending = TRY(make_request(m_key, m_public, gateway, m_orders.name,
                                     {.hostname = "",
                                      .boot_id = std::string(32, 'b'),
                                      .agent = "storm-client",
                                      .has_session = m_orders.verb == Verb::Join},
                                     as_bytes(m_invite), m_random));
        if (m_orders.verb == Verb::Poll) make_poll();
        m_bytes = serialize(m_pending.request);
        return {};
    }

    void make_poll() {
        auto& request = m_pending.request;
        request.method = "GET";
        request.target = m_orders.target;
        request.body = {};
        m_pending.proof = request_proof(m_pending.proof_key, request.method, request.target,
                                        m_public, request.body.view());
        for (auto& [name, value] : request.headers)
            if (name == proof_header) value = to_base64(m_pending.proof);
    }

    bool read() {
        char bytes[4096];
        const int size = SSL_read(m_tls.get(), bytes, sizeof(bytes));
        if (size <= 0) return wants(size);
        m_tally.answer_bytes += static_cast<std::size_t>(size);
        auto answer = m_parser.feed(as_bytes({bytes, static_cast<std::size_t>(size)}));
        if (!answer) return give_up(m_tally.broken), false;
        if (!*answer) return true;
        judge(**answer);
        return false;
    }

    void judge(const HttpAnswer& answer) {
        const auto retry_after = retry_after_of(answer);
        const auto proof = answer_proof(m_pending.proof_key, m_pending.proof, answer.status,
                                        retry_after.value_or(0), as_bytes(answer.body));
        const auto* header = answer.header("fortros-answer");
        if (header == nullptr || *header != to_base64(proof)) return give_up(m_tally.broken);
        if (answer.status == 200) return settle(true);
        if (retry_after) {
            close();
            ++m_tally.sent_away;
            // A tenth more by chance, as the agent adds.
            const std::uint64_t pause = std::uint64_t{*retry_after} * 1000;
            return again(std::chrono::milliseconds{pause + m_random.below(pause / 10 + 1)});
        }
        if (m_tally.first_refusal.empty())
            m_tally.first_refusal = std::to_string(answer.status) + " " + answer.body;
        settle(false);
    }

    Loop& m_loop;
    SSL_CTX* m_context;
    const Orders& m_orders;
    Tally& m_tally;
    std::uint64_t m_seed;
    SeededRandom m_random;
    PrivateKey m_key;
    PublicKey m_public;
    std::string m_invite;
    const Instant& m_began;
    Instant m_first_try{};
    unsigned m_tries = 0;
    Phase m_phase = Phase::Connecting;
    Fd m_socket;
    OpenSsl<SSL> m_tls;
    Loop::Watch m_watch;
    Loop::Timer m_deadline;
    PendingRequest m_pending;
    SecretBytes m_bytes;
    HttpAnswerParser m_parser;
};

double seconds(Duration span) { return std::chrono::duration<double>(span).count(); }

double at(double part, const std::vector<Duration>& sorted) {
    if (sorted.empty()) return 0;
    const auto last = static_cast<double>(sorted.size() - 1);
    return seconds(sorted[static_cast<std::size_t>(part * last)]);
}

void print(Tally tally) {
    std::ranges::sort(tally.when);
    std::ranges::sort(tally.took);
    const auto most = tally.tries.empty() ? 0U : std::ranges::max(tally.tries);
    std::cout << "{\"in\": " << tally.in << ", \"refused\": " << tally.refused_for_good
              << ", \"not_in\": " << tally.left << ", \"median_s\": " << at(0.5, tally.when)
              << ", \"p99_s\": " << at(0.99, tally.when) << ", \"last_s\": " << at(1, tally.when)
              << ", \"took_median_s\": " << at(0.5, tally.took)
              << ", \"took_p90_s\": " << at(0.9, tally.took)
              << ", \"took_p99_s\": " << at(0.99, tally.took)
              << ", \"too_slow\": " << tally.too_slow << ", \"sent_away\": " << tally.sent_away
              << ", \"broken\": " << tally.broken << ", \"answer_bytes\": " << tally.answer_bytes
              << ", \"most_tries\": " << most << ", \"tries\": [";
    for (unsigned count = 1; count <= most; ++count)
        std::cout << (count > 1 ? ", " : "") << std::ranges::count(tally.tries, count);
    std::cout << "]}\n";
    if (!tally.first_refusal.empty()) std::cerr << "refused: " << tally.first_refusal << "\n";
}

using Options = std::map<std::string, std::string, std::less<>>;

Result<std::uint64_t> number(const Options& options, std::string_view name,
                             std::uint64_t otherwise) {
    const auto found = options.find(name);
    if (found == options.end()) return otherwise;
    if (const auto parsed = parse_number<std::uint64_t>(found->second)) return *parsed;
    return fail(ErrorCode::InvalidArgument, std::string(name) + " takes a number");
}

Result<Verb> parse_verb(std::string_view word) {
    if (word == "handshake") return Verb::Handshake;
    if (word == "enroll") return Verb::Enroll;
    if (word == "join") return Verb::Join;
    if (word == "poll") return Verb::Poll;
    return fail(ErrorCode::InvalidArgument, "see the head of this file");
}

Result<Orders> make_orders(std::string_view verb, Options& options) {
    Orders orders;
    orders.verb = TRY(parse_verb(verb));
    const auto endpoint = Endpoint::parse(options["--server"]);
    if (!endpoint) return fail(ErrorCode::InvalidArgument, "--server takes ADDRESS:PORT");
    orders.endpoint = *endpoint;
    orders.name = options["--name"];
    orders.patience = std::chrono::seconds{TRY(number(options, "--patience", 5))};
    orders.nodes_per_address = static_cast<std::uint32_t>(
        std::max<std::uint64_t>(1, TRY(number(options, "--per-address", 50))));
    orders.target = "/v1/members?since=" + std::to_string(TRY(number(options, "--since", 0))) +
                    "&document=" + std::to_string(TRY(number(options, "--document", 0))) +
                    "&wait=" + std::to_string(TRY(number(options, "--wait", 120)));
    std::ifstream file(options["--invites"]);
    for (std::string line; std::getline(file, line);) orders.invites.push_back(line);
    return orders;
}

Status play(std::string_view verb, Options options) {
    TRY(crypto::initialise());
    const Orders orders = TRY(make_orders(verb, options));
    const std::uint64_t nodes = TRY(number(options, "--nodes", 1));
    const std::uint64_t first = TRY(number(options, "--first", 1));
    const std::uint64_t limit = TRY(number(options, "--limit", 180));
    const Duration over = std::chrono::seconds{TRY(number(options, "--over", 0))};
    const OpenSsl<SSL_CTX> tls(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_min_proto_version(tls.get(), TLS1_3_VERSION);
    SSL_CTX_set1_groups_list(tls.get(), "P-256:X25519:P-384");  // as the agent
    SSL_CTX_set_mode(tls.get(), SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(tls.get(), SSL_VERIFY_PEER, nullptr);
    for (const auto& anchor : TRY(gateway::load_certificates(options["--ca"])))
        X509_STORE_add_cert(SSL_CTX_get_cert_store(tls.get()), anchor.get());

    const auto loop = TRY(Loop::create());
    Tally tally{.left = nodes};
    std::vector<std::unique_ptr<Node>> all;
    all.reserve(nodes);
    Instant began{};
    for (std::size_t i = 0; i < nodes; ++i)
        all.push_back(std::make_unique<Node>(*loop, tls.get(), orders, tally, first + i, began));
    began = monotonic_now();
    for (std::size_t i = 0; i < nodes; ++i)
        all[i]->begin_after(over * static_cast<std::int64_t>(i) / static_cast<std::int64_t>(nodes));
    const auto end = loop->after(std::chrono::seconds{limit}, [&] { loop->stop(); });
    TRY(loop->run());
    print(tally);
    return {};
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) return 2;
    Options options;
    for (int i = 2; i + 1 < argc; i += 2) options[argv[i]] = argv[i + 1];
    ::signal(SIGPIPE, SIG_IGN);
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    if (auto status = play(argv[1], std::move(options)); !status) {
        std::cerr << "storm-client: " << status.error().text() << "\n";
        return 1;
    }
    return 0;
}
