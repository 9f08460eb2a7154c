#include "finer/train/run_outcome.h"

#include "finer/core/atomic_file.h"
#include "finer/core/build_info.h"
#include "finer/core/error.h"
#include "finer/core/rng.h"
#include "finer/image/decode.h"
#include "finer/model/generator.h"
#include "finer/model/save.h"
#include "finer/train/metrics.h"
#include "finer/train/model_card.h"
#include "finer/train/readable.h"
#include "finer/train/run_report.h"
#include "finer/train/thumbnail.h"

#include <algorithm>
#include <chrono>
#include <optional>

namespace finer {

namespace {

namespace fs = std::filesystem;

constexpr int64_t kReportSamples = 6;
constexpr int64_t kAnswerTokens = 24;  // and no more than the gold answer's and some
constexpr int64_t kAnswerSlack = 4;
constexpr double kAnswersSeconds = 10;  // no further sample is answered after this long

std::vector<TrainedSet> trained_sets(const Recipe& recipe, const RunSetup& run,
                                     const RunState& state) {
  std::vector<TrainedSet> out;
  for (size_t i = 0; i < recipe.data.sets.size(); ++i) {
    out.push_back({recipe.data.sets[i].path, hash_text(state.data_hashes[i]),
                   run.source->datasets()[i].size(), recipe.data.sets[i].weight});
  }
  return out;
}

std::vector<RunFact> environment(const Recipe& recipe, const RunSetup& run) {
  return {{"finer", std::string(FINER_VERSION) + " " + FINER_COMMIT},
          {"LibTorch", FINER_TORCH_VERSION},
          {"device", run.model->options().device().str()},
          {"dtype", recipe.model.dtype},
          {"base", hash_text(base_hash(recipe.model, recipe.seed))}};
}

// One training sample and what the model answers to its first question. A sample that cannot be
// shown is left out.
std::optional<ReportSample> answered_sample(const Recipe& recipe, const RunSetup& run,
                                            Generator& generator, const data::SampleRef& ref) {
  try {
    const auto record = run.source->record(ref);
    if (record.turns.size() < 2 || record.turns[0].from != "human" ||
        run.source->conversation(ref) == ConversationKind::kPlain) {
      return std::nullopt;
    }
    const bool has_image = record.image.has_value();
    TokenizedSample prompt;
    prompt.input_ids = tokenize_prompt(*run.tokenizer, run.source->conversation(ref),
                                       {record.turns.data(), 1}, has_image);
    prompt.labels.assign(prompt.input_ids.size(), kIgnoreLabel);
    data::ReadySample ready;
    const auto& config = run.model->config();
    if (!data::make_ready(prompt, config.has_vision ? config.image_positions() : 0,
                          recipe.data.max_tokens, data::OverLength::kDrop, ready)) {
      return std::nullopt;
    }
    ReportSample out;
    GeneratePrompt asked;
    if (ready.image_begin >= 0) {
      const auto image = decode_image(run.source->image_path(ref, record));
      const auto spec = input_spec(recipe.model, config);
      const int64_t side = config.vision.image_side_px;
      const auto pixels =
          preprocess(image, spec.preprocess, image_aspect(recipe.data.image_aspect));
      asked.pixels = at::tensor(pixels).view({1, 3, side, side});
      asked.image_key =
          hash_bytes({reinterpret_cast<const char*>(pixels.data()), pixels.size() * sizeof(float)});
      auto thumbnail = make_thumbnail(image);
      out.picture = std::move(thumbnail.bytes);
      out.mime = thumbnail.mime;
    }
    out.name = record.image.value_or(record.id);
    out.question = record.turns[0].value;
    out.gold = record.turns[1].value;
    const auto gold_tokens = static_cast<int64_t>(run.tokenizer->encode(out.gold).size());
    asked.ids = std::move(ready.input_ids);
    asked.image_begin = ready.image_begin;
    asked.stop_ids = {run.tokenizer->eos_id()};
    asked.max_new_tokens = std::min(kAnswerTokens, gold_tokens + kAnswerSlack);
    generator.submit(std::move(asked));
    out.answer = run.tokenizer->decode(generator.next().at(0).ids);
    return out;
  } catch (const DataError&) {  // the run has dealt with it by its policy
    return std::nullopt;
  }
}

}  // namespace

void write_report(const fs::path& run_dir, const Recipe& recipe, const RunSetup& run,
                  const RunState& state, const std::vector<TrainedPart>& parts,
                  const std::string& outcome, bool is_complete) {
  RunReport report;
  report.title = run_dir.filename().string();
  report.outcome = outcome;
  report.is_complete = is_complete;
  report.when = readable_now();
  report.metrics = read_metrics(run_dir / "metrics.jsonl");
  report.parts = parts;
  report.sets = trained_sets(recipe, run, state);
  const auto& c = state.counts;
  report.counts = {{"samples", readable_count(c.samples)},
                   {"cut to max_tokens", readable_count(c.cut)},
                   {"dropped, too long", readable_count(c.dropped_over_length)},
                   {"dropped, no target", readable_count(c.dropped_zero_label)},
                   {"bad records", readable_count(c.bad_records)},
                   {"skipped steps", readable_count(state.skipped)}};
  report.environment = environment(recipe, run);
  report.recipe_yaml = recipe_to_yaml(recipe);
  if (is_complete) {
    Generator generator(*run.model, {});
    const auto start = std::chrono::steady_clock::now();
    const auto has_time = [&] {
      return std::chrono::steady_clock::now() - start <
             std::chrono::duration<double>(kAnswersSeconds);
    };
    for (size_t s = 0; s < run.source->datasets().size(); ++s) {
      const int64_t size = run.source->datasets()[s].size();
      const int64_t wanted =
          std::max<int64_t>(1, kReportSamples / static_cast<int64_t>(recipe.data.sets.size()));
      for (int64_t i = 0; i < std::min(wanted, size) && has_time(); ++i) {
        auto sample = answered_sample(recipe, run, generator,
                                      {static_cast<int32_t>(s), i * size / std::min(wanted, size)});
        if (sample) report.samples.push_back(std::move(*sample));
      }
    }
  }
  atomic_write(run_dir / "report.html", render(report));
}

void write_result(const fs::path& run_dir, const Recipe& recipe, const RunSetup& run,
                  const RunState& state, const std::vector<TrainedPart>& parts) {
  if (recipe.train.language == "full" || recipe.train.vision == "full") {
    save_model(*run.model, recipe.model, run_dir / "model");
  }
  if (!save_adapter_files(recipe, *run.model, run_dir / "adapter")) return;
  const auto metrics = read_metrics(run_dir / "metrics.jsonl");
  ModelCard card;
  card.title = run_dir.filename().string();
  card.base_model = adapter_base(recipe);
  card.parts = parts;
  card.settings = {{"rank", std::to_string(recipe.lora.rank)},
                   {"alpha", readable_number(recipe.lora.alpha, 6)},
                   {"dropout", readable_number(recipe.lora.dropout, 6)},
                   {"learning rate", readable_number(recipe.optim.lr, 6)},
                   {"schedule", recipe.optim.schedule},
                   {"samples a step", std::to_string(recipe.batch.samples)},
                   {"steps", std::to_string(state.step)},
                   {"conversation", recipe.data.conversation},
                   {"image aspect", recipe.data.image_aspect},
                   {"seed", std::to_string(recipe.seed)}};
  card.sets = trained_sets(recipe, run, state);
  if (!metrics.empty()) card.metrics = {{"last loss", readable_number(metrics.back().loss, 4)}};
  card.environment = environment(recipe, run);
  atomic_write(run_dir / "adapter" / "README.md", render(card));
}

}  // namespace finer
