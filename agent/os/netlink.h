// Netlink (linux/netlink.h): requests that cannot overflow, answers read to their end, and the
// kernel's own words in every error. It knows no family's attributes and decides nothing.
//
//   request:   send ──▶ [replies] ──▶ ACK or error          Netlink::talk
//   dump:      send ──▶ replies ... ──▶ DONE                Netlink::dump (again if interrupted)
//   batch:     send several as one ──▶ an ACK each          Netlink::talk_batch
//   monitor:   ──▶ events whenever the kernel has some      Netlink::receive_events
//
// The kernel works off a request inside sendto(2), so these calls block for as long as the work
// takes; only an answer that got lost is waited for, and not for long.
#pragma once

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "os/fd.h"

namespace fortros {

// A request under construction. An attribute that does not fit is left out and remembered:
// overflowed() is true and Netlink refuses to send. The buffer wipes itself: it may hold a key.
class NetlinkMessage {
public:
    static constexpr std::size_t default_capacity = std::size_t{8} * 1024;
    // An attribute's length has 16 bits, a nest's too: no nest can outgrow its own length field.
    static constexpr std::size_t max_capacity = std::size_t{60} * 1024;

    // `flags` are added to NLM_F_REQUEST. `family_header` is what the family puts between the
    // netlink header and the attributes: ifinfomsg, genlmsghdr, nfgenmsg, ...
    template <typename FamilyHeader>
        requires std::is_trivially_copyable_v<FamilyHeader>
    NetlinkMessage(std::uint16_t type, unsigned flags, const FamilyHeader& family_header,
                   std::size_t capacity = default_capacity)
        : NetlinkMessage(type, flags,
                         ByteView{reinterpret_cast<const std::uint8_t*>(&family_header),
                                  sizeof(family_header)},
                         capacity) {}

    // Numbers in host order, as most families want them; nf_tables wants its own in network order.
    NetlinkMessage& u8(std::uint16_t type, std::uint8_t value);
    NetlinkMessage& u16(std::uint16_t type, std::uint16_t value);
    NetlinkMessage& u32(std::uint16_t type, std::uint32_t value);
    NetlinkMessage& u64(std::uint16_t type, std::uint64_t value);
    NetlinkMessage& bytes(std::uint16_t type, ByteView value);
    NetlinkMessage& text(std::uint16_t type, std::string_view value);  // ends in NUL

    // A nested attribute; `fill` puts its content into this same message.
    template <typename Fill>
    NetlinkMessage& nest(std::uint16_t type, Fill&& fill) {
        const std::size_t start = open_nest(type);
        std::forward<Fill>(fill)();
        close_nest(start);
        return *this;
    }
    // The same in two steps, for who has to end a nest early and start a new message.
    std::size_t open_nest(std::uint16_t type);
    void close_nest(std::size_t start);

    bool overflowed() const { return m_overflowed; }
    std::size_t size() const { return header()->nlmsg_len; }
    // Back to an earlier size(): drops what came after it, an overflow included.
    void truncate(std::size_t size);

    ByteView view() const { return m_buffer.view().first(size()); }

private:
    friend class Netlink;
    NetlinkMessage(std::uint16_t type, unsigned flags, ByteView family_header,
                   std::size_t capacity);
    nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(m_buffer.writable().data()); }
    const nlmsghdr* header() const {
        return reinterpret_cast<const nlmsghdr*>(m_buffer.view().data());
    }
    NetlinkMessage& note(bool fitted);

    SecretBytes m_buffer;
    bool m_overflowed = false;
};

// One received attribute, borrowed from its message. A value of an unexpected size reads as absent.
class NetlinkAttribute {
public:
    explicit NetlinkAttribute(const nlattr* attribute) : m_attribute(attribute) {}

    std::uint16_t type() const;  // without the NLA_F_ flags
    ByteView payload() const;
    std::string_view text() const;  // up to the first NUL
    std::optional<std::uint8_t> u8() const { return number<std::uint8_t>(); }
    std::optional<std::uint16_t> u16() const { return number<std::uint16_t>(); }
    std::optional<std::uint32_t> u32() const { return number<std::uint32_t>(); }
    std::optional<std::uint64_t> u64() const { return number<std::uint64_t>(); }

    // The payload as one of the kernel's structs, which may have grown since we were compiled.
    template <typename Struct>
        requires std::is_trivially_copyable_v<Struct>
    std::optional<Struct> as() const {
        Struct value{};
        if (payload().size() < sizeof(value)) return std::nullopt;
        std::memcpy(&value, payload().data(), sizeof(value));
        return value;
    }

private:
    template <typename Number>
    std::optional<Number> number() const {
        return payload().size() == sizeof(Number) ? as<Number>() : std::nullopt;
    }

    const nlattr* m_attribute;
};

// Attributes one after the other, borrowed; ends at the first that does not fit:
//     for (NetlinkAttribute attribute : NetlinkAttributes::of<ifinfomsg>(message)) ...
class NetlinkAttributes {
public:
    explicit NetlinkAttributes(ByteView bytes) : m_bytes(bytes) {}
    explicit NetlinkAttributes(const NetlinkAttribute& nest) : m_bytes(nest.payload()) {}
    // Those after the family's header; none when the message is shorter than that header.
    template <typename FamilyHeader>
    static NetlinkAttributes of(const nlmsghdr& message) {
        return after(message, sizeof(FamilyHeader));
    }

    class Iterator {
    public:
        Iterator() = default;
        explicit Iterator(ByteView rest);
        NetlinkAttribute operator*() const;
        Iterator& operator++();
        bool operator==(const Iterator& other) const {
            return m_rest.size() == other.m_rest.size();
        }

    private:
        ByteView m_rest;  // empty, or begins with a whole attribute
    };
    Iterator begin() const { return Iterator(m_bytes); }
    static Iterator end() { return {}; }

    std::optional<NetlinkAttribute> find(std::uint16_t type) const;

private:
    static NetlinkAttributes after(const nlmsghdr& message, std::size_t header_size);

    ByteView m_bytes;
};

// The header between the netlink header and the attributes; null when the message is too short.
template <typename FamilyHeader>
const FamilyHeader* family_header(const nlmsghdr& message) {
    if (message.nlmsg_len < NLMSG_HDRLEN + sizeof(FamilyHeader)) return nullptr;
    return static_cast<const FamilyHeader*>(NLMSG_DATA(&message));
}

// Called with each received message of the family's own; an error ends the exchange.
using OnNetlinkMessage = std::function<Status(const nlmsghdr& message)>;

// What one received datagram told about the request with number `sequence`; an ACK or DONE that
// carries an error becomes that error, its text `what`. Messages of other numbers are skipped: they
// answer a request that was given up. Pure; exposed for tests and fuzzing.
struct NetlinkProgress {
    bool ended = false;        // ACK or DONE seen
    bool interrupted = false;  // NLM_F_DUMP_INTR: what was dumped changed meanwhile
};
Result<NetlinkProgress> read_netlink_datagram(ByteView datagram, std::uint32_t sequence,
                                              std::string_view what,
                                              const OnNetlinkMessage& on_message);

// A socket to the kernel. Not for use from two threads.
class Netlink {
public:
    // `protocol`: NETLINK_ROUTE, NETLINK_GENERIC, NETLINK_NETFILTER. Unsupported when the kernel
    // has none of it.
    static Result<Netlink> create(int protocol);
    // A non-blocking socket that hears the events of `groups` (RTMGRP_LINK | ...) and is only for
    // receive_events().
    static Result<Netlink> monitor(int protocol, std::uint32_t groups);

    int fd() const { return m_socket.get(); }

    // Sends a request and waits for its ACK. `what` is the operation in words, for the error:
    // "cannot set the MTU of 'fortros0'". Replies before the ACK (a GET of one thing) go to
    // `on_message`.
    Status talk(NetlinkMessage& request, std::string_view what,
                const OnNetlinkMessage& on_message = {});

    // Sends requests as one datagram, which is what nf_tables takes for a transaction, and waits
    // for the ACK of each between the first and the last, which mark begin and end.
    Status talk_batch(std::span<NetlinkMessage> requests, std::string_view what);

    // Reads a dump to its end into a fresh Gathered. `gather(gathered, message)` is called with
    // each message; when something changed meanwhile all begins again, a few times at most (Busy).
    template <typename Gathered, typename Gather>
    Result<Gathered> dump(NetlinkMessage& request, std::string_view what, Gather&& gather) {
        Gathered gathered;
        TRY(dump(
            request, what, [&] { gathered = Gathered{}; },
            [&](const nlmsghdr& message) -> Status { return gather(gathered, message); }));
        return gathered;
    }

    // One datagram of events. False: nothing waits. Exhausted: the kernel dropped events for want
    // of room, so all that is known has to be asked for again.
    Result<bool> receive_events(const OnNetlinkMessage& on_message);

private:
    class ReceiveBuffer;
    explicit Netlink(Fd socket) : m_socket(std::move(socket)) {}
    Status dump(NetlinkMessage& request, std::string_view what,
                const std::function<void()>& restart, const OnNetlinkMessage& on_message);
    Status send(ByteView bytes, std::string_view what);
    Result<ByteView> receive(ReceiveBuffer& buffer, std::string_view what);
    // Numbers and checks a request.
    Status prepare(NetlinkMessage& request, unsigned flags, std::string_view what);

    Fd m_socket;
    std::uint32_t m_sequence = 0;
};

// The number of a generic netlink family ("wireguard"). NotFound when no module provides it.
Result<std::uint16_t> generic_netlink_family(Netlink& netlink, std::string_view name);

}  // namespace fortros
