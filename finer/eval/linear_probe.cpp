#include "finer/eval/linear_probe.h"

#include "finer/core/error.h"
#include "finer/core/joined.h"
#include "finer/core/log.h"
#include "finer/core/quote.h"
#include "finer/core/rng.h"
#include "finer/core/scalar_text.h"
#include "finer/eval/picture_ahead.h"
#include "finer/io/tensor_file.h"
#include "finer/train/readable.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/grad_mode.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>

namespace finer {

namespace {

namespace fs = std::filesystem;

constexpr int64_t kPicturesAPass = 16;

// The label that a record has at a level: a fine class, or the first of its labels.
std::string label_of(const data::UnifiedRecord& record, Level level) {
  if (level == Level::kHighCoarse) return record.superordinate;
  return joined(level == Level::kCoarse ? record.coarse : record.fine);
}

struct Labelled {
  at::Tensor x, y;
};

std::optional<at::Tensor> read_features(const fs::path& file, int64_t rows) {
  if (!fs::exists(file)) return std::nullopt;
  try {
    const auto tensors = open_tensor_file(file);
    auto x = tensors->read("features").clone();
    if (x.dim() == 2 && x.size(0) == rows && x.scalar_type() == at::kFloat) return x;
  } catch (const Error&) {  // torn by a crash: made anew
  }
  log::info(file.string() + ": is not whole, and is made anew");
  return std::nullopt;
}

fs::path features_file(const EvalRecipe& recipe, const OpenModel& model, const EvalSet& set,
                       const std::string& tap, bool is_flat) {
  uint64_t key = hash_bytes(tap + (is_flat ? " flat" : " mean"));
  for (const auto& [name, value] : model.settings())
    key = hash_bytes(name + "=" + value + "\n", key);
  key = mix_seed(key, set.records_hash);
  for (const size_t place : set.chosen) key = mix_seed(key, place);
  return fs::path(recipe.output) / "probes" / "features" / (hash_text(key) + ".safetensors");
}

// Features of a set's records at each tap, in order of the taps: from their files, or made in one
// walk over the pictures, and kept. Empty: stopped.
std::vector<at::Tensor> features_of(const EvalRecipe& recipe, OpenModel& model, const EvalSet& set,
                                    const EvalLinearConfig& config,
                                    const std::function<bool()>& stop) {
  const bool is_flat = config.pool == "flat";
  const auto rows = static_cast<int64_t>(set.chosen.size());
  std::vector<at::Tensor> out;
  std::vector<size_t> missing;
  std::vector<fs::path> files;
  for (size_t t = 0; t < config.taps.size(); ++t) {
    files.push_back(features_file(recipe, model, set, config.taps[t], is_flat));
    out.push_back(read_features(files[t], rows).value_or(at::Tensor()));
    if (!out[t].defined()) missing.push_back(t);
  }
  if (missing.empty()) return out;

  const auto& session = model.session();
  std::vector<Tap> taps;
  for (const auto& tap : config.taps) taps.push_back(parse_tap(tap));
  for (const size_t t : missing) tap_layers(taps[t], session.model());
  std::vector<fs::path> pictures;
  for (const size_t place : set.chosen) pictures.push_back(set.picture_of(set.records[place]));
  PictureAhead ahead(
      pictures, [&](const fs::path& path) { return session.picture(path); }, recipe.workers,
      2 * kPicturesAPass);
  std::vector<std::vector<at::Tensor>> parts(config.taps.size());
  std::vector<at::Tensor> pixels;
  for (size_t i = 0; i < pictures.size(); ++i) {
    if (stop()) return {};
    try {
      pixels.push_back(ahead.next().pixels);
    } catch (const DataError& error) {
      throw DataError(set.file.string() + ": idx " +
                      std::to_string(set.records[set.chosen[i]].idx) + ": picture " + error.what());
    }
    if (static_cast<int64_t>(pixels.size()) < kPicturesAPass && i + 1 < pictures.size()) continue;
    const auto pass = at::cat(pixels);
    for (const size_t t : missing)
      parts[t].push_back(tap_features(session, taps[t], is_flat, pass));
    pixels.clear();
  }
  fs::create_directories(files[0].parent_path());
  for (const size_t t : missing) {
    out[t] = at::cat(parts[t]);
    save_safetensors(files[t], {{"features", out[t]}}, {{"tap", config.taps[t]}});
  }
  return out;
}

at::Tensor labels_of(const EvalSet& set, Level level, std::map<std::string, int64_t>& numbers,
                     bool adds) {
  std::vector<int64_t> y;
  for (const size_t place : set.chosen) {
    const auto label = label_of(set.records[place], level);
    if (adds) numbers.emplace(label, static_cast<int64_t>(numbers.size()));
    const auto at = numbers.find(label);
    if (at == numbers.end()) {
      throw DataError(set.file.string() + ": idx " + std::to_string(set.records[place].idx) +
                      " is of " + quote(label, 60) +
                      ", which no record to fit is; a linear probe can only tell what it has seen");
    }
    y.push_back(at->second);
  }
  return at::tensor(y, at::kLong);
}

struct ProbeSets {
  ProbeSets(const EvalRecipe& recipe, const EvalLinearConfig& c)
      : fit(open_eval_set({.name = "fit", .records = c.fit_records, .images = c.images},
                          recipe.subset, {parse_level(c.level)})),
        test(open_eval_set({.name = "test", .records = c.test_records, .images = c.images},
                           recipe.subset, {parse_level(c.level)})) {}
  EvalSet fit, test;
};

std::string hash_of(const at::Tensor& x) {
  return hash_text(hash_bytes({static_cast<const char*>(x.const_data_ptr()), x.nbytes()}));
}

// Models that share a frozen tower have the same features, hence the same head.
std::optional<double> known_accuracy(const nlohmann::json& rows, size_t probe,
                                     const std::string& features) {
  for (const auto& row : rows) {
    if (row["probe"] == probe && row["features"] == features) return row["accuracy"];
  }
  return std::nullopt;
}

}  // namespace

Tap parse_tap(const std::string& text) {
  Tap tap;
  if (text == "projector") return tap;
  const size_t colon = text.find(':');
  const std::string part = text.substr(0, colon);
  const bool is_whole =
      colon != std::string::npos &&
      parse_whole(std::string_view(text).substr(colon + 1), tap.layer) == NumberFault::kNone;
  if (part == "vision" && is_whole) {
    tap.part = Tap::Part::kVision;
  } else if (part == "language" && is_whole && tap.layer >= 0) {
    tap.part = Tap::Part::kLanguage;
  } else {
    throw RecipeError("probes.linear: taps: found " + quote(text, 60) +
                      "; expected vision:N, projector or language:K, such as vision:-2");
  }
  return tap;
}

int64_t tap_layers(const Tap& tap, const Llava& model) {
  const auto& config = model.config();
  if (!config.has_vision) {
    throw ConfigError("probes.linear: the model has no vision tower and takes no picture");
  }
  if (tap.part == Tap::Part::kProjector) return 0;
  const bool is_vision = tap.part == Tap::Part::kVision;
  const int64_t total = is_vision ? config.vision.num_layers : config.language.num_layers;
  const int64_t built = is_vision ? model.num_vision_layers() : total;
  const int64_t layers = is_vision && tap.layer < 0 ? total + 1 + tap.layer : tap.layer;
  if (layers < 0 || layers > built) {
    throw ConfigError("probes.linear: taps: " + std::string(is_vision ? "vision:" : "language:") +
                      std::to_string(tap.layer) + " is behind layer " + std::to_string(layers) +
                      "; the model has " + std::to_string(built) +
                      (is_vision ? " vision layers up to what the projector gets" : " layers"));
  }
  return layers;
}

at::Tensor tap_features(const Session& session, const Tap& tap, bool is_flat,
                        const at::Tensor& pixels) {
  const at::NoGradGuard no_gradients;
  auto& model = session.model();
  const int64_t layers = tap_layers(tap, model), N = pixels.size(0);
  const auto on_device = pixels.to(model.options().device());
  at::Tensor x_NPD;
  if (tap.part == Tap::Part::kVision) {
    x_NPD = model.vision()->hidden_state(on_device, layers);
  } else {
    const auto features = model.vision()->forward(on_device);
    x_NPD = model.projector()->forward(features);
    if (tap.part == Tap::Part::kLanguage) {
      // The picture within a question about it, one sequence a picture.
      const std::vector<Turn> turns = {{"human", "<image>\nWhat is in this picture?"}};
      const Picture picture{pixels.narrow(0, 0, 1), 0};
      const auto prompt = session.prompt(turns, &picture, 1);
      const auto T = static_cast<int64_t>(prompt.ids.size()), P = x_NPD.size(1);
      const auto ids_T = at::tensor(prompt.ids, at::kLong).to(model.options().device());
      std::vector<at::Tensor> states;
      for (int64_t n = 0; n < N; ++n) {
        auto x_TD = model.language().embed(ids_T).clone();
        x_TD.narrow(0, prompt.image_begin, P).copy_(x_NPD[n]);
        const auto packing = Packing::from_bounds({0, T}, model.options().device());
        states.push_back(model.language()
                             .forward_layers(x_TD, packing, layers)
                             .narrow(0, prompt.image_begin, P));
      }
      x_NPD = at::stack(states);
    }
  }
  const auto x = x_NPD.to(at::kFloat);
  return (is_flat ? x.reshape({N, -1}) : x.mean(1)).cpu().contiguous();
}

double probe_accuracy(const EvalLinearConfig& config, const at::Tensor& fit_x,
                      const at::Tensor& fit_y, const at::Tensor& test_x, const at::Tensor& test_y,
                      int64_t num_classes) {
  const auto mean = fit_x.mean(0), scale = fit_x.std(0, false).clamp_min(1e-6);
  const auto standard = [&](const at::Tensor& x) { return (x - mean) / scale; };
  const auto x = standard(fit_x);
  const int64_t width = x.size(1);
  // Weights drawn from the seed by value, on any machine.
  Rng rng(mix_seed(config.seed, 1));
  const auto matrix = [&](int64_t out, int64_t in) {
    std::vector<float> values(static_cast<size_t>(out * in));
    const double bound = 1 / std::sqrt(static_cast<double>(in));
    for (auto& value : values) value = static_cast<float>((2 * rng.uniform() - 1) * bound);
    return at::tensor(values).view({out, in}).set_requires_grad(true);
  };
  std::vector<at::Tensor> weights;
  if (config.head == "mlp") {
    weights = {matrix(config.hidden, width), at::zeros({config.hidden}).set_requires_grad(true),
               matrix(num_classes, config.hidden),
               at::zeros({num_classes}).set_requires_grad(true)};
  } else {
    weights = {matrix(num_classes, width), at::zeros({num_classes}).set_requires_grad(true)};
  }
  const auto logits = [&](const at::Tensor& in) {
    auto h = at::linear(in, weights[0], weights[1]);
    return weights.size() == 2 ? h : at::linear(at::gelu(h), weights[2], weights[3]);
  };
  std::vector<at::Tensor> first, second;
  for (const auto& w : weights) {
    first.push_back(at::zeros_like(w));
    second.push_back(at::zeros_like(w));
  }
  constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEps = 1e-8;
  int64_t step = 0;
  for (int64_t epoch = 0; epoch < config.epochs; ++epoch) {
    const auto order =
        permutation(x.size(0), mix_seed(config.seed, 100 + static_cast<uint64_t>(epoch)));
    const auto order_N = at::tensor(order, at::kLong);
    for (int64_t at = 0; at < x.size(0); at += config.batch) {
      const auto rows = order_N.narrow(0, at, std::min(config.batch, x.size(0) - at));
      std::vector<at::Tensor> gradients;
      {
        const at::AutoGradMode with_gradients(true);
        const auto loss =
            at::cross_entropy_loss(logits(x.index_select(0, rows)), fit_y.index_select(0, rows));
        gradients = torch::autograd::grad({loss}, weights);
      }
      const at::NoGradGuard no_gradients;
      ++step;
      for (size_t i = 0; i < weights.size(); ++i) {
        auto& w = weights[i];
        w.mul_(1 - config.lr * config.weight_decay);
        first[i].mul_(kBeta1).add_(gradients[i], 1 - kBeta1);
        second[i].mul_(kBeta2).addcmul_(gradients[i], gradients[i], 1 - kBeta2);
        const double one = 1 - std::pow(kBeta1, step), two = 1 - std::pow(kBeta2, step);
        w.addcdiv_(first[i], (second[i] / two).sqrt_().add_(kEps), -config.lr / one);
      }
    }
  }
  const at::NoGradGuard no_gradients;
  const auto right = logits(standard(test_x)).argmax(1).eq(test_y);
  return right.to(at::kDouble).mean().item<double>();
}

bool keep_linear_features(const EvalRecipe& recipe, OpenModel& model,
                          const std::function<bool()>& stop) {
  for (const auto& c : recipe.probes.linear) {
    const ProbeSets sets(recipe, c);
    for (const auto* set : {&sets.fit, &sets.test}) {
      if (features_of(recipe, model, *set, c, stop).empty()) return false;
    }
  }
  return true;
}

bool run_linear_probes(const EvalRecipe& recipe, OpenModel& model,
                       const std::function<bool()>& stop, EvalResults& results) {
  for (size_t i = 0; i < recipe.probes.linear.size(); ++i) {
    const auto& c = recipe.probes.linear[i];
    const ProbeSets sets(recipe, c);
    const auto &fit = sets.fit, &test = sets.test;
    const Level level = parse_level(c.level);
    std::map<std::string, int64_t> numbers;
    const auto fit_y = labels_of(fit, level, numbers, true);
    const auto test_y = labels_of(test, level, numbers, false);
    const auto fit_features = features_of(recipe, model, fit, c, stop);
    if (fit_features.empty()) return false;
    const auto test_features = features_of(recipe, model, test, c, stop);
    if (test_features.empty()) return false;
    for (size_t t = 0; t < c.taps.size(); ++t) {
      const auto& tap = c.taps[t];
      const auto &fit_x = fit_features[t], &test_x = test_features[t];
      auto& rows = results.extra["linear"];
      const auto features = hash_of(fit_x) + hash_of(test_x);
      const auto known = known_accuracy(rows, i, features);
      const double accuracy = known ? *known
                                    : probe_accuracy(c, fit_x, fit_y, test_x, test_y,
                                                     static_cast<int64_t>(numbers.size()));
      rows.push_back({{"model", model.name()},
                      {"probe", i},
                      {"fit_records", c.fit_records},
                      {"test_records", c.test_records},
                      {"tap", tap},
                      {"features", features},
                      {"pool", c.pool},
                      {"head", c.head},
                      {"level", c.level},
                      {"classes", numbers.size()},
                      {"fit", fit_y.size(0)},
                      {"test", test_y.size(0)},
                      {"accuracy", accuracy}});
      log::info(model.name() + ": linear probe of " + tap + ": accuracy " +
                readable_fixed(100 * accuracy, 1) + "%");
    }
  }
  return true;
}

void add_linear_section(EvalResults& results) {
  if (!results.extra.contains("linear")) return;
  ReportSection section{.title = "What a linear probe finds in the features"};
  section.paragraphs = {
      "A small head learns to tell the labels from frozen features. What is lost between two taps "
      "is lost for the language model, too."};
  ReportTable table;
  table.columns = {{"model"}, {"tap"},           {"measured on"},   {"level"},
                   {"head"},  {"classes", true}, {"records", true}, {"accuracy", true}};
  for (const auto& row : results.extra["linear"]) {
    table.rows.push_back(
        {text_cell(row["model"]),
         text_cell(row["tap"].get<std::string>() + ", " + row["pool"].get<std::string>()),
         text_cell(fs::path(row["test_records"].get<std::string>()).filename().string()),
         text_cell(row["level"]), text_cell(row["head"]),
         text_cell(readable_count(row["classes"].get<int64_t>())),
         text_cell(readable_count(row["test"].get<int64_t>())),
         text_cell(readable_fixed(100 * row["accuracy"].get<double>(), 1))});
  }
  section.tables = {table};
  results.sections.push_back(std::move(section));
}

}  // namespace finer
