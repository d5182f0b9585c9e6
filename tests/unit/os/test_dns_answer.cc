#include "os/dns_answer.h"

#include <doctest/doctest.h>

#include <memory>

#include "base/text.h"
#include "core/discovery.h"

using namespace fortros;

namespace {

const std::string name = "gateway.example.org";
const std::string service = "_fortros-gateway._tcp.example.org";
constexpr std::uint16_t a = 1, cname = 5, aaaa = 28, srv = 33;

// A name as it goes over the wire (RFC 1035 section 3.1).
Bytes wire_name(std::string_view text) {
    ByteWriter out;
    while (!text.empty()) {
        auto dot = std::min(text.find('.'), text.size());
        out.u8(static_cast<std::uint8_t>(dot)).text(text.substr(0, dot));
        text.remove_prefix(std::min(dot + 1, text.size()));
    }
    return out.u8(0).take();
}

// An answer to the question for `name` or `service`, put together record by record.
class Answer {
public:
    Answer& record(std::string_view owner, std::uint16_t type, ByteView data) {
        ++m_count;
        append(m_records, owner, type, data);
        return *this;
    }
    Answer& address(std::string_view owner, std::string_view text) {
        auto address = IpAddress::parse(text);
        REQUIRE(address.has_value());
        return record(owner, address->is_v4() ? a : aaaa, address->bytes());
    }
    Answer& alias(std::string_view owner, std::string_view target) {
        return record(owner, cname, wire_name(target));
    }
    Answer& offer(std::uint16_t priority, std::uint16_t port, std::string_view target,
                  std::string_view owner = service) {
        ByteWriter data;
        data.u16(priority).u16(7).u16(port).bytes(wire_name(target));
        return record(owner, srv, data.view());
    }
    Answer& beside(std::string_view owner, std::string_view text) {
        auto address = IpAddress::parse(text);
        REQUIRE(address.has_value());
        ++m_additional_count;
        append(m_additional, owner, address->is_v4() ? a : aaaa, address->bytes());
        return *this;
    }

    std::vector<std::string> addresses(Family family) const {
        ares_dns_record_t* parsed = parse(name, family == Family::IPv4 ? a : aaaa);
        std::vector<std::string> out;
        for (const auto& address : addresses_in(parsed, name, family))
            out.push_back(address.text());
        ares_dns_record_destroy(parsed);
        return out;
    }

    // Each as "PRIORITY WEIGHT PORT TARGET ADDRESS...".
    std::vector<std::string> services() const {
        ares_dns_record_t* parsed = parse(service, srv);
        std::vector<std::string> out;
        for (const auto& found : services_in(parsed, service)) {
            out.push_back(std::to_string(found.priority) + " " + std::to_string(found.weight) +
                          " " + std::to_string(found.port) + " " + found.target);
            for (const auto& address : found.addresses) out.back() += " " + address.text();
        }
        ares_dns_record_destroy(parsed);
        return out;
    }

private:
    static void append(ByteWriter& to, std::string_view owner, std::uint16_t type, ByteView data) {
        to.bytes(wire_name(owner)).u16(type).u16(1).u32(60);
        to.u16(static_cast<std::uint16_t>(data.size())).bytes(data);
    }

    ares_dns_record_t* parse(std::string_view asked, std::uint16_t type) const {
        ByteWriter message;
        message.u16(7).u16(0x8180).u16(1).u16(m_count).u16(0).u16(m_additional_count);
        message.bytes(wire_name(asked)).u16(type).u16(1);
        message.bytes(m_records.view()).bytes(m_additional.view());
        ares_dns_record_t* parsed = nullptr;
        REQUIRE(ares_dns_parse(message.view().data(), message.view().size(), 0, &parsed) ==
                ARES_SUCCESS);
        return parsed;
    }

    ByteWriter m_records, m_additional;
    std::uint16_t m_count = 0, m_additional_count = 0;
};

using Texts = std::vector<std::string>;

}  // namespace

// A gateway would not be found, or be tried in another order than its operator wants.
TEST_CASE("dns answer: the addresses of the name, in the order of the answer") {
    Answer answer;
    answer.address(name, "192.0.2.2").address(name, "192.0.2.1").address(name, "2001:db8::1");
    CHECK(answer.addresses(Family::IPv4) == Texts{"192.0.2.2", "192.0.2.1"});
    CHECK(answer.addresses(Family::IPv6) == Texts{"2001:db8::1"});
    CHECK(Answer().addresses(Family::IPv4).empty());
}

// A resolver that randomises the case of names (0x20) would seem to know none.
TEST_CASE("dns answer: upper and lower case are the same name") {
    Answer answer;
    answer.alias("GATEWAY.example.ORG", "A.example.org").address("a.EXAMPLE.org", "192.0.2.1");
    CHECK(answer.addresses(Family::IPv4) == Texts{"192.0.2.1"});
}

// Addresses would be smuggled in under a name that nobody asked for.
TEST_CASE("dns answer: only records at the end of the chain of aliases count") {
    Answer answer;
    answer.address("other.example.org", "192.0.2.9")
        .address("b.example.org", "192.0.2.1")
        .alias("a.example.org", "b.example.org")
        .alias(name, "a.example.org")
        .address(name, "192.0.2.8");
    CHECK(answer.addresses(Family::IPv4) == Texts{"192.0.2.1"});
}

// A boot would hang on a chain that bites its own tail.
TEST_CASE("dns answer: endless and over-long chains of aliases end") {
    Answer circle;
    circle.alias(name, "a.org").alias("a.org", name).address("a.org", "192.0.2.1");
    CHECK(circle.addresses(Family::IPv4).size() <= 1);

    Answer chain;
    std::string owner = name;
    for (int i = 0; i < 40; ++i) {
        std::string next = "n" + std::to_string(i) + ".org";
        chain.alias(owner, next);
        owner = next;
    }
    chain.address(owner, "192.0.2.1");
    CHECK(chain.addresses(Family::IPv4).empty());
}

// The node would knock at its own door, or at everybody's.
TEST_CASE("dns answer: addresses that no gateway can have are left out") {
    Answer answer;
    for (const char* text : {"0.0.0.0", "127.0.0.1", "127.9.9.9", "224.0.0.1", "255.255.255.255",
                             "169.254.1.1", "::", "::1", "ff02::1", "fe80::1"})
        answer.address(name, text);
    answer.record(name, aaaa, Bytes{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1});
    CHECK(answer.addresses(Family::IPv4).empty());
    CHECK(answer.addresses(Family::IPv6).empty());
}

// A node would try the same dead address many times, or thousands of them.
TEST_CASE("dns answer: each address counts once, and there is a bound") {
    Answer answer;
    for (int round = 0; round < 2; ++round)
        for (int i = 1; i <= 40; ++i) answer.address(name, "192.0.2." + std::to_string(i));
    auto found = answer.addresses(Family::IPv4);
    REQUIRE(found.size() == candidates_per_source_limit);
    CHECK(found.front() == "192.0.2.1");
    CHECK(found.back() == "192.0.2." + std::to_string(candidates_per_source_limit));
    CHECK(Answer().address(name, "192.0.2.1").address(name, "192.0.2.1").addresses(Family::IPv4) ==
          Texts{"192.0.2.1"});
}

// The ports and priorities that an operator has published would be lost.
TEST_CASE("dns answer: the services of the name, with what the answer adds about their targets") {
    Answer answer;
    answer.offer(10, 8443, "GW1.example.org")
        .offer(20, 8444, "gw2.example.org")
        .offer(5, 8445, "gw3.example.org", "_other._tcp.example.org")
        .address("gw1.example.org", "192.0.2.8")
        .beside("gw1.EXAMPLE.org", "192.0.2.1")
        .beside("gw1.example.org", "192.0.2.1")
        .beside("gw1.example.org", "2001:db8::1")
        .beside("gw1.example.org", "127.0.0.1")
        .beside("gw9.example.org", "192.0.2.9");
    CHECK(answer.services() ==
          Texts{"10 7 8443 gw1.example.org 192.0.2.1 2001:db8::1", "20 7 8444 gw2.example.org"});
    CHECK(Answer().services().empty());
}

// A node would ask a resolver for names that are none, or knock at port 0.
TEST_CASE("dns answer: no service, as the domain says, and none that can't be one") {
    Answer answer;
    answer.offer(0, 443, ".").offer(0, 443, "").offer(0, 0, "gw.example.org");
    for (const char* target : {"192.0.2.1", "a b.org", "-.org", "a_b.org", "\x01.org", "*.org"})
        answer.offer(0, 443, target);
    CHECK(answer.services().empty());
}

// A service that its domain's owner has moved would not be found; a resolver could smuggle one in.
TEST_CASE("dns answer: services behind an alias") {
    Answer answer;
    answer.alias(service, "_gw._tcp.example.net")
        .offer(1, 443, "gw.example.net", "_gw._tcp.example.net")
        .offer(0, 443, "gw.example.org");
    CHECK(answer.services() == Texts{"1 7 443 gw.example.net"});
}

// Thousands of services would fill a node's memory.
TEST_CASE("dns answer: services and their addresses are bounded") {
    Answer answer;
    for (std::uint16_t i = 1; i <= 300; ++i)
        answer.offer(i, 443, "gw.example.org")
            .beside("gw.example.org", "192.0.2." + std::to_string(i % 200));
    auto services = answer.services();
    REQUIRE(services.size() == service_records_limit);
    CHECK(words_of(services.back()).size() == 4 + candidates_per_source_limit);
}
