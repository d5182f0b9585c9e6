#include "maintainer/member_cache.h"

#include "base/encoding.h"

namespace fortros {

static constexpr std::size_t line_limit = std::size_t{64} * 1024;
static constexpr std::size_t hostname_limit = 253;
static constexpr std::int64_t latest_time = 253402300799;  // 9999-12-31

std::vector<MemberNews> news_of(const mesh::Members& members) {
    std::vector<MemberNews> news;
    for (const mesh::Member* member : members.all())
        if (!member->attestation.empty())
            news.push_back({{.key = member->key,
                             .role = member->role,
                             .overlay_address = member->address,
                             .endpoints = member->endpoints,
                             .attestation = member->attestation},
                            member->hostname});
    return news;
}

std::string to_text(const MemberCache& cache) {
    Json head{Json::Object{}};
    head.set("version", 1);
    head.set("time", std::int64_t{cache.time.time_since_epoch().count()});
    Json signers{Json::Array{}};
    for (const Bytes& signer : cache.signers) signers.push(to_base64(signer));
    head.set("signers", std::move(signers));
    head.set("document", to_base64(cache.document));
    head.set("own", to_base64(cache.own));
    std::string text = head.dump() + "\n";
    for (const MemberNews& news : cache.members) {
        Json line = to_json(news.peer);
        if (!news.hostname.empty()) line.set("hostname", news.hostname);
        text += line.dump() + "\n";
    }
    return text;
}

static Result<Json> take_line(std::string_view& text) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos)
        return fail(ErrorCode::InvalidData, "the member cache is cut off");
    const auto line = text.substr(0, end);
    text.remove_prefix(end + 1);
    return Json::parse(line, {.bytes = line_limit});
}

Result<MemberCache> parse_member_cache(std::string_view text) {
    const Json head = TRY(take_line(text));
    const JsonReader in(head, "member cache");
    TRY(in.number("version", 1, 1));
    MemberCache cache;
    cache.time = WallTime{std::chrono::seconds{TRY(in.number("time", 0, latest_time))}};
    cache.signers = TRY(read_certificates(in, "signers"));
    cache.document = TRY(read_base64(in, "document", document_size_limit));
    cache.own = TRY(read_base64(in, "own", attestation_size));
    while (!text.empty()) {
        if (cache.members.size() == cached_members_limit)
            return fail(ErrorCode::InvalidData, "the member cache holds too many");
        const Json line = TRY(take_line(text));
        MemberNews news{.peer = TRY(mesh_peer_from(line, "member"))};
        news.hostname = TRY(JsonReader(line, "member").optional_string("hostname", hostname_limit))
                            .value_or("");
        cache.members.push_back(std::move(news));
    }
    return cache;
}

}  // namespace fortros
