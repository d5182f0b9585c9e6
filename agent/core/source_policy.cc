#include "core/source_policy.h"

#include <algorithm>

namespace fortros {

SourcePolicy source_policy(const Settings& settings, const std::optional<NodeState>& state,
                           const std::optional<PublicKey>& key, bool has_invite) {
    SourcePolicy policy{.sources = settings.sources};
    const bool keeps_state = settings.state_store.kind != StoreKind::Ephemeral;
    // A state that only promises an enrolment may be of another key: of one that was made when this
    // one's address was taken, and that a power cut kept from being stored.
    if (key && keeps_state && (!state || (state->enrolled && state->node != *key))) {
        policy.state_lost = true;
        policy.sources = policy.sources & SourceSet::only(Source::Cached);
    }
    const bool enrolled = key && (!state || state->enrolled || !has_invite);
    if (enrolled && settings.sources_enrolled)
        policy.sources = policy.sources & *settings.sources_enrolled;
    if (state && state->policy) policy.sources = policy.sources & *state->policy;
    return policy;
}

std::optional<SourceSet> policy_to_remember(const Settings& settings,
                                            const std::optional<SourceSet>& remembered,
                                            const std::optional<SourceSet>& document) {
    const SourceSet allowed =
        settings.sources & settings.sources_enrolled.value_or(SourceSet::all());
    if (document && !(allowed & *document).empty()) return document;
    if (!settings.sources_enrolled) return remembered;
    const auto both = *settings.sources_enrolled & remembered.value_or(SourceSet::all());
    return both.empty() ? remembered : both;
}

std::vector<Endpoint> cached_gateways(const Settings& settings,
                                      const std::optional<NodeState>& state) {
    std::vector<Endpoint> endpoints;
    if (state) endpoints = state->gateways;
    for (const auto& endpoint : settings.gateways)
        if (!std::ranges::contains(endpoints, endpoint)) endpoints.push_back(endpoint);
    return endpoints;
}

// Each resolver is asked for itself, so that a silent one costs no more than a moment.
static void add_each(std::vector<ResolverSet>& sets, const std::vector<IpAddress>& resolvers,
                     unsigned ifindex) {
    for (const auto& resolver : resolvers)
        if (ResolverSet set{{resolver}, ifindex}; !std::ranges::contains(sets, set))
            sets.push_back(std::move(set));
}

DiscoveryPlan make_discovery_plan(const Settings& settings, const std::optional<NodeState>& state,
                                  SourceSet sources, const std::vector<UplinkHandOff>& links) {
    DiscoveryPlan plan{
        .sources = sources,
        .cached = cached_gateways(settings, state),
        .gateway_name = settings.gateway_name,
        .service = "_fortros-gateway._tcp." + settings.domain,
        .port = settings.port,
        .race = settings.race,
        .head_start = settings.head_start,
        .lookup_timeout = settings.lookup_timeout,
        .attempt_timeout = settings.attempt_timeout,
    };
    for (const auto& link : links)
        if (plan.links.size() < uplinks_told_apart_limit)
            plan.links.push_back({link.ifindex, link.addresses, link.gateways});
    add_each(plan.public_resolvers, settings.public_resolvers, 0);
    for (const auto& link : plan.links)
        for (const auto& resolver : settings.public_resolvers)
            if (std::ranges::contains(ways_to(resolver, plan.links), link))
                add_each(plan.public_resolvers, {resolver}, link.ifindex);
    for (const auto& link : links) add_each(plan.dhcp_resolvers, link.resolvers, link.ifindex);
    return plan;
}

}  // namespace fortros
