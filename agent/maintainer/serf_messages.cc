#include "maintainer/serf_messages.h"

#include <cmath>
#include <utility>

#include "base/encoding.h"
#include "core/attestation.h"

namespace fortros {

static constexpr std::uint16_t serf_port = 7946;
static constexpr std::int64_t rpc_version = 1;
// Three times around the earth by fibre; whoever claims more has no sound coordinate.
static constexpr double farthest_s = 5;

static double distance(const SerfCoordinate& a, const SerfCoordinate& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.position.size(); ++i) {
        const double along = a.position[i] - b.position[i];
        sum += along * along;
    }
    return std::sqrt(sum) + a.height + b.height;
}

std::optional<Duration> estimate_rtt(const SerfCoordinate& a, const SerfCoordinate& b) {
    if (a.position.empty() || a.position.size() != b.position.size()) return std::nullopt;
    const double plain = distance(a, b);
    const double adjusted = plain + a.adjustment + b.adjustment;
    const double seconds = adjusted > 0 ? adjusted : plain;
    if (!std::isfinite(seconds) || seconds < 0 || seconds > farthest_s) return std::nullopt;
    return Duration{static_cast<std::int64_t>(seconds * 1e6)};
}

// --- what is said ---

static Bytes request(std::string command, std::uint32_t sequence,
                     std::optional<MessagePack::Map> body = {}) {
    Bytes out;
    MessagePack(MessagePack::Map{{"Command", std::move(command)}, {"Seq", std::int64_t{sequence}}})
        .write_to(out);
    if (body) MessagePack(std::move(*body)).write_to(out);
    return out;
}

Bytes serf_handshake(std::uint32_t sequence) {
    return request("handshake", sequence, MessagePack::Map{{"Version", rpc_version}});
}

Bytes serf_authenticate(std::uint32_t sequence, std::string_view password) {
    return request("auth", sequence, MessagePack::Map{{"AuthKey", std::string(password)}});
}

Bytes serf_ask_members(std::uint32_t sequence) { return request("members", sequence); }

Bytes serf_ask_stream(std::uint32_t sequence) {
    return request(
        "stream", sequence,
        MessagePack::Map{{"Type", "member-join,member-leave,member-failed,member-update"}});
}

Bytes serf_ask_coordinate(std::uint32_t sequence, const PublicKey& node) {
    return request("get-coordinate", sequence, MessagePack::Map{{"Node", node.base64url()}});
}

Bytes serf_announce(std::uint32_t sequence, ByteView attestation) {
    return request(
        "tags", sequence,
        MessagePack::Map{
            {"Tags", MessagePack::Map{{std::string(serf_attestation_tag), to_base64(attestation)}}},
            {"DeleteTags", MessagePack::Array{}}});
}

Bytes serf_join(std::uint32_t sequence, const std::vector<IpAddress>& overlay_addresses) {
    MessagePack::Array existing;
    for (const auto& address : overlay_addresses)
        existing.emplace_back(Endpoint{address, serf_port}.text());
    return request("join", sequence,
                   MessagePack::Map{{"Existing", std::move(existing)}, {"Replay", false}});
}

// --- what is heard ---

static std::unexpected<Error> bad(std::string_view what) {
    return fail(ErrorCode::InvalidData, "Serf agent: " + std::string(what));
}

Result<SerfHeader> parse_serf_header(const MessagePack& value) {
    const MessagePack* sequence = value.find("Seq");
    const MessagePack* error = value.find("Error");
    if (sequence == nullptr || sequence->number() == nullptr || *sequence->number() < 0 ||
        *sequence->number() > UINT32_MAX)
        return bad("an answer without its number");
    if (error == nullptr || error->string() == nullptr) return bad("an answer without its error");
    return SerfHeader{static_cast<std::uint32_t>(*sequence->number()), *error->string()};
}

static const std::string* text_member(const MessagePack& value, std::string_view key) {
    const MessagePack* member = value.find(key);
    return member == nullptr ? nullptr : member->string();
}

static std::optional<SerfMember> member_from(const MessagePack& value) {
    const std::string* name = text_member(value, "Name");
    const std::string* status = text_member(value, "Status");
    const MessagePack* tags = value.find("Tags");
    if (name == nullptr || status == nullptr || tags == nullptr) return std::nullopt;
    const auto key = PublicKey::from_base64url(*name);
    const std::string* attestation_text = text_member(*tags, serf_attestation_tag);
    if (!key || attestation_text == nullptr) return std::nullopt;
    auto attestation = from_base64(*attestation_text);
    if (!attestation || attestation->size() != attestation_size) return std::nullopt;
    return SerfMember{*key, *status == "alive", std::move(*attestation)};
}

Result<std::vector<SerfMember>> parse_serf_members(const MessagePack& value) {
    const MessagePack* list = value.find("Members");
    if (list == nullptr || list->array() == nullptr) return bad("a list without members");
    if (list->array()->size() > serf_members_limit) return bad("too many members");
    std::vector<SerfMember> members;
    for (const MessagePack& item : *list->array())
        if (auto member = member_from(item)) members.push_back(std::move(*member));
    return members;
}

Result<std::optional<SerfCoordinate>> parse_serf_coordinate(const MessagePack& value) {
    const MessagePack* known = value.find("Ok");
    if (known == nullptr || known->boolean() == nullptr)
        return bad("a coordinate without its 'Ok'");
    if (!*known->boolean()) return std::nullopt;
    const MessagePack* coordinate = value.find("Coord");
    const MessagePack* position = coordinate == nullptr ? nullptr : coordinate->find("Vec");
    const MessagePack* height = coordinate == nullptr ? nullptr : coordinate->find("Height");
    const MessagePack* adjustment =
        coordinate == nullptr ? nullptr : coordinate->find("Adjustment");
    if (position == nullptr || position->array() == nullptr || height == nullptr ||
        height->real() == nullptr || adjustment == nullptr || adjustment->real() == nullptr)
        return bad("a coordinate that is none");
    if (position->array()->size() > serf_dimensions_limit) return bad("too many dimensions");
    SerfCoordinate result{{}, *height->real(), *adjustment->real()};
    for (const MessagePack& number : *position->array()) {
        if (number.real() == nullptr) return bad("a coordinate that is none");
        result.position.push_back(*number.real());
    }
    return result;
}

}  // namespace fortros
