#include "core/dhcp6_message.h"

#include <algorithm>

namespace fortros {

static constexpr std::uint32_t transaction_mask = 0xffffff;

const Bytes* find_option(const Dhcp6Options& options, std::uint16_t code) {
    const auto found = std::ranges::find(options, code, &Dhcp6Options::value_type::first);
    return found == options.end() ? nullptr : &found->second;
}

void write_option(ByteWriter& out, std::uint16_t code, ByteView value) {
    out.u16(code).u16(static_cast<std::uint16_t>(value.size())).bytes(value);
}

Result<Dhcp6Options> read_dhcp6_options(ByteView area) {
    Dhcp6Options options;
    ByteReader in(area);
    while (in.left() > 0) {
        const std::uint16_t code = in.u16();
        const ByteView value = in.take(in.u16());
        if (!in.ok()) return fail(ErrorCode::InvalidData, "a DHCPv6 option runs past its area");
        options.emplace_back(code, Bytes(value.begin(), value.end()));
    }
    return options;
}

Bytes encode(const Dhcp6Message& message) {
    ByteWriter out;
    out.u32(static_cast<std::uint32_t>(message.type) << 24 |
            (message.transaction & transaction_mask));
    for (const auto& [code, value] : message.options) write_option(out, code, value);
    return out.take();
}

Result<Dhcp6Message> decode_dhcp6(ByteView payload) {
    if (payload.size() > dhcp6_message_limit)
        return fail(ErrorCode::InvalidData, "a DHCPv6 message is too long");
    ByteReader in(payload);
    const std::uint32_t head = in.u32();
    const std::uint32_t type = head >> 24;
    if (!in.ok() || type < std::to_underlying(Dhcp6Message::Type::Solicit) ||
        type > std::to_underlying(Dhcp6Message::Type::InformationRequest))
        return fail(ErrorCode::InvalidData, "not a message of a DHCPv6 server or client");
    Dhcp6Message message{.type = static_cast<Dhcp6Message::Type>(type),
                         .transaction = head & transaction_mask};
    message.options = TRY(read_dhcp6_options(in.take(in.left())));
    return message;
}

}  // namespace fortros
