#include "core/dhcp6_client.h"

#include <algorithm>
#include <utility>

#include "core/dhcp_lease.h"

namespace fortros {

using Type = Dhcp6Message::Type;

// The RFC's second at most would be the longest wait of a boot; a tenth keeps a rack of machines
// that heard the same advertisement from speaking in the same instant.
static constexpr Duration first_delay = 100ms;
static constexpr Duration first_retry = 1s;
static constexpr Duration longest_retry = 8s;
static constexpr unsigned request_attempts = 4;
// What RFC 8415 sections 21.24 and 21.25 allow a server to say instead of longest_retry.
static constexpr std::chrono::seconds least_max_rt{60};
static constexpr std::chrono::seconds greatest_max_rt{86400};
// As RFC 2131 section 3.1 has it: a host that answers for every address must not empty a pool.
static constexpr Duration decline_delay = 10s;
static constexpr Duration first_renewal_retry = 10s;     // REN_TIMEOUT, REB_TIMEOUT
static constexpr Duration longest_renewal_retry = 600s;  // REN_MAX_RT, REB_MAX_RT

static constexpr std::uint16_t duid_link_layer = 3;
static constexpr std::uint16_t hardware_ethernet = 1;

static constexpr std::uint16_t requested_options[] = {
    dhcp6_option::resolvers,      dhcp6_option::refresh_time,       dhcp6_option::ntp_server,
    dhcp6_option::solicit_max_rt, dhcp6_option::information_max_rt,
};

static Duration backoff(Duration first, Duration longest, unsigned tries) {
    return std::min(first * (1 << std::min(tries, 17U)), longest);
}

static Duration random_below(Duration bound, Random& random) {
    return Duration(
        static_cast<Duration::rep>(random.below(static_cast<std::uint64_t>(bound.count()) + 1)));
}

static Bytes bytes_of(ByteView view) { return {view.begin(), view.end()}; }

Dhcp6Client::Dhcp6Client(MacAddress mac, Random& random, std::uint16_t vlan)
    : m_vlan(vlan), m_random(random) {
    set_mac(mac);
}

void Dhcp6Client::set_mac(MacAddress mac) {
    m_duid = ByteWriter().u16(duid_link_layer).u16(hardware_ethernet).bytes(mac).take();
    m_iaid = ByteReader(ByteView(mac).subspan(2)).u32() ^ m_vlan;
}

void Dhcp6Client::start(Dhcp6Wish wish, Instant now) {
    if (m_lease && m_lease->address) m_wanted = m_lease->address;
    m_lease.reset();
    m_refusals = 0;
    m_longest_solicit = m_longest_inform = longest_retry;
    m_complaint.clear();
    enter(wish == Dhcp6Wish::Address ? State::Soliciting : State::Informing, now);
    m_deadline = now + random_below(first_delay, m_random);
}

std::string Dhcp6Client::problem() const {
    switch (m_state) {
        case State::Informing:
            if (m_lease) return {};
            break;
        case State::Informed:
        case State::Bound:
        case State::Renewing:
        case State::Rebinding: return {};
        case State::Soliciting:
        case State::Requesting: break;
    }
    if (!m_complaint.empty()) return m_complaint;
    return "no DHCPv6 answer, asked " +
           (m_tries == 1 ? std::string("once") : std::to_string(m_tries) + " times");
}

// --- what is sent -------------------------------------------------------------------------------

// IA_NA with the address that is meant, if there is one (RFC 8415 section 21.4).
Bytes Dhcp6Client::association() const {
    std::optional<IpAddress> address = m_lease ? m_lease->address : std::nullopt;
    if (m_state == State::Soliciting) address = m_wanted;
    if (m_state == State::Requesting) address = m_offer->address;
    ByteWriter out;
    out.u32(m_iaid).u32(0).u32(0);
    if (address)
        write_option(out, dhcp6_option::ia_address,
                     ByteWriter().bytes(address->bytes()).u32(0).u32(0).view());
    return out.take();
}

Dhcp6Message Dhcp6Client::compose(Type type, Instant now) const {
    Dhcp6Message message{.type = type, .transaction = m_transaction};
    const auto add = [&](std::uint16_t code, ByteView value) {
        message.options.emplace_back(code, bytes_of(value));
    };
    add(dhcp6_option::client_id, m_duid);
    if (type == Type::Request) add(dhcp6_option::server_id, m_offer->server_id);
    if (type == Type::Renew || type == Type::Decline)
        add(dhcp6_option::server_id, m_lease->server_id);
    const auto hundredths = m_tries == 0 ? 0 : (now - m_entered) / 10ms;
    add(dhcp6_option::elapsed_time,
        ByteWriter()
            .u16(static_cast<std::uint16_t>(std::clamp<std::int64_t>(hundredths, 0, UINT16_MAX)))
            .view());
    ByteWriter wanted;
    for (const std::uint16_t code : requested_options) wanted.u16(code);
    add(dhcp6_option::option_request, wanted.view());
    if (type == Type::Solicit) add(dhcp6_option::rapid_commit, {});
    if (type != Type::InformationRequest) add(dhcp6_option::ia_na, association());
    return message;
}

Duration Dhcp6Client::jittered(Duration delay) {
    return delay * 3 / 4 + random_below(delay / 2, m_random);
}

// A new exchange: with a number of its own.
void Dhcp6Client::enter(State state, Instant now) {
    m_state = state;
    m_tries = 0;
    m_entered = now;
    ByteArray<4> bytes{};
    m_random.fill(bytes);
    m_transaction = ByteReader(bytes).u32() & 0xffffff;
    if (state == State::Soliciting || state == State::Informing) m_offer.reset();
}

// Sends what this state says, and sets the deadline by which it wants an answer.
Dhcp6Client::Step Dhcp6Client::transmit(Instant now) {
    static constexpr Type types[] = {
        Type::InformationRequest,
        Type::InformationRequest,
        Type::Solicit,
        Type::Request,
        Type::Renew,
        Type::Renew,
        Type::Rebind,
    };
    Step step{.send = encode(compose(types[std::to_underlying(m_state)], now))};
    if (m_state == State::Renewing || m_state == State::Rebinding) {
        const Instant end = m_state == State::Renewing ? m_rebind_at : m_ends_at;
        m_deadline = std::min(
            end, now + jittered(backoff(first_renewal_retry, longest_renewal_retry, m_tries)));
    } else {
        Duration longest = longest_retry;
        if (m_state == State::Soliciting) longest = m_longest_solicit;
        if (m_state == State::Informing) longest = m_longest_inform;
        m_deadline = now + jittered(backoff(first_retry, longest, m_tries));
    }
    ++m_tries;
    m_sent_at = now;
    return step;
}

Dhcp6Client::Step Dhcp6Client::tick(Instant now) {
    if (now < m_deadline) return {};
    switch (m_state) {
        case State::Informing:
        case State::Soliciting: break;
        case State::Informed: enter(State::Informing, now); break;
        case State::Requesting:
            if (m_tries < request_attempts) break;
            m_complaint = "a DHCPv6 server does not confirm its offer";
            enter(State::Soliciting, now);
            break;
        case State::Bound: enter(State::Renewing, now); break;
        case State::Renewing:
            if (now >= m_rebind_at) enter(State::Rebinding, now);
            break;
        case State::Rebinding:
            if (now < m_ends_at) break;
            return lose(ErrorCode::Timeout, "the DHCPv6 lease ended and nobody renewed it", now);
    }
    return transmit(now);
}

Dhcp6Client::Step Dhcp6Client::decline(Instant now) {
    const bool is_leased =
        m_state == State::Bound || m_state == State::Renewing || m_state == State::Rebinding;
    if (!is_leased) return {};
    enter(m_state, now);
    m_complaint = m_lease->address->text() + " is another host's already";
    // Once: a server that does not hear it finds out by itself, or gives the same and hears it then.
    Step step{.lost = Error{.code = ErrorCode::Conflict, .what = m_complaint},
              .send = encode(compose(Type::Decline, now))};
    m_lease.reset();
    m_wanted.reset();
    begin_anew(now);
    m_deadline += decline_delay;
    return step;
}

// It offers and takes back by turns: do not go round as fast as it answers.
void Dhcp6Client::begin_anew(Instant now) {
    enter(State::Soliciting, now);
    m_deadline = now + jittered(backoff(first_retry, longest_retry, m_refusals++));
}

// --- what is received ---------------------------------------------------------------------------

Dhcp6Client::Step Dhcp6Client::received(ByteView payload, Instant now) {
    const auto message = decode_dhcp6(payload);
    if (!message || message->transaction != m_transaction || m_tries == 0) return {};
    const Bytes* client = message->option(dhcp6_option::client_id);
    if (!client || *client != m_duid) return {};
    take_limits(*message);
    if (message->type == Type::Advertise)
        return m_state == State::Soliciting ? advertised(*message, now) : Step{};
    if (message->type != Type::Reply) return {};
    return m_state == State::Informing ? informed(*message, now) : replied(*message, now);
}

// A server that has nothing to give asks to be left in peace (RFC 8415 sections 21.24 and 21.25).
void Dhcp6Client::take_limits(const Dhcp6Message& message) {
    const auto take = [&](std::uint16_t code, Duration& longest) {
        const Bytes* value = message.option(code);
        if (!value || value->size() != 4) return;
        const std::chrono::seconds wanted{ByteReader(*value).u32()};
        if (wanted >= least_max_rt && wanted <= greatest_max_rt) longest = wanted;
    };
    take(dhcp6_option::solicit_max_rt, m_longest_solicit);
    take(dhcp6_option::information_max_rt, m_longest_inform);
}

Dhcp6Lease Dhcp6Client::signed_by_us(Dhcp6Lease lease) const {
    lease.client_id = m_duid;
    lease.iaid = m_iaid;
    lease.acquired = m_sent_at;
    return lease;
}

Dhcp6Client::Step Dhcp6Client::informed(const Dhcp6Message& message, Instant now) {
    auto lease = information_of(message);
    if (!lease) {
        m_complaint = "a DHCPv6 answer cannot be used: " + lease.error().text();
        return {};
    }
    m_lease = signed_by_us(*std::move(lease));
    m_complaint.clear();
    enter(State::Informed, now);
    m_deadline =
        m_lease->refresh_after >= endless_lease ? Instant::max() : now + m_lease->refresh_after;
    return {.bound = true};
}

Dhcp6Client::Step Dhcp6Client::advertised(const Dhcp6Message& message, Instant now) {
    auto offer = lease_of(message, m_iaid);
    if (offer) {
        m_offer = *std::move(offer);
        enter(State::Requesting, now);
        return transmit(now);
    }
    m_complaint = "a DHCPv6 offer cannot be used: " + offer.error().text();
    // What it knows of the network is as good without an address, and the routers' own may do.
    auto information = information_of(message);
    if (!information || information->resolvers.empty()) return {};
    if (m_lease && m_lease->resolvers == information->resolvers) return {};
    m_lease = signed_by_us(*std::move(information));
    return {.bound = true};
}

Dhcp6Client::Step Dhcp6Client::replied(const Dhcp6Message& message, Instant now) {
    const Bytes* server = message.option(dhcp6_option::server_id);
    if (!server) return {};
    // RFC 8415 section 18.2.1: without the option it does not answer a SOLICIT.
    if (m_state == State::Soliciting && !message.option(dhcp6_option::rapid_commit)) return {};
    if (m_state == State::Requesting && *server != m_offer->server_id) return {};
    if (m_state == State::Renewing && *server != m_lease->server_id) return {};
    auto lease = lease_of(message, m_iaid);
    if (!lease) return refused(lease.error(), now);
    return bind(signed_by_us(*std::move(lease)), now);
}

Dhcp6Client::Step Dhcp6Client::refused(const Error& error, Instant now) {
    // While any server may answer, one that knows nothing of the lease says nothing against it.
    const bool is_no = error.code == ErrorCode::Refused ||
                       (error.code == ErrorCode::NotFound && m_state == State::Renewing);
    const bool has_address = m_state == State::Renewing || m_state == State::Rebinding;
    const std::string why = "a DHCPv6 server refused: " + error.text();
    if (has_address) return is_no ? lose(ErrorCode::Refused, why, now) : Step{};
    m_complaint = why;
    if (m_state == State::Soliciting) return {};
    begin_anew(now);
    return {};
}

Dhcp6Client::Step Dhcp6Client::bind(Dhcp6Lease lease, Instant now) {
    const bool endless = lease.preferred == endless_lease;
    m_renew_at = endless ? Instant::max() : m_sent_at + lease.renew_after;
    m_rebind_at = endless ? Instant::max() : m_sent_at + lease.rebind_after;
    m_ends_at = endless ? Instant::max() : m_sent_at + lease.lifetime;
    m_lease = std::move(lease);
    m_complaint.clear();
    enter(State::Bound, now);
    m_deadline = m_renew_at;
    return {.bound = true};
}

Dhcp6Client::Step Dhcp6Client::lose(ErrorCode code, std::string why, Instant now) {
    m_wanted = code == ErrorCode::Refused ? std::nullopt : m_lease->address;
    m_lease.reset();
    m_complaint = why;
    enter(State::Soliciting, now);
    Step step = transmit(now);
    step.lost = Error{.code = code, .what = std::move(why)};
    return step;
}

}  // namespace fortros
