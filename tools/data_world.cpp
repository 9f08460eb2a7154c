#include "tools/data_world.h"

#include "data/world/leaks.h"
#include "data/world/picture.h"
#include "data/world/png_file.h"
#include "data/world/sheet.h"
#include "data/world/world.h"
#include "finer/core/atomic_file.h"
#include "finer/core/console.h"
#include "finer/core/error.h"
#include "finer/core/parallel.h"
#include "finer/core/rng.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

namespace finer {

namespace {

namespace fs = std::filesystem;

struct WorldOptions {
  data::WorldSettings settings;
  int64_t seed = 0;
  fs::path out, sheet;
  bool overwrites = false;
  int64_t threads = usual_threads();
};

// A row a coarse group: the four patterns first, then chance.
void write_sheet(const WorldOptions& options) {
  constexpr int64_t kColumns = 12, kZoom = 2;
  std::vector<Image> pictures;
  for (const auto& kind : data::coarse_kinds()) {
    for (int64_t column = 0; column < kColumns; ++column) {
      Rng rng(mix_seed(mix_seed(static_cast<uint64_t>(options.seed), 0x5ee7), pictures.size()));
      data::Combination values{};
      for (size_t i = 0; i < data::kNumSlots; ++i) {
        values[i] = static_cast<int>(rng.below(data::slot_values(kind.slots[i].kind).size()));
      }
      if (column < 4) values[1] = static_cast<int>(column);
      pictures.push_back(data::draw_picture(kind, values, options.settings.side_px, rng));
    }
  }
  atomic_write(options.sheet, data::png_bytes(data::contact_sheet(pictures, kColumns, kZoom)));
}

void draw_world(const WorldOptions& options) {
  if (options.out.empty() && options.sheet.empty()) {
    throw Error("--out is required: the folder to write the world into (or --sheet FILE.png)");
  }
  if (!options.sheet.empty()) write_sheet(options);
  if (options.out.empty()) return;
  auto settings = options.settings;
  settings.seed = static_cast<uint64_t>(options.seed);
  const auto summary = data::write_world(
      settings, options.out,
      options.overwrites ? data::Existing::kOverwrite : data::Existing::kKeep, options.threads,
      [](std::string_view step) { console::set_status("world: " + std::string(step)); });
  console::set_status("");
  char pieces[16];
  std::snprintf(pieces, sizeof pieces, "%.2f", summary.mean_name_pieces);
  console::write_line(
      options.out.string() + ": " + (summary.was_there ? "is there already, " : "") +
      std::to_string(summary.known) + " known and " + std::to_string(summary.held_out) +
      " held-out concepts, " + std::to_string(summary.pictures) + " pictures, " +
      std::to_string(summary.text_records) + " texts, " + std::to_string(summary.visual_records) +
      " chats, " + pieces + " tokens a name");
}

struct CheckOptions {
  fs::path world, images;
  std::vector<fs::path> files;
};

void check_world(const CheckOptions& options) {
  const auto check = data::LeakCheck::load(options.world);
  const fs::path images = options.images.empty() ? options.world : options.images;
  std::vector<std::vector<std::string>> found(options.files.size());
  for_each_parallel(found.size(), usual_threads(), [&](size_t i) {
    const auto& file = options.files[i];
    const bool is_records = file.filename().string().starts_with("unified-");
    found[i] = is_records ? check.in_records(file, images) : check.in_conversations(file, images);
  });
  std::vector<std::string> leaks;
  for (auto& of_file : found) std::move(of_file.begin(), of_file.end(), std::back_inserter(leaks));
  for (size_t i = 1; i < leaks.size(); ++i) console::write_line(leaks[i]);
  if (!leaks.empty()) throw Error(leaks.front());
  console::write_line(std::to_string(options.files.size()) + " files hold nothing held out");
}

}  // namespace

std::function<void()> add_world(CLI::App& app) {
  auto options = std::make_shared<WorldOptions>();
  auto& settings = options->settings;
  const auto count = [&](const char* name, int64_t& value, const char* what, int64_t low,
                         int64_t high) {
    app.add_option(name, value, what)->capture_default_str()->check(CLI::Range(low, high));
  };
  app.add_option("--seed", options->seed, "everything is drawn from it")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--out", options->out, "folder to write");
  app.add_option("--sheet", options->sheet, "PNG to write: samples of all nine coarse groups");
  app.add_flag("--overwrite", options->overwrites, "replace another world that is in --out");
  count("--concepts", settings.concepts, "concepts a coarse group", 2, 100);
  count("--held-out", settings.held_out, "of them held out", 1, 99);
  count("--specimens", settings.specimens, "pictures without a name", 1, 99999);
  count("--train-pictures", settings.train_pictures, "a known concept, for training", 1, 1000);
  count("--known-pictures", settings.known_pictures, "a known concept, for the test", 1, 1000);
  count("--held-out-pictures", settings.held_out_pictures, "a held-out concept, for the test", 1,
        1000);
  count("--probe-pictures", settings.probe_pictures,
        "a concept, for the linear probe: a quarter for its test", 4, 1000);
  count("--side-px", settings.side_px, "width and height of a picture", 16, 1024);
  count("--chats", settings.chats, "about each specimen", 1, 4);
  count("--vocab-size", settings.vocab_size, "pieces of the tokenizer", 100, 4000);
  count("--threads", options->threads, "pictures drawn at a time; changes nothing in the result", 1,
        64);
  return [options] { draw_world(*options); };
}

std::function<void()> add_world_check(CLI::App& app) {
  auto options = std::make_shared<CheckOptions>();
  app.add_option("--world", options->world, "folder that `finer-data world` wrote")->required();
  app.add_option("--images", options->images,
                 "what the files' pictures are relative to; default: the world's folder");
  app.add_option("files", options->files, "training files: conversations, or unified-*.jsonl")
      ->required();
  return [options] { check_world(*options); };
}

}  // namespace finer
