#include "mesh/courier.h"

#include <algorithm>

#include "core/crypto.h"

namespace fortros::mesh {

static constexpr std::string_view magic{"FM1\0", 4};
static constexpr std::string_view key_label = "fortros/mesh/v1";
static constexpr std::size_t mac_size = 16;
static constexpr std::size_t header_size = magic.size() + key_size + 3 * sizeof(std::uint64_t);
static_assert(header_size + mac_size + body_size_limit == message_size_limit);

Courier::Courier(const PrivateKey& key, const PublicKey& own, Random& random)
    : m_key(key), m_own(own), m_random(random) {}

static std::unexpected<Error> malformed(std::string_view how) {
    return fail(ErrorCode::InvalidData, std::string("mesh datagram ").append(how));
}

static ByteArray<mac_size> mac_of(const Secret<32>& key, ByteView authenticated,
                                  const PublicKey& receiver) {
    const auto full = crypto::hmac_sha256(key.view(), {authenticated, receiver.bytes});
    ByteArray<mac_size> mac;
    std::copy_n(full.begin(), mac_size, mac.begin());
    return mac;
}

bool Courier::Window::take(std::uint64_t counter) {
    static constexpr std::uint64_t size = 64;
    if (counter == 0) return false;
    if (counter > m_newest) {
        const std::uint64_t ahead = counter - m_newest;
        m_seen = (ahead < size ? m_seen << ahead : 0) | 1;
        m_newest = counter;
        return true;
    }
    const std::uint64_t behind = m_newest - counter;
    if (behind >= size || (m_seen >> behind & 1) != 0) return false;
    m_seen |= 1ULL << behind;
    return true;
}

// --- saying ---

Result<Bytes> Courier::seal(const PublicKey& to, const LinkMessage& message, Instant now) {
    auto known = m_peers.find(to);
    Peer& peer = known != m_peers.end() ? known->second : remember(to, TRY(make_peer(to, now)));
    if (peer.waiting.size() == courier_waiting_limit) peer.waiting.erase(peer.waiting.begin());
    peer.waiting.push_back({message, now});
    return write(to, peer, sessions_to(peer), message);
}

// As datagrams to the other bear them.
Courier::Pair Courier::sessions_to(const Peer& peer) const {
    if (peer.offered) return {*peer.offered, peer.next};
    if (peer.in_use) return {peer.in_use->sender, peer.in_use->receiver};
    return {0, peer.next};
}

Bytes Courier::write(const PublicKey& to, Peer& peer, Pair sessions,
                     const LinkMessage& message) const {
    ByteWriter out;
    out.text(magic)
        .bytes(m_own.bytes)
        .u64(sessions.receiver)
        .u64(sessions.sender)
        .u64(++peer.counter)
        .bytes(encode(message));
    const auto mac = mac_of(peer.key, out.view(), to);
    return out.bytes(mac).take();
}

std::vector<Bytes> Courier::say_again(const PublicKey& to, Peer& peer, Instant now) const {
    std::vector<Bytes> said;
    for (const Waiting& it : peer.waiting)
        if (now - it.said <= courier_waiting_age)
            said.push_back(write(to, peer, sessions_to(peer), it.message));
    peer.waiting.clear();
    return said;
}

// --- hearing ---

Result<Courier::Header> Courier::parse(ByteView datagram) {
    if (datagram.size() > message_size_limit) return malformed("is too large");
    if (!as_text(datagram).starts_with(magic)) return malformed("has an unknown format");
    if (datagram.size() < header_size + mac_size) return malformed("is cut off");
    ByteReader in(datagram.subspan(magic.size()));
    const auto sender = PublicKey::from_bytes(in.take(key_size));
    if (!sender) return malformed("comes from a key that is none");
    Header header{.sender = *sender};
    header.sessions.receiver = in.u64();
    header.sessions.sender = in.u64();
    header.counter = in.u64();
    header.body = datagram.subspan(header_size, datagram.size() - header_size - mac_size);
    header.authenticated = datagram.first(datagram.size() - mac_size);
    header.mac = datagram.last(mac_size);
    return header;
}

std::optional<PublicKey> Courier::claimed_sender(ByteView datagram) {
    const auto header = parse(datagram);
    if (!header) return std::nullopt;
    return header->sender;
}

Result<Courier::Opened> Courier::open(ByteView datagram, bool is_member, Instant now) {
    const Header header = TRY(parse(datagram));
    if (!is_member) return fail(ErrorCode::Untrusted, "mesh datagram comes from no member");
    if (header.sender == m_own) return fail(ErrorCode::Untrusted, "mesh datagram is our own");
    const auto known = m_peers.find(header.sender);
    // A stranger is remembered only once it has shown that it holds the key: nobody else can push
    // out whom we know.
    std::optional<Peer> stranger;
    if (known == m_peers.end()) {
        if (!may_derive(now))
            return fail(ErrorCode::Busy, "too many strangers send mesh datagrams at once");
        stranger = TRY(make_peer(header.sender, now));
    }
    Peer& judged = stranger ? *stranger : known->second;
    const auto mac = mac_of(judged.key, header.authenticated, m_own);
    if (!equal_in_constant_time(mac, header.mac))
        return fail(ErrorCode::Untrusted, "mesh datagram has a wrong MAC");
    Peer& peer = stranger ? remember(header.sender, std::move(*stranger)) : judged;
    peer.heard = now;
    return opened(header, peer, now);
}

// Of a datagram that this peer has made, some time.
Result<Courier::Opened> Courier::opened(const Header& header, Peer& peer, Instant now) {
    LinkMessage message = TRY(parse_link_message(header.body));
    const bool is_hello = message.verb == LinkVerb::Hello;
    // Made where it is returned: of a move GCC 14 believes that it reads what is absent.
    Result<Opened> result(std::in_place);
    Opened& opened = *result;
    opened.from = header.sender;
    if (peer.in_use == header.sessions) {
        if (!peer.window.take(header.counter))
            return fail(ErrorCode::Conflict, "mesh datagram comes again, or much too late");
        peer.offered.reset();
    } else if (header.sessions.receiver == peer.next) {
        peer.in_use = header.sessions;
        peer.window = {};
        peer.window.take(header.counter);
        peer.offered.reset();
        peer.next = draw();
        if (is_hello) opened.reply = say_again(header.sender, peer, now);
    } else if (!is_hello) {
        opened.reply.push_back(write(header.sender, peer, {header.sessions.sender, peer.next},
                                     {.verb = LinkVerb::Hello}));
        return result;
    } else if (peer.in_use && peer.in_use->receiver == header.sessions.receiver) {
        // It answers what was said in the pair in use: the other has forgotten that pair.
        peer.offered = header.sessions.sender;
        opened.reply = say_again(header.sender, peer, now);
    }
    if (!is_hello) opened.message = std::move(message);
    return result;
}

// --- peers ---

void Courier::forget(const PublicKey& peer) { m_peers.erase(peer); }

Result<Secret<32>> Courier::derive(const PublicKey& peer) const {
    const auto shared = TRY(crypto::x25519(m_key, peer));
    const auto& [lesser, greater] = std::minmax(m_own, peer);
    return crypto::hkdf_sha256({}, shared.view(),
                               {as_bytes(key_label), lesser.bytes, greater.bytes});
}

Result<Courier::Peer> Courier::make_peer(const PublicKey& key, Instant now) {
    Peer peer;
    peer.key = TRY(derive(key));
    peer.next = draw();
    peer.heard = now;
    return peer;
}

Courier::Peer& Courier::remember(const PublicKey& key, Peer peer) {
    if (m_peers.size() >= courier_peers_limit)
        m_peers.erase(
            std::ranges::min_element(m_peers, {}, [](const auto& it) { return it.second.heard; }));
    return m_peers.insert_or_assign(key, std::move(peer)).first->second;
}

bool Courier::may_derive(Instant now) {
    if (now < m_second || now - m_second >= 1s) {
        m_second = now;
        m_derived = 0;
    }
    if (m_derived >= courier_derivations_per_second) return false;
    ++m_derived;
    return true;
}

// Never 0, which stands for a session that is not known.
std::uint64_t Courier::draw() {
    ByteArray<8> bytes;
    std::uint64_t number = 0;
    while (number == 0) {
        m_random.fill(bytes);
        number = ByteReader(bytes).u64();
    }
    return number;
}

}  // namespace fortros::mesh
