// What a boot tells for a drawing of it (timeline.h), and shows on no console: every look-up and attempt
// from its beginning to its end, by its id, and what came of it. protocol/events.schema.json has the
// whole list of events.
#include <algorithm>

#include "base/encoding.h"
#include "preboot/boot.h"

namespace fortros {

void Boot::trace(std::string event, std::vector<LogField> fields) {
    emit(Report{{.level = Level::Info,
                 .event = std::move(event),
                 .message = {},
                 .fields = std::move(fields),
                 .audience = Audience::Programs}});
}

void Boot::trace_start() {
    trace("started", {{"agent", m_in.agent},
                      {"boot_id", m_in.boot_id},
                      {"time", to_rfc3339(m_now.wall)},
                      {"gateway_name", m_in.settings.gateway_name},
                      {"settings_sha256", to_hex(m_in.settings_digest)},
                      {"ca_sha256", to_hex(m_in.ca_digest)}});
}

std::string Boot::name_of_link(unsigned ifindex) const {
    const auto link = std::ranges::find(m_links, ifindex, &UplinkHandOff::ifindex);
    return link == m_links.end() ? "" : link->name;
}

template <typename List>
static std::string texts(const List& list) {
    std::string text;
    for (const auto& element : list) text += (text.empty() ? "" : " ") + element.text();
    return text;
}

void Boot::trace_link(const UplinkHandOff& link) {
    trace("link-usable",
          {{"interface", link.name},
           {"addresses", texts(link.addresses)},
           {"gateways", texts(link.gateways)},
           {"leased", static_cast<bool>(link.dhcp) || static_cast<bool>(link.dhcp6)}});
}

void Boot::trace_lookup(const Discovery::Lookup& lookup) {
    trace("lookup", {{"id", std::int64_t{lookup.id}},
                     {"source", std::string(name_of(lookup.source))},
                     {"resolvers", texts(lookup.resolvers.servers)},
                     {"interface", name_of_link(lookup.resolvers.ifindex)}});
}

// What has failed is told of by who gives up.
void Boot::trace_answer(const LookupDone& answer) {
    if (!answer.endpoints || answer.endpoints->empty()) return;
    trace("lookup-answered",
          {{"id", std::int64_t{answer.id}}, {"endpoints", texts(*answer.endpoints)}});
}

void Boot::trace_attempt(const Discovery::Attempt& attempt) {
    trace("attempt", {{"id", std::int64_t{attempt.id}},
                      {"source", std::string(name_of(attempt.candidate.source))},
                      {"endpoint", attempt.candidate.endpoint.text()},
                      {"interface", name_of_link(attempt.candidate.ifindex)}});
}

void Boot::trace_attempt(std::string event, Discovery::Id id) {
    trace(std::move(event),
          {{"id", std::int64_t{id}}, {"interface", name_of_link(m_discovery->link_of(id))}});
}

}  // namespace fortros
