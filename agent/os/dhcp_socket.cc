#include "os/dhcp_socket.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>

#include "core/dhcp_message.h"
#include "core/udp_packet.h"

namespace fortros {

// Then others have their turn; what is left makes epoll call again.
static constexpr int packets_per_turn = 16;

// The largest IPv4 header, the UDP header, the longest message.
static constexpr std::size_t packet_limit = 60 + 8 + dhcp_message_limit;

// Whole UDP packets from port 67 to port 68; what the kernel shows begins with the IPv4 header.
static constexpr sock_filter dhcp_answers[] = {
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),  // protocol
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 6),
    BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 6),  // fragments
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x3fff, 4, 0),
    BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),  // X: length of the IPv4 header
    BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0),   // both ports
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, dhcp_server_port << 16 | dhcp_client_port, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, 0xffff),
    BPF_STMT(BPF_RET | BPF_K, 0),
};
static constexpr sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};

static bool attach(const Fd& socket, std::span<const sock_filter> filter) {
    const sock_fprog program{.len = static_cast<unsigned short>(filter.size()),
                             .filter = const_cast<sock_filter*>(filter.data())};
    return ::setsockopt(socket.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0;
}

static bool switch_on(const Fd& socket, int level, int option) {
    const int on = 1;
    return ::setsockopt(socket.get(), level, option, &on, sizeof(on)) == 0;
}

Result<std::unique_ptr<DhcpSocket>> DhcpSocket::open(Loop& loop, unsigned ifindex,
                                                     Received received) {
    std::unique_ptr<DhcpSocket> socket(new DhcpSocket(loop, ifindex, std::move(received)));
    TRY(socket->open_packet_socket());
    return socket;
}

Status DhcpSocket::open_packet_socket() {
    // Without a protocol until the filter is there: nothing else gets in before.
    m_packet = Fd{::socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (!m_packet.valid()) return fail_errno(errno, "cannot open a packet socket");
    if (!attach(m_packet, dhcp_answers) || !switch_on(m_packet, SOL_PACKET, PACKET_AUXDATA))
        return fail_errno(errno, "cannot prepare a packet socket");
    sockaddr_ll link{.sll_family = AF_PACKET,
                     .sll_protocol = htons(ETH_P_IP),
                     .sll_ifindex = static_cast<int>(m_ifindex)};
    if (::bind(m_packet.get(), reinterpret_cast<const sockaddr*>(&link), sizeof(link)) < 0)
        return fail_errno(errno, "cannot bind a packet socket");
    m_watch = TRY(m_loop.watch(m_packet.get(), EPOLLIN, [this](std::uint32_t) { read(); }));
    return {};
}

// --- sending ------------------------------------------------------------------------------------

Status DhcpSocket::broadcast(ByteView payload, const IpAddress& source) {
    const Bytes packet = encode(UdpPacket{.source = source,
                                          .destination = IpAddress::v4({255, 255, 255, 255}),
                                          .source_port = dhcp_client_port,
                                          .destination_port = dhcp_server_port,
                                          .payload = payload});
    sockaddr_ll everybody{.sll_family = AF_PACKET,
                          .sll_protocol = htons(ETH_P_IP),
                          .sll_ifindex = static_cast<int>(m_ifindex),
                          .sll_halen = ETH_ALEN};
    std::fill_n(everybody.sll_addr, ETH_ALEN, std::uint8_t{0xff});
    if (::sendto(m_packet.get(), packet.data(), packet.size(), 0,
                 reinterpret_cast<const sockaddr*>(&everybody), sizeof(everybody)) < 0)
        return fail_errno(errno, "cannot broadcast a DHCP message");
    return {};
}

static sockaddr_in socket_address(const IpAddress& address, std::uint16_t port) {
    sockaddr_in out{.sin_family = AF_INET, .sin_port = htons(port)};
    std::ranges::copy(address.bytes(), reinterpret_cast<std::uint8_t*>(&out.sin_addr));
    return out;
}

// Stays open between renewals: the answers come to it too, and without it the kernel would tell
// the server that nobody listens. The packet socket is where they are read.
Status DhcpSocket::open_udp_socket(const IpAddress& source) {
    if (m_udp_source == source) return {};
    m_udp_source.reset();
    m_udp = Fd{::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP)};
    if (!m_udp.valid()) return fail_errno(errno, "cannot open a UDP socket");
    const int ifindex = static_cast<int>(m_ifindex);
    const sockaddr_in self = socket_address(source, dhcp_client_port);
    if (!attach(m_udp, nothing) || !switch_on(m_udp, SOL_SOCKET, SO_REUSEADDR) ||
        ::setsockopt(m_udp.get(), SOL_SOCKET, SO_BINDTOIFINDEX, &ifindex, sizeof(ifindex)) < 0 ||
        ::bind(m_udp.get(), reinterpret_cast<const sockaddr*>(&self), sizeof(self)) < 0)
        return fail_errno(errno, "cannot use the DHCP client's port");
    m_udp_source = source;
    return {};
}

Status DhcpSocket::unicast(ByteView payload, const IpAddress& source,
                           const IpAddress& destination) {
    TRY(open_udp_socket(source));
    const sockaddr_in server = socket_address(destination, dhcp_server_port);
    if (::sendto(m_udp.get(), payload.data(), payload.size(), 0,
                 reinterpret_cast<const sockaddr*>(&server), sizeof(server)) < 0)
        return fail_errno(errno, "cannot send a DHCP message");
    return {};
}

// --- receiving ----------------------------------------------------------------------------------

// Between two virtual machines or namespaces of one host a packet's checksum may never have been
// made: the sender left it to a network card that is not there.
static UdpChecksum checksum_of(msghdr& message) {
    for (cmsghdr* control = CMSG_FIRSTHDR(&message); control;
         control = CMSG_NXTHDR(&message, control)) {
        if (control->cmsg_level != SOL_PACKET || control->cmsg_type != PACKET_AUXDATA) continue;
        tpacket_auxdata auxiliary{};
        std::memcpy(&auxiliary, CMSG_DATA(control), sizeof(auxiliary));
        if (auxiliary.tp_status & TP_STATUS_CSUMNOTREADY) return UdpChecksum::NotReady;
    }
    return UdpChecksum::Verify;
}

void DhcpSocket::read() {
    std::array<std::uint8_t, packet_limit> buffer;
    for (int i = 0; i < packets_per_turn; ++i) {
        alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(sizeof(tpacket_auxdata))> control{};
        sockaddr_ll sender{};
        iovec data{.iov_base = buffer.data(), .iov_len = buffer.size()};
        msghdr message{.msg_name = &sender,
                       .msg_namelen = sizeof(sender),
                       .msg_iov = &data,
                       .msg_iovlen = 1,
                       .msg_control = control.data(),
                       .msg_controllen = control.size()};
        // An error here is the link going down (ENETDOWN): the link's own events tell.
        const ssize_t size = ::recvmsg(m_packet.get(), &message, 0);
        if (size < 0) return;
        // Too long for DHCP; or for another host, or for a VLAN that nobody has made here.
        if ((message.msg_flags & MSG_TRUNC) || sender.sll_pkttype == PACKET_OTHERHOST) continue;
        const ByteView packet = ByteView(buffer).first(static_cast<std::size_t>(size));
        const auto udp = decode_udp(packet, checksum_of(message));
        if (udp) m_received(udp->payload);
    }
}

}  // namespace fortros
