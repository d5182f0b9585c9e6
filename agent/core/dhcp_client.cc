#include "core/dhcp_client.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace fortros {

static constexpr Duration first_retry = 1s;
static constexpr Duration longest_retry = 8s;
static constexpr unsigned request_attempts = 4;
// RFC 2131 section 4.4.5: half of what is left, but not more often than this.
static constexpr Duration shortest_renewal_retry = 60s;
// From then on ask for answers by broadcast: something on the way drops unicast to a host that has
// no address yet.
static constexpr unsigned unicast_attempts = 3;
static constexpr std::size_t complaint_limit = 100;

static constexpr std::uint8_t requested_options[] = {
    dhcp_option::subnet_mask,  dhcp_option::classless_routes, dhcp_option::routers,
    dhcp_option::resolvers,    dhcp_option::interface_mtu,    dhcp_option::broadcast_address,
    dhcp_option::ntp_servers,  dhcp_option::lease_time,       dhcp_option::server_id,
    dhcp_option::renewal_time, dhcp_option::rebinding_time,
};

static Duration retry_delay(unsigned tries) {
    return std::min(first_retry * (1 << std::min(tries, 8U)), longest_retry);
}

static Bytes bytes_of(ByteView view) { return {view.begin(), view.end()}; }

static std::optional<IpAddress> server_of(const DhcpMessage& message) {
    const Bytes* id = message.option(dhcp_option::server_id);
    return id && id->size() == 4 ? IpAddress::from_bytes(*id) : std::nullopt;
}

DhcpClient::DhcpClient(MacAddress mac, std::string hostname, Random& random)
    : m_mac(mac), m_hostname(std::move(hostname)), m_random(random) {}

std::vector<DhcpClient::Action> DhcpClient::start(Instant now) {
    if (m_lease) m_wanted = m_lease->address.address;
    m_started = now;
    m_refusals = 0;
    m_broadcast = false;
    m_unconfirming.reset();
    m_complaint.clear();
    return discover(now);
}

std::string DhcpClient::problem() const {
    if (m_lease) return {};
    if (!m_complaint.empty()) return m_complaint;
    return "no DHCP answer, asked " +
           (m_tries == 1 ? std::string("once") : std::to_string(m_tries) + " times");
}

// --- what is sent -------------------------------------------------------------------------------

DhcpMessage DhcpClient::compose() const {
    DhcpMessage message{.type = m_state == State::Selecting ? DhcpMessage::Type::Discover
                                                            : DhcpMessage::Type::Request,
                        .transaction = m_transaction,
                        .seconds = m_seconds,
                        .broadcast = m_broadcast && !m_lease,
                        .hardware_address = m_mac};
    const auto add = [&](std::uint8_t code, ByteView value) {
        message.options.emplace_back(code, bytes_of(value));
    };
    Bytes client_id{1};
    client_id.insert(client_id.end(), m_mac.begin(), m_mac.end());
    add(dhcp_option::client_id, client_id);
    if (m_state == State::Selecting) {
        if (m_wanted) add(dhcp_option::requested_address, m_wanted->bytes());
        add(dhcp_option::rapid_commit, {});
    } else if (m_state == State::Requesting) {
        add(dhcp_option::requested_address, m_offer->address.address.bytes());
        add(dhcp_option::server_id, m_offer->server.bytes());
    } else {
        message.client = m_lease->address.address;
    }
    add(dhcp_option::parameter_list, requested_options);
    add(dhcp_option::max_message_size, ByteWriter().u16(dhcp_message_limit).view());
    if (!m_hostname.empty()) add(dhcp_option::host_name, as_bytes(m_hostname));
    return message;
}

static Duration random_below(Duration bound, Random& random) {
    return Duration(
        static_cast<Duration::rep>(random.below(static_cast<std::uint64_t>(bound.count()) + 1)));
}

Duration DhcpClient::jittered(Duration delay) {
    return delay * 3 / 4 + random_below(delay / 2, m_random);
}

// Machines that got their leases together need not renew them together (RFC 2131 section 4.4.5).
Duration DhcpClient::a_little_early(Duration delay) {
    return delay - random_below(delay / 32, m_random);
}

// Sends what this state says, and sets the deadline by which it wants an answer.
DhcpClient::Send DhcpClient::transmit(Instant now) {
    if (m_state == State::Selecting && m_tries >= unicast_attempts) m_broadcast = true;
    // A REQUEST repeats the DISCOVER's number (RFC 2131 section 4.4.1).
    if (m_state != State::Requesting) {
        const Instant since = m_state == State::Selecting ? m_started : m_renew_at;
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - since).count();
        m_seconds = static_cast<std::uint16_t>(std::clamp<std::int64_t>(seconds, 0, UINT16_MAX));
    }
    Send send{.payload = encode(compose())};
    if (m_lease) send.source = m_lease->address.address;
    if (m_state == State::Renewing) send.unicast_to = m_lease->server;
    if (m_state == State::Renewing || m_state == State::Rebinding) {
        const Instant end = m_state == State::Renewing ? m_rebind_at : m_ends_at;
        m_deadline =
            std::min(end, now + std::max<Duration>((end - now) / 2, shortest_renewal_retry));
    } else {
        m_deadline = now + jittered(retry_delay(m_tries));
    }
    ++m_tries;
    m_sent_at = now;
    return send;
}

void DhcpClient::enter(State state) {
    m_state = state;
    m_tries = 0;
}

static std::uint32_t new_transaction(Random& random) {
    ByteArray<4> bytes{};
    random.fill(bytes);
    return ByteReader(bytes).u32();
}

std::vector<DhcpClient::Action> DhcpClient::discover(Instant now) {
    m_lease.reset();
    m_offer.reset();
    m_second_choice.reset();
    m_transaction = new_transaction(m_random);
    enter(State::Selecting);
    return {transmit(now)};
}

std::vector<DhcpClient::Action> DhcpClient::tick(Instant now) {
    if (now < m_deadline) return {};
    switch (m_state) {
        case State::Init: return discover(now);
        case State::Selecting:
            if (m_second_choice) return choose(*std::exchange(m_second_choice, std::nullopt), now);
            return {transmit(now)};
        case State::Requesting:
            if (m_tries < request_attempts) return {transmit(now)};
            m_complaint = "DHCP server " + m_offer->server.text() + " does not confirm its offer";
            m_unconfirming = m_offer->server;
            return discover(now);
        case State::Bound:
            m_transaction = new_transaction(m_random);
            enter(State::Renewing);
            return {transmit(now)};
        case State::Renewing:
            if (now >= m_rebind_at) enter(State::Rebinding);
            return {transmit(now)};
        case State::Rebinding:
            if (now < m_ends_at) return {transmit(now)};
            return lose(ErrorCode::Timeout, "the DHCP lease ended and nobody renewed it", now);
    }
    return {};
}

// --- what is received ---------------------------------------------------------------------------

std::vector<DhcpClient::Action> DhcpClient::received(ByteView payload, Instant now) {
    const auto message = decode_dhcp(payload);
    if (!message || !message->is_reply || message->transaction != m_transaction ||
        message->hardware_address != m_mac)
        return {};
    switch (message->type) {
        case DhcpMessage::Type::Offer: return offered(*message, now);
        case DhcpMessage::Type::Ack: return acknowledged(*message);
        case DhcpMessage::Type::Nak: return refused(*message, now);
        default: return {};
    }
}

std::vector<DhcpClient::Action> DhcpClient::offered(const DhcpMessage& message, Instant now) {
    if (m_state != State::Selecting) return {};  // of another server, or late
    auto lease = lease_of(message);
    if (!lease) {
        m_complaint = "a DHCP offer cannot be used: " + lease.error().text();
        return {};
    }
    if (lease->server == m_unconfirming) {
        m_second_choice = *std::move(lease);
        return {};
    }
    return choose(*std::move(lease), now);
}

std::vector<DhcpClient::Action> DhcpClient::choose(DhcpLease offer, Instant now) {
    m_offer = std::move(offer);
    enter(State::Requesting);
    return {transmit(now)};
}

std::vector<DhcpClient::Action> DhcpClient::acknowledged(const DhcpMessage& message) {
    if (m_state == State::Init || m_state == State::Bound) return {};
    // RFC 4039 section 3.1: without the option it does not answer a DISCOVER.
    if (m_state == State::Selecting && !message.option(dhcp_option::rapid_commit)) return {};
    auto lease = lease_of(message);
    if (!lease) {
        m_complaint = "a DHCP answer cannot be used: " + lease.error().text();
        return {};
    }
    if (m_state == State::Requesting && lease->server != m_offer->server) return {};
    if (m_state == State::Renewing && lease->server != m_lease->server) return {};
    return bind(*std::move(lease));
}

std::vector<DhcpClient::Action> DhcpClient::bind(DhcpLease lease) {
    lease.client_id = {1};
    lease.client_id.insert(lease.client_id.end(), m_mac.begin(), m_mac.end());
    lease.acquired = m_sent_at;
    const bool endless = lease.lifetime == endless_lease;
    m_renew_at = endless ? Instant::max() : m_sent_at + a_little_early(lease.renew_after);
    m_rebind_at = endless ? Instant::max() : m_sent_at + lease.rebind_after;
    m_ends_at = endless ? Instant::max() : m_sent_at + lease.lifetime;
    m_offer.reset();
    m_lease = lease;
    m_unconfirming.reset();
    m_complaint.clear();
    m_refusals = 0;
    enter(State::Bound);
    m_deadline = m_renew_at;
    return {Bound{std::move(lease)}};
}

std::vector<DhcpClient::Action> DhcpClient::refused(const DhcpMessage& message, Instant now) {
    const auto server = server_of(message);
    std::string why = "a DHCP server refused";
    if (server) why = "DHCP server " + server->text() + " refused";
    if (const Bytes* words = message.option(dhcp_option::message))
        why += " (" + printable(as_text(*words), complaint_limit) + ")";

    if (m_state == State::Rebinding || (m_state == State::Renewing && server == m_lease->server))
        return lose(ErrorCode::Refused, why, now);
    if (m_state != State::Requesting || server != m_offer->server) return {};
    m_complaint = std::move(why);
    if (m_refusals++ == 0) return discover(now);
    // It offers and refuses by turns: do not go round as fast as it answers.
    enter(State::Init);
    m_deadline = now + jittered(retry_delay(m_refusals - 2));
    return {};
}

std::vector<DhcpClient::Action> DhcpClient::lose(ErrorCode code, std::string why, Instant now) {
    Lost lost{.lease = *std::exchange(m_lease, std::nullopt),
              .why = Error{.code = code, .what = std::move(why)}};
    m_wanted =
        code == ErrorCode::Refused ? std::nullopt : std::optional{lost.lease.address.address};
    m_started = now;
    m_complaint = lost.why.text();
    std::vector<Action> actions{std::move(lost)};
    for (Action& action : discover(now)) actions.push_back(std::move(action));
    return actions;
}

}  // namespace fortros
