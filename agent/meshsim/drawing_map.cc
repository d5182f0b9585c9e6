#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "meshsim/drawing.h"
#include "meshsim/quality.h"
#include "meshsim/svg.h"

namespace fortros::meshsim {

namespace {

constexpr double width = 1600;
constexpr double height = 900;
constexpr double margin = 70;
constexpr double top = 80;
constexpr double bottom = 110;
constexpr std::size_t pairs_drawn_limit = 5000;
constexpr std::string_view paper = "#fbfaf6";
constexpr std::string_view kind_colours[] = {"#2f5d8a", "#3f8f6b", "#c98b2b", "#b5548c"};

class Map {
public:
    Map(const Simulation& simulation, const std::string& title)
        : m_simulation(simulation),
          m_world(simulation.world()),
          m_title(title),
          m_svg(width, height, paper) {}

    std::string draw() {
        place_sites();
        graticule();
        links();
        sites();
        lighthouses();
        names();
        legend();
        return m_svg.finish();
    }

private:
    // Equirectangular, cut to the regions that there are.
    void place_sites() {
        double west = 180, east = -180, south = 90, north = -90;
        for (const auto& region : m_world.regions) {
            west = std::min(west, region.city->longitude - 12);
            east = std::max(east, region.city->longitude + 12);
            south = std::min(south, region.city->latitude - 10);
            north = std::max(north, region.city->latitude + 10);
        }
        const double scale = std::min((width - 2 * margin) / (east - west),
                                      (height - top - bottom) / (north - south));
        m_scale = scale;
        m_west = west - ((width - 2 * margin) / scale - (east - west)) / 2;
        m_north = north + ((height - top - bottom) / scale - (north - south)) / 2;
        m_places.resize(m_world.sites.size());
        for (const auto& region : m_world.regions) {
            const Point city = on_paper({region.city->latitude, region.city->longitude});
            m_cities.push_back(city);
            // As a sunflower's seeds: evenly around the city, the largest sites in the middle.
            auto order = region.sites;
            std::ranges::stable_sort(order, [&](SiteId a, SiteId b) {
                return m_world.sites[a].count > m_world.sites[b].count;
            });
            const double step =
                std::min(7.0, 75 / std::sqrt(1.0 + static_cast<double>(order.size())));
            for (std::size_t i = 0; i < order.size(); ++i) {
                const double angle =
                    static_cast<double>(i) * std::numbers::pi * (3 - std::sqrt(5.0));
                const double radius = step * std::sqrt(static_cast<double>(i));
                m_places[order[i]] = {city.x + radius * std::cos(angle),
                                      city.y + radius * std::sin(angle)};
            }
        }
    }

    Point on_paper(Place place) const {
        return {margin + (place.longitude - m_west) * m_scale,
                top + (m_north - place.latitude) * m_scale};
    }

    void graticule() {
        m_svg.begin_group("stroke='#e4e0d6' stroke-width='1'");
        for (int longitude = -180; longitude <= 180; longitude += 15) {
            const double x = on_paper({0, static_cast<double>(longitude)}).x;
            if (x > margin && x < width - margin) m_svg.line({x, top}, {x, height - bottom}, "");
        }
        for (int latitude = -75; latitude <= 75; latitude += 15) {
            const double y = on_paper({static_cast<double>(latitude), 0}).y;
            if (y > top && y < height - bottom) m_svg.line({margin, y}, {width - margin, y}, "");
        }
        m_svg.end_group();
    }

    // One arc for all links of a pair of sites, thicker for more; of too many pairs every so many.
    void links() {
        std::map<std::pair<SiteId, SiteId>, unsigned> pairs;
        for (NodeId node = 0; node < m_world.nodes.size(); ++node) {
            if (!m_simulation.alive(node) || m_world.relays(node)) continue;
            for (const Tunnel& tunnel : m_simulation.wireguard().tunnels(node)) {
                if (tunnel.peer < node || m_world.relays(tunnel.peer)) continue;
                if (m_world.same_site(node, tunnel.peer) || !m_simulation.linked(node, tunnel.peer))
                    continue;
                const SiteId a = m_world.nodes[node].site;
                const SiteId b = m_world.nodes[tunnel.peer].site;
                ++pairs[std::minmax(a, b)];
                ++m_scored_links;
            }
        }
        const std::size_t stride = 1 + pairs.size() / pairs_drawn_limit;
        const double opacity = pairs.size() > 1500 ? 0.10 : pairs.size() > 400 ? 0.22 : 0.35;
        m_svg.begin_group("fill='none' stroke='#2d6fb3' stroke-opacity='" +
                          std::to_string(opacity) + "'");
        std::size_t number = 0;
        for (const auto& [pair, count] : pairs) {
            if (number++ % stride != 0) continue;
            const double thick = 0.6 + 0.5 * std::log2(static_cast<double>(count));
            m_svg.arc(m_places[pair.first], m_places[pair.second], 0.14,
                      "stroke-width='" + short_number(thick) + "'");
        }
        m_svg.end_group();
    }

    void sites() {
        m_svg.begin_group("stroke='#fbfaf6' stroke-width='0.6'");
        for (SiteId id = 0; id < m_world.sites.size(); ++id) {
            const Site& site = m_world.sites[id];
            NodeId live = 0;
            for (NodeId node = site.first; node < site.first + site.count; ++node)
                if (m_simulation.alive(node)) ++live;
            const auto colour = kind_colours[static_cast<std::size_t>(site.kind)];
            const double radius = 1.6 + 0.75 * std::sqrt(static_cast<double>(site.count));
            m_svg.circle(m_places[id], std::min(radius, 9.0),
                         live > 0 ? "fill='" + std::string(colour) + "'" : "fill='#c9c4b8'");
        }
        m_svg.end_group();
    }

    void lighthouses() {
        for (const NodeId node : m_world.lighthouses) {
            const Point at = m_places[m_world.nodes[node].site];
            const double r = 9;
            m_svg.polygon({{at.x, at.y - r}, {at.x + r, at.y}, {at.x, at.y + r}, {at.x - r, at.y}},
                          m_simulation.alive(node)
                              ? "fill='#f2b632' stroke='#7a4f00' stroke-width='1.4'"
                              : "fill='#ddd' stroke='#888' stroke-width='1.4'");
        }
    }

    // Beside each city, with a halo, so that it can be read over links; moved down where another is.
    void names() {
        std::vector<Point> taken;
        for (std::size_t i = 0; i < m_cities.size(); ++i) {
            double reach = 0;
            for (const SiteId site : m_world.regions[i].sites)
                reach = std::max(reach, m_places[site].y - m_cities[i].y);
            Point at{m_cities[i].x, m_cities[i].y + reach + 20};
            const auto near = [&](Point other) {
                return std::abs(other.x - at.x) < 95 && std::abs(other.y - at.y) < 17;
            };
            while (std::ranges::any_of(taken, near)) at.y += 17;
            taken.push_back(at);
            std::size_t count = 0;
            for (const SiteId site : m_world.regions[i].sites) count += m_world.sites[site].count;
            m_svg.begin_group(
                "stroke='#fbfaf6' stroke-width='4' stroke-linejoin='round' paint-order='stroke'");
            m_svg.text(at, std::string(m_world.regions[i].city->name) + " " + std::to_string(count),
                       {.size = 14, .colour = "#222", .anchor = Anchor::Middle, .bold = true});
            m_svg.end_group();
        }
    }

    void legend() {
        m_svg.text({margin, 42}, m_title, {.size = 24, .colour = "#222", .bold = true});
        const Degrees degrees = measure_degrees(m_simulation);
        m_svg.text({margin, 66},
                   std::to_string(degrees.scored.size()) + " live nodes, " +
                       std::to_string(m_scored_links) + " links between sites; a node has " +
                       short_number(degrees.lan.mean()) + " LAN neighbours, " +
                       short_number(degrees.scored.mean()) + " scored peers and " +
                       short_number(degrees.lighthouses.mean()) + " lighthouses",
                   {.size = 15, .colour = "#555"});
        const double y = height - 52;
        double x = margin;
        const auto entry = [&](std::string_view name, double room) {
            m_svg.text({x + 16, y + 5}, name, {.size = 15});
            x += room;
        };
        for (const SiteKind kind :
             {SiteKind::Datacentre, SiteKind::Office, SiteKind::Home, SiteKind::Cellular}) {
            m_svg.circle(
                {x + 4, y}, 6,
                "fill='" + std::string(kind_colours[static_cast<std::size_t>(kind)]) + "'");
            entry(name_of(kind), 130);
        }
        m_svg.circle({x + 4, y}, 6, "fill='#c9c4b8'");
        entry("nobody lives", 140);
        m_svg.polygon({{x + 4, y - 8}, {x + 12, y}, {x + 4, y + 8}, {x - 4, y}},
                      "fill='#f2b632' stroke='#7a4f00' stroke-width='1.4'");
        entry("lighthouse (a peer of everybody)", 310);
        m_svg.line({x - 16, y}, {x + 10, y}, "stroke='#2d6fb3' stroke-width='2.5'");
        entry("links of two sites", 200);
        m_svg.text({margin, height - 22},
                   "A dot is a site (a LAN, all its nodes linked), its size the number of its "
                   "nodes. Sites "
                   "lie around their region's city, spread out to be seen.",
                   {.size = 13, .colour = "#777"});
    }

    const Simulation& m_simulation;
    const World& m_world;
    std::string m_title;
    Svg m_svg;
    std::vector<Point> m_places;
    std::vector<Point> m_cities;
    double m_scale = 1, m_west = 0, m_north = 0;
    std::size_t m_scored_links = 0;
};

}  // namespace

std::string draw_map(const Simulation& simulation, const std::string& title) {
    return Map(simulation, title).draw();
}

}  // namespace fortros::meshsim
