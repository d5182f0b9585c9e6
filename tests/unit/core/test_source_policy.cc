#include "core/source_policy.h"

#include <doctest/doctest.h>

using namespace fortros;

static SourceSet set_of(std::initializer_list<Source> sources) {
    SourceSet set;
    for (const auto source : sources) set.add(source);
    return set;
}

static const SourceSet cached = SourceSet::only(Source::Cached);
static const SourceSet without_public = set_of({Source::Cached, Source::DhcpDns});

// An opsec node that forgets its policy asks resolvers again.
TEST_CASE("without a word of the org a remembered policy only gets narrower") {
    Settings settings;
    settings.sources = SourceSet::all();
    CHECK(!policy_to_remember(settings, {}, {}));
    CHECK(policy_to_remember(settings, cached, {}) == cached);
    settings.sources_enrolled = without_public;
    CHECK(policy_to_remember(settings, {}, {}) == without_public);
    CHECK(policy_to_remember(settings, cached, {}) == cached);
    settings.sources_enrolled = set_of({Source::PublicDns});
    CHECK(policy_to_remember(settings, cached, {}) == cached);
}

TEST_CASE("the org document narrows and widens what is remembered") {
    Settings settings;
    settings.sources = SourceSet::all();
    CHECK(policy_to_remember(settings, {}, cached) == cached);
    CHECK(policy_to_remember(settings, cached, without_public) == without_public);
}

// Or the org's document could make an image that was built to be silent speak, or lock its node out.
TEST_CASE("the org document changes nothing beyond what the image allows") {
    Settings settings;
    settings.sources = cached;
    NodeState state{.enrolled = true};
    state.policy = policy_to_remember(settings, {}, without_public);
    const auto key = std::optional(state.node);
    CHECK(source_policy(settings, state, key, false).sources == cached);

    settings.sources = SourceSet::all();
    settings.sources_enrolled = cached;
    state.policy = policy_to_remember(settings, cached, without_public);
    CHECK(source_policy(settings, state, key, false).sources == cached);

    const auto of_no_use = SourceSet::only(Source::PublicDns);
    CHECK(policy_to_remember(settings, {}, of_no_use) == cached);
}
