#include "os/resolver.h"

#include <ares.h>
#include <netinet/in.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "base/text.h"
#include "core/discovery.h"
#include "os/dns_answer.h"
#include "os/random.h"
#include "os/resolver_order.h"
#include "os/resolver_sockets.h"

namespace fortros {

// c-ares gives up what it has asked when it asks again: a server behind a slow line, whose every answer
// takes longer than a try, would never be heard. So there are two of it. The patient one asks once, and
// waits as long as a boot gives a source; what it has no answer to soon is asked again, a few times, by
// the insistent one, which a lost packet or a dead server then costs a second.
static constexpr std::chrono::milliseconds patience{4500};
static constexpr Duration before_again = 1s;
static constexpr std::chrono::milliseconds first_try{1000};
static constexpr std::chrono::milliseconds longest_try{2000};
static constexpr int rounds = 2;
static constexpr std::size_t servers_limit = 8;

class NameLookup::Machine {
public:
    Machine(Loop& loop, const LookupRequest& request, Done done)
        : m_loop(loop),
          m_name(request.name),
          m_service(request.service),
          m_gateway_port(request.gateway_port),
          m_done(std::move(done)) {
        if (auto begun = begin(request); !begun) m_failure = std::move(begun.error());
        // What c-ares can tell at once is told from the loop all the same.
        m_timer = m_loop.after(0s, [this] { settle(); });
    }
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;
    ~Machine() { close(); }

private:
    // One name's records of one type.
    struct Question {
        Machine* machine;
        std::string name;
        ares_dns_rec_type_t type;
        Instant asked{};
        unsigned open = 0;      // by the patient one, and by the insistent one
        bool again = false;     // by the insistent one
        bool answered = false;  // or given up
        ares_status_t status = ARES_SUCCESS;
        std::vector<IpAddress> addresses{};
    };

    // One c-ares; not there before it is opened.
    struct Channel {
        Machine* machine;
        ares_channel_t* handle = nullptr;
    };

    struct Tries {
        std::chrono::milliseconds first, longest;
        int rounds;
    };

    Status begin(const LookupRequest& request);
    Status open(Channel& channel, const Tries& tries);
    void ask(const std::string& name, ares_dns_rec_type_t type);
    Status ask_again();
    void ask_by(Channel& channel, Question& question);
    void ask_for_targets();
    static void told(void* question, ares_status_t status, std::size_t timeouts,
                     const ares_dns_record_t* answer);
    static void socket_changed(void* channel, ares_socket_t fd, int readable, int writable);
    void socket_ready(const Channel& channel, int fd, std::uint32_t events);
    void process_timeouts();
    Instant next_timeout(Instant now) const;

    // Tells the result if it is there, otherwise arms the timer. The last thing that a turn does.
    void settle();
    void finish(Result<std::vector<Endpoint>> result);
    std::vector<IpAddress> addresses_of(const std::string& name) const;
    std::vector<Endpoint> found() const;
    Error refusal() const;
    void close();

    Loop& m_loop;
    std::string m_name, m_service;
    std::uint16_t m_gateway_port;
    std::string m_servers;  // for messages
    std::string m_asked;    // for c-ares
    std::uint16_t m_port = 53;
    Done m_done;
    unsigned m_ifindex = 0;  // of the link-local servers' link
    Channel m_patient{this};
    Channel m_insistent{this};
    bool m_closing = false;
    std::map<int, Loop::Watch> m_watches;
    Loop::Timer m_timer;
    // The name's AAAA and A, the service's SRV, then AAAA and A of its targets: as c-ares holds
    // pointers to them, none moves.
    std::deque<Question> m_questions;
    std::vector<Service> m_services;  // in order
    Instant m_began = monotonic_now();
    bool m_targets_asked = false;
    bool m_found_some = false;
    Instant m_grace_ends{};  // counts once some are found
    std::optional<Error> m_failure;
};

// The servers as c-ares wants them, "[address]:port" separated by commas, and as a person does. A
// link-local server without a link can't be asked.
struct ServerTexts {
    std::vector<std::string> asked, shown;
};

static ServerTexts servers_of(const LookupRequest& request, bool has_link) {
    ServerTexts out;
    for (const auto& server : request.resolvers.servers) {
        if (out.asked.size() == servers_limit) break;
        const bool link_local = !server.is_v4() && server.is_link_local();
        if (is_stand_in(server) || (link_local && !has_link)) continue;
        const Endpoint endpoint{link_local ? stand_in_for(server) : server, request.port};
        out.asked.push_back(endpoint.text());
        out.shown.push_back(server.text());
    }
    return out;
}

Status NameLookup::Machine::begin(const LookupRequest& request) {
    m_ifindex = request.resolvers.ifindex;
    const ServerTexts servers = servers_of(request, m_ifindex != 0);
    if (servers.asked.empty()) return fail(ErrorCode::Unreachable, "no DNS server is known");
    m_servers = join(servers.shown, ", ");
    m_asked = join(servers.asked, ",");
    m_port = request.port;
    TRY(open(m_patient, {.first = patience, .longest = patience, .rounds = 1}));
    ask(m_name, ARES_REC_TYPE_AAAA);
    ask(m_name, ARES_REC_TYPE_A);
    if (!m_service.empty()) ask(m_service, ARES_REC_TYPE_SRV);
    return {};
}

Status NameLookup::Machine::open(Channel& channel, const Tries& tries) {
    // Either could add search domains, servers or options to what policy has said.
    ::unsetenv("LOCALDOMAIN");
    ::unsetenv("RES_OPTIONS");
    char nowhere[] = "/dev/null";
    char dns_only[] = "b";
    // c-ares does not start without a server; before anything is asked, the real ones take its place.
    in_addr placeholder{.s_addr = htonl(INADDR_LOOPBACK)};
    ares_options options{};
    options.servers = &placeholder;
    options.nservers = 1;
    options.flags =
        ARES_FLAG_NO_DFLT_SVR | ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS;
    options.timeout = static_cast<int>(tries.first.count());
    options.maxtimeout = static_cast<int>(tries.longest.count());
    options.tries = tries.rounds;
    options.udp_port = options.tcp_port = m_port;
    options.lookups = dns_only;
    options.resolvconf_path = options.hosts_path = nowhere;
    options.qcache_max_ttl = 0;
    options.server_failover_opts = {.retry_chance = 0, .retry_delay = 0};  // no trial questions
    options.sock_state_cb = socket_changed;
    options.sock_state_cb_data = &channel;
    const int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_MAXTIMEOUTMS | ARES_OPT_TRIES |
                     ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT | ARES_OPT_SERVERS | ARES_OPT_LOOKUPS |
                     ARES_OPT_RESOLVCONF | ARES_OPT_HOSTS_FILE | ARES_OPT_QUERY_CACHE |
                     ARES_OPT_SERVER_FAILOVER | ARES_OPT_NOROTATE | ARES_OPT_SOCK_STATE_CB;
    ares_library_init(ARES_LIB_INIT_ALL);
    const int status = ares_init_options(&channel.handle, &options, mask);
    if (status != ARES_SUCCESS) {
        channel.handle = nullptr;
        ares_library_cleanup();
        return fail(ErrorCode::Internal, "cannot start a resolver", ares_strerror(status));
    }
    if (ares_set_socket_functions_ex(channel.handle, &resolver_sockets, &m_ifindex) !=
            ARES_SUCCESS ||
        ares_set_servers_csv(channel.handle, m_asked.c_str()) != ARES_SUCCESS)
        return fail(ErrorCode::Internal, "the resolver does not take its servers: " + m_asked);
    return {};
}

void NameLookup::Machine::close() {
    m_closing = true;
    for (Channel* channel : {&m_patient, &m_insistent}) {
        if (!channel->handle) continue;
        ares_destroy(channel->handle);  // every open question is over, and the sockets are closed
        ares_library_cleanup();
        channel->handle = nullptr;
    }
}

void NameLookup::Machine::ask(const std::string& name, ares_dns_rec_type_t type) {
    auto& question = m_questions.emplace_back(this, name, type, monotonic_now());
    ask_by(m_patient, question);
}

void NameLookup::Machine::ask_by(Channel& channel, Question& question) {
    ++question.open;
    // A failure to send is told by the callback like every other.
    ares_query_dnsrec(channel.handle, question.name.c_str(), ARES_CLASS_IN, question.type, told,
                      &question, nullptr);
}

// What has had no answer for a while.
Status NameLookup::Machine::ask_again() {
    const Instant now = monotonic_now();
    for (auto& question : m_questions) {
        if (question.answered || question.again || now - question.asked < before_again) continue;
        if (!m_insistent.handle)
            TRY(open(m_insistent, {.first = first_try, .longest = longest_try, .rounds = rounds}));
        question.again = true;
        ask_by(m_insistent, question);
    }
    return {};
}

void NameLookup::Machine::told(void* asked, ares_status_t status, std::size_t /*timeouts*/,
                               const ares_dns_record_t* answer) {
    auto& question = *static_cast<Question*>(asked);
    auto& self = *question.machine;
    if (self.m_closing || question.answered) return;
    --question.open;
    question.status = status;
    // That one has given up, or could not ask, is no answer while the other may still get one.
    const bool is_no_answer = status == ARES_ETIMEOUT || status == ARES_ECONNREFUSED;
    question.answered = !is_no_answer || question.open == 0;
    if (status != ARES_SUCCESS || !answer) return;
    if (question.type == ARES_REC_TYPE_SRV) {
        KernelRandom random;
        self.m_services = in_order(services_in(answer, question.name), random);
    } else {
        question.addresses = addresses_in(
            answer, question.name, question.type == ARES_REC_TYPE_A ? Family::IPv4 : Family::IPv6);
    }
}

// What the SRV answer has left open. It came after one round trip; these answers may take as long
// again before their grace begins.
void NameLookup::Machine::ask_for_targets() {
    if (m_targets_asked || m_services.empty()) return;
    m_targets_asked = true;
    const std::size_t before = m_questions.size();
    for (const auto& service : m_services) {
        if (!service.addresses.empty() ||
            std::ranges::contains(m_questions, service.target, &Question::name))
            continue;
        ask(service.target, ARES_REC_TYPE_AAAA);
        ask(service.target, ARES_REC_TYPE_A);
    }
    const Instant now = monotonic_now();
    if (m_questions.size() > before) m_grace_ends = now + (now - m_began) + lookup_grace;
}

void NameLookup::Machine::socket_changed(void* asker, ares_socket_t fd, int readable,
                                         int writable) {
    const auto& channel = *static_cast<Channel*>(asker);
    auto& self = *channel.machine;
    if (!readable && !writable) {
        self.m_watches.erase(fd);
        return;
    }
    const std::uint32_t events =
        (readable ? std::uint32_t{EPOLLIN} : 0U) | (writable ? std::uint32_t{EPOLLOUT} : 0U);
    if (auto watch = self.m_watches.find(fd); watch != self.m_watches.end()) {
        if (auto changed = watch->second.change(events); !changed)
            self.m_failure = std::move(changed.error());
        return;
    }
    auto watch = self.m_loop.watch(fd, events, [&self, &channel, fd](std::uint32_t ready) {
        self.socket_ready(channel, fd, ready);
    });
    if (watch)
        self.m_watches.emplace(fd, std::move(*watch));
    else
        self.m_failure = std::move(watch.error());
}

void NameLookup::Machine::socket_ready(const Channel& channel, int fd, std::uint32_t events) {
    ares_fd_events_t event{.fd = fd, .events = ARES_FD_EVENT_NONE};
    if ((events & ~std::uint32_t{EPOLLOUT}) != 0) event.events |= ARES_FD_EVENT_READ;
    if ((events & EPOLLOUT) != 0) event.events |= ARES_FD_EVENT_WRITE;
    ares_process_fds(channel.handle, &event, 1, ARES_PROCESS_FLAG_NONE);
    settle();
}

void NameLookup::Machine::process_timeouts() {
    for (const Channel* channel : {&m_patient, &m_insistent})
        if (channel->handle) ares_process_fds(channel->handle, nullptr, 0, ARES_PROCESS_FLAG_NONE);
    if (Status asked = ask_again(); !asked) m_failure = std::move(asked.error());
}

Instant NameLookup::Machine::next_timeout(Instant now) const {
    Instant next = Instant::max();
    timeval wait{};
    for (const Channel* channel : {&m_patient, &m_insistent})
        if (channel->handle && ares_timeout(channel->handle, nullptr, &wait))
            next = std::min(next, now + std::chrono::seconds{wait.tv_sec} +
                                      std::chrono::microseconds{wait.tv_usec});
    for (const auto& question : m_questions)
        if (!question.answered && !question.again)
            next = std::min(next, question.asked + before_again);
    return next;
}

void NameLookup::Machine::settle() {
    if (m_failure) return finish(std::unexpected(std::move(*m_failure)));
    ask_for_targets();
    const bool all = std::ranges::all_of(m_questions, &Question::answered);
    const auto has_addresses = [](const auto& of) { return !of.addresses.empty(); };
    const bool some = std::ranges::any_of(m_questions, has_addresses) ||
                      std::ranges::any_of(m_services, has_addresses);
    const Instant now = monotonic_now();
    if (some && !std::exchange(m_found_some, true))
        m_grace_ends = std::max(m_grace_ends, now + lookup_grace);
    if (some && (all || now >= m_grace_ends)) return finish(found());
    if (all) return finish(std::unexpected(refusal()));

    const Instant next = std::min(next_timeout(now), some ? m_grace_ends : Instant::max());
    m_timer = m_loop.at(next, [this] {
        process_timeouts();
        settle();
    });
}

std::vector<IpAddress> NameLookup::Machine::addresses_of(const std::string& name) const {
    std::vector<IpAddress> out;
    for (const auto& question : m_questions)
        if (question.name == name)
            out.insert(out.end(), question.addresses.begin(), question.addresses.end());
    return out;
}

std::vector<Endpoint> NameLookup::Machine::found() const {
    std::vector<Service> services = m_services;
    for (auto& service : services)
        if (service.addresses.empty()) service.addresses = addresses_of(service.target);
    return endpoints_of(services, addresses_of(m_name), m_gateway_port);
}

void NameLookup::Machine::finish(Result<std::vector<Endpoint>> result) {
    close();
    m_timer = {};
    Done done = std::move(m_done);
    done(std::move(result));  // and `this` may be gone
}

// Of two refusals the one that says more: that a name does not exist holds for both families, and
// that it has no address of one family says the least.
Error NameLookup::Machine::refusal() const {
    static constexpr ares_status_t least[] = {ARES_ENODATA, ARES_SUCCESS};
    const ares_status_t ipv6 = m_questions[0].status, ipv4 = m_questions[1].status;
    ares_status_t status = ipv4;
    if (ipv6 == ARES_ENOTFOUND || std::ranges::contains(least, status)) status = ipv6;
    if (std::ranges::contains(least, status)) status = ipv4;

    const std::string name = "'" + m_name + "'";
    std::string asked = "asked: " + m_servers;
    if (!m_services.empty())
        asked = "nor has any gateway that '" + m_service + "' names an address; " + asked;
    auto no = [&](ErrorCode code, std::string what) {
        return Error{code, std::move(what), 0, asked};
    };
    switch (status) {
        case ARES_SUCCESS:
            return no(ErrorCode::NameNotResolved, name + " has no address that a gateway can have");
        case ARES_ENODATA: return no(ErrorCode::NameNotResolved, name + " has no address");
        case ARES_ENOTFOUND:
            return no(ErrorCode::NameNotResolved, name + " does not exist (NXDOMAIN)");
        case ARES_ESERVFAIL:
            return no(ErrorCode::NameNotResolved,
                      "the DNS servers failed to look up " + name + " (SERVFAIL)");
        case ARES_EREFUSED:
            return no(ErrorCode::NameNotResolved,
                      "the DNS servers refuse to look up " + name + " (REFUSED)");
        case ARES_ETIMEOUT: return no(ErrorCode::Timeout, "no DNS server answers");
        case ARES_ECONNREFUSED: return no(ErrorCode::Unreachable, "no DNS server can be reached");
        case ARES_EBADNAME: return no(ErrorCode::InvalidArgument, name + " is no DNS name");
        default:
            return no(ErrorCode::InvalidData, "the DNS servers' answers for " + name +
                                                  " make no sense: " + ares_strerror(status));
    }
}

// --- the outside ---

NameLookup::NameLookup(std::unique_ptr<Machine> machine) : m_machine(std::move(machine)) {}
NameLookup::~NameLookup() = default;

std::unique_ptr<NameLookup> NameLookup::start(Loop& loop, const LookupRequest& request, Done done) {
    return std::unique_ptr<NameLookup>(
        new NameLookup(std::make_unique<Machine>(loop, request, std::move(done))));
}

}  // namespace fortros
