// IPv6 packets as they are, for who wants to do wrong with them: recorded where they pass, and sent whatever
// their source says. In hexadecimal, one a line.
//
//   raw-packets record INTERFACE PORT COUNT   the next COUNT datagrams for a UDP port that arrive there
//   raw-packets send [INTERFACE]              what comes on standard input
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <span>
#include <string>
#include <string_view>

#include "base/encoding.h"
#include "base/result.h"
#include "os/fd.h"

using namespace fortros;

static constexpr std::size_t packet_limit = 65536;
static constexpr std::size_t headers = sizeof(ip6_hdr) + sizeof(udphdr);

static bool is_for(ByteView packet, std::uint16_t port) {
    if (packet.size() < headers) return false;
    ip6_hdr ip{};
    udphdr udp{};
    std::memcpy(&ip, packet.data(), sizeof ip);
    std::memcpy(&udp, packet.data() + sizeof ip, sizeof udp);
    return ip.ip6_nxt == IPPROTO_UDP && ntohs(udp.dest) == port;
}

static Status record(const std::string& interface, std::uint16_t port, unsigned count) {
    const Fd socket{::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_IPV6))};
    if (!socket.valid()) return fail_errno(errno, "cannot make a packet socket");
    sockaddr_ll where{};
    where.sll_family = AF_PACKET;
    where.sll_protocol = htons(ETH_P_IPV6);
    where.sll_ifindex = static_cast<int>(::if_nametoindex(interface.c_str()));
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) < 0)
        return fail_errno(errno, "cannot listen on " + interface);
    static std::array<std::uint8_t, packet_limit> packet;
    while (count > 0) {
        const auto size = ::recv(socket.get(), packet.data(), packet.size(), 0);
        if (size < 0) return fail_errno(errno, "cannot receive");
        const ByteView bytes(packet.data(), static_cast<std::size_t>(size));
        if (!is_for(bytes, port)) continue;
        std::puts(to_hex(bytes).c_str());
        std::fflush(stdout);
        --count;
    }
    return {};
}

static Status send_all(const std::string& interface) {
    const Fd socket{::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW)};
    if (!socket.valid()) return fail_errno(errno, "cannot make a raw socket");
    if (!interface.empty() &&
        ::setsockopt(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, interface.data(),
                     static_cast<socklen_t>(interface.size())) < 0)
        return fail_errno(errno, "cannot bind to " + interface);
    for (std::string line; std::getline(std::cin, line);) {
        const auto packet = from_hex(line);
        if (!packet || packet->size() < sizeof(ip6_hdr))
            return fail(ErrorCode::InvalidData, "this is no packet", line);
        sockaddr_in6 to{};
        to.sin6_family = AF_INET6;
        std::memcpy(&to.sin6_addr, packet->data() + offsetof(ip6_hdr, ip6_dst),
                    sizeof to.sin6_addr);
        if (::sendto(socket.get(), packet->data(), packet->size(), 0,
                     reinterpret_cast<const sockaddr*>(&to), sizeof to) < 0)
            return fail_errno(errno, "cannot send");
    }
    return {};
}

static std::optional<unsigned> number(std::string_view text) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

static Status perform(std::span<char* const> words) {
    const std::string_view verb = words.empty() ? "" : words[0];
    if (verb == "send" && words.size() <= 2) return send_all(words.size() == 2 ? words[1] : "");
    if (verb == "record" && words.size() == 4) {
        const auto port = number(words[2]);
        const auto count = number(words[3]);
        if (port && *port <= UINT16_MAX && count)
            return record(words[1], static_cast<std::uint16_t>(*port), *count);
    }
    return fail(ErrorCode::InvalidArgument, "see the head of raw_packets.cc");
}

int main(int count, char** arguments) {
    const Status done =
        perform(std::span<char* const>(arguments, static_cast<std::size_t>(count)).subspan(1));
    if (done) return 0;
    std::fprintf(stderr, "raw-packets: %s\n", done.error().text().c_str());
    return 1;
}
