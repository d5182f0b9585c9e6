#include "fakes/dhcp6_server.h"

namespace fortros {

using Type = Dhcp6Message::Type;

static std::uint32_t number_of(std::chrono::seconds seconds) {
    return static_cast<std::uint32_t>(seconds.count());
}

Bytes dhcp6_status(std::uint16_t code, std::string_view words) {
    return ByteWriter().u16(code).text(words).take();
}

Dhcp6Message FakeDhcp6Server::reply(const Dhcp6Message& request, Type type) const {
    Dhcp6Message reply{.type = type, .transaction = request.transaction};
    if (const Bytes* client = request.option(dhcp6_option::client_id))
        reply.options.emplace_back(dhcp6_option::client_id, *client);
    reply.options.emplace_back(dhcp6_option::server_id, duid);
    ByteWriter addresses;
    for (const IpAddress& resolver : resolvers) addresses.bytes(resolver.bytes());
    if (!resolvers.empty()) reply.options.emplace_back(dhcp6_option::resolvers, addresses.take());
    for (const auto& option : options) reply.options.push_back(option);

    const Bytes* wanted = request.option(dhcp6_option::ia_na);
    if (!wanted) return reply;
    ByteWriter association;
    association.u32(ByteReader(*wanted).u32());
    association.u32(number_of(renew_after)).u32(number_of(rebind_after));
    if (mood == Mood::NoAddresses || (mood == Mood::Refusing && type == Type::Reply)) {
        const bool is_renewal = request.type == Type::Renew || request.type == Type::Rebind;
        write_option(association, dhcp6_option::status_code,
                     dhcp6_status(is_renewal ? 3 : 2, "not here"));
    } else {
        ByteWriter address;
        address.bytes(gives.bytes()).u32(number_of(preferred)).u32(number_of(lifetime));
        write_option(association, dhcp6_option::ia_address, address.view());
    }
    reply.options.emplace_back(dhcp6_option::ia_na, association.take());
    return reply;
}

std::optional<Bytes> FakeDhcp6Server::answer(ByteView payload) {
    const auto request = decode_dhcp6(payload);
    if (!request) return std::nullopt;
    const Bytes* chosen = request->option(dhcp6_option::server_id);
    if (chosen && *chosen != duid) return std::nullopt;  // another server's
    heard.push_back(*request);
    if (mood == Mood::Silent) return std::nullopt;
    if (request->type == Type::Solicit) {
        if (!rapid_commit || !request->option(dhcp6_option::rapid_commit))
            return encode(reply(*request, Type::Advertise));
        Dhcp6Message committed = reply(*request, Type::Reply);
        committed.options.emplace_back(dhcp6_option::rapid_commit, Bytes{});
        return encode(committed);
    }
    if (mood == Mood::OffersOnly) return std::nullopt;
    return encode(reply(*request, Type::Reply));
}

}  // namespace fortros
