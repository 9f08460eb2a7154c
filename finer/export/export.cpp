#include "finer/export/export.h"

#include "finer/core/build_info.h"
#include "finer/core/error.h"
#include "finer/core/log.h"
#include "finer/core/near_miss.h"
#include "finer/export/drawn_prompts.h"
#include "finer/export/llava_layout.h"
#include "finer/export/new_folder.h"
#include "finer/model/hf_config.h"
#include "finer/model/load.h"
#include "finer/model/save.h"
#include "finer/nn/device.h"
#include "finer/train/readable.h"
#include "finer/train/run_setup.h"
#include "lora/attach.h"
#include "lora/merge.h"
#include "lora/peft_io.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

namespace finer {

namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kFormats = {"merged-hf", "peft", "llava"};

void check_request(const ExportRequest& request) {
  const auto& format = request.format;
  if (std::find(kFormats.begin(), kFormats.end(), format) == kFormats.end()) {
    throw ConfigError("--format: \"" + format + "\" is not known" + did_you_mean(format, kFormats));
  }
  if (format == "peft" && request.from.adapter.empty())
    throw ConfigError("--format peft: writes an adapter, and none is named; give --adapter");
  if (!request.vision_tower.empty() && format != "llava")
    throw ConfigError(
        "--vision-tower: is a key of original LLaVA's config; it needs --format llava");
}

// The projector of a base in parts is drawn where none is named: right for training, noise here.
void check_projector(const ModelConfig& base, const LlavaConfig& config, bool adapter_has_one) {
  const bool is_drawn =
      base_kind(base) == BaseKind::kThreeParts && config.has_vision && base.projector.empty();
  if (is_drawn && !adapter_has_one) {
    throw ConfigError(
        "--projector: neither the base nor the adapter has one; name mm_projector.bin");
  }
}

// Fails before hours of reading and merging.
void check_space(const Llava& plan, const std::string& dtype, const NewFolder& out) {
  int64_t values = 0;
  plan.visit_weights([&](const std::string&, const at::Tensor& slot) { values += slot.numel(); });
  const auto needed = values * static_cast<int64_t>(elementSize(dtype_from_name(dtype)));
  const auto free = static_cast<int64_t>(fs::space(out.partial()).available);
  if (free < needed) {
    throw ConfigError(out.place().string() + ": the model has " + readable_bytes(needed) +
                      ", and " + readable_bytes(free) + " are free");
  }
}

// A named tower is the published one: what was tuned in ours would be lost.
void check_named_tower(Llava& model) {
  for (const auto* linear : lora::adapted_linears(model)) {
    if (linear->parts()[0].path.rfind("vision_tower.", 0) == 0)
      throw ConfigError(
          "--vision-tower: the adapter changes the vision tower, which has to be written then");
  }
}

std::string share_text(double part, double whole) {
  return whole > 0 ? readable_number(100 * part / whole, 3) + " %" : "0 %";
}

// Merges, and says what it changed. Throws: CheckpointError where no number is left.
void merge_and_compare(Llava& model, const std::string& dtype, int64_t num_prompts) {
  size_t num_layers = 0;
  for (const auto* linear : lora::adapted_linears(model))
    num_layers += linear->adapter()->parts.size();
  if (num_layers == 0) return;
  const auto check = [](double value, const std::string& what) {
    if (!std::isfinite(value))
      throw CheckpointError(
          what + " are not all finite: the adapter is broken, or too large for the dtype");
  };
  std::optional<DrawnPrompts> prompts;
  at::Tensor before;
  if (num_prompts > 0) {
    prompts.emplace(model, num_prompts, 0);
    before = prompts->logits(model);
  }
  const auto norms = lora::merge(model);
  check(norms.update + norms.lost, "merged weights");
  log::info("merged into " + std::to_string(num_layers) + " layers; rounding to " + dtype +
            " changed " + share_text(norms.lost, norms.update) + " of the update");
  if (!prompts) return;
  const auto after = prompts->logits(model);
  const auto gap = (after - before).abs().max().item<double>();
  check(gap, "logits of the merged model");
  const auto same = after.argmax(1).eq(before.argmax(1)).sum().item<int64_t>();
  log::info(std::to_string(num_prompts) +
            " drawn prompts, attached against merged: logits differ by " +
            share_text(gap, before.abs().max().item<double>()) + " of the largest at most, " +
            std::to_string(same) + " of " + std::to_string(after.size(0)) +
            " likeliest tokens are the same");
}

// The adapter as it is; which base it was trained on is what its file says, if it says so.
void write_peft(Llava& model, const ExportRequest& request, const fs::path& adapter,
                bool has_projector, const fs::path& dir) {
  auto info = lora::read_adapter_info(adapter);
  info.saves_projector = has_projector;
  const auto& named = request.from.model;
  const bool is_named = !named.llava.empty() || !named.language.empty();
  if (is_named && lora::other_base(model, adapter).empty())
    info.base_model = named.llava.empty() ? named.language : named.llava;
  info.finer = lora::adapter_metadata(adapter);
  info.keeps_base = true;
  info.finer["finer_version"] = FINER_VERSION;
  info.finer["finer_commit"] = FINER_COMMIT;
  lora::save_adapter(model, info, dir);
}

}  // namespace

void export_model(const ExportRequest& request) {
  check_request(request);
  const bool is_peft = request.format == "peft", is_llava = request.format == "llava";
  auto base = base_model(request.from);
  if (is_peft) {
    base.model.dtype = "float32";  // as adapters are kept
  } else if (request.from.dtype.empty() && !base.model.use_from_scratch) {
    base.model.dtype = stored_dtype(base.model);
  }
  const auto config = read_model_config(base.model);
  const fs::path adapter =
      request.from.adapter.empty() ? fs::path() : adapter_folder(request.from.adapter);
  const auto contents = adapter.empty() ? lora::AdapterContents() : lora::adapter_contents(adapter);
  if (is_peft && !contents.has_lora) {
    throw CheckpointError(adapter.string() +
                          ": holds a projector alone, for which PEFT has no layout; merged-hf and "
                          "llava take it");
  }
  if (is_llava) check_llava_layout(config);
  bool knows_image_token = true;
  if (!is_peft) {
    check_projector(base.model, config, contents.has_projector);
    const auto tokenizer = open_tokenizer(base.model, config);
    knows_image_token = tokenizer->encode("<image>") == std::vector<int64_t>{config.image_token_id};
  }
  NewFolder out(request.out);
  if (!is_peft) check_space(*plan_llava(base.model), base.model.dtype, out);

  const auto model = load_llava(base.model, open_device(request.from.device), base.seed);
  if (!adapter.empty()) lora::load_adapter(*model, adapter);
  if (is_llava && !request.vision_tower.empty()) check_named_tower(*model);
  if (is_peft) {
    write_peft(*model, request, adapter, contents.has_projector, out.partial());
  } else {
    merge_and_compare(*model, base.model.dtype, request.num_prompts);
    if (is_llava) {
      const LlavaLayout layout{request.vision_tower, out.place().string(), base.image_aspect};
      save_llava_layout(*model, base.model, layout, out.partial());
      const auto name = misleading_name(out.place().filename().string());
      if (!name.empty()) log::warn(name);
    } else {
      save_model(*model, base.model, out.partial(), knows_image_token);
    }
  }
  out.commit();
}

}  // namespace finer
