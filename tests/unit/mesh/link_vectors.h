// The published conversation of tests/vectors/link_message.json, as the code's own types.
#pragma once

#include "mesh/link_message.h"
#include "unit/core/vectors.h"

namespace fortros::mesh {

inline std::uint64_t number_of(const Json& vector, std::string_view name) {
    return static_cast<std::uint64_t>(*vector.find(name)->number());
}

inline std::uint64_t session_of(const Json& vector, std::string_view name) {
    const Bytes bytes = *from_hex(text_of(vector, name));
    return ByteReader(bytes).u64();
}

inline PublicKey public_key_of(const Json& vector, std::string_view name) {
    return *PublicKey::from_base64(text_of(vector, name));
}

inline PrivateKey private_key_of(const Json& vector, std::string_view name) {
    const Bytes bytes = bytes_of(vector, name);
    return PrivateKey(std::span<const std::uint8_t, key_size>(bytes.data(), key_size));
}

template <typename Enum>
Enum named(std::string_view name, unsigned first, unsigned last) {
    for (unsigned value = first; value <= last; ++value)
        if (name_of(static_cast<Enum>(value)) == name) return static_cast<Enum>(value);
    FAIL("a name that nothing has: ", name);
    return {};
}

inline Coordinate place_of(const Json& json) {
    Coordinate place;
    for (std::size_t i = 0; i < place.position.size(); ++i)
        place.position[i] =
            static_cast<std::int16_t>(*(*json.find("position")->array())[i].number());
    place.height = static_cast<std::uint16_t>(number_of(json, "height"));
    place.error = static_cast<std::uint16_t>(number_of(json, "error"));
    return place;
}

inline Standing standing_of(const Json& json) {
    Standing standing{.nat = named<Nat>(text_of(json, "nat"), 0, 3),
                      .links = static_cast<std::uint16_t>(number_of(json, "links")),
                      .room = static_cast<std::uint16_t>(number_of(json, "room")),
                      .place = place_of(*json.find("place"))};
    for (const Json& candidate : *json.find("candidates")->array())
        standing.candidates.push_back(*Endpoint::parse(*candidate.string()));
    return standing;
}

// The message of a vector.
inline LinkMessage message_of(const Json& vector) {
    const Json& json = *vector.find("message");
    LinkMessage message{.verb = named<LinkVerb>(text_of(json, "verb"), 1, 10),
                        .nonce = session_of(json, "nonce")};
    if (json.find("confirm")) message.confirm = session_of(json, "confirm");
    if (json.find("standing")) message.standing = standing_of(*json.find("standing"));
    if (json.find("attestation")) message.attestation = bytes_of(json, "attestation");
    if (json.find("refusal")) {
        message.refusal = named<RefuseReason>(text_of(json, "refusal"), 1, 3);
        message.retry_after_s = static_cast<std::uint16_t>(number_of(json, "retry_after_s"));
    }
    if (json.find("seen") && !json.find("seen")->is_null())
        message.seen = *Endpoint::parse(text_of(json, "seen"));
    if (json.find("linked")) message.linked = *json.find("linked")->boolean();
    if (json.find("introductions"))
        for (const Json& it : *json.find("introductions")->array())
            message.introductions.push_back({public_key_of(it, "key"),
                                             static_cast<std::uint16_t>(number_of(it, "rtt_ms")),
                                             place_of(*it.find("place"))});
    return message;
}

}  // namespace fortros::mesh
