#include "maintainer/serf_conversation.h"

#include <utility>

#include "base/text.h"

namespace fortros {

const char* SerfConversation::name_of(Command command) {
    switch (command) {
        case Command::Handshake: return "handshake";
        case Command::Authenticate: return "auth";
        case Command::Stream: return "stream";
        case Command::Members: return "members";
        case Command::Announce: return "tags";
        case Command::Join: return "join";
        case Command::Coordinate: return "get-coordinate";
    }
    return "";
}

bool SerfConversation::has_body(Command command) {
    return command == Command::Members || command == Command::Join ||
           command == Command::Coordinate;
}

std::uint32_t SerfConversation::remember(Command command, const PublicKey& node) {
    const std::uint32_t sequence = m_next++;
    m_asked.emplace(sequence, Asked{command, node});
    return sequence;
}

static void append(Bytes& out, const Bytes& more) {
    out.insert(out.end(), more.begin(), more.end());
}

Bytes SerfConversation::begin(std::string_view password) {
    Bytes out = serf_handshake(remember(Command::Handshake));
    append(out, serf_authenticate(remember(Command::Authenticate), password));
    // The stream first: who joins between the two is told of twice, and not never.
    m_stream = remember(Command::Stream);
    append(out, serf_ask_stream(m_stream));
    append(out, serf_ask_members(remember(Command::Members)));
    return out;
}

static std::unexpected<Error> too_many() {
    return fail(ErrorCode::Busy, "the Serf agent owes too many answers");
}

Result<Bytes> SerfConversation::announce(ByteView attestation) {
    if (m_asked.size() >= serf_requests_limit) return too_many();
    return serf_announce(remember(Command::Announce), attestation);
}

Result<Bytes> SerfConversation::join(const std::vector<IpAddress>& overlay_addresses) {
    if (m_asked.size() >= serf_requests_limit) return too_many();
    return serf_join(remember(Command::Join), overlay_addresses);
}

Result<Bytes> SerfConversation::ask_coordinate(const PublicKey& node) {
    if (m_asked.size() >= serf_requests_limit) return too_many();
    return serf_ask_coordinate(remember(Command::Coordinate, node), node);
}

Result<std::vector<SerfHeard>> SerfConversation::hear(ByteView bytes) {
    m_received.insert(m_received.end(), bytes.begin(), bytes.end());
    std::vector<SerfHeard> heard;
    std::size_t used = 0;
    while (used < m_received.size()) {
        const auto rest = ByteView(m_received).subspan(used);
        const auto size = TRY(m_framer.look(rest));
        if (!size) break;
        TRY(take(TRY(MessagePack::parse(rest.first(*size))), heard));
        used += *size;
    }
    m_received.erase(m_received.begin(), m_received.begin() + static_cast<std::ptrdiff_t>(used));
    return heard;
}

Status SerfConversation::take(const MessagePack& value, std::vector<SerfHeard>& heard) {
    return m_body ? take_body(value, heard) : take_header(value, heard);
}

Status SerfConversation::take_header(const MessagePack& value, std::vector<SerfHeard>& heard) {
    const SerfHeader header = TRY(parse_serf_header(value));
    const auto asked = m_asked.extract(header.sequence);
    if (asked.empty()) {
        if (header.sequence != m_stream || m_stream == 0)
            return fail(ErrorCode::InvalidData, "Serf agent: an answer to no question");
        m_body = Asked{Command::Stream};
        return {};
    }
    const Command command = asked.mapped().command;
    if (!header.error.empty()) {
        const std::string why = printable(header.error);
        if (command == Command::Authenticate)
            return fail(ErrorCode::PermissionDenied, "the Serf agent has another password", why);
        if (command == Command::Handshake || command == Command::Stream)
            return fail(ErrorCode::Unsupported,
                        std::string("the Serf agent refuses '") + name_of(command) + "'", why);
        heard.emplace_back(SerfRefused{name_of(command), why});
    }
    if (has_body(command)) m_body = asked.mapped();
    return {};
}

Status SerfConversation::take_body(const MessagePack& value, std::vector<SerfHeard>& heard) {
    const Asked asked = *std::exchange(m_body, std::nullopt);
    switch (asked.command) {
        case Command::Stream: {
            // Nothing but members was asked for.
            heard.emplace_back(SerfMembersHeard{TRY(parse_serf_members(value)), false});
            break;
        }
        case Command::Members:
            heard.emplace_back(SerfMembersHeard{TRY(parse_serf_members(value)), true});
            break;
        case Command::Coordinate: {
            auto coordinate = TRY(parse_serf_coordinate(value));
            heard.emplace_back(SerfCoordinateHeard{asked.node, std::move(coordinate)});
            break;
        }
        default: break;  // of a join: how many, which the members show
    }
    return {};
}

}  // namespace fortros
