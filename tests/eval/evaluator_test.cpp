#include "finer/core/error.h"
#include "finer/eval/closed_set.h"
#include "finer/eval/eval_set.h"
#include "finer/eval/picture_ahead.h"
#include "tests/data/scratch.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

namespace {

using finer::Level;

std::string record_line(int64_t idx, const std::string& coarse) {
  return "{\"idx\": " + std::to_string(idx) +
         ", \"basic-level-lbl\": \"Bird\", \"coarse-level-lbl\": [" + coarse +
         "], \"fine-level-lbl\": [\"Owl " + std::to_string(idx % 3) +
         "\"], \"img_path\": \"a.png\", \"metadata\": {}}\n";
}

}  // namespace

TEST_CASE("a larger subset of the same seed holds the smaller one", "[eval]") {
  const auto few = finer::choose_subset(50, 5, 9), more = finer::choose_subset(50, 20, 9);
  CHECK(few.size() == 5);
  CHECK(std::is_sorted(more.begin(), more.end()));
  CHECK(std::includes(more.begin(), more.end(), few.begin(), few.end()));
  CHECK(finer::choose_subset(50, 5, 10) != few);
  CHECK(finer::choose_subset(4, 0, 1) == std::vector<size_t>{0, 1, 2, 3});
  CHECK(finer::choose_subset(4, 9, 1).size() == 4);
}

TEST_CASE("a record without a level that is asked is named", "[eval]") {
  const finer::data::Scratch scratch;
  const auto file = scratch.write(
      "r.jsonl", record_line(0, "\"Owls\"") + record_line(1, "") + record_line(2, "\"Owls\""));
  const finer::EvalSetConfig config{.name = "s", .records = file.string()};
  CHECK(finer::open_eval_set(config, {}, {Level::kFine}).chosen.size() == 3);
  CHECK_THROWS_WITH(finer::open_eval_set(config, {}, {Level::kFine, Level::kCoarse}),
                    Catch::Contains("r.jsonl: idx 1 has no label of level coarse"));
  CHECK_THROWS_WITH(
      finer::open_eval_set({.name = "s", .records = file.string(), .images = "nowhere"}, {}, {}),
      Catch::Contains("nowhere: is no folder"));
}

TEST_CASE("pictures come in order, whoever decodes them, and a fault at its own place", "[eval]") {
  std::vector<std::filesystem::path> paths;
  for (int i = 0; i < 40; ++i) paths.push_back(i % 7 == 3 ? "" : std::to_string(i + 1));
  std::atomic<int> most{0}, given{0};
  const auto read = [&](const std::filesystem::path& path) {
    const int number = std::stoi(path.string());
    std::this_thread::sleep_for(std::chrono::microseconds(number % 5 * 300));
    most = std::max(most.load(), number - given.load());
    if (number == 31) throw finer::DataError("31 is broken");
    finer::Picture picture;
    picture.key = static_cast<uint64_t>(number);
    return picture;
  };
  finer::PictureAhead ahead(paths, read, 3, 6);
  for (int i = 0; i < 40; ++i) {
    if (i == 30) {
      CHECK_THROWS_WITH(ahead.next(), "31 is broken");
    } else {
      CHECK(ahead.next().key == (paths[i].empty() ? 0 : static_cast<uint64_t>(i + 1)));
    }
    given = i + 1;
  }
  CHECK(most <= 8);  // it does not run far ahead of who takes them
  CHECK_THROWS_AS(ahead.next(), std::logic_error);
  finer::PictureAhead left(paths, read, 2, 4);  // ends without being emptied
  left.next();
}

TEST_CASE("a ranked name is right when it is one of the gold labels", "[eval]") {
  CHECK(finer::ranks_gold({"The Red Owl", "Eel"}, 1, {"red owl"}));
  CHECK_FALSE(finer::ranks_gold({"Eel", "Red Owl"}, 1, {"red owl"}));
  CHECK(finer::ranks_gold({"Eel", "Red Owl"}, 5, {"red owl"}));
  CHECK_FALSE(finer::ranks_gold({"Red Owls"}, 5, {"red owl"}));
  CHECK_FALSE(finer::ranks_gold({}, 5, {"red owl"}));
}
