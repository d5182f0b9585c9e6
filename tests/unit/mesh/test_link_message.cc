#include "mesh/link_message.h"

#include <doctest/doctest.h>

#include "core/attestation.h"
#include "link_vectors.h"

using namespace fortros;
using namespace fortros::mesh;

// Two versions of the agent that disagree on one byte would never be peers.
TEST_CASE("link messages are those of the published vectors, both ways") {
    const Json vectors = read_vectors("link_message.json");
    for (const Json& vector : *vectors.array()) {
        const LinkMessage message = message_of(vector);
        CAPTURE(name_of(message.verb));
        const Bytes body = bytes_of(vector, "body");
        CHECK(to_base64(encode(message)) == to_base64(body));
        const auto parsed = parse_link_message(body);
        REQUIRE(parsed);
        CHECK(*parsed == message);
    }
}

// A message that is cut off would be read as another one.
TEST_CASE("a link message with a byte too few or too many is none") {
    const Json vectors = read_vectors("link_message.json");
    for (const Json& vector : *vectors.array()) {
        Bytes body = bytes_of(vector, "body");
        for (std::size_t size = 0; size < body.size(); ++size)
            CHECK(!parse_link_message(ByteView(body).first(size)));
        body.push_back(0);
        CHECK(!parse_link_message(body));
    }
}

// A hostile member could fill memory, or make an enum of a value that nobody handles.
TEST_CASE("a link message keeps to its bounds") {
    const auto with = [](LinkMessage message, std::size_t at, std::uint8_t value) {
        Bytes body = encode(message);
        body[at] = value;
        const auto parsed = parse_link_message(body);
        return parsed ? std::string("taken") : parsed.error().what;
    };
    CHECK(with({.verb = LinkVerb::Leave}, 0, 0) == "link message has an unknown verb");
    CHECK(with({.verb = LinkVerb::Leave}, 0, 11) == "link message has an unknown verb");
    CHECK(with({.verb = LinkVerb::Refuse}, 9, 0) == "link message refuses for an unknown reason");
    CHECK(with({.verb = LinkVerb::Refuse}, 9, 4) == "link message refuses for an unknown reason");
    CHECK(with({.verb = LinkVerb::Probe}, 9, 2) == "link message holds a flag that is none");
    CHECK(with({.verb = LinkVerb::MayLeave}, 9, candidates_limit + 1) ==
          "link message holds too many candidates");
    CHECK(with({.verb = LinkVerb::MayLeave}, 10, 4) == "link message names an unknown NAT");
    LinkMessage reachable{.verb = LinkVerb::MayLeave};
    reachable.standing.candidates = {*Endpoint::parse("192.0.2.1:1")};
    CHECK(with(reachable, 10, 5) == "link message holds an address of no family");
    CHECK(with(reachable, 10, 0) == "link message holds a candidate that is none");
    CHECK(with(reachable, 16, 0) == "link message holds an endpoint that is none");
    const std::size_t attestation_at = 9 + 1 + 1 + 2 + 2 + 10;
    CHECK(with({.verb = LinkVerb::Want}, attestation_at, attestation_size + 1) ==
          "link message holds too large an attestation");
    const std::size_t introductions_at = 10 + 1 + 1 + 2 + 2 + 10 + 1;
    CHECK(with({.verb = LinkVerb::Echo}, introductions_at, introductions_limit + 1) ==
          "link message introduces too many");
    CHECK(parse_link_message(Bytes(body_size_limit + 1)).error().what ==
          "link message is too large");
}
