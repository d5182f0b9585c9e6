#include "os/netlink.h"

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <string>
#include <vector>

#include "base/text.h"

namespace fortros {

// The kernel fills at most 32 KiB of a dump into one datagram (netlink_dump).
static constexpr std::size_t receive_buffer_size = MNL_SOCKET_DUMP_SIZE;
static constexpr timeval answer_timeout{.tv_sec = 10, .tv_usec = 0};
static constexpr int dump_attempts = 8;
static constexpr std::size_t kernel_words_limit = 200;

// --- messages -----------------------------------------------------------------------------------

NetlinkMessage::NetlinkMessage(std::uint16_t type, unsigned flags, ByteView family_header,
                               std::size_t capacity)
    : m_buffer(capacity) {
    ASSERT(capacity <= max_capacity);
    ASSERT(capacity >= MNL_NLMSG_HDRLEN + MNL_ALIGN(family_header.size()));
    nlmsghdr* header = mnl_nlmsg_put_header(m_buffer.writable().data());
    header->nlmsg_type = type;
    header->nlmsg_flags = static_cast<std::uint16_t>(flags | NLM_F_REQUEST);
    void* extra = mnl_nlmsg_put_extra_header(header, family_header.size());
    if (!family_header.empty()) std::memcpy(extra, family_header.data(), family_header.size());
}

NetlinkMessage& NetlinkMessage::note(bool fitted) {
    m_overflowed |= !fitted;
    return *this;
}

NetlinkMessage& NetlinkMessage::u8(std::uint16_t type, std::uint8_t value) {
    return note(mnl_attr_put_u8_check(header(), m_buffer.size(), type, value));
}

NetlinkMessage& NetlinkMessage::u16(std::uint16_t type, std::uint16_t value) {
    return note(mnl_attr_put_u16_check(header(), m_buffer.size(), type, value));
}

NetlinkMessage& NetlinkMessage::u32(std::uint16_t type, std::uint32_t value) {
    return note(mnl_attr_put_u32_check(header(), m_buffer.size(), type, value));
}

NetlinkMessage& NetlinkMessage::u64(std::uint16_t type, std::uint64_t value) {
    return note(mnl_attr_put_u64_check(header(), m_buffer.size(), type, value));
}

NetlinkMessage& NetlinkMessage::bytes(std::uint16_t type, ByteView value) {
    return note(mnl_attr_put_check(header(), m_buffer.size(), type, value.size(), value.data()));
}

NetlinkMessage& NetlinkMessage::text(std::uint16_t type, std::string_view value) {
    return note(
        mnl_attr_put_strz_check(header(), m_buffer.size(), type, std::string(value).c_str()));
}

std::size_t NetlinkMessage::open_nest(std::uint16_t type) {
    const std::size_t start = size();
    note(mnl_attr_nest_start_check(header(), m_buffer.size(), type) != nullptr);
    return start;
}

void NetlinkMessage::close_nest(std::size_t start) {
    // After an overflow the nest may not even have begun; the message is lost anyway.
    if (m_overflowed) return;
    mnl_attr_nest_end(header(), reinterpret_cast<nlattr*>(m_buffer.writable().data() + start));
}

void NetlinkMessage::truncate(std::size_t size) {
    ASSERT(size <= this->size());
    header()->nlmsg_len = static_cast<std::uint32_t>(size);
    m_overflowed = false;
}

// --- attributes ---------------------------------------------------------------------------------

std::uint16_t NetlinkAttribute::type() const { return mnl_attr_get_type(m_attribute); }

ByteView NetlinkAttribute::payload() const {
    return {static_cast<const std::uint8_t*>(mnl_attr_get_payload(m_attribute)),
            mnl_attr_get_payload_len(m_attribute)};
}

std::string_view NetlinkAttribute::text() const {
    const std::string_view whole = as_text(payload());
    return whole.substr(0, whole.find('\0'));
}

static const nlattr* first_attribute(ByteView bytes) {
    const auto* attribute = reinterpret_cast<const nlattr*>(bytes.data());
    return mnl_attr_ok(attribute, static_cast<int>(bytes.size())) ? attribute : nullptr;
}

NetlinkAttributes::Iterator::Iterator(ByteView rest) {
    if (first_attribute(rest)) m_rest = rest;
}

NetlinkAttribute NetlinkAttributes::Iterator::operator*() const {
    return NetlinkAttribute(first_attribute(m_rest));
}

NetlinkAttributes::Iterator& NetlinkAttributes::Iterator::operator++() {
    const std::size_t taken = MNL_ALIGN(mnl_attr_get_len(first_attribute(m_rest)));
    *this = taken < m_rest.size() ? Iterator(m_rest.subspan(taken)) : Iterator();
    return *this;
}

std::optional<NetlinkAttribute> NetlinkAttributes::find(std::uint16_t type) const {
    for (const NetlinkAttribute attribute : *this)
        if (attribute.type() == type) return attribute;
    return std::nullopt;
}

NetlinkAttributes NetlinkAttributes::after(const nlmsghdr& message, std::size_t header_size) {
    const ByteView payload{static_cast<const std::uint8_t*>(mnl_nlmsg_get_payload(&message)),
                           mnl_nlmsg_get_payload_len(&message)};
    const std::size_t skipped = MNL_ALIGN(header_size);
    return NetlinkAttributes(skipped < payload.size() ? payload.subspan(skipped) : ByteView{});
}

// --- answers ------------------------------------------------------------------------------------

// The next message of a datagram, taken off its front; null at its end. Not mnl_nlmsg_ok, which
// takes a length of 2 GiB for a negative one.
static const nlmsghdr* take_message(ByteView& rest) {
    if (rest.size() < sizeof(nlmsghdr)) return nullptr;
    const auto* message = reinterpret_cast<const nlmsghdr*>(rest.data());
    const std::size_t length = message->nlmsg_len;
    if (length < sizeof(nlmsghdr) || length > rest.size()) return nullptr;
    rest = rest.subspan(std::min<std::size_t>(MNL_ALIGN(length), rest.size()));
    return message;
}

// The kernel's words about a failed request (NLMSGERR_ATTR_MSG), made printable.
static std::string kernel_words(const nlmsghdr& message, std::size_t offset) {
    if (!(message.nlmsg_flags & NLM_F_ACK_TLVS)) return {};
    const std::size_t length = mnl_nlmsg_get_payload_len(&message);
    if (offset >= length) return {};
    const auto* payload = static_cast<const std::uint8_t*>(mnl_nlmsg_get_payload(&message));
    const NetlinkAttributes attributes(ByteView{payload + offset, length - offset});
    const auto words = attributes.find(NLMSGERR_ATTR_MSG);
    return words ? printable(words->text(), kernel_words_limit) : std::string{};
}

// The kernel's errors are -1 to -4095 (MAX_ERRNO).
static int errno_of(int error) { return error < 0 && error >= -4095 ? -error : EIO; }

// NLMSG_ERROR: nlmsgerr, then the request itself unless capped, then attributes.
static Status read_ack(const nlmsghdr& message, std::string_view what) {
    const auto* ack = family_header<nlmsgerr>(message);
    if (!ack) return fail(ErrorCode::InvalidData, std::string(what), "truncated answer");
    if (ack->error == 0) return {};
    std::size_t offset = sizeof(nlmsgerr);
    if (!(message.nlmsg_flags & NLM_F_CAPPED) && ack->msg.nlmsg_len > sizeof(nlmsghdr))
        offset += MNL_ALIGN(std::size_t{ack->msg.nlmsg_len} - sizeof(nlmsghdr));
    return fail_errno(errno_of(ack->error), std::string(what), kernel_words(message, offset));
}

// NLMSG_DONE: an int, the dump's error or 0, then attributes.
static Status read_done(const nlmsghdr& message, std::string_view what) {
    const auto* error = family_header<int>(message);
    if (!error || *error >= 0) return {};
    return fail_errno(errno_of(*error), std::string(what), kernel_words(message, sizeof(int)));
}

Result<NetlinkProgress> read_netlink_datagram(ByteView datagram, std::uint32_t sequence,
                                              std::string_view what,
                                              const OnNetlinkMessage& on_message) {
    NetlinkProgress progress;
    while (const nlmsghdr* message = take_message(datagram)) {
        if (message->nlmsg_seq != sequence) continue;
        progress.interrupted |= (message->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        switch (message->nlmsg_type) {
            case NLMSG_NOOP: break;
            case NLMSG_ERROR:
                TRY(read_ack(*message, what));
                progress.ended = true;
                break;
            case NLMSG_DONE:
                TRY(read_done(*message, what));
                progress.ended = true;
                break;
            case NLMSG_OVERRUN:
                return fail(ErrorCode::Io, std::string(what), "the kernel's answer was cut off");
            default:
                if (on_message) TRY(on_message(*message));
        }
        if (progress.ended) break;
    }
    return progress;
}

// --- sockets ------------------------------------------------------------------------------------

static Result<Fd> open_socket(int protocol, int flags, std::uint32_t groups) {
    Fd socket{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, protocol)};
    if (!socket.valid()) return fail_errno(errno, "cannot open a netlink socket");
    // The kernel's words in errors; a request is not echoed back with its error (it may hold a
    // key); requests are checked strictly. A kernel without one of these does as it always did.
    const int on = 1;
    for (int option : {NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK})
        ::setsockopt(socket.get(), SOL_NETLINK, option, &on, sizeof(on));
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &answer_timeout, sizeof(answer_timeout));
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = groups;
    if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) < 0)
        return fail_errno(errno, "cannot bind a netlink socket");
    return socket;
}

Result<Netlink> Netlink::create(int protocol) { return Netlink(TRY(open_socket(protocol, 0, 0))); }

Result<Netlink> Netlink::monitor(int protocol, std::uint32_t groups) {
    return Netlink(TRY(open_socket(protocol, SOCK_NONBLOCK, groups)));
}

Status Netlink::prepare(NetlinkMessage& request, unsigned flags, std::string_view what) {
    if (request.overflowed())
        return fail(ErrorCode::Exhausted, std::string(what), "the request does not fit");
    request.header()->nlmsg_flags |= static_cast<std::uint16_t>(flags);
    request.header()->nlmsg_seq = ++m_sequence;
    return {};
}

Status Netlink::send(ByteView bytes, std::string_view what) {
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    ssize_t sent = -1;
    do {
        sent = ::sendto(m_socket.get(), bytes.data(), bytes.size(), 0,
                        reinterpret_cast<sockaddr*>(&kernel), sizeof(kernel));
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) return fail_errno(errno, std::string(what));
    return {};
}

// What one exchange receives. It wipes itself after it, as WireGuard's dumps carry the private key; on the
// stack, and only what was written, as an exchange is short and the buffer is not.
class Netlink::ReceiveBuffer {
public:
    ReceiveBuffer() = default;  // nobody reads what was not received
    ReceiveBuffer(const ReceiveBuffer&) = delete;
    ReceiveBuffer& operator=(const ReceiveBuffer&) = delete;
    ~ReceiveBuffer() { wipe(m_bytes.data(), m_written); }

    std::span<std::uint8_t> space() { return m_bytes; }
    ByteView received(std::size_t size) {
        m_written = std::max(m_written, size);
        return ByteView(m_bytes).first(size);
    }

private:
    alignas(nlmsghdr) std::array<std::uint8_t, receive_buffer_size> m_bytes;
    std::size_t m_written = 0;
};

// One datagram from the kernel.
Result<ByteView> Netlink::receive(ReceiveBuffer& buffer, std::string_view what) {
    while (true) {
        sockaddr_nl sender{};
        iovec space{.iov_base = buffer.space().data(), .iov_len = buffer.space().size()};
        msghdr message{};
        message.msg_name = &sender;
        message.msg_namelen = sizeof(sender);
        message.msg_iov = &space;
        message.msg_iovlen = 1;
        const ssize_t size = ::recvmsg(m_socket.get(), &message, 0);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && errno == EAGAIN)
            return fail(ErrorCode::Timeout, std::string(what), "the kernel did not answer");
        if (size < 0 && errno == ENOBUFS)
            return std::unexpected(Error{ErrorCode::Exhausted, std::string(what), ENOBUFS});
        if (size < 0) return fail_errno(errno, std::string(what));
        const ByteView answer = buffer.received(static_cast<std::size_t>(size));
        if (message.msg_flags & MSG_TRUNC)
            return fail(ErrorCode::Io, std::string(what), "the kernel's answer was cut off");
        if (sender.nl_pid != 0) continue;  // only the kernel is believed
        return answer;
    }
}

Status Netlink::talk(NetlinkMessage& request, std::string_view what,
                     const OnNetlinkMessage& on_message) {
    TRY(prepare(request, NLM_F_ACK, what));
    TRY(send(request.view(), what));
    ReceiveBuffer buffer;
    NetlinkProgress progress;
    while (!progress.ended)
        progress =
            TRY(read_netlink_datagram(TRY(receive(buffer, what)), m_sequence, what, on_message));
    return {};
}

Status Netlink::talk_batch(std::span<NetlinkMessage> requests, std::string_view what) {
    ASSERT(requests.size() >= 3);
    const std::uint32_t begin = m_sequence + 1;
    Bytes datagram;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        const bool inner = i > 0 && i + 1 < requests.size();
        TRY(prepare(requests[i], inner ? NLM_F_ACK : 0U, what));
        const ByteView bytes = requests[i].view();
        datagram.insert(datagram.end(), bytes.begin(), bytes.end());
        datagram.resize(MNL_ALIGN(datagram.size()));
    }
    TRY(send(datagram, what));
    // Answers come in the order of the requests; an error of the batch as a whole carries the
    // number of its first message.
    ReceiveBuffer buffer;
    std::uint32_t waiting = begin + 1;
    while (waiting != m_sequence) {
        const ByteView answer = TRY(receive(buffer, what));
        TRY(read_netlink_datagram(answer, begin, what, {}));
        while (waiting != m_sequence && TRY(read_netlink_datagram(answer, waiting, what, {})).ended)
            ++waiting;
    }
    return {};
}

Status Netlink::dump(NetlinkMessage& request, std::string_view what,
                     const std::function<void()>& restart, const OnNetlinkMessage& on_message) {
    ReceiveBuffer buffer;
    for (int attempt = 0; attempt < dump_attempts; ++attempt) {
        restart();
        TRY(prepare(request, NLM_F_DUMP, what));
        TRY(send(request.view(), what));
        // After an error of the callback the rest is read all the same: the kernel begins no dump
        // on a socket that has not seen the end of the last one.
        Status gathered;
        const auto gather = [&](const nlmsghdr& message) -> Status {
            if (gathered) gathered = on_message(message);
            return {};
        };
        bool interrupted = false;
        NetlinkProgress progress;
        while (!progress.ended) {
            const ByteView datagram = TRY(receive(buffer, what));
            progress = TRY(read_netlink_datagram(datagram, m_sequence, what, gather));
            interrupted |= progress.interrupted;
        }
        TRY(std::move(gathered));
        if (!interrupted) return {};
    }
    return fail(ErrorCode::Busy, std::string(what), "it changes faster than it can be read");
}

Result<bool> Netlink::receive_events(const OnNetlinkMessage& on_message) {
    constexpr std::string_view what = "cannot read the kernel's events";
    ReceiveBuffer buffer;
    auto datagram = receive(buffer, what);
    if (!datagram && datagram.error().code == ErrorCode::Timeout) return false;
    ByteView events = TRY(std::move(datagram));
    while (const nlmsghdr* message = take_message(events))
        if (message->nlmsg_type >= NLMSG_MIN_TYPE) TRY(on_message(*message));
    return true;
}

Result<std::uint16_t> generic_netlink_family(Netlink& netlink, std::string_view name) {
    NetlinkMessage request(GENL_ID_CTRL, 0,
                           genlmsghdr{.cmd = CTRL_CMD_GETFAMILY, .version = 1, .reserved = 0});
    request.text(CTRL_ATTR_FAMILY_NAME, name);
    std::optional<std::uint16_t> family;
    const std::string what = "cannot find generic netlink family '" + std::string(name) + "'";
    TRY(netlink.talk(request, what, [&](const nlmsghdr& message) -> Status {
        auto id = NetlinkAttributes::of<genlmsghdr>(message).find(CTRL_ATTR_FAMILY_ID);
        if (id) family = id->u16();
        return {};
    }));
    if (!family) return fail(ErrorCode::NotFound, what);
    return *family;
}

}  // namespace fortros
