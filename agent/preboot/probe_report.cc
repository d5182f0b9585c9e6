// What a probe has found out, for people and for programs.
#include <algorithm>

#include "core/table.h"
#include "preboot/probe.h"

namespace fortros {

const ProbeReport::Attempt* ProbeReport::winner() const {
    const Attempt* first = nullptr;
    for (const auto& attempt : attempts)
        if (attempt.gateway && (!first || attempt.ended < first->ended)) first = &attempt;
    return first;
}

std::string ProbeReport::name_of_link(unsigned ifindex) const {
    const auto link = std::ranges::find(links, ifindex, &UplinkHandOff::ifindex);
    return link == links.end() ? "" : link->name;
}

ExitStatus ProbeReport::status() const {
    if (winner()) return ExitStatus::Joined;
    if (state_lost) return ExitStatus::PolicyLost;
    if (!link_usable && !sources.empty()) return ExitStatus::NoLink;
    const bool somebody = std::ranges::any_of(attempts, [](const Attempt& attempt) {
        return attempt.error && attempt.error->code == ErrorCode::Untrusted;
    });
    return somebody ? ExitStatus::GatewayUntrusted : ExitStatus::NoGateway;
}

static std::string names_of(const ResolverSet& resolvers) {
    std::string text;
    for (const auto& server : resolvers.servers) text += (text.empty() ? "" : " ") + server.text();
    return text;
}

// --- for programs ---------------------------------------------------------------------------------

static Json microseconds(Duration time) {
    return std::int64_t{std::chrono::duration_cast<std::chrono::microseconds>(time).count()};
}

static Json microseconds(const std::optional<Duration>& time) {
    return time ? microseconds(*time) : Json{};
}

static Json failure(const std::optional<Error>& error) {
    if (!error) return {};
    return Json{}.set("code", name_of(error->code)).set("text", error->text());
}

template <typename List>
static Json texts(const List& list) {
    Json out{Json::Array{}};
    for (const auto& element : list) out.push(element.text());
    return out;
}

static Json to_json(const ProbeReport::Question& question) {
    return Json{}
        .set("source", name_of(question.source))
        .set("resolvers", texts(question.resolvers.servers))
        .set("asked_us", microseconds(question.asked))
        .set("ended_us", microseconds(question.ended))
        .set("endpoints", texts(question.endpoints))
        .set("error", failure(question.error));
}

static Json to_json(const ProbeReport& report, const ProbeReport::Attempt& attempt) {
    return Json{}
        .set("source", name_of(attempt.candidate.source))
        .set("endpoint", attempt.candidate.endpoint.text())
        .set("link", report.name_of_link(attempt.ifindex))
        .set("bound", attempt.candidate.ifindex != 0)
        .set("began_us", microseconds(attempt.began))
        .set("connected_us", microseconds(attempt.connected))
        .set("ended_us", microseconds(attempt.ended))
        .set("authenticated", attempt.gateway.has_value())
        .set("gateway", attempt.gateway ? Json(attempt.gateway->base64()) : Json{})
        .set("error", failure(attempt.error));
}

static Json to_json(const UplinkHandOff& link) {
    return Json{}
        .set("name", link.name)
        .set("addresses", texts(link.addresses))
        .set("gateways", texts(link.gateways))
        .set("resolvers", texts(link.resolvers));
}

template <typename List>
static Json elements(const List& list) {
    Json out{Json::Array{}};
    for (const auto& element : list) out.push(to_json(element));
    return out;
}

Json to_json(const ProbeReport& report) {
    const auto* winner = report.winner();
    Json silences{Json::Array{}}, attempts{Json::Array{}};
    for (const auto& attempt : report.attempts) attempts.push(to_json(report, attempt));
    for (const auto& silence : report.silences)
        silences.push(
            Json{}.set("source", name_of(silence.source)).set("error", failure(silence.error)));
    return Json{}
        .set("gateway_name", report.gateway_name)
        .set("status", name_of(report.status()))
        .set("sources", report.sources.text())
        .set("state_lost", report.state_lost)
        .set("clock",
             Json{}.set("now", to_rfc3339(report.clock.now)).set("trusted", report.clock.trusted))
        .set("links", elements(report.links))
        .set("link_usable_us", microseconds(report.link_usable))
        .set("link_trouble", report.link_trouble)
        .set("silent_sources", std::move(silences))
        .set("lookups", elements(report.questions))
        .set("attempts", std::move(attempts))
        .set("winner", winner ? to_json(report, *winner) : Json{})
        .set("took_us", microseconds(report.took));
}

// --- for people -----------------------------------------------------------------------------------

static std::string at(const std::optional<Duration>& time) { return time ? to_text(*time) : ""; }

static std::string took(Duration began, const std::optional<Duration>& ended) {
    return ended ? to_text(*ended - began) : "";
}

static std::string outcome(const ProbeReport::Question& question) {
    if (question.error) return question.error->text();
    std::string text;
    for (const auto& endpoint : question.endpoints)
        text += (text.empty() ? "" : " ") + endpoint.text();
    return text.empty() ? "no answer" : text;
}

static std::string outcome(const ProbeReport::Attempt& attempt) {
    if (attempt.gateway) return "authenticated, WireGuard key " + attempt.gateway->base64();
    return attempt.error ? attempt.error->text() : "no answer";
}

static std::string links_text(const ProbeReport& report) {
    std::vector<std::vector<std::string>> rows;
    const auto joined = [](const auto& list) {
        std::string text;
        for (const auto& element : list) text += (text.empty() ? "" : " ") + element.text();
        return text;
    };
    rows.reserve(report.links.size());
    for (const auto& link : report.links)
        rows.push_back({link.name, joined(link.addresses), joined(link.gateways),
                        joined(link.resolvers), link.dhcp ? link.dhcp->server.text() : ""});
    std::string text = rows.empty() ? "no link works" : "";
    if (!rows.empty())
        text = to_table({"LINK", "ADDRESSES", "ROUTERS", "RESOLVERS", "DHCP SERVER"}, rows);
    if (!report.link_trouble.empty())
        text += (rows.empty() ? ": " : "others: ") + report.link_trouble;
    return text + "\n";
}

std::string to_text(const ProbeReport& report) {
    std::string text = "gateway  " + report.gateway_name + "\nsources  " +
                       (report.sources.empty() ? "none" : report.sources.text()) +
                       (report.state_lost ? "  (the node has lost its state)" : "") +
                       "\nclock    " + to_text(report.clock) + "\n\n" + links_text(report);

    std::vector<std::vector<std::string>> rows;
    rows.reserve(report.silences.size() + report.questions.size());
    for (const auto& silence : report.silences)
        rows.push_back({std::string(name_of(silence.source)), "", "", "", silence.error.text()});
    for (const auto& question : report.questions)
        rows.push_back({std::string(name_of(question.source)), names_of(question.resolvers),
                        at(question.asked), took(question.asked, question.ended),
                        outcome(question)});
    if (!rows.empty()) text += "\n" + to_table({"SOURCE", "ASKED", "AT", "TOOK", "ANSWER"}, rows);

    rows.clear();
    for (const auto& attempt : report.attempts)
        rows.push_back({std::string(name_of(attempt.candidate.source)),
                        attempt.candidate.endpoint.text(), report.name_of_link(attempt.ifindex),
                        at(attempt.began),
                        attempt.connected ? to_text(*attempt.connected - attempt.began) : "",
                        took(attempt.began, attempt.ended), outcome(attempt)});
    if (!rows.empty())
        text +=
            "\n" +
            to_table({"SOURCE", "CANDIDATE", "LINK", "AT", "CONNECTED", "TOOK", "OUTCOME"}, rows);

    text += "\n";
    if (const auto* winner = report.winner())
        return text + "a boot would use " + winner->candidate.endpoint.text() + " via " +
               std::string(name_of(winner->candidate.source)) + ", found after " +
               to_text(*winner->ended) + "\n";
    const ExitStatus status = report.status();
    return text + std::string(name_of(status)) + ": " + explain(status) + "\n";
}

}  // namespace fortros
