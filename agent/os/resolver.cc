#include "os/resolver.h"

#include <ares.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>

#include "core/discovery.h"

namespace fortros {

// One round trip is a second at worst on the links that we know; c-ares doubles it for each round.
static constexpr int first_timeout_ms = 1000;
static constexpr int longest_timeout_ms = 3000;
static constexpr int rounds = 4;
static constexpr Duration timeout_check = 100ms;

class NameLookup::Machine {
public:
    Machine(Loop& loop, Done done) : m_loop(loop), m_done(std::move(done)) {}
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;
    ~Machine();

    void start(const LookupRequest& request);

private:
    enum Which { V6, V4 };  // in the order of preference
    struct Family {
        Machine* machine;
        bool finished = false;
        int status = ARES_SUCCESS;
        std::vector<IpAddress> addresses{};
    };

    static void answered(void* argument, int status, int timeouts, ares_addrinfo* answer);
    static void socket_changed(void* argument, ares_socket_t socket, int readable, int writable);
    Status open(const LookupRequest& request);
    void ask(const std::string& name, Family& family, int number);
    void check();
    void finish();
    void finish_with(Error error);
    void watch_time();
    Result<std::vector<IpAddress>> result() const;

    Loop& m_loop;
    Done m_done;
    ares_channel_t* m_channel = nullptr;
    bool m_dying = false;
    std::map<ares_socket_t, Loop::Watch> m_sockets;
    Family m_families[2] = {{this}, {this}};
    Loop::Timer m_timeouts;
    Loop::Timer m_grace;
    bool m_grace_running = false;
};

static bool initialise_library() {
    static const bool initialised = [] {
        // These would put search domains and options of a stranger into every look-up.
        ::unsetenv("LOCALDOMAIN");
        ::unsetenv("RES_OPTIONS");
        ::unsetenv("CARES_HOSTS");
        return ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS;
    }();
    return initialised;
}

static std::string servers_of(const LookupRequest& request) {
    std::string list;
    for (const auto& server : request.servers) {
        std::string text = server.text();
        if (!server.is_v4()) {
            text = "[" + text + "]";
        }
        text += ":" + std::to_string(request.port);
        if (server.is_link_local() && !server.is_v4()) text += "%" + request.link;
        list += (list.empty() ? "" : ",") + text;
    }
    return list;
}

Status NameLookup::Machine::open(const LookupRequest& request) {
    if (request.servers.empty()) return fail(ErrorCode::NotFound, "no resolver is known");
    if (!initialise_library()) return fail(ErrorCode::Internal, "c-ares does not start");
    char lookups[] = "b";
    char nowhere[] = "/dev/null";
    ares_options options{};
    // No server by default (c-ares would ask 127.0.0.1), no search list, no HOSTALIASES.
    options.flags = ARES_FLAG_NO_DFLT_SVR | ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES |
                    ARES_FLAG_EDNS | ARES_FLAG_DNS0x20;
    options.timeout = first_timeout_ms;
    options.maxtimeout = longest_timeout_ms;
    options.tries = rounds;
    options.lookups = lookups;  // DNS only, never the hosts file
    options.resolvconf_path = nowhere;
    options.hosts_path = nowhere;
    options.ednspsz = 1232;
    options.qcache_max_ttl = 0;  // it would remember an NXDOMAIN for an hour
    options.sock_state_cb = socket_changed;
    options.sock_state_cb_data = this;
    const int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_MAXTIMEOUTMS | ARES_OPT_TRIES |
                     ARES_OPT_LOOKUPS | ARES_OPT_RESOLVCONF | ARES_OPT_HOSTS_FILE |
                     ARES_OPT_EDNSPSZ | ARES_OPT_QUERY_CACHE | ARES_OPT_SOCK_STATE_CB |
                     ARES_OPT_NOROTATE;
    int status = ares_init_options(&m_channel, &options, mask);
    if (status != ARES_SUCCESS) {
        m_channel = nullptr;
        return fail(ErrorCode::Internal, "c-ares does not start", ares_strerror(status));
    }
    status = ares_set_servers_ports_csv(m_channel, servers_of(request).c_str());
    if (status != ARES_SUCCESS)
        return fail(ErrorCode::InvalidArgument, "c-ares does not take the resolvers",
                    ares_strerror(status));
    return {};
}

void NameLookup::Machine::start(const LookupRequest& request) {
    if (Status status = open(request); !status) {
        // Told from the loop: whoever starts a look-up does not have its object yet.
        m_grace = m_loop.after(Duration{}, [this, error = std::move(status).error()]() mutable {
            finish_with(std::move(error));
        });
        return;
    }
    m_grace_running = true;  // until both are asked: an answer at once must not end the look-up
    ask(request.name, m_families[V6], AF_INET6);
    ask(request.name, m_families[V4], AF_INET);
    m_grace_running = false;
    watch_time();
    m_grace = m_loop.after(Duration{}, [this] { check(); });
}

void NameLookup::Machine::ask(const std::string& name, Family& family, int number) {
    ares_addrinfo_hints hints{};
    hints.ai_family = number;
    hints.ai_flags = ARES_AI_NOSORT | ARES_AI_NUMERICSERV;
    hints.ai_socktype = SOCK_STREAM;
    ares_getaddrinfo(m_channel, name.c_str(), nullptr, &hints, answered, &family);
}

static std::optional<IpAddress> address_of(const sockaddr* address) {
    if (address->sa_family == AF_INET) {
        const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
        return IpAddress::from_bytes({reinterpret_cast<const std::uint8_t*>(&v4->sin_addr), 4});
    }
    if (address->sa_family != AF_INET6) return std::nullopt;
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
    return IpAddress::from_bytes({reinterpret_cast<const std::uint8_t*>(&v6->sin6_addr), 16});
}

// No gateway can have one of these; a resolver that answers so lies or was told to block the name.
static bool is_candidate(const IpAddress& address) {
    return !address.is_unspecified() && !address.is_loopback() && !address.is_multicast() &&
           !address.is_link_local();
}

void NameLookup::Machine::answered(void* argument, int status, int, ares_addrinfo* answer) {
    auto& family = *static_cast<Family*>(argument);
    Machine& machine = *family.machine;
    if (answer != nullptr) {
        for (auto* node = answer->nodes; node != nullptr && !machine.m_dying; node = node->ai_next) {
            const auto address = address_of(node->ai_addr);
            if (address && is_candidate(*address) &&
                family.addresses.size() < candidates_per_source_limit &&
                !std::ranges::contains(family.addresses, *address))
                family.addresses.push_back(*address);
        }
        ares_freeaddrinfo(answer);
    }
    if (machine.m_dying) return;
    family.finished = true;
    family.status = status;
    // c-ares is still at work below us: what follows may end this look-up, so it waits for the loop.
    if (!machine.m_grace_running)
        machine.m_grace = machine.m_loop.after(Duration{}, [&machine] { machine.check(); });
}

void NameLookup::Machine::socket_changed(void* argument, ares_socket_t socket, int readable,
                                         int writable) {
    auto& machine = *static_cast<Machine*>(argument);
    if (readable == 0 && writable == 0) {
        machine.m_sockets.erase(socket);
        return;
    }
    const std::uint32_t events =
        (readable != 0 ? EPOLLIN : 0U) | (writable != 0 ? EPOLLOUT : 0U);
    if (const auto known = machine.m_sockets.find(socket); known != machine.m_sockets.end()) {
        // A descriptor that epoll refuses is silent: its query times out.
        (void)known->second.change(events);
        return;
    }
    auto watch = machine.m_loop.watch(socket, events, [&machine, socket](std::uint32_t ready) {
        const bool input = (ready & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
        const bool output = (ready & EPOLLOUT) != 0;
        ares_process_fd(machine.m_channel, input ? socket : ARES_SOCKET_BAD,
                        output ? socket : ARES_SOCKET_BAD);
    });
    if (watch) machine.m_sockets.emplace(socket, std::move(*watch));
}

void NameLookup::Machine::watch_time() {
    m_timeouts = m_loop.after(timeout_check, [this] {
        ares_process_fd(m_channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
        watch_time();
    });
}

void NameLookup::Machine::check() {
    const Family& v6 = m_families[V6];
    const Family& v4 = m_families[V4];
    if (v6.finished && v4.finished) return finish();
    const bool one_has_addresses = !v6.addresses.empty() || !v4.addresses.empty();
    if (one_has_addresses) m_grace = m_loop.after(second_family_grace, [this] { finish(); });
}

static Error error_of(int status) {
    switch (status) {
        case ARES_ENOTFOUND: return {ErrorCode::NameNotResolved, "the resolver says: no such name"};
        case ARES_ENODATA:
            return {ErrorCode::NameNotResolved, "the resolver says: the name has no address"};
        case ARES_ESERVFAIL:
            return {ErrorCode::NameNotResolved, "the resolver says: server failure"};
        case ARES_EREFUSED: return {ErrorCode::NameNotResolved, "the resolver refuses to answer"};
        case ARES_ETIMEOUT: return {ErrorCode::Timeout, "no resolver answered"};
        case ARES_ECONNREFUSED:
            return {ErrorCode::Unreachable, "no resolver could be reached"};
        case ARES_ENOSERVER: return {ErrorCode::NotFound, "no resolver is known"};
        default: return {ErrorCode::InvalidData, "the look-up failed", 0, ares_strerror(status)};
    }
}

Result<std::vector<IpAddress>> NameLookup::Machine::result() const {
    const auto& v6 = m_families[V6].addresses;
    const auto& v4 = m_families[V4].addresses;
    std::vector<IpAddress> addresses;
    for (std::size_t i = 0; i < std::max(v6.size(), v4.size()); ++i) {
        if (i < v6.size()) addresses.push_back(v6[i]);
        if (i < v4.size()) addresses.push_back(v4[i]);
    }
    if (addresses.size() > candidates_per_source_limit)
        addresses.resize(candidates_per_source_limit);
    if (!addresses.empty()) return addresses;
    // An answer tells more than silence, whichever family it was for.
    const auto tells_more = [](int status) {
        return status != ARES_SUCCESS && status != ARES_ETIMEOUT && status != ARES_ENODATA;
    };
    int status = m_families[V4].status;
    if (!tells_more(status) && tells_more(m_families[V6].status)) status = m_families[V6].status;
    return std::unexpected(error_of(status == ARES_SUCCESS ? ARES_ENODATA : status));
}

void NameLookup::Machine::finish() {
    if (!m_done) return;
    // The call may destroy this machine, so it is the last thing done, on a function of its own.
    Done done = std::move(m_done);
    done(result());
}

void NameLookup::Machine::finish_with(Error error) {
    Done done = std::move(m_done);
    done(std::unexpected(std::move(error)));
}

NameLookup::Machine::~Machine() {
    m_dying = true;  // destroying a channel calls every pending answer
    if (m_channel != nullptr) ares_destroy(m_channel);
}

std::unique_ptr<NameLookup> NameLookup::start(Loop& loop, const LookupRequest& request, Done done) {
    auto machine = std::make_unique<Machine>(loop, std::move(done));
    machine->start(request);
    return std::unique_ptr<NameLookup>(new NameLookup(std::move(machine)));
}

NameLookup::NameLookup(std::unique_ptr<Machine> machine) : m_machine(std::move(machine)) {}
NameLookup::~NameLookup() = default;

}  // namespace fortros
