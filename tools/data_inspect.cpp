#include "tools/data_inspect.h"

#include "data/dataset.h"
#include "data/inspect.h"
#include "finer/core/atomic_file.h"
#include "finer/core/console.h"
#include "finer/core/error.h"
#include "finer/model/hf_config.h"
#include "finer/recipe/recipe.h"
#include "finer/train/sample_page.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

namespace finer {

namespace {

namespace fs = std::filesystem;

struct InspectOptions {
  fs::path input;
  std::vector<std::string> overrides;
  int64_t sample = 0;
  std::string html, images;
  int64_t samples = 24;
};

data::MarkTargets marks_of_output() {
  const char* no_color = std::getenv("NO_COLOR");
  const bool has_color = ::isatty(STDOUT_FILENO) == 1 && (no_color == nullptr || *no_color == '\0');
  return has_color ? data::MarkTargets::kTerminal : data::MarkTargets::kBrackets;
}

// `count` numbers spread evenly over [first, total).
std::vector<int64_t> spread_numbers(int64_t first, int64_t total, int64_t count) {
  if (first >= total) {
    throw DataError("sample " + std::to_string(first) + " is not there; there are samples 0 to " +
                    std::to_string(total - 1));
  }
  const int64_t left = total - first, shown = std::min(count, left);
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < shown; ++i) numbers.push_back(first + i * left / shown);
  return numbers;
}

void write_page(const InspectOptions& options, int64_t total,
                const std::vector<PageSample>& samples) {
  const std::string under = std::to_string(samples.size()) + " of " + std::to_string(total) +
                            " samples, spread evenly over them.";
  atomic_write(options.html, sample_page_html(options.input.string(), under, samples));
  console::write_line(options.html + ": " + std::to_string(samples.size()) + " samples");
}

void inspect_recipe(const InspectOptions& options) {
  if (!options.images.empty()) {
    throw Error("inspect: --images is for a file of conversations; a recipe names its folders");
  }
  const Recipe recipe = load_recipe(options.input, options.overrides);
  const LlavaConfig model = read_model_config(recipe.model);
  data::InputSpec spec;
  if (model.has_vision) {
    spec.preprocess =
        PreprocessConfig::load(preprocessor_dir(recipe.model), model.vision.image_side_px);
    spec.image_positions = model.image_positions();
    spec.image_side_px = model.vision.image_side_px;
  }
  const auto tokenizer = Tokenizer::load(tokenizer_path(recipe.model));
  const data::SampleSource source(recipe.data, tokenizer, spec);
  if (options.html.empty()) {
    std::cout << data::describe_sample(source, recipe.data, spec, tokenizer,
                                       data::find_sample(source, options.sample), marks_of_output())
              << std::flush;
    return;
  }
  int64_t total = 0;
  for (const int64_t size : source.sizes()) total += size;
  std::vector<PageSample> page;
  for (const int64_t number : spread_numbers(options.sample, total, options.samples)) {
    const auto ref = data::find_sample(source, number);
    PageSample shown;
    shown.where = source.datasets().at(static_cast<size_t>(ref.set)).where(ref.index, "");
    try {
      const data::Sample sample = source.record(ref);
      const TokenizedSample tokens = source.tokens(ref, sample);
      shown.runs = data::text_runs(tokenizer, tokens, tokens.input_ids.size());
      if (sample.image) shown.picture = source.image_path(ref, sample);
      const auto targets = std::count_if(tokens.labels.begin(), tokens.labels.end(),
                                         [](int64_t label) { return label != kIgnoreLabel; });
      shown.facts = {{"tokens", std::to_string(data::ready_length(tokens, spec.image_positions))},
                     {"targets", std::to_string(targets)}};
    } catch (const DataError& error) {
      shown.fault = error.what();
    }
    page.push_back(std::move(shown));
  }
  write_page(options, total, page);
}

void inspect_file(const InspectOptions& options) {
  if (!options.overrides.empty()) {
    throw Error("inspect: key=value is for a recipe, not for a file of conversations");
  }
  const auto dataset = data::Dataset::open(options.input);
  if (dataset.size() == 0) throw DataError(options.input.string() + ": has no records");
  const auto numbers =
      spread_numbers(options.sample, dataset.size(), options.html.empty() ? 1 : options.samples);
  if (options.html.empty()) {
    const auto sample = dataset.read(numbers.front());
    std::cout << "sample   " << dataset.where(numbers.front(), sample.id) << "\n\n"
              << data::marked_text(data::turn_runs(sample), marks_of_output()) << std::endl;
    return;
  }
  const fs::path images =
      options.images.empty() ? options.input.parent_path() : fs::path(options.images);
  std::vector<PageSample> page;
  for (const int64_t number : numbers) {
    PageSample shown;
    shown.where = dataset.where(number, "");
    try {
      const auto sample = dataset.read(number);
      shown.where = dataset.where(number, sample.id);
      shown.runs = data::turn_runs(sample);
      if (sample.image) shown.picture = data::resolve_inside(images, *sample.image);
    } catch (const DataError& error) {
      shown.fault = error.what();
    }
    page.push_back(std::move(shown));
  }
  write_page(options, dataset.size(), page);
}

void inspect(const InspectOptions& options) {
  const auto extension = options.input.extension();
  if (extension == ".json" || extension == ".jsonl") {
    inspect_file(options);
  } else {
    inspect_recipe(options);
  }
}

}  // namespace

std::function<void()> add_inspect(CLI::App& app) {
  auto options = std::make_shared<InspectOptions>();
  app.add_option("input", options->input,
                 "recipe whose data and model are used, or a .json or .jsonl file of conversations")
      ->required();
  app.add_option("overrides", options->overrides, "key=value over the recipe, as for finer-train");
  app.add_option("--sample", options->sample,
                 "number of the sample, counted through the sets in order; of a page: the first")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40));
  app.add_option("--html", options->html, "write a page of samples with their pictures");
  app.add_option("--samples", options->samples, "samples on the page, spread evenly over all")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  app.add_option("--images", options->images,
                 "folder of the pictures of a .json or .jsonl file; else the file's own");
  return [options] { inspect(*options); };
}

}  // namespace finer
