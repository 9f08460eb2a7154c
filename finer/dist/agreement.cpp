#include "finer/dist/agreement.h"

#include "finer/core/error.h"
#include "finer/core/peer_error.h"

#include <nlohmann/json.hpp>

#include <chrono>
#include <sstream>
#include <thread>

namespace finer::dist {

namespace {

using Json = nlohmann::json;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) out.push_back(line);
  return out;
}

std::string to_json(const std::vector<Fact>& facts) {
  Json json = Json::array();
  for (const auto& fact : facts) json.push_back({fact.name, fact.text});
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::vector<Fact> from_json(const std::string& text) {
  std::vector<Fact> out;
  for (const auto& item : Json::parse(text))
    out.push_back({item.at(0).get<std::string>(), item.at(1).get<std::string>()});
  return out;
}

std::string shown(const std::vector<std::string>& lines, size_t i) {
  return i < lines.size() ? "\"" + lines[i] + "\"" : "nothing";
}

}  // namespace

std::string difference(const std::vector<Fact>& first, const std::vector<Fact>& other) {
  for (size_t f = 0; f < std::max(first.size(), other.size()); ++f) {
    if (f >= first.size() || f >= other.size() || first[f].name != other[f].name)
      return "another kind of finer is running there";
    if (first[f].text == other[f].text) continue;
    const auto was = lines_of(first[f].text), is = lines_of(other[f].text);
    size_t i = 0;
    while (i < was.size() && i < is.size() && was[i] == is[i]) ++i;
    return first[f].name + ": it has " + shown(is, i) + ", rank 0 " + shown(was, i);
  }
  return "";
}

std::string wait_for(ProcessGroup& group, const std::string& key) {
  for (;;) {
    if (const auto value = group.store().get(key)) return *value;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the watch ends what never comes
  }
}

std::string from_first(ProcessGroup& group, const std::string& key, const std::string& own) {
  if (group.rank() == 0) {
    group.store().set(key, own);
    return own;
  }
  return wait_for(group, key);
}

void agree(ProcessGroup& group, const std::string& stage, const std::vector<Fact>& own) {
  const auto key = [&](int rank) { return stage + "/" + std::to_string(rank); };
  if (group.rank() != 0) {
    group.store().set(key(group.rank()), to_json(own));
    const auto verdict = wait_for(group, stage + "/verdict");
    group.store().set(stage + "/read/" + std::to_string(group.rank()), "1");
    if (!verdict.empty()) throw ReportedError(2, verdict);
    return;
  }
  std::string verdict;
  for (int r = 1; r < group.size() && verdict.empty(); ++r) {
    const auto found = difference(own, from_json(wait_for(group, key(r))));
    if (found.empty()) continue;
    const auto& hosts = group.hosts();
    verdict = "rank " + std::to_string(r) + " (" + hosts[static_cast<size_t>(r)] +
              ") differs from rank 0 (" + hosts[0] + "): " + found +
              "; start all ranks with the same program, recipe and files";
  }
  group.store().set(stage + "/verdict", verdict);
  if (verdict.empty()) return;
  // This rank may hold the store: it ends when the others have read why.
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(3);
  for (int r = 1; r < group.size(); ++r) {
    while (!group.store().get(stage + "/read/" + std::to_string(r)) &&
           std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  throw ConfigError(verdict);
}

}  // namespace finer::dist
