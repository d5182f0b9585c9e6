#include "gateway/member_feed.h"

#include <zlib.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/text.h"
#include "core/json.h"
#include "os/clock.h"

namespace fortros::gateway {

// Of about 450 bytes each: a page stays below what a node takes of an answer.
static constexpr std::size_t members_per_page = 400;
static constexpr std::size_t pages_limit = 64;
static constexpr std::size_t waiting_nodes_limit = 16384;
static constexpr int answers_per_turn = 32;
static constexpr std::chrono::seconds busy_pause{10};
static constexpr std::uint64_t busy_spread = 20;
static constexpr std::size_t worth_compressing = std::size_t{4} * 1024;

// Spread, so that those who were sent away do not come back together.
Answer MemberFeed::too_busy() {
    return make_busy(busy_pause + std::chrono::seconds{m_parts.random.below(busy_spread)});
}

// --- asking ---

Result<std::optional<Answer>> MemberFeed::refusal_for(const PublicKey& key) {
    const auto node = TRY(m_parts.registry.find_node(key));
    if (!node) return make_refusal(RefusalCode::UnknownNode, "this key is not enrolled");
    if (node->revoked) return make_refusal(RefusalCode::Revoked, "this node has been revoked");
    if (node->retired) return make_refusal(RefusalCode::Retired, "this node has been retired");
    return std::nullopt;
}

void MemberFeed::handle(const Proved& proved, Reply reply, WallTime now) {
    const Request& request = proved.request;
    const auto query = FeedQuery::parse(request.target);
    if (!query) return reply(make_refusal(RefusalCode::BadRequest, query.error().text()));
    auto refusal = refusal_for(proved.node);
    if (!refusal) return reply(too_busy());  // not known to be a member
    if (*refusal) return reply(std::move(**refusal));
    if (!query->boot_id.empty()) m_parts.boot_seen(proved.node, query->boot_id);

    const auto* accepted = request.header("accept-encoding");
    const bool takes_gzip = accepted != nullptr && accepted->find("gzip") != std::string::npos;
    const auto newest = position(now);
    const bool is_up_to_date = newest && query->since == *newest;
    if (!is_up_to_date || query->wait == Duration{} || m_has_stopped)
        return reply(answer(query->since, takes_gzip, now));

    // A node that asks once more has given up the first one.
    if (const auto before = m_by_node.find(proved.node); before != m_by_node.end())
        tell(before->second, {204, {}, {}});
    if (m_waiting.size() >= waiting_nodes_limit) return reply(too_busy());
    m_waiting.push_back({proved.node, request.gone, std::move(reply), query->since, takes_gzip});
    const auto here = std::prev(m_waiting.end());
    m_by_node.emplace(here->node, here);
    here->deadline = m_parts.loop.after(query->wait, [this, here] {
        tell(here, answer_for(here->node, here->since, here->takes_gzip, wall_now()));
    });
}

// --- answering ---

Result<FeedPosition> MemberFeed::position(WallTime now) {
    const auto* document = TRY(m_parts.issuer.document(now));
    m_history = TRY(m_parts.registry.history());
    const FeedPosition newest{m_history.newest, document->document.serial};
    if (newest != m_newest || document->document.signer != m_signer) m_pages.clear();
    m_newest = newest;
    m_signer = document->document.signer;
    return newest;
}

// To a node that has waited: it may be this very one that was revoked.
Answer MemberFeed::answer_for(const PublicKey& node, const FeedPosition& since, bool takes_gzip,
                              WallTime now) {
    auto refusal = refusal_for(node);
    if (!refusal) return too_busy();
    return *refusal ? std::move(**refusal) : answer(since, takes_gzip, now);
}

Answer MemberFeed::answer(const FeedPosition& since, bool takes_gzip, WallTime now) {
    const auto newest = position(now);
    // Nothing to say, in as few bytes as there are.
    if (newest && since == *newest) return {204, {}, {}};
    const auto found =
        newest ? page(since, now) : Result<const Page*>(std::unexpected(newest.error()));
    if (!found) return too_busy();
    auto answer = make_answer(200, {});
    const bool is_packed = takes_gzip && !(*found)->compressed->empty();
    if (is_packed) answer.headers.emplace_back("Content-Encoding", "gzip");
    answer.shared_body = is_packed ? (*found)->compressed : (*found)->body;
    return answer;
}

Result<const MemberFeed::Page*> MemberFeed::page(const FeedPosition& since, WallTime now) {
    const auto found = m_pages.find(since);
    if (found != m_pages.end()) return &found->second;
    auto made = TRY(make_page(since, now));
    if (m_pages.size() >= pages_limit) m_pages.clear();
    return &m_pages.emplace(since, std::move(made)).first->second;
}

// RFC 1952. Empty if it does not pay, or fails.
static std::string gzip(const std::string& text) {
    static constexpr int window_bits = 15 + 16;  // with the header of gzip
    if (text.size() < worth_compressing) return {};
    z_stream stream{};
    if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return {};
    std::string out(deflateBound(&stream, text.size()), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));  // only read
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    const bool is_whole = deflate(&stream, Z_FINISH) == Z_STREAM_END;
    out.resize(stream.total_out);
    deflateEnd(&stream);
    if (!is_whole || out.size() >= text.size()) return {};
    return out;
}

Result<MemberFeed::Page> MemberFeed::make_page(const FeedPosition& since, WallTime now) {
    // Of a registry that came from a backup a node may know more: it begins anew.
    const bool starts_anew = since.revision > m_newest.revision ||
                             (since.revision != 0 && since.revision < m_history.began);
    const std::uint64_t from = starts_anew ? 0 : since.revision;
    const auto nodes = TRY(m_parts.registry.nodes_since(from, members_per_page));
    Json page{Json::Object{}};
    const bool has_more =
        nodes.size() == members_per_page && nodes.back().revision < m_newest.revision;
    page.set("revision",
             static_cast<std::int64_t>(has_more ? nodes.back().revision : m_newest.revision));
    if (starts_anew) page.set("reset", true);
    if (has_more) page.set("more", true);
    const bool has_document = since.document != m_newest.document || since.revision == 0;
    if (has_document) {
        const auto* document = TRY(m_parts.issuer.document(now));
        page.set("document_serial", static_cast<std::int64_t>(document->document.serial));
        page.set("document", to_base64(document->bytes));
    }
    if (has_document || starts_anew || TRY(m_parts.registry.gateways_revision()) > from) {
        page.set("signers",
                 Json(Json::Array{Json(to_base64(m_parts.issuer.signer_certificate()))}));
        Json gateways{Json::Array{}};
        for (const auto& gateway : TRY(m_parts.backbone.gateways(now)))
            gateways.push(to_json(gateway));
        page.set("gateways", std::move(gateways));
    }
    Json members{Json::Array{}}, removed{Json::Array{}};
    for (const auto& node : nodes) {
        if (!node.is_member()) {
            removed.push(node.key.base64());
            continue;
        }
        Json member = to_json(TRY(m_parts.issuer.peer(node)));
        if (!node.hostname.empty()) member.set("hostname", node.hostname);
        members.push(std::move(member));
    }
    page.set("members", std::move(members));
    page.set("removed", std::move(removed));
    auto body = std::make_shared<const std::string>(page.dump());
    auto compressed = std::make_shared<const std::string>(gzip(*body));
    return Page{std::move(body), std::move(compressed)};
}

// --- telling ---

void MemberFeed::tell(std::list<Waiting>::iterator waiting, Answer answer) {
    Waiting due = std::move(*waiting);
    m_by_node.erase(due.node);
    m_waiting.erase(waiting);
    due.reply(std::move(answer));
}

void MemberFeed::stop() {
    m_has_stopped = true;
    while (!m_waiting.empty()) tell(m_waiting.begin(), {204, {}, {}});
}

void MemberFeed::forget_gone() {
    std::erase_if(m_waiting, [this](const Waiting& waiting) {
        const bool has_gone = waiting.gone && *waiting.gone;
        if (has_gone) m_by_node.erase(waiting.node);
        return has_gone;
    });
}

void MemberFeed::look(WallTime now) {
    if (m_waiting.empty()) return;
    const auto newest = position(now);
    if (!newest || *newest == m_told) return;
    m_told = *newest;
    answer_some();
}

// Ten thousand who wait are not answered in one go: others have something to say, too.
void MemberFeed::answer_some() {
    const auto now = wall_now();
    int left = answers_per_turn;
    for (auto next = m_waiting.begin(); next != m_waiting.end() && left > 0;) {
        const auto waiting = next++;
        if (waiting->since == m_newest) continue;
        --left;
        tell(waiting, answer_for(waiting->node, waiting->since, waiting->takes_gzip, now));
    }
    if (left == 0) m_turn = m_parts.loop.after({}, [this] { answer_some(); });
}

}  // namespace fortros::gateway
