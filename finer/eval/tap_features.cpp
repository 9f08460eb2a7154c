#include "finer/eval/tap_features.h"

#include "finer/core/error.h"
#include "finer/core/log.h"
#include "finer/core/quote.h"
#include "finer/core/rng.h"
#include "finer/core/scalar_text.h"
#include "finer/eval/picture_ahead.h"
#include "finer/io/tensor_file.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/grad_mode.h>

#include <filesystem>
#include <map>
#include <optional>

namespace finer {

namespace {

namespace fs = std::filesystem;

constexpr int64_t kPicturesAPass = 16;

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

// The picture's positions within a question about it, one sequence a picture: [N, P, D].
at::Tensor language_states(const Session& session, const at::Tensor& pixels,
                           const at::Tensor& projected_NPD, int64_t layers) {
  auto& language = session.model().language();
  const auto device = session.model().options().device();
  const std::vector<Turn> turns = {{"human", "<image>\nWhat is in this picture?"}};
  const Picture picture{pixels.narrow(0, 0, 1), 0};
  const auto prompt = session.prompt(turns, &picture, 1);
  const auto T = static_cast<int64_t>(prompt.ids.size());
  const int64_t N = projected_NPD.size(0), P = projected_NPD.size(1);
  const auto ids_T = at::tensor(prompt.ids, at::kLong).to(device);
  const auto packing = Packing::from_bounds({0, T}, device);
  std::vector<at::Tensor> states;
  for (int64_t n = 0; n < N; ++n) {
    auto x_TD = language.embed(ids_T).clone();
    x_TD.narrow(0, prompt.image_begin, P).copy_(projected_NPD[n]);
    states.push_back(
        language.forward_layers(x_TD, packing, layers).narrow(0, prompt.image_begin, P));
  }
  return at::stack(states);
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
    throw RecipeError("found " + quote(text, 60) +
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

std::vector<at::Tensor> tap_features(const Session& session, const std::vector<Tap>& taps,
                                     bool is_flat, const at::Tensor& pixels) {
  const at::NoGradGuard no_gradients;
  auto& model = session.model();
  const int64_t N = pixels.size(0);
  const auto on_device = pixels.to(model.options().device());
  std::map<int64_t, at::Tensor> tower;  // its states, by layers
  const auto vision_NPD = [&](int64_t layers) {
    auto& state = tower[layers];
    if (!state.defined()) state = model.vision()->hidden_state(on_device, layers);
    return state;
  };
  at::Tensor projected_NPD;
  std::vector<at::Tensor> out;
  for (const auto& tap : taps) {
    const int64_t layers = tap_layers(tap, model);
    at::Tensor x_NPD;
    if (tap.part == Tap::Part::kVision) {
      x_NPD = vision_NPD(layers);
    } else {
      if (!projected_NPD.defined())
        projected_NPD = model.projector()->forward(vision_NPD(model.num_vision_layers()));
      x_NPD = tap.part == Tap::Part::kProjector
                  ? projected_NPD
                  : language_states(session, pixels, projected_NPD, layers);
    }
    const auto x = x_NPD.to(at::kFloat);
    out.push_back((is_flat ? x.reshape({N, -1}) : x.mean(1)).cpu().contiguous());
  }
  return out;
}

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
  for (const size_t t : missing) {
    taps.push_back(parse_tap(config.taps[t]));
    tap_layers(taps.back(), session.model());
  }
  std::vector<fs::path> pictures;
  for (const size_t place : set.chosen) pictures.push_back(set.picture_of(set.records[place]));
  PictureAhead ahead(
      pictures, [&](const fs::path& path) { return session.picture(path); }, recipe.workers,
      2 * kPicturesAPass);
  std::vector<std::vector<at::Tensor>> parts(taps.size());
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
    const auto features = tap_features(session, taps, is_flat, at::cat(pixels));
    for (size_t k = 0; k < taps.size(); ++k) parts[k].push_back(features[k]);
    pixels.clear();
  }
  fs::create_directories(files[0].parent_path());
  for (size_t k = 0; k < taps.size(); ++k) {
    const size_t t = missing[k];
    out[t] = at::cat(parts[k]);
    save_safetensors(files[t], {{"features", out[t]}}, {{"tap", config.taps[t]}});
  }
  return out;
}

}  // namespace finer
