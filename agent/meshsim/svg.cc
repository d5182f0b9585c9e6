#include "meshsim/svg.h"

#include <cmath>
#include <cstdio>

namespace fortros::meshsim {

std::string short_number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f", value);
    std::string number = text;
    if (number.ends_with(".0")) number.resize(number.size() - 2);
    return number == "-0" ? "0" : number;
}

static std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '&')
            out += "&amp;";
        else if (c == '<')
            out += "&lt;";
        else if (c == '>')
            out += "&gt;";
        else
            out += c;
    }
    return out;
}

static std::string pair_text(Point point) {
    return short_number(point.x) + "," + short_number(point.y);
}

Svg::Svg(double width, double height, std::string_view background) {
    const std::string w = short_number(width);
    const std::string h = short_number(height);
    m_out =
        "<?xml version='1.0' encoding='UTF-8'?>\n<svg xmlns='http://www.w3.org/2000/svg' width='" +
        w + "' height='" + h + "' viewBox='0 0 " + w + " " + h +
        "' font-family='Helvetica, Arial, sans-serif'>\n";
    rectangle({0, 0}, width, height, "fill='" + std::string(background) + "'");
}

void Svg::line(Point from, Point to, std::string_view attributes) {
    m_out += "<path d='M" + pair_text(from) + "L" + pair_text(to) + "' ";
    m_out.append(attributes).append("/>\n");
}

void Svg::arc(Point from, Point to, double bend, std::string_view attributes) {
    const Point middle{(from.x + to.x) / 2 + (to.y - from.y) * bend,
                       (from.y + to.y) / 2 - (to.x - from.x) * bend};
    m_out += "<path d='M" + pair_text(from) + "Q" + pair_text(middle) + " " + pair_text(to) + "' ";
    m_out.append(attributes).append("/>\n");
}

void Svg::points(const std::vector<Point>& points) {
    m_out += "points='";
    for (const Point& point : points) m_out += pair_text(point) + " ";
    m_out += "' ";
}

void Svg::polyline(const std::vector<Point>& all, std::string_view attributes) {
    m_out += "<polyline fill='none' ";
    points(all);
    m_out.append(attributes).append("/>\n");
}

void Svg::polygon(const std::vector<Point>& all, std::string_view attributes) {
    m_out += "<polygon ";
    points(all);
    m_out.append(attributes).append("/>\n");
}

void Svg::circle(Point centre, double radius, std::string_view attributes) {
    m_out += "<circle cx='" + short_number(centre.x) + "' cy='" + short_number(centre.y) + "' r='" +
             short_number(radius) + "' ";
    m_out.append(attributes).append("/>\n");
}

void Svg::rectangle(Point corner, double width, double height, std::string_view attributes) {
    m_out += "<rect x='" + short_number(corner.x) + "' y='" + short_number(corner.y) + "' width='" +
             short_number(width) + "' height='" + short_number(height) + "' ";
    m_out.append(attributes).append("/>\n");
}

void Svg::text(Point where, std::string_view what, const TextStyle& style) {
    static constexpr const char* anchors[] = {"start", "middle", "end"};
    m_out += "<text x='" + short_number(where.x) + "' y='" + short_number(where.y) +
             "' font-size='" + short_number(style.size) + "' fill='" + std::string(style.colour) +
             "' text-anchor='" + anchors[static_cast<int>(style.anchor)] + "'" +
             (style.bold ? " font-weight='bold'" : "") + ">" + escaped(what) + "</text>\n";
}

void Svg::begin_group(std::string_view attributes) {
    m_out.append("<g ").append(attributes).append(">\n");
}

void Svg::end_group() { m_out += "</g>\n"; }

std::string Svg::finish() { return m_out + "</svg>\n"; }

}  // namespace fortros::meshsim
