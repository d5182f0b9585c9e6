// One connection's conversation with the Serf agent of this node, without the connection: what is asked,
// what the answers and events mean, and in what portions they come. Pure.
//
//   begin()  handshake, password, stream of member events, list of members      (in this order)
//   then     announcements, joins, coordinates as they are asked for; events as they come
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "maintainer/message_pack.h"
#include "maintainer/serf_messages.h"

namespace fortros {

// Requests that wait for their answer; who asks for more is told Busy.
inline constexpr std::size_t serf_requests_limit = 256;

struct SerfMembersHeard {
    std::vector<SerfMember> members;
    bool complete = false;  // all that the agent knows, and not only who has changed
};
struct SerfCoordinateHeard {
    PublicKey node;
    std::optional<SerfCoordinate> coordinate{};  // absent: the agent knows none
};
// The agent could not do what it was asked for: tags that are too long, nobody to join.
struct SerfRefused {
    std::string command;
    std::string why;
};
using SerfHeard = std::variant<SerfMembersHeard, SerfCoordinateHeard, SerfRefused>;

class SerfConversation {
public:
    SerfConversation() : m_framer(serf_value_limit) {}

    // What is said first; `password` as in the agent's own settings (rpc_auth).
    Bytes begin(std::string_view password);
    // Busy where too many answers are outstanding.
    Result<Bytes> announce(ByteView attestation);
    Result<Bytes> join(const std::vector<IpAddress>& overlay_addresses);
    Result<Bytes> ask_coordinate(const PublicKey& node);

    // What has come in, in any portions. An error ends the conversation: InvalidData, Unsupported
    // where the agent does not speak our version, PermissionDenied where the password is another.
    Result<std::vector<SerfHeard>> hear(ByteView bytes);

private:
    enum class Command : std::uint8_t {
        Handshake,
        Authenticate,
        Stream,
        Members,
        Announce,
        Join,
        Coordinate
    };
    struct Asked {
        Command command = Command::Handshake;
        PublicKey node{};  // of a coordinate
    };
    static const char* name_of(Command command);
    static bool has_body(Command command);

    std::uint32_t remember(Command command, const PublicKey& node = {});
    Status take(const MessagePack& value, std::vector<SerfHeard>& heard);
    Status take_header(const MessagePack& value, std::vector<SerfHeard>& heard);
    Status take_body(const MessagePack& value, std::vector<SerfHeard>& heard);

    MessagePackFramer m_framer;
    Bytes m_received{};
    std::uint32_t m_next = 1;
    std::uint32_t m_stream = 0;  // the number of the stream's events; 0: not asked for
    std::map<std::uint32_t, Asked> m_asked{};
    std::optional<Asked> m_body{};  // whose body comes next; of the stream: an event
};

}  // namespace fortros
