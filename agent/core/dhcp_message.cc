#include "core/dhcp_message.h"

#include <algorithm>

namespace fortros {

static constexpr std::uint8_t op_request = 1;
static constexpr std::uint8_t op_reply = 2;
static constexpr std::uint8_t hardware_ethernet = 1;
static constexpr std::uint16_t broadcast_flag = 0x8000;
static constexpr std::uint32_t magic_cookie = 0x63825363;
static constexpr std::size_t hardware_field = 16;
static constexpr std::size_t server_name_field = 64;
static constexpr std::size_t boot_file_field = 128;
static constexpr std::size_t smallest_message = 300;
static constexpr std::size_t longest_option_part = 255;

static constexpr std::uint8_t overload_file = 1;
static constexpr std::uint8_t overload_server_name = 2;

const Bytes* DhcpMessage::option(std::uint8_t code) const {
    auto found = std::ranges::find(options, code, &std::pair<std::uint8_t, Bytes>::first);
    return found == options.end() ? nullptr : &found->second;
}

static void write_option(ByteWriter& out, std::uint8_t code, ByteView value) {
    do {
        const ByteView part = value.first(std::min(value.size(), longest_option_part));
        out.u8(code).u8(static_cast<std::uint8_t>(part.size())).bytes(part);
        value = value.subspan(part.size());
    } while (!value.empty());
}

Bytes encode(const DhcpMessage& message) {
    static constexpr ByteArray<boot_file_field> zeros{};
    ByteWriter out;
    out.u8(message.is_reply ? op_reply : op_request).u8(hardware_ethernet);
    out.u8(static_cast<std::uint8_t>(message.hardware_address.size())).u8(0);
    out.u32(message.transaction).u16(message.seconds);
    out.u16(message.broadcast ? broadcast_flag : 0);
    out.bytes(message.client.bytes()).bytes(message.yours.bytes());
    out.u32(0).u32(0);  // siaddr, giaddr: a client's and a booting host's business, not ours
    out.bytes(message.hardware_address);
    out.bytes(ByteView(zeros).first(hardware_field - message.hardware_address.size()));
    out.bytes(ByteView(zeros).first(server_name_field)).bytes(zeros);
    out.u32(magic_cookie);
    const std::uint8_t type[] = {static_cast<std::uint8_t>(message.type)};
    write_option(out, dhcp_option::message_type, type);
    for (const auto& [code, value] : message.options) write_option(out, code, value);
    out.u8(dhcp_option::end);
    Bytes bytes = out.take();
    bytes.resize(std::max(bytes.size(), smallest_message));
    return bytes;
}

// --- decoding -----------------------------------------------------------------------------------

// Appends what an option area holds to `options`, joining parts of the same code.
static Status read_options(ByteView area, std::vector<std::pair<std::uint8_t, Bytes>>& options) {
    ByteReader in(area);
    while (in.left() > 0) {
        const std::uint8_t code = in.u8();
        if (code == dhcp_option::pad) continue;
        if (code == dhcp_option::end) return {};
        const std::uint8_t size = in.u8();
        const ByteView value = in.take(size);
        if (!in.ok()) return fail(ErrorCode::InvalidData, "a DHCP option runs past its area");
        auto found = std::ranges::find(options, code, &std::pair<std::uint8_t, Bytes>::first);
        if (found == options.end()) found = options.insert(found, {code, {}});
        found->second.insert(found->second.end(), value.begin(), value.end());
    }
    return {};
}

// Takes an option of one byte out of the list.
static std::optional<std::uint8_t> take_byte_option(DhcpMessage& message, std::uint8_t code) {
    const Bytes* value = message.option(code);
    std::optional<std::uint8_t> byte;
    if (value && value->size() == 1) byte = value->front();
    std::erase_if(message.options, [&](const auto& option) { return option.first == code; });
    return byte;
}

static IpAddress read_address(ByteReader& in) { return IpAddress::v4(in.array<4>()); }

Result<DhcpMessage> decode_dhcp(ByteView payload) {
    if (payload.size() > dhcp_message_limit)
        return fail(ErrorCode::InvalidData, "a DHCP message is longer than was asked for");
    ByteReader in(payload);
    DhcpMessage message;
    const std::uint8_t op = in.u8();
    const std::uint8_t hardware_type = in.u8();
    const std::uint8_t hardware_size = in.u8();
    in.u8();  // hops
    message.transaction = in.u32();
    message.seconds = in.u16();
    message.broadcast = (in.u16() & broadcast_flag) != 0;
    message.client = read_address(in);
    message.yours = read_address(in);
    read_address(in);  // siaddr
    read_address(in);  // giaddr
    message.hardware_address = in.array<6>();
    in.take(hardware_field - message.hardware_address.size());
    const ByteView server_name = in.take(server_name_field);
    const ByteView boot_file = in.take(boot_file_field);
    const std::uint32_t cookie = in.u32();
    if (!in.ok() || cookie != magic_cookie || (op != op_request && op != op_reply) ||
        hardware_type != hardware_ethernet || hardware_size != message.hardware_address.size())
        return fail(ErrorCode::InvalidData, "not a DHCP message");
    message.is_reply = op == op_reply;

    TRY(read_options(in.take(in.left()), message.options));
    // The order is that of RFC 3396 section 5: the file field comes before the server's name.
    const std::uint8_t overload = take_byte_option(message, dhcp_option::overload).value_or(0);
    if (overload & overload_file) TRY(read_options(boot_file, message.options));
    if (overload & overload_server_name) TRY(read_options(server_name, message.options));
    take_byte_option(message, dhcp_option::overload);

    const auto type = take_byte_option(message, dhcp_option::message_type);
    if (!type || *type < static_cast<std::uint8_t>(DhcpMessage::Type::Discover) ||
        *type > static_cast<std::uint8_t>(DhcpMessage::Type::Inform))
        return fail(ErrorCode::InvalidData, "a DHCP message of no known type");
    message.type = static_cast<DhcpMessage::Type>(*type);
    return message;
}

}  // namespace fortros
