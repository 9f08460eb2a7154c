#include "finer/io/checked_json.h"

#include "finer/core/error.h"
#include "finer/core/quote.h"

#include <unordered_set>
#include <vector>

namespace finer {

nlohmann::json parse_checked_json(const std::string& where, std::string_view text) {
  using Event = nlohmann::json::parse_event_t;
  constexpr int kMaxDepth = 4;
  constexpr size_t kMaxValues = 4'000'000;
  size_t num_values = 0;
  std::vector<std::unordered_set<std::string>> keys(kMaxDepth + 2);

  const auto check = [&](int depth, Event event, nlohmann::json& parsed) {
    if (depth > kMaxDepth) throw CheckpointError(where + ": is nested too deep");
    if (++num_values > kMaxValues) throw CheckpointError(where + ": holds too many values");
    const auto level = static_cast<size_t>(depth);
    if (event == Event::object_start) keys[level + 1].clear();
    if (event == Event::key && !keys[level].insert(parsed.get<std::string>()).second) {
      throw CheckpointError(where + ": names " + quote(parsed.get<std::string>()) + " twice");
    }
    return true;
  };
  try {
    return nlohmann::json::parse(text.begin(), text.end(), check);
  } catch (const nlohmann::json::exception& error) {
    throw CheckpointError(where + ": is not valid JSON: " + quote(error.what()));
  }
}

}  // namespace finer
