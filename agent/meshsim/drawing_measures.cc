#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "meshsim/drawing.h"
#include "meshsim/svg.h"

namespace fortros::meshsim {

namespace {

constexpr double width = 1500;
constexpr double left = 80;
constexpr double plot_width = 940;
constexpr double top = 84;
constexpr double panel_height = 180;
constexpr double panel_gap = 62;
constexpr std::size_t panels = 4;
constexpr double height = top + panels * (panel_height + panel_gap) + 10;
constexpr std::size_t events_told_limit = 34;

struct Line {
    const char* name;
    const char* colour;
    double (*value)(const Measure&);
};

// The next of 1, 2, 5, 10, 20, ... that is not less.
double round_up(double value) {
    double step = 1;
    while (step * 10 <= value) step *= 10;
    while (step >= value * 10 && step > 1e-6) step /= 10;
    for (const double factor : {1.0, 2.0, 5.0, 10.0})
        if (value <= factor * step) return factor * step;
    return value;
}

class Chart {
public:
    Chart(const std::vector<Measure>& measures, const std::vector<std::string>& events)
        : m_measures(measures), m_svg(width, height, "#fbfaf6") {
        for (const auto& event : events) {
            // Of several alike at one moment the first stands for all.
            const double second = std::strtod(event.c_str(), nullptr);
            if (!m_events.empty() && second - m_events.back().first < 1) continue;
            const auto words = event.find(" s  ");
            m_events.emplace_back(second,
                                  words == std::string::npos ? event : event.substr(words + 4));
        }
        m_end_s = measures.empty() ? 1 : seconds(measures.back().at);
    }

    std::string draw(const std::string& title) {
        m_svg.text({left, 44}, title, {.size = 24, .colour = "#222", .bold = true});
        panel(0, "links of a node, in the mean",
              {{"LAN", "#3f8f6b", [](const Measure& m) { return m.lan_links; }},
               {"scored", "#2d6fb3", [](const Measure& m) { return m.scored_links; }},
               {"lighthouses", "#c98b2b", [](const Measure& m) { return m.lighthouses; }}});
        panel(1, "link changes between two samples",
              {{"", "#b5548c", [](const Measure& m) { return static_cast<double>(m.changes); }}});
        panel(2, "pairs of live nodes without an answer, %",
              {{"", "#c0392b", [](const Measure& m) { return m.unanswered * 100; }}});
        panel(3, "live nodes",
              {{"", "#555", [](const Measure& m) { return static_cast<double>(m.live); }}});
        list_events();
        return m_svg.finish();
    }

private:
    static double seconds(Instant at) { return milliseconds_of(at - Instant{}) / 1000; }
    double x_of(double second) const { return left + plot_width * second / m_end_s; }

    void panel(std::size_t number, const char* title, const std::vector<Line>& lines) {
        const double y = top + static_cast<double>(number) * (panel_height + panel_gap);
        double most = 0;
        for (const auto& line : lines)
            for (const auto& measure : m_measures) most = std::max(most, line.value(measure));
        const double full = round_up(std::max(most, 1e-3));
        m_svg.text({left, y - 9}, title, {.size = 15, .colour = "#333", .bold = true});
        for (int part = 0; part <= 4; ++part) {
            const double height_of = y + panel_height * (4 - part) / 4;
            m_svg.line({left, height_of}, {left + plot_width, height_of},
                       part == 0 ? "stroke='#777'" : "stroke='#e4e0d6'");
            m_svg.text({left - 8, height_of + 4}, label(full * part / 4, full),
                       {.size = 12, .colour = "#666", .anchor = Anchor::End});
        }
        marks(y);
        double legend = left + plot_width;
        for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
            curve(*line, y, full);
            if (*line->name == 0) continue;
            m_svg.text({legend, y - 9}, line->name,
                       {.size = 14, .colour = line->colour, .anchor = Anchor::End, .bold = true});
            legend -= 20 + 8.5 * static_cast<double>(std::string_view(line->name).size());
        }
        axis(y + panel_height);
    }

    static std::string label(double value, double full) {
        if (full >= 4) return short_number(value);
        char text[32];
        std::snprintf(text, sizeof text, "%.2f", value);
        return text;
    }

    void curve(const Line& line, double y, double full) {
        std::vector<Point> points;
        for (const auto& measure : m_measures)
            points.push_back(
                {x_of(seconds(measure.at)), y + panel_height * (1 - line.value(measure) / full)});
        if (points.empty()) return;
        const std::string colour = line.colour;
        auto area = points;
        area.push_back({points.back().x, y + panel_height});
        area.push_back({points.front().x, y + panel_height});
        if (*line.name == 0) m_svg.polygon(area, "fill='" + colour + "' fill-opacity='0.15'");
        m_svg.polyline(points, "stroke='" + colour + "' stroke-width='2' stroke-linejoin='round'");
    }

    void marks(double y) {
        for (std::size_t i = 0; i < m_events.size(); ++i)
            m_svg.line({x_of(m_events[i].first), y}, {x_of(m_events[i].first), y + panel_height},
                       "stroke='#999' stroke-width='0.8' stroke-dasharray='3 3'");
    }

    void axis(double y) {
        const double minutes = m_end_s / 60;
        const double step = round_up(minutes / 13);
        for (double minute = 0; minute <= minutes + 1e-6; minute += step)
            m_svg.text({x_of(minute * 60), y + 17},
                       short_number(minute) + (minute == 0 ? " min" : ""),
                       {.size = 12, .colour = "#666", .anchor = Anchor::Middle});
    }

    void list_events() {
        const double x = left + plot_width + 50;
        double y = top;
        m_svg.text({x, y - 9}, "what happened", {.size = 15, .colour = "#333", .bold = true});
        for (std::size_t i = 0; i < m_events.size(); ++i) {
            y += 22;
            if (i == events_told_limit) {
                m_svg.text({x, y}, "and " + std::to_string(m_events.size() - i) + " more",
                           {.size = 13, .colour = "#777"});
                return;
            }
            const auto& [second, what] = m_events[i];
            m_svg.text({x + 44, y}, short_number(second / 60),
                       {.size = 13, .colour = "#777", .anchor = Anchor::End});
            m_svg.text({x + 54, y}, what, {.size = 13});
        }
    }

    const std::vector<Measure>& m_measures;
    std::vector<std::pair<double, std::string>> m_events;
    Svg m_svg;
    double m_end_s = 1;
};

}  // namespace

std::string draw_measures(const std::vector<Measure>& measures,
                          const std::vector<std::string>& events, const std::string& title) {
    return Chart(measures, events).draw(title);
}

}  // namespace fortros::meshsim
