#include "data/loader.h"

#include "finer/core/error.h"
#include "tests/data/small_world.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <thread>

namespace finer::data {

namespace {

using Steps = std::vector<StepBatch>;

// Two sets on disk, a source over them, and loaders of any shape.
struct World {
  explicit World(const std::function<void(DataConfig&)>& change = {}) {
    SetConfig birds;
    birds.path = scratch.write("birds.jsonl", many_records(scratch, "b", 20)).string();
    birds.weight = 1.5;
    SetConfig texts;
    texts.path =
        scratch
            .write("texts.json", "[" + record_text("t0", "", "What?", "A blue jay.") + "," +
                                     record_text("t1", "", "What?", "A rosella.") + "]")
            .string();
    texts.loss_weight = 0.5;
    config.sets = {birds, texts};
    batch.samples = 7;
    batch.device_tokens = 200;
    if (change) change(config);
    source = std::make_unique<SampleSource>(config, tokenizer, small_spec());
  }

  Sampler sampler(uint64_t seed = 1) const {
    return {source->sizes(), source->weights(), seed, config.shuffle, source->groups()};
  }

  Loader loader(int64_t workers, int64_t prefetch_steps, int64_t last, int64_t step = 0,
                int64_t first = 0, LoaderCounts counts = {}, RankShare share = {}) const {
    DataConfig changed = config;
    changed.workers = workers;
    changed.prefetch_steps = prefetch_steps;
    return {*source, sampler(), changed, batch, step, first, last, counts, share};
  }

  Scratch scratch;
  Tokenizer tokenizer = small_tokenizer();
  DataConfig config;
  BatchConfig batch;
  std::unique_ptr<SampleSource> source;
};

Steps all_steps(Loader&& loader) {
  Steps steps;
  while (auto step = loader.next()) steps.push_back(std::move(*step));
  return steps;
}

void check_equal(const Steps& one, const Steps& two) {
  REQUIRE(one.size() == two.size());
  for (size_t s = 0; s < one.size(); ++s) {
    INFO("step " << s);
    const StepBatch &a = one[s], &b = two[s];
    CHECK(a.step == b.step);
    CHECK(a.first_position == b.first_position);
    CHECK(a.next_position == b.next_position);
    CHECK(a.num_samples == b.num_samples);
    CHECK(a.num_tokens == b.num_tokens);
    CHECK(a.label_weight == b.label_weight);
    CHECK(a.counts.samples == b.counts.samples);
    CHECK(a.counts.cut == b.counts.cut);
    CHECK(a.counts.bad_records == b.counts.bad_records);
    REQUIRE(a.passes.size() == b.passes.size());
    for (size_t p = 0; p < a.passes.size(); ++p) {
      CHECK(a.passes[p].input_ids == b.passes[p].input_ids);
      CHECK(a.passes[p].labels == b.passes[p].labels);
      CHECK(a.passes[p].bounds == b.passes[p].bounds);
      CHECK(a.passes[p].image_slots == b.passes[p].image_slots);
      CHECK(a.passes[p].pixels == b.passes[p].pixels);
      CHECK(a.passes[p].ids == b.passes[p].ids);
    }
  }
}

std::vector<std::string> ids_of(const Steps& steps) {
  std::vector<std::string> ids;
  for (const auto& step : steps) {
    for (const auto& pass : step.passes) ids.insert(ids.end(), pass.ids.begin(), pass.ids.end());
  }
  return ids;
}

}  // namespace

TEST_CASE("steps hold the sampler's samples, in order, and end with the epoch", "[data]") {
  const World world;
  REQUIRE(world.sampler().epoch_size() == 32);
  const Steps steps = all_steps(world.loader(2, 2, 50));
  std::vector<std::pair<int64_t, int64_t>> spans;
  for (const auto& step : steps) spans.emplace_back(step.first_position, step.next_position);
  const std::vector<std::pair<int64_t, int64_t>> expected = {
      {0, 7}, {7, 14}, {14, 21}, {21, 28}, {28, 32}, {32, 39}, {39, 46}, {46, 50}};
  CHECK(spans == expected);
  Sampler sampler = world.sampler();
  std::vector<std::string> ids;
  for (int64_t position = 0; position < 50; ++position) {
    const SampleRef ref = sampler.at(position);
    ids.push_back((ref.set == 0 ? "b" : "t") + std::to_string(ref.index));
  }
  CHECK(ids_of(steps) == ids);
  CHECK(steps.back().counts.samples == 50);
  CHECK(steps.back().step == 7);
}

TEST_CASE("a step's passes respect the token limit, and its sums are its passes'", "[data]") {
  const World world;
  size_t num_passes = 0;
  for (const auto& step : all_steps(world.loader(0, 1, 32))) {
    int64_t tokens = 0, targets = 0, samples = 0;
    double weight = 0;
    for (const auto& pass : step.passes) {
      CHECK((pass.num_tokens() <= world.batch.device_tokens || pass.num_sequences() == 1));
      CHECK(pass.pixels.size() == static_cast<size_t>(pass.num_images) * 3 * 8 * 8);
      CHECK(pass.image_slots.size() == static_cast<size_t>(pass.num_images) * 4);
      tokens += pass.num_tokens();
      samples += pass.num_sequences();
      for (int64_t s = 0; s < pass.num_sequences(); ++s) {
        const auto at = static_cast<size_t>(s);
        int64_t own = 0;
        for (int32_t t = pass.bounds[at] + 1; t < pass.bounds[at + 1]; ++t) {
          own += pass.labels[static_cast<size_t>(t)] != kIgnoreLabel;
        }
        targets += own;
        weight += static_cast<double>(own) * (pass.refs[at].set == 1 ? 0.5 : 1.0);
      }
      ++num_passes;
    }
    CHECK(tokens == step.num_tokens);
    CHECK(samples == step.num_samples);
    CHECK(targets == step.num_label_tokens);
    CHECK(weight == step.label_weight);
    CHECK(targets > 0);
  }
  CHECK(num_passes > 5);
}

TEST_CASE("the number of workers and of steps ahead changes nothing", "[data]") {
  const World world;
  const Steps alone = all_steps(world.loader(0, 1, 100));
  for (const int64_t workers : {1, 2, 5}) {
    for (const int64_t prefetch : {1, 2, 9})
      check_equal(all_steps(world.loader(workers, prefetch, 100)), alone);
  }
}

TEST_CASE("a loader that starts at a cursor goes on as an unbroken one", "[data]") {
  const World world;
  const Steps whole = all_steps(world.loader(2, 2, 70));
  for (size_t cut = 0; cut < whole.size(); ++cut) {
    const StepBatch& last = whole[cut];
    const Steps rest =
        all_steps(world.loader(2, 2, 70, last.step + 1, last.next_position, last.counts));
    check_equal(rest, Steps(whole.begin() + static_cast<int64_t>(cut) + 1, whole.end()));
  }
}

TEST_CASE("a loader may be destroyed at any moment", "[data]") {
  const World world;
  for (int round = 0; round < 60; ++round) {
    Loader loader = world.loader(1 + round % 4, 1 + round % 3, 1000);
    for (int taken = 0; taken < round % 5; ++taken) REQUIRE(loader.next().has_value());
    if (round % 2) std::this_thread::sleep_for(std::chrono::microseconds(50 * round));
  }
  CHECK_FALSE(world.loader(3, 2, 0).next().has_value());
}

// Seen from outside by taking a picture away: a step that was prepared before does not miss it.
TEST_CASE("prefetch_steps steps are prepared ahead, and no more", "[data]") {
  World world([](DataConfig& config) { config.shuffle = false; });
  const auto picture = world.scratch.root() / "pictures/3.bmp";
  const auto hidden = world.scratch.root() / "hidden.bmp";
  world.batch.samples = 1;  // record 3 is the fourth step
  const auto steps_without_it = [&](Loader& loader) {
    std::filesystem::rename(picture, hidden);
    int steps = 0;
    try {
      while (steps < 6 && loader.next()) ++steps;
    } catch (const DataError&) {
    }
    std::filesystem::rename(hidden, picture);
    return steps;
  };
  for (int round = 0; round < 20; ++round) {
    Loader near = world.loader(2, 3, 32);
    if (round % 2) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    REQUIRE(steps_without_it(near) == 3);
  }
  int steps = 0;
  for (int wait_ms = 10; steps < 6 && wait_ms < 5000;
       wait_ms *= 2) {  // until the machine is quick enough
    Loader far = world.loader(2, 4, 32);
    std::this_thread::sleep_for(std::chrono::milliseconds(wait_ms));
    steps = steps_without_it(far);
    if (steps > 3) break;
  }
  CHECK(steps > 3);
}

TEST_CASE("a set may have a conversation template of its own", "[data]") {
  const World world([](DataConfig& config) { config.sets[1].conversation = "vicuna_v1_bare"; });
  CHECK(world.source->conversation({0, 0}) == ConversationKind::kVicunaV1);
  CHECK(world.source->conversation({1, 0}) == ConversationKind::kVicunaV1Bare);
  const World same;
  const auto length = [](const World& of, int32_t set) {
    return of.source->prepare({set, 0}).sample.input_ids.size();
  };
  CHECK(length(world, 0) == length(same, 0));
  CHECK(length(world, 1) < length(same, 1));
}

// Four records a picture, eight pictures, and a picture of one record.
struct Grouped : World {
  explicit Grouped(const std::function<void(DataConfig&)>& change = {}) : World() {
    std::string lines;
    for (int i = 0; i < 33; ++i) {
      const std::string image = "grouped/" + std::to_string(i / 4) + ".bmp";
      scratch.write(image, bmp_bytes(8, static_cast<unsigned char>(20 * (i / 4))));
      lines += record_text("g" + std::to_string(i), image, "What bird is it?",
                           "Number " + std::to_string(i) + ".") +
               "\n";
    }
    config.sets[0].path = scratch.write("grouped.jsonl", lines).string();
    config.sets[0].weight = 1;
    config.picture_group = 4;
    batch.samples = 12;
    batch.device_tokens = 2000;
    if (change) change(config);
    source = std::make_unique<SampleSource>(config, tokenizer, small_spec());
  }
};

TEST_CASE("records of one picture stay together, and a pass holds the picture once", "[data]") {
  const Grouped world;
  Grouped alone;  // the same order, and every sample with its picture
  alone.batch.share_prefix = false;
  const Steps steps = all_steps(world.loader(2, 2, 70)), apart = all_steps(alone.loader(2, 2, 70));
  REQUIRE(steps.size() == apart.size());
  int64_t pictures = 0, most = 0, shared = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    CHECK(ids_of({steps[i]}) == ids_of({apart[i]}));
    CHECK(steps[i].num_tokens == apart[i].num_tokens);
    CHECK(steps[i].label_weight == apart[i].label_weight);
    for (const auto& pass : steps[i].passes) {
      pictures += pass.num_images;
      CHECK(pass.pixels.size() == static_cast<size_t>(pass.num_images) * 3 * 8 * 8);
      CHECK(pass.image_slots.size() == static_cast<size_t>(pass.num_images) * 4);
      for (const int64_t n : pass.shared) shared += n;
    }
    for (const auto& pass : apart[i].passes) {
      most += pass.num_images;
      CHECK(pass.shared.empty());
    }
  }
  CHECK(most == 66);
  CHECK(pictures <= 18 + 6);  // 18 groups, at most one in two steps at each of the steps' ends
  CHECK(shared > 600);
}

TEST_CASE("of several ranks one has all of a group, and together they have every sample",
          "[data]") {
  const Grouped world;
  std::vector<std::string> seen;
  for (int rank = 0; rank < 2; ++rank) {
    const Steps steps = all_steps(world.loader(2, 2, 35, 0, 0, {}, {rank, 2}));
    for (const auto& step : steps) {
      CHECK(step.num_samples >= 3);
      for (const auto& pass : step.passes) {
        for (const auto& ref : pass.refs)
          seen.push_back(std::to_string(step.step) + " " + std::to_string(ref.set) + " " +
                         std::to_string(ref.set == 0 ? ref.index / 4 : ref.index) + " " +
                         std::to_string(rank));
      }
    }
  }
  CHECK(seen.size() == 35);
  std::map<std::string, std::set<std::string>> ranks;  // group of a step -> ranks
  for (const auto& text : seen) ranks[text.substr(0, text.rfind(' '))].insert(text);
  for (const auto& [group, found] : ranks) CHECK(found.size() == 1);
}

TEST_CASE("a group is parted where it would leave a rank with nothing", "[data]") {
  Grouped world([](DataConfig& config) {
    config.shuffle = false;
    config.sets.pop_back();
  });
  world.batch.samples = 8;  // two pictures
  for (int rank = 0; rank < 4; ++rank) {
    const Steps steps = all_steps(world.loader(1, 1, 32, 0, 0, {}, {rank, 4}));
    REQUIRE(steps.size() == 4);
    for (const auto& step : steps) {
      REQUIRE(step.num_samples == 2);
      CHECK(step.passes.size() == 1);
      CHECK(step.passes[0].num_images == 1);
    }
  }
}

TEST_CASE("a picture whose first sample is left out comes with the next one", "[data]") {
  Grouped world([](DataConfig& config) {
    config.shuffle = false;
    config.sets.pop_back();
    config.on_bad_record = "skip";
    config.zero_label = "drop";
  });
  // the first two records of each picture are lost: one has no answer, the other none that is read
  auto lines = std::string();
  for (int i = 0; i < 8; ++i) {
    const std::string image = i == 6 ? "grouped/none.bmp" : "grouped/0.bmp";
    lines += (i == 1 ? "{\"image\": \"" + image + "\", \"conversations\": 3}"
                     : record_text("g" + std::to_string(i), image, "What bird is it?",
                                   i == 0 ? "" : "Number.")) +
             "\n";
  }
  world.config.sets[0].path = world.scratch.write("lost.jsonl", lines).string();
  world.source = std::make_unique<SampleSource>(world.config, world.tokenizer, small_spec());
  const Steps steps = all_steps(world.loader(1, 1, 8));
  REQUIRE(steps.size() == 1);
  const auto ids = ids_of(steps);
  CHECK(std::find(ids.begin(), ids.end(), "g2") != ids.end());
  CHECK(steps[0].counts.bad_records >= 2);  // the broken record and the picture that is not there
  for (const auto& pass : steps[0].passes)
    CHECK(pass.pixels.size() == static_cast<size_t>(pass.num_images) * 3 * 8 * 8);

  // a picture that is seen to be broken only when it is read: all of its samples are left out
  std::filesystem::remove(world.scratch.root() / "grouped/0.bmp");
  world.scratch.write("grouped/0.bmp", bmp_bytes(8, 1).substr(0, 60));
  const Steps broken = all_steps(world.loader(1, 1, 8));
  CHECK(broken[0].passes.empty());
  CHECK(broken[0].counts.bad_records + broken[0].counts.dropped_zero_label == 8);
}

TEST_CASE("a picture that is missing or broken is named with file, record, id and path", "[data]") {
  World world([](DataConfig& config) { config.shuffle = false; });
  const auto picture = world.scratch.root() / "pictures/3.bmp";
  const std::string file = world.config.sets[0].path;
  world.scratch.write("pictures/3.bmp", "not a picture");
  world.scratch.write("pictures/4.bmp", "not a picture either");
  for (const int64_t workers : {0, 1, 4}) {
    world.batch.samples = 2;
    Loader loader = world.loader(workers, 3, 32);
    REQUIRE(loader.next()->num_samples == 2);  // the step before the fault
    const std::string message = thrown<DataError>([&] { loader.next(); });
    CHECK_THAT(message, Catch::StartsWith(file + ": record 3 (id \"b3\"): picture ") &&
                            Catch::Contains(picture.string()));
    CHECK(thrown<DataError>([&] { loader.next(); }) == message);
    // Of two faults in one step, the first in order.
    world.batch.samples = 7;
    CHECK(thrown<DataError>([&] { world.loader(workers, 3, 32).next(); }) == message);
  }
  std::filesystem::remove(picture);
  CHECK_THAT(thrown<DataError>([&] {
               world.source->prepare({0, 3});
             }),
             Catch::Contains(picture.string()));
  CHECK_THAT(thrown<DataError>([&] {
               world.source->prepare({0, 3}, false);
             }),
             Catch::Contains(picture.string()));
}

TEST_CASE("bad records are skipped and counted up to their cap", "[data]") {
  World world([](DataConfig& config) {
    config.on_bad_record = "skip";
    config.max_bad_records = 3;
    config.shuffle = false;
    config.sets[0].weight = 1;
  });
  std::filesystem::remove(world.scratch.root() /
                          "pictures/3.bmp");  // records 3, 13, 18; 8 has none
  for (const int64_t workers : {0, 3}) {
    const Steps steps = all_steps(world.loader(workers, 2, 22));
    CHECK(steps.back().counts.bad_records == 3);
    CHECK(steps.back().counts.samples == 19);
    CHECK(steps.front().num_samples == 6);
    CHECK(steps.front().counts.bad_records == 1);
    auto ids = ids_of(steps);
    CHECK(std::find(ids.begin(), ids.end(), "b13") == ids.end());
    CHECK(ids.size() == 19);

    Loader loader = world.loader(workers, 2, 44);
    const std::string message = thrown<DataError>([&] {
      while (loader.next()) {
      }
    });
    CHECK_THAT(
        message,
        Catch::StartsWith("data.max_bad_records: more than 3 records were skipped; the last one: " +
                          world.config.sets[0].path + ": record 3 (id \"b3\"): picture "));
    LoaderCounts before;
    before.bad_records = 3;  // of a checkpoint: the cap holds for the whole run
    Loader resumed = world.loader(workers, 2, 22, 0, 0, before);
    CHECK_THROWS_AS(resumed.next(), DataError);
  }
}

TEST_CASE("a step that loses all of its samples has no passes and keeps its place", "[data]") {
  World world([](DataConfig& config) {
    config.over_length = "drop";
    config.max_tokens = 20;
    config.shuffle = false;
  });
  const Steps steps = all_steps(world.loader(2, 2, 32));
  REQUIRE(steps.size() == 5);
  CHECK(steps[0].passes.empty());
  CHECK(steps[0].num_samples == 0);
  CHECK(steps[0].label_weight == 0);
  CHECK(steps[0].next_position == 7);
  CHECK(steps[4].counts.dropped_over_length == 32);
  CHECK(steps[4].counts.samples == 0);
}

TEST_CASE("cut samples are counted, and one without a target left follows zero_label", "[data]") {
  const auto change = [](const std::string& zero_label, const std::string& bad = "stop") {
    return [=](DataConfig& config) {
      config.sets.pop_back();
      config.shuffle = false;
      config.zero_label = zero_label;
      config.on_bad_record = bad;
    };
  };
  const World open(change("error"));
  const auto full = open.source->prepare({0, 5});  // no picture, a long answer
  REQUIRE(full.outcome == SampleSource::Outcome::kReady);
  CHECK_FALSE(full.was_cut);
  const auto length = static_cast<int64_t>(full.sample.input_ids.size());
  const int64_t targets = full.sample.num_label_tokens;
  const auto limited = [&](int64_t max_tokens, const std::string& zero_label,
                           const std::string& bad = "stop") {
    return std::make_unique<World>([=](DataConfig& config) {
      change(zero_label, bad)(config);
      config.max_tokens = max_tokens;
    });
  };
  const auto some = limited(length - 1, "error");
  const auto cut = some->source->prepare({0, 5});
  CHECK(cut.was_cut);
  CHECK(cut.sample.num_label_tokens == targets - 1);

  const int64_t none = length - targets;
  const auto stops = limited(none, "error");
  CHECK(thrown<DataError>([&] {
          stops->source->prepare({0, 5});
        }) == stops->config.sets[0].path +
                  ": record 5 (id \"b5\"): has no target token left after cutting " +
                  std::to_string(length) + " tokens to " + std::to_string(none) +
                  "; raise data.max_tokens, or set data.zero_label to drop or allow");
  CHECK(limited(none, "drop")->source->prepare({0, 5}).outcome ==
        SampleSource::Outcome::kZeroLabel);
  const auto allowed = limited(none, "allow")->source->prepare({0, 5});
  CHECK(allowed.outcome == SampleSource::Outcome::kReady);
  CHECK(allowed.sample.num_label_tokens == 0);
  const auto skipped = limited(none, "error", "skip")->source->prepare({0, 5});
  CHECK(skipped.outcome == SampleSource::Outcome::kBad);
  CHECK_THAT(skipped.reason, Catch::Contains("record 5 (id \"b5\"): has no target token left"));
}

TEST_CASE("pixels and positions are those of the sample's own picture", "[data]") {
  const World world;
  const auto prepared = world.source->prepare({0, 4});  // grey 160
  const auto& sample = prepared.sample;
  REQUIRE(sample.pixels.size() == 3 * 8 * 8);
  const auto& spec = small_spec().preprocess;
  for (size_t channel = 0; channel < 3; ++channel) {
    const double expected = (160.0 / 255.0 - spec.mean[channel]) / spec.std[channel];
    CHECK(std::abs(static_cast<double>(sample.pixels[channel * 64 + 13]) - expected) < 1e-5);
  }
  CHECK(sample.image_positions == 4);
  CHECK(sample.input_ids[static_cast<size_t>(sample.image_begin)] == 0);
  const auto light = world.source->prepare({0, 4}, false);
  CHECK(light.sample.pixels.empty());
  CHECK(light.sample.input_ids == sample.input_ids);
}

TEST_CASE("faults of a set are named by key or path before anything is read", "[data]") {
  const auto refused = [](const std::function<void(DataConfig&)>& change) {
    return thrown<Error>([&] { World world(change); });
  };
  CHECK_THAT(refused([](DataConfig& c) { c.sets[1].path = "missing.json"; }),
             Catch::StartsWith("missing.json: cannot be opened: "));
  CHECK(refused([](DataConfig& c) { c.sets[1].images = "missing"; }) ==
        "data.sets[1].images: \"missing\" is not a folder");
  CHECK(refused([](DataConfig& c) {
          c.sets[0].loss_weight = -1;
        }).find("data.sets[0].loss_weight: -1") == 0);
  CHECK(refused([](DataConfig& c) { c.sets.clear(); }) ==
        "data.sets: is empty; expected at least one set");
  CHECK(refused([](DataConfig& c) { c.zero_label = "eror"; }) ==
        "data.zero_label: \"eror\" is not known; did you mean \"error\"?");
  CHECK_THAT(refused([](DataConfig& c) { c.conversation = "vicuna"; }), Catch::Contains("vicuna"));
  CHECK_THAT(refused([](DataConfig& c) { c.image_aspect = "padd"; }), Catch::Contains("pad"));
}

TEST_CASE("a set's pictures are looked for in its images folder, else beside its file", "[data]") {
  World world;
  const Scratch elsewhere;
  elsewhere.write("pictures/0.bmp", bmp_bytes(8, 9));
  DataConfig config = world.config;
  config.sets[0].images = elsewhere.root().string();
  const SampleSource source(config, world.tokenizer, small_spec());
  const Sample sample = source.record({0, 0});
  CHECK(source.image_path({0, 0}, sample) == elsewhere.root() / "pictures/0.bmp");
  CHECK(world.source->image_path({0, 0}, sample) == world.scratch.root() / "pictures/0.bmp");
  Sample hostile = sample;
  hostile.image = "../../etc/passwd";
  CHECK_THAT(thrown<DataError>([&] {
               source.image_path({0, 0}, hostile);
             }),
             Catch::StartsWith(config.sets[0].path +
                               ": record 0 (id \"b0\"): image \"../../etc/passwd\" has \"..\""));
}

TEST_CASE("settings that give pixels of another size are refused", "[data]") {
  const World world;
  InputSpec spec = small_spec();
  spec.image_side_px = 16;
  const SampleSource source(world.config, world.tokenizer, spec);
  CHECK_THAT(thrown<DataError>([&] { source.prepare({0, 0}); }), Catch::Contains("3 x 16 x 16"));
}

}  // namespace finer::data
