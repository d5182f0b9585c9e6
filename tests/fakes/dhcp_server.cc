#include "fakes/dhcp_server.h"

namespace fortros {

using Type = DhcpMessage::Type;

static Bytes bytes_of(ByteView view) { return {view.begin(), view.end()}; }

Bytes option_address(std::string_view text) { return bytes_of(IpAddress::parse(text)->bytes()); }

Bytes option_seconds(std::chrono::seconds seconds) {
    return ByteWriter().u32(static_cast<std::uint32_t>(seconds.count())).take();
}

static Bytes mask_of(const IpNetwork& network) {
    return ByteWriter()
        .u32(static_cast<std::uint32_t>(0xffffffffULL << (32 - network.length)))
        .take();
}

DhcpMessage FakeDhcpServer::reply(const DhcpMessage& request, Type type) const {
    DhcpMessage reply{.type = type,
                      .is_reply = true,
                      .transaction = request.transaction,
                      .broadcast = request.broadcast,
                      .hardware_address = request.hardware_address};
    reply.options.emplace_back(dhcp_option::server_id, bytes_of(address.bytes()));
    if (type == Type::Nak) {
        reply.options.emplace_back(dhcp_option::message, bytes_of(as_bytes("not here")));
        return reply;
    }
    reply.yours = gives.address;
    reply.options.emplace_back(dhcp_option::lease_time, option_seconds(lifetime));
    reply.options.emplace_back(dhcp_option::subnet_mask, mask_of(gives));
    for (const auto& option : options) reply.options.push_back(option);
    return reply;
}

std::optional<Bytes> FakeDhcpServer::answer(ByteView payload) {
    const auto request = decode_dhcp(payload);
    if (!request || request->is_reply) return std::nullopt;
    const Bytes* chosen = request->option(dhcp_option::server_id);
    if (chosen && *chosen != bytes_of(address.bytes())) return std::nullopt;  // another server's
    heard.push_back(*request);
    if (mood == Mood::Silent) return std::nullopt;
    if (request->type == Type::Discover) {
        if (!rapid_commit || !request->option(dhcp_option::rapid_commit))
            return encode(reply(*request, Type::Offer));
        DhcpMessage committed = reply(*request, Type::Ack);
        committed.options.emplace_back(dhcp_option::rapid_commit, Bytes{});
        return encode(committed);
    }
    if (request->type != Type::Request || mood == Mood::OffersOnly) return std::nullopt;
    const Type type = mood == Mood::Refusing ? Type::Nak : Type::Ack;
    return encode(reply(*request, type));
}

}  // namespace fortros
