#include "finer/eval/logits.h"

#include "finer/core/error.h"
#include "finer/eval/session.h"
#include "finer/image/decode.h"
#include "finer/io/tensor_file.h"
#include "finer/model/hf_config.h"
#include "finer/model/load.h"
#include "finer/nn/device.h"
#include "finer/train/device_batch.h"
#include "finer/train/loss.h"
#include "finer/train/run_setup.h"

#include <nlohmann/json.hpp>

#include <fstream>

namespace finer {

namespace {

namespace fs = std::filesystem;

}  // namespace

void write_logits(const ModelConfig& model_config, const fs::path& adapter, const fs::path& tokens,
                  const fs::path& images, const std::string& aspect, const std::string& device,
                  const fs::path& out) {
  const at::NoGradGuard no_gradients;
  const auto model = load_llava(model_config, open_device(device), 0);
  add_adapter(*model, adapter);
  const auto& config = model->config();
  const auto spec = input_spec(model_config, config);
  std::ifstream stream(tokens);
  if (!stream) throw DataError(tokens.string() + ": cannot be read");
  std::map<std::string, at::Tensor> logits;
  std::string line;
  for (int64_t n = 0; std::getline(stream, line); ++n) {
    const auto fail = [&](const std::string& why) {
      throw DataError(tokens.string() + ":" + std::to_string(n + 1) + ": " + why);
    };
    TokenizedSample sample;
    std::string image;
    try {
      const auto json = nlohmann::json::parse(line);
      sample.input_ids = json.at("input_ids").get<std::vector<int64_t>>();
      if (json.contains("image") && !json.at("image").is_null())
        image = json.at("image").get<std::string>();
    } catch (const nlohmann::json::exception&) {
      fail("expected a JSON object with input_ids and, for a picture, image");
    }
    if (sample.input_ids.empty()) fail("input_ids is empty");
    for (const int64_t id : sample.input_ids) {
      if (id != kImageToken && (id < 0 || id >= config.language.vocab_size)) {
        fail("token id " + std::to_string(id) + " is outside the vocabulary of " +
             std::to_string(config.language.vocab_size));
      }
    }
    sample.labels = sample.input_ids;
    data::ReadySample ready;
    data::make_ready(sample, spec.image_positions, int64_t{1} << 20, data::OverLength::kError,
                     ready);
    if (ready.image_begin >= 0) {
      if (image.empty()) fail("has an image mark but names no image");
      ready.pixels = preprocess(decode_image(data::resolve_inside(images, image)), spec.preprocess,
                                image_aspect(aspect));
    }
    std::vector<data::ReadySample> samples;
    samples.push_back(std::move(ready));
    const auto batch = to_device(data::pack(std::move(samples)), *model, 1);  // rows are the file's
    const auto hidden = model->forward(batch.input);
    logits["logits." + std::to_string(n)] =
        at::mm(hidden, model->language().head().to(hidden.scalar_type()).t()).to(at::kFloat);
  }
  save_safetensors(out, logits);
}

double loss_sum(Llava& model, const data::PackedBatch& packed, int64_t chunk_tokens) {
  const at::NoGradGuard no_gradients;
  const auto batch = to_device(packed, model);
  const auto hidden = model.forward(batch.input, batch.rows);
  const auto is_target = batch.weights.ne(0).to(at::kFloat);  // not what only fills up a multiple
  return head_loss(hidden, model.language().head(), batch.targets, is_target, chunk_tokens)
      .item<double>();
}

DataLoss data_loss(const Recipe& recipe_in, const fs::path& adapter) {
  const at::NoGradGuard no_gradients;
  auto recipe = recipe_in;
  const fs::path dir = adapter.empty() ? fs::path(recipe.lora.init_from) : adapter;
  recipe.train.language = recipe.train.vision = "frozen";  // no new adapters: they would be zero
  auto run = open_run(recipe, true);
  add_adapter(*run.model, dir);
  DataLoss out;
  double sum = 0;
  for (size_t s = 0; s < run.source->datasets().size(); ++s) {
    for (int64_t i = 0; i < run.source->datasets()[s].size(); ++i) {
      auto prepared = run.source->prepare({static_cast<int32_t>(s), i});
      if (prepared.outcome != data::SampleSource::Outcome::kReady) continue;
      std::vector<data::ReadySample> samples;
      samples.push_back(std::move(prepared.sample));
      const auto packed = data::pack(std::move(samples));
      if (packed.num_label_tokens == 0) continue;
      sum += loss_sum(*run.model, packed, recipe.loss.chunk_tokens);
      out.label_tokens += packed.num_label_tokens;
    }
  }
  if (out.label_tokens == 0) throw DataError("data.sets: no target token in any sample");
  out.loss = sum / static_cast<double>(out.label_tokens);
  return out;
}

}  // namespace finer
