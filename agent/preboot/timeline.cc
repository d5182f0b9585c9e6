#include "preboot/timeline.h"

#include <algorithm>

#include "base/text.h"
#include "core/json.h"

namespace fortros {

static constexpr std::size_t line_limit = 32 * 1024;
static constexpr std::size_t text_limit = 300;
static constexpr std::int64_t latest_us = std::int64_t{1} << 53;

std::string_view name_of(BootTimeline::Group group) {
    switch (group) {
        case BootTimeline::Group::Stages: return "stages";
        case BootTimeline::Group::Links: return "links";
        case BootTimeline::Group::Rounds: return "rounds";
        case BootTimeline::Group::Sources: return "sources";
        case BootTimeline::Group::Candidates: return "candidates";
        case BootTimeline::Group::Overlay: return "overlay";
    }
    return "";
}

namespace {

using Group = BootTimeline::Group;
using Look = BootTimeline::Look;

// One line of the file.
struct Event {
    Duration at{};
    std::string name;
    std::string message;
    bool is_trouble = false;
    Json fields;

    std::string text(std::string_view key) const {
        const Json* value = fields.find(key);
        return value && value->string() ? printable(*value->string(), text_limit) : "";
    }
    std::optional<std::int64_t> number(std::string_view key) const {
        const Json* value = fields.find(key);
        if (!value || !value->number() || *value->number() < 0 || *value->number() > latest_us)
            return std::nullopt;
        return *value->number();
    }
    Duration span(std::string_view key) const { return Duration{number(key).value_or(0)}; }
};

std::optional<Event> read_event(std::string_view line) {
    const auto json = Json::parse(line, {.bytes = line_limit,
                                         .depth = 3,
                                         .values = 128,
                                         .members = 64,
                                         .fractions = JsonLimits::Fractions::CutOff});
    if (!json || !json->object()) return std::nullopt;
    const JsonReader reader(*json, "event");
    const auto name = reader.string("event", 64);
    const auto message = reader.string("message", line_limit);
    const auto milliseconds = reader.number("t_ms", 0, latest_us / 1000);
    const auto microseconds = reader.optional_number("t_us", 0, latest_us);
    const auto level = reader.string("level", 16);
    if (!name || !message || !milliseconds || !microseconds || !level) return std::nullopt;
    Event event{.at = Duration{microseconds->value_or(*milliseconds * 1000)},
                .name = *name,
                .message = printable(*message, text_limit),
                .is_trouble = *level == "warning" || *level == "error",
                .fields = {}};
    if (const Json* fields = json->find("fields"); fields && fields->object())
        event.fields = *fields;
    return event;
}

// Tells the boot again, event by event. Times stay the machine's until the end.
class Teller {
public:
    void tell(const Event& event) {
        if (event.name == "started") begin(event);
        if (event.name == "stage" && event.number("number") == 1) stage_one(event);
        if (!m_began) return;
        m_last = std::max(m_last, event.at);
        struct Rule {
            std::string_view name;
            void (Teller::*tell)(const Event& event);
        };
        static constexpr Rule rules[] = {{"stage", &Teller::stage},
                                         {"link", &Teller::link_step},
                                         {"link-usable", &Teller::link_usable},
                                         {"link-lost", &Teller::link_lost},
                                         {"round", &Teller::round},
                                         {"round-failed", &Teller::round_failed},
                                         {"lookup", &Teller::lookup},
                                         {"lookup-answered", &Teller::answered},
                                         {"lookup-cancelled", &Teller::cancelled},
                                         {"attempt", &Teller::attempt},
                                         {"attempt-connected", &Teller::connected},
                                         {"attempt-authenticated", &Teller::authenticated},
                                         {"attempt-cancelled", &Teller::cancelled},
                                         {"gave-up", &Teller::gave_up},
                                         {"waiting-for-approval", &Teller::approval},
                                         {"overlay", &Teller::overlay},
                                         {"fast-start", &Teller::fast_start},
                                         {"fast-start-handshake", &Teller::fast_start_answered},
                                         {"finished", &Teller::finished}};
        for (const Rule& rule : rules)
            if (rule.name == event.name) (this->*rule.tell)(event);
        if (event.is_trouble && event.name != "finished" &&
            m_out.troubles.size() < timeline_troubles_limit)
            m_out.troubles.push_back({event.at, event.message});
    }

    Result<BootTimeline> end(std::size_t lines_left_out) {
        if (!m_began) return fail(ErrorCode::InvalidData, "there is no boot in these events");
        if (m_round) add(*m_round, {m_round_began, m_last, Look::Work});
        end_approval(m_last);
        for (const Running& running : m_running)
            if (!running.settled) add(running, m_last, Look::Cancelled, "under way when it ended");
        std::ranges::stable_sort(m_out.rows, {}, &BootTimeline::Row::group);
        if (std::ranges::count(m_out.rows, Group::Rounds, &BootTimeline::Row::group) == 1)
            std::erase_if(m_out.rows, [](const auto& row) { return row.name == "round 1"; });
        for (auto& row : m_out.rows) {
            for (auto& bar : row.bars) {
                bar.begin = std::max(bar.begin, *m_began) - *m_began;
                bar.end = std::max(bar.begin, std::max(bar.end, *m_began) - *m_began);
                if (bar.look != Look::Pause) row.took += bar.end - bar.begin;
            }
        }
        for (auto& trouble : m_out.troubles) trouble.at = std::max(trouble.at, *m_began) - *m_began;
        m_out.took = std::max(m_last, *m_began) - *m_began;
        m_out.lines_left_out = lines_left_out;
        return std::move(m_out);
    }

private:
    // A look-up or an attempt from its first event to its last.
    struct Running {
        std::int64_t id = 0;
        std::size_t row = 0;
        Duration began{};
        std::optional<Duration> connected{};
        bool settled = false;
    };

    void begin(const Event& event) {
        *this = Teller{};
        m_began = m_stage_ended = m_last = event.at;
        m_out.agent = event.text("agent");
        m_out.boot_id = event.text("boot_id");
        m_out.time = event.text("time");
        m_out.gateway_name = event.text("gateway_name");
    }

    // Agents of old said nothing before it; and what it took was before any event.
    void stage_one(const Event& event) {
        if (!m_began || m_seen_stage) begin(event);
        m_seen_stage = true;
        const Duration before = event.span("took_us") + event.span("ago_us");
        m_began = event.at > before ? event.at - before : Duration{};
    }

    std::optional<std::size_t> row_of(Group group, const std::string& name) {
        const auto known = std::ranges::find_if(m_out.rows, [&](const BootTimeline::Row& row) {
            return row.group == group && row.name == name;
        });
        if (known != m_out.rows.end()) return static_cast<std::size_t>(known - m_out.rows.begin());
        if (m_out.rows.size() >= timeline_rows_limit) return std::nullopt;
        m_out.rows.push_back({.group = group, .name = name});
        return m_out.rows.size() - 1;
    }

    void add(std::size_t row, const BootTimeline::Bar& bar) {
        if (m_bars++ < timeline_bars_limit)
            m_out.rows[row].bars.push_back(bar);
        else
            ++m_out.bars_left_out;
    }

    void add(Group group, const std::string& name, const BootTimeline::Bar& bar, std::string note) {
        const auto row = row_of(group, name);
        if (!row) {
            ++m_out.bars_left_out;
            return;
        }
        m_out.rows[*row].note = std::move(note);
        add(*row, bar);
    }

    void add(const Running& running, Duration end, Look look, std::string note) {
        m_out.rows[running.row].note = std::move(note);
        const Duration heard = running.connected.value_or(end);
        const bool is_silent = !running.connected && look == Look::Cancelled;
        if (running.connected) add(running.row, {running.began, heard, Look::Reaching});
        add(running.row,
            {running.connected ? heard : running.began, end, is_silent ? Look::Reaching : look});
    }

    // "[4/9] discover: 203.0.113.5:443 via cached, 41 ms": what is between the name and the time.
    static std::string essence_of(const std::string& message) {
        const auto begin = message.find(": ");
        const auto end = message.rfind(", ");
        if (begin == std::string::npos) return message;
        if (end == std::string::npos || end < begin + 2) return message.substr(begin + 2);
        return message.substr(begin + 2, end - begin - 2);
    }

    void stage(const Event& event) {
        const Duration end = event.at - std::min(event.span("ago_us"), event.at);
        const Duration took =
            event.number("took_us") ? event.span("took_us") : Duration{event.span("ms") * 1000};
        add(Group::Stages, event.text("stage"), {end - std::min(took, end), end, Look::Work},
            essence_of(event.message));
        if (event.number("number") == 6) enrolled(event.at);
        m_stage_ended = event.at;
    }

    // From one step of a link (its carrier) to the next; the first begins when links are wanted.
    void add_link(const Event& event, Look look, std::string note) {
        const std::string name = event.text("interface");
        const auto before = std::ranges::find_if(m_out.rows, [&](const BootTimeline::Row& row) {
            return row.group == Group::Links && row.name == name && !row.bars.empty();
        });
        if (!m_links_wanted) m_links_wanted = m_stage_ended;
        const Duration began =
            before == m_out.rows.end() ? *m_links_wanted : before->bars.back().end;
        add(Group::Links, name, {began, event.at, look}, std::move(note));
    }

    void link_step(const Event& event) {
        const std::string prefix = event.text("interface") + ": ";
        const bool has_name = event.message.starts_with(prefix);
        add_link(event, Look::Reaching, event.message.substr(has_name ? prefix.size() : 0));
    }
    void link_usable(const Event& event) { add_link(event, Look::Good, event.text("addresses")); }

    void link_lost(const Event& event) {
        add(Group::Links, event.text("interface"), {event.at, event.at, Look::Failed},
            event.message);
    }

    void round(const Event& event) {
        m_round =
            row_of(Group::Rounds, "round " + std::to_string(event.number("round").value_or(0)));
        if (!m_round) ++m_out.bars_left_out;
        m_round_began = event.at;
        if (m_pause && m_round) add(*m_round, {*m_pause, event.at, Look::Pause});
        m_pause.reset();
    }

    void round_failed(const Event& event) {
        if (m_round) {
            m_out.rows[*m_round].note = event.message;
            add(*m_round, {m_round_began, event.at, Look::Failed});
        }
        m_round.reset();
        m_pause = event.at;
    }

    void run(const Event& event, Group group, const std::string& name) {
        const std::string link = event.text("interface");
        const auto row =
            row_of(group, event.text("source") + " " + name + (link.empty() ? "" : " by " + link));
        if (!row || m_running.size() >= timeline_bars_limit) {
            ++m_out.bars_left_out;
            return;
        }
        m_running.push_back({.id = event.number("id").value_or(0), .row = *row, .began = event.at});
    }
    void lookup(const Event& event) { run(event, Group::Sources, event.text("resolvers")); }
    void attempt(const Event& event) { run(event, Group::Candidates, event.text("endpoint")); }

    Running* running(const Event& event) {
        const auto id = event.number("id");
        const auto found = std::ranges::find_if(m_running, [&](const Running& candidate) {
            return !candidate.settled && candidate.id == id;
        });
        return found == m_running.end() ? nullptr : &*found;
    }

    void settle(const Event& event, Look look, std::string note) {
        Running* it = running(event);
        if (it == nullptr) return;
        it->settled = true;
        add(*it, event.at, look, std::move(note));
    }

    void answered(const Event& event) { settle(event, Look::Good, event.text("endpoints")); }
    void cancelled(const Event& event) { settle(event, Look::Cancelled, "not needed any more"); }

    void connected(const Event& event) {
        if (Running* it = running(event)) it->connected = event.at;
    }

    // It has won, unless the conversation comes to nothing: then somebody gives it up.
    void authenticated(const Event& event) {
        const Running* it = running(event);
        if (it != nullptr) m_conversation = {it->id, event.at};
    }

    void enrolled(Duration at) {
        if (m_round) add(*m_round, {m_round_began, at, Look::Work});
        m_round.reset();
        end_approval(at);
        if (!m_conversation) return;
        for (Running& it : m_running) {
            if (it.settled || it.id != m_conversation->first) continue;
            it.settled = true;
            add(it, m_conversation->second, Look::Won, "the gateway");
        }
        m_conversation.reset();
    }

    void gave_up(const Event& event) {
        std::string why = event.text("why");
        settle(event, Look::Failed, why.empty() ? event.message : std::move(why));
    }

    void approval(const Event& event) {
        m_approval = event.at;
        m_approval_words = event.message;
    }

    void end_approval(Duration at) {
        if (m_approval)
            add(Group::Rounds, "approval", {*m_approval, at, Look::Pause}, m_approval_words);
        m_approval.reset();
    }

    void overlay(const Event& event) {
        add(Group::Overlay, "interfaces", {m_stage_ended, event.at, Look::Good}, "configured");
    }

    void fast_start(const Event& event) {
        m_remembered = event.at;
        add(Group::Overlay, "remembered", {m_stage_ended, event.at, Look::Work},
            "up as " + event.text("overlay_address") + ", nobody has answered");
    }

    void fast_start_answered(const Event& event) {
        add(Group::Overlay, "remembered", {m_remembered.value_or(event.at), event.at, Look::Good},
            "the tunnel works");
    }

    void finished(const Event& event) {
        if (const auto status = event.number("status"); status && *status < 256)
            m_out.status = static_cast<int>(*status);
        m_out.verdict = event.message;
    }

    BootTimeline m_out;
    std::optional<Duration> m_began{};
    Duration m_last{};
    Duration m_stage_ended{};
    bool m_seen_stage = false;
    std::optional<Duration> m_links_wanted{};
    std::optional<std::size_t> m_round{};  // its row
    Duration m_round_began{};
    std::optional<Duration> m_pause{};
    std::optional<Duration> m_approval{};
    std::string m_approval_words{};
    std::vector<Running> m_running{};
    std::optional<std::pair<std::int64_t, Duration>> m_conversation{};
    std::optional<Duration> m_remembered{};
    std::size_t m_bars = 0;
};

}  // namespace

Result<BootTimeline> read_timeline(std::string_view events) {
    if (events.size() > events_size_limit)
        return fail(ErrorCode::InvalidData,
                    "the events are longer than " + std::to_string(events_size_limit) + " bytes");
    Teller teller;
    std::size_t left_out = 0;
    while (!events.empty()) {
        const std::size_t end = std::min(events.find('\n'), events.size());
        const std::string_view line = trim(events.substr(0, end));
        events.remove_prefix(std::min(end + 1, events.size()));
        if (line.empty()) continue;
        if (const auto event = read_event(line))
            teller.tell(*event);
        else
            ++left_out;
    }
    return teller.end(left_out);
}

}  // namespace fortros
