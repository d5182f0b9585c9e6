#include "gateway/audit_chain.h"

#include <cstring>

#include "base/encoding.h"
#include "base/text.h"

namespace fortros::gateway {

static constexpr std::string_view context = "fortros audit v1";
static constexpr std::size_t page_entries = 500;

// Each text with its length before it: no two entries are the same bytes.
static void put(ByteWriter& content, std::string_view text) {
    content.u32(static_cast<std::uint32_t>(text.size())).text(text);
}

AuditHash hash_of(const AuditHash& previous, const AuditEntry& entry) {
    ByteWriter content;
    put(content, context);
    content.bytes(previous).u64(entry.number);
    content.u64(static_cast<std::uint64_t>(entry.time.time_since_epoch().count()));
    put(content, entry.event);
    put(content, entry.actor);
    put(content, entry.node ? as_text(entry.node->bytes) : std::string_view());
    put(content, entry.invite);
    put(content, entry.detail);
    return crypto::sha256({content.view()});
}

std::string text_of(const AuditHead& head) {
    return std::to_string(head.number) + ":" + to_hex(head.hash);
}

std::optional<AuditHead> audit_head_from(std::string_view text) {
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const auto number = parse_number<std::uint64_t>(text.substr(0, colon));
    const auto hash = from_hex(text.substr(colon + 1));
    AuditHead head;
    if (!number || !hash || hash->size() != head.hash.size()) return std::nullopt;
    head.number = *number;
    std::memcpy(head.hash.data(), hash->data(), hash->size());
    return head;
}

namespace {

class Walk {
public:
    Walk(AuditHead head, const std::optional<AuditHead>& known)
        : m_known(known), m_verdict{.head = head} {}

    std::uint64_t last() const { return m_last; }
    const AuditHead& head() const { return m_verdict.head; }
    void set_head(const AuditHead& head) { m_verdict.head = head; }

    // The next entry; false once one does not fit.
    bool take(const AuditLink& link) {
        const std::uint64_t number = m_last + 1;
        if (link.entry.number != number) return flaw(number, "is missing");
        if (number > m_verdict.head.number)
            return flaw(number, "was not written by a gateway: the newest is " +
                                    std::to_string(m_verdict.head.number));
        if (number > m_verdict.head.unchained) {
            const auto expected = hash_of(m_hash, link.entry);
            if (link.hash != expected) return flaw(number, "was changed, or what is before it was");
            m_hash = expected;
        }
        m_last = number;
        if (m_known && m_known->number == number && m_known->hash != m_hash)
            return flaw(number, "is another one than it was");
        return true;
    }

    AuditVerdict end() && {
        if (m_verdict.flaw) return std::move(m_verdict);
        if (m_last < m_verdict.head.number)
            flaw(m_last + 1, "is missing, and so is all after it, up to " +
                                 std::to_string(m_verdict.head.number));
        else if (m_hash != m_verdict.head.hash)
            flaw(m_last, "is not the one that was written last");
        else if (m_known && m_known->number > m_last)
            flaw(m_last + 1,
                 "is missing, and so is all after it, up to " + std::to_string(m_known->number));
        return std::move(m_verdict);
    }

private:
    bool flaw(std::uint64_t number, std::string what) {
        m_verdict.flaw = AuditFlaw{number, std::move(what)};
        return false;
    }

    const std::optional<AuditHead>& m_known;
    AuditVerdict m_verdict;
    AuditHash m_hash{};
    std::uint64_t m_last = 0;
};

}  // namespace

Result<AuditVerdict> verify_audit(Registry& registry, const std::optional<AuditHead>& known) {
    Walk walk(TRY(registry.audit_head()), known);
    for (;;) {
        const auto page = TRY(registry.audit_after(walk.last(), page_entries));
        if (page.empty()) return std::move(walk).end();
        // Somebody has written meanwhile.
        if (page.back().entry.number > walk.head().number)
            walk.set_head(TRY(registry.audit_head()));
        for (const auto& link : page)
            if (!walk.take(link)) return std::move(walk).end();
    }
}

}  // namespace fortros::gateway
