#include "os/netlink.h"

#include <doctest/doctest.h>
#include <linux/genetlink.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <string>
#include <vector>

using namespace fortros;

static constexpr std::uint32_t sequence = 7;
static constexpr std::uint16_t some_type = 40;

static NetlinkMessage small(std::size_t capacity) {
    return NetlinkMessage(some_type, 0, genlmsghdr{}, capacity);
}

static const nlmsghdr& header_of(const NetlinkMessage& message) {
    return *reinterpret_cast<const nlmsghdr*>(message.view().data());
}

static NetlinkAttributes attributes_of(const NetlinkMessage& message) {
    return NetlinkAttributes::of<genlmsghdr>(header_of(message));
}

// A datagram from the kernel, 4-byte aligned as a received one is.
class Datagram {
public:
    template <typename Payload>
    Datagram& message(std::uint16_t type, unsigned flags, const Payload& payload,
                      ByteView attributes = {}, std::uint32_t number = sequence) {
        const std::size_t length = NLMSG_HDRLEN + sizeof(payload) + attributes.size();
        nlmsghdr header{.nlmsg_len = static_cast<std::uint32_t>(length),
                        .nlmsg_type = type,
                        .nlmsg_flags = static_cast<std::uint16_t>(flags),
                        .nlmsg_seq = number,
                        .nlmsg_pid = 0};
        append(&header, sizeof(header));
        append(&payload, sizeof(payload));
        append(attributes.data(), attributes.size());
        m_bytes.resize(NLMSG_ALIGN(m_bytes.size()));
        return *this;
    }

    Bytes& bytes() { return m_bytes; }

    Result<NetlinkProgress> read(const OnNetlinkMessage& on_message = {}) const {
        return read_netlink_datagram(m_bytes, sequence, "cannot do it", on_message);
    }

private:
    void append(const void* data, std::size_t size) {
        const auto* bytes = static_cast<const std::uint8_t*>(data);
        m_bytes.insert(m_bytes.end(), bytes, bytes + size);
    }

    Bytes m_bytes;
};

// The attribute NLMSGERR_ATTR_MSG with these words.
static Bytes kernel_words(std::string_view words) {
    NetlinkMessage message(some_type, 0, genlmsghdr{});
    const std::size_t start = message.size();
    message.text(NLMSGERR_ATTR_MSG, words);
    const ByteView attribute = message.view().subspan(start);
    return {attribute.begin(), attribute.end()};
}

// Nothing could be configured at all.
TEST_CASE("what is put into a netlink message can be found in it") {
    NetlinkMessage message(some_type, NLM_F_CREATE, genlmsghdr{.cmd = 3});
    message.u8(1, 0x11).u16(2, 0x2222).u32(3, 0x33333333).u64(4, 0x4444444444444444);
    message.text(5, "name").bytes(6, as_bytes("abc"));
    message.nest(7, [&] { message.u32(1, 5).nest(2, [&] { message.u8(9, 1); }); });

    CHECK(header_of(message).nlmsg_flags == (NLM_F_REQUEST | NLM_F_CREATE));
    CHECK(family_header<genlmsghdr>(header_of(message))->cmd == 3);
    const auto attributes = attributes_of(message);
    CHECK(attributes.find(1)->u8() == 0x11);
    CHECK(attributes.find(2)->u16() == 0x2222);
    CHECK(attributes.find(3)->u32() == 0x33333333);
    CHECK(attributes.find(4)->u64() == 0x4444444444444444);
    CHECK(attributes.find(5)->text() == "name");
    CHECK(attributes.find(5)->payload().size() == 5);
    CHECK(as_text(attributes.find(6)->payload()) == "abc");
    const NetlinkAttributes nested(*attributes.find(7));
    CHECK(nested.find(1)->u32() == 5);
    CHECK(NetlinkAttributes(*nested.find(2)).find(9)->u8() == 1);
    CHECK_FALSE(attributes.find(8));
    // A value of another size than asked for is none.
    CHECK_FALSE(attributes.find(3)->u16());
}

// The kernel would apply half of a request, or what lies behind the buffer.
TEST_CASE("a netlink message that is full says so and stays as it was") {
    auto message = small(64);
    message.u32(1, 1);
    const std::size_t before = message.size();
    const Bytes large(64);
    CHECK_FALSE(message.overflowed());
    message.bytes(2, large);
    CHECK(message.overflowed());
    CHECK(message.size() == before);

    message.truncate(before);
    CHECK_FALSE(message.overflowed());
    const std::size_t nest = message.open_nest(3);
    message.bytes(1, large);
    message.close_nest(nest);
    CHECK(message.overflowed());

    message.truncate(before);
    message.bytes(2, Bytes(64 - before - 4));
    CHECK_FALSE(message.overflowed());
    CHECK(message.size() == 64);
    message.close_nest(message.open_nest(3));
    CHECK(message.overflowed());
    CHECK(attributes_of(message).find(1)->u32() == 1);
    CHECK_FALSE(attributes_of(message).find(3));
}

// A kernel error would read as success, or without the kernel's reason.
TEST_CASE("an ACK ends a request, an error becomes ours with the kernel's words") {
    Datagram ack;
    ack.message(NLMSG_ERROR, NLM_F_CAPPED, nlmsgerr{.error = 0});
    REQUIRE(ack.read());
    CHECK(ack.read()->ended);

    Datagram refused;
    refused.message(NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, nlmsgerr{.error = -EEXIST},
                    kernel_words("Name taken\x1b[31m"));
    const auto result = refused.read();
    REQUIRE_FALSE(result);
    CHECK(result.error().code == ErrorCode::Conflict);
    CHECK(result.error().text() == "cannot do it: File exists (Name taken?[31m)");
}

// Without NETLINK_CAP_ACK the request lies between the error and the kernel's words.
TEST_CASE("the kernel's words are found behind an echoed request") {
    nlmsgerr error{.error = -EINVAL, .msg = {.nlmsg_len = NLMSG_HDRLEN + 5}};
    Bytes rest(8);  // five bytes of request, aligned
    const Bytes words = kernel_words("Bad attribute");
    rest.insert(rest.end(), words.begin(), words.end());
    Datagram refused;
    refused.message(NLMSG_ERROR, NLM_F_ACK_TLVS, error, rest);
    REQUIRE_FALSE(refused.read());
    CHECK(refused.read().error().detail == "Bad attribute");
}

// A dump that failed in its middle would be taken for all there is: peers would be removed.
TEST_CASE("a dump ends at DONE, and an error in it is an error") {
    std::vector<std::uint16_t> types;
    const auto note = [&](const nlmsghdr& message) -> Status {
        types.push_back(message.nlmsg_type);
        return {};
    };
    Datagram two;
    two.message(some_type, NLM_F_MULTI, genlmsghdr{}).message(some_type, NLM_F_MULTI, genlmsghdr{});
    REQUIRE(two.read(note));
    CHECK(types.size() == 2);
    CHECK_FALSE(two.read(note)->ended);

    Datagram done;
    done.message(NLMSG_DONE, NLM_F_MULTI, int{0});
    CHECK(done.read(note)->ended);
    Datagram broken;
    broken.message(NLMSG_DONE, NLM_F_MULTI | NLM_F_ACK_TLVS, int{-ENODEV}, kernel_words("Gone"));
    REQUIRE_FALSE(broken.read(note));
    CHECK(broken.read(note).error().code == ErrorCode::NotFound);
    CHECK(broken.read(note).error().detail == "Gone");
}

// A list that changed while it was read may lack entries: acting on it would remove what is there.
TEST_CASE("an interrupted dump is noticed wherever the kernel says so") {
    Datagram first;
    first.message(some_type, NLM_F_MULTI | NLM_F_DUMP_INTR, genlmsghdr{});
    CHECK(first.read()->interrupted);
    Datagram last;
    last.message(NLMSG_DONE, NLM_F_MULTI | NLM_F_DUMP_INTR, int{0});
    CHECK(last.read()->interrupted);
}

// The answer to a request that was given up would be taken for the answer to the next one.
TEST_CASE("answers to other requests are passed over") {
    Datagram datagram;
    datagram.message(NLMSG_ERROR, 0, nlmsgerr{.error = -EPERM}, {}, sequence - 1);
    REQUIRE(datagram.read());
    CHECK_FALSE(datagram.read()->ended);
    datagram.message(NLMSG_ERROR, 0, nlmsgerr{.error = 0});
    CHECK(datagram.read()->ended);
}

// A caller's error would be lost and the rest of the dump believed.
TEST_CASE("an error of the callback ends the reading") {
    Datagram datagram;
    datagram.message(some_type, 0, genlmsghdr{}).message(NLMSG_DONE, 0, int{0});
    const auto result =
        datagram.read([](const nlmsghdr&) -> Status { return fail(ErrorCode::InvalidData, "no"); });
    REQUIRE_FALSE(result);
    CHECK(result.error().what == "no");
}

// A length that lies would make us read what is not ours.
TEST_CASE("messages and attributes that do not fit are not read") {
    for (const std::uint32_t length : {0U, 15U, 24U, 0x7fffffffU, 0x80000000U, 0xffffffffU}) {
        Datagram datagram;
        datagram.message(some_type, 0, genlmsghdr{});
        std::memcpy(datagram.bytes().data(), &length, sizeof(length));
        int count = 0;
        REQUIRE(datagram.read([&](const nlmsghdr&) -> Status { return ++count, Status{}; }));
        CHECK(count == 0);
    }
    Datagram truncated;
    truncated.message(NLMSG_ERROR, 0, std::uint32_t{0});
    REQUIRE_FALSE(truncated.read());
    CHECK(truncated.read().error().code == ErrorCode::InvalidData);

    alignas(4) const std::uint8_t attributes[] = {5, 0, 1, 0, 42, 0, 0, 0, 200, 0, 2, 0};
    int count = 0;
    for (const NetlinkAttribute attribute : NetlinkAttributes(attributes)) {
        CHECK(attribute.u8() == 42);
        ++count;
    }
    CHECK(count == 1);
}

// Every interface's link would have to be asked for, and every error come without a reason.
TEST_CASE("the kernel answers dumps, requests and refuses in words") {
    auto netlink = Netlink::create(NETLINK_ROUTE);
    REQUIRE(netlink);
    NetlinkMessage links(RTM_GETLINK, 0, ifinfomsg{});
    const auto names = netlink->dump<std::vector<std::string>>(
        links, "cannot list interfaces",
        [](std::vector<std::string>& found, const nlmsghdr& message) -> Status {
            const auto name = NetlinkAttributes::of<ifinfomsg>(message).find(IFLA_IFNAME);
            if (name) found.emplace_back(name->text());
            return {};
        });
    REQUIRE(names);
    CHECK(std::ranges::contains(*names, "lo"));

    NetlinkMessage loopback(RTM_GETLINK, 0, ifinfomsg{.ifi_index = 1});
    int replies = 0;
    CHECK(netlink->talk(loopback, "cannot find it",
                        [&](const nlmsghdr&) -> Status { return ++replies, Status{}; }));
    CHECK(replies == 1);

    NetlinkMessage absent(RTM_GETLINK, 0, ifinfomsg{.ifi_index = 0x7ffffffe});
    const auto refused = netlink->talk(absent, "cannot find it");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::NotFound);

    auto full = small(32);
    full.bytes(1, Bytes(100));
    const auto unsent = netlink->talk(full, "cannot do it");
    REQUIRE_FALSE(unsent);
    CHECK(unsent.error().code == ErrorCode::Exhausted);

    auto generic = Netlink::create(NETLINK_GENERIC);
    REQUIRE(generic);
    CHECK(generic_netlink_family(*generic, "nlctrl") == std::uint16_t{GENL_ID_CTRL});
    CHECK(generic_netlink_family(*generic, "no such family").error().code == ErrorCode::NotFound);
}

// A program on a kernel without a protocol would fail for a reason that nobody understands.
TEST_CASE("a protocol that the kernel lacks is named") {
    const auto netlink = Netlink::create(31);
    REQUIRE_FALSE(netlink);
    CHECK(netlink.error().code == ErrorCode::Unsupported);
}

// The loop would hang in a read that has nothing to read.
TEST_CASE("a monitor without events does not block") {
    auto monitor = Netlink::monitor(NETLINK_ROUTE, RTMGRP_LINK);
    REQUIRE(monitor);
    const auto received = monitor->receive_events([](const nlmsghdr&) -> Status { return {}; });
    REQUIRE(received);
    CHECK_FALSE(*received);
}
