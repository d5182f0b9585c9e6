#include "meshsim/geography.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace fortros::meshsim {

static constexpr City all_cities[] = {
    {"Frankfurt", 50.1, 8.7, 10},   {"Virginia", 39.0, -77.5, 10},
    {"Singapore", 1.3, 103.8, 7},   {"London", 51.5, -0.1, 8},
    {"Oregon", 45.8, -119.7, 7},    {"Tokyo", 35.7, 139.7, 7},
    {"Mumbai", 19.1, 72.9, 6},      {"Sydney", -33.9, 151.2, 4},
    {"Sao Paulo", -23.5, -46.6, 5}, {"Paris", 48.9, 2.4, 6},
    {"Dallas", 32.8, -96.8, 5},     {"Stockholm", 59.3, 18.1, 3},
    {"Milan", 45.5, 9.2, 3},        {"Toronto", 43.7, -79.4, 3},
    {"Dubai", 25.2, 55.3, 3},       {"Johannesburg", -26.2, 28.0, 2},
    {"Seoul", 37.6, 127.0, 4},      {"Warsaw", 52.2, 21.0, 3},
    {"Madrid", 40.4, -3.7, 3},      {"Los Angeles", 34.1, -118.2, 5},
};

std::span<const City> cities() { return all_cities; }

static double radians(double degrees) { return degrees * std::numbers::pi / 180; }

double great_circle_km(Place a, Place b) {
    constexpr double earth_radius_km = 6371;
    const double rise = std::sin(radians(b.latitude - a.latitude) / 2);
    const double run = std::sin(radians(b.longitude - a.longitude) / 2);
    const double h =
        rise * rise + std::cos(radians(a.latitude)) * std::cos(radians(b.latitude)) * run * run;
    return 2 * earth_radius_km * std::asin(std::min(1.0, std::sqrt(h)));
}

double fibre_rtt_ms(double km, double detour) {
    constexpr double km_per_ms = 200;  // light in glass
    return 2 * km * detour / km_per_ms;
}

}  // namespace fortros::meshsim
