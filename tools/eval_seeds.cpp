#include "tools/eval_seeds.h"

#include "finer/core/error.h"
#include "finer/core/quote.h"
#include "finer/eval/text_table.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <string>

namespace finer::cli {

namespace {

namespace fs = std::filesystem;

// A row's name, its EM in each evaluation, and the lowest lower bound (over concepts) of these.
struct Row {
  std::array<std::string, 4> name;
  std::vector<double> means;
  double lowest_bound = 1;
};

struct Rows {
  std::vector<Row> rows;
  std::map<std::array<std::string, 4>, size_t> places;

  Row& at(const std::array<std::string, 4>& name) {
    const auto [place, is_new] = places.emplace(name, rows.size());
    if (is_new) rows.push_back({name, {}});
    return rows[place->second];
  }
};

// Two-sided 95 % of Student's t; more than 30 evaluations: the normal's.
double t_quantile(size_t degrees) {
  static constexpr double kTable[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306,
                                      2.262,  2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
                                      2.110,  2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064,
                                      2.060,  2.056, 2.052, 2.048, 2.045, 2.042};
  return degrees == 0 ? 0 : degrees <= std::size(kTable) ? kTable[degrees - 1] : 1.960;
}

nlohmann::json read_results(const fs::path& evaluation) {
  const fs::path file = evaluation / "results.json";
  std::ifstream in(file);
  if (!in) {
    throw DataError(quote(file.string()) +
                    ": cannot be read; expected the output folder of finer-eval RECIPE");
  }
  auto json = nlohmann::json::parse(in, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) throw DataError(quote(file.string()) + ": is not a JSON object");
  return json;
}

void add_rows(const fs::path& evaluation, const nlohmann::json& list, bool is_difference,
              Rows& rows) {
  try {
    for (const auto& entry : list) {
      const std::string model = entry.at("model");
      auto& row = rows.at(
          {entry.at("set"), entry.at("level"),
           is_difference ? model + " less " + entry.at("other_model").get<std::string>() : model,
           entry.at("condition")});
      row.means.push_back(entry.at("em").at("mean"));
      row.lowest_bound = std::min(row.lowest_bound, entry.at("em").at("low").get<double>());
    }
  } catch (const nlohmann::json::exception& error) {
    throw DataError(quote((evaluation / "results.json").string()) +
                    ": is not a result of finer-eval: " + error.what());
  }
}

std::string percent(double share) {
  char text[16];
  std::snprintf(text, sizeof text, "%.1f", share * 100);
  return text;
}

void print(const char* title, const Rows& rows, size_t num_evaluations) {
  std::vector<std::vector<std::string>> lines = {
      {"set", "level", title, "asked", "EM", "95% over seeds", "lowest", "highest"}};
  for (const auto& row : rows.rows) {
    double mean = 0, spread = 0;
    for (const double x : row.means) mean += x / static_cast<double>(row.means.size());
    for (const double x : row.means) spread += (x - mean) * (x - mean);
    const auto n = static_cast<double>(row.means.size());
    const double half = row.means.size() < 2
                            ? 0
                            : t_quantile(row.means.size() - 1) * std::sqrt(spread / (n - 1) / n);
    const auto [low, high] = std::minmax_element(row.means.begin(), row.means.end());
    lines.push_back({row.name[0], row.name[1], row.name[2], row.name[3], percent(mean),
                     "[" + percent(mean - half) + ", " + percent(mean + half) + "]", percent(*low),
                     percent(*high)});
  }
  std::cout << text_table(lines, {false, false, false, false, true, true, true, true});
  std::cout << "(" << num_evaluations << " evaluations)\n";
}

}  // namespace

void summarise_seeds(const std::vector<fs::path>& evaluations) {
  Rows rows, differences;
  for (const auto& evaluation : evaluations) {
    const auto json = read_results(evaluation);
    add_rows(evaluation, json.value("rows", nlohmann::json::array()), false, rows);
    add_rows(evaluation, json.value("differences", nlohmann::json::array()), true, differences);
    for (const Rows* kind : {&rows, &differences}) {
      for (const auto& row : kind->rows) {
        const auto expected = static_cast<size_t>(&evaluation - evaluations.data()) + 1;
        if (row.means.size() == expected) continue;
        throw DataError(quote((evaluation / "results.json").string()) +
                        ": has no row or an other number of rows \"" + row.name[2] + "\" about \"" +
                        row.name[0] + "\"; expected evaluations of one recipe");
      }
    }
  }
  print("model", rows, evaluations.size());
  if (differences.rows.empty()) return;
  std::cout << "\n";
  print("difference", differences, evaluations.size());
  for (const auto& row : differences.rows) {
    if (row.name[1] != "fine") continue;
    std::cout << row.name[2] << ", " << row.name[0]
              << ": the lowest bound of any seed's 95% interval over concepts is "
              << percent(row.lowest_bound) << "\n";
  }
}

}  // namespace finer::cli
