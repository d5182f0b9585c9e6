#include "core/source.h"

#include <array>

namespace fortros {

static constexpr std::array all_sources = {Source::Cached, Source::PublicDns, Source::DhcpDns};

std::string_view name_of(Source source) {
    switch (source) {
        case Source::Cached: return "cached";
        case Source::PublicDns: return "public-dns";
        case Source::DhcpDns: return "dhcp-dns";
    }
    return "cached";
}

std::optional<Source> source_from(std::string_view name) {
    for (Source source : all_sources)
        if (name == name_of(source)) return source;
    return std::nullopt;
}

SourceSet SourceSet::all() {
    SourceSet set;
    for (Source source : all_sources) set.add(source);
    return set;
}

SourceSet SourceSet::only(Source source) { return SourceSet().add(source); }

SourceSet SourceSet::operator&(SourceSet other) const {
    SourceSet both;
    both.m_bits = m_bits & other.m_bits;
    return both;
}

std::string SourceSet::text() const {
    std::string text;
    for (Source source : all_sources) {
        if (!has(source)) continue;
        if (!text.empty()) text += ' ';
        text += name_of(source);
    }
    return text;
}

std::optional<SourceSet> SourceSet::from_bits(std::uint8_t bits) {
    if ((bits & ~all().m_bits) != 0) return std::nullopt;
    SourceSet set;
    set.m_bits = bits;
    return set;
}

}  // namespace fortros
