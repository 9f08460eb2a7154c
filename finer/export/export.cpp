#include "finer/export/export.h"

#include "finer/core/build_info.h"
#include "finer/core/error.h"
#include "finer/core/log.h"
#include "finer/core/near_miss.h"
#include "finer/export/drawn_prompts.h"
#include "finer/export/llava_layout.h"
#include "finer/model/hf_config.h"
#include "finer/model/load.h"
#include "finer/model/save.h"
#include "finer/nn/device.h"
#include "finer/train/readable.h"
#include "lora/attach.h"
#include "lora/merge.h"
#include "lora/peft_io.h"

#include <algorithm>
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
  if (request.out.empty()) throw ConfigError("--out: is empty; expected a new folder");
  const auto& out = request.out;
  if (fs::exists(out) && !(fs::is_directory(out) && fs::is_empty(out))) {
    throw ConfigError(out.string() + ": is there already; expected a new folder, or an empty one");
  }
}

bool holds_projector(const fs::path& folder) {
  if (fs::exists(folder / "mm_projector.safetensors") ||
      fs::exists(folder / "non_lora_trainables.bin"))
    return true;
  return lora::read_adapter_info(folder).saves_projector;
}

// The projector of a base in parts is drawn where none is named: right for training, noise here.
void check_projector(const ModelConfig& base, const LlavaConfig& config, const fs::path& adapter) {
  const bool is_drawn =
      base_kind(base) == BaseKind::kThreeParts && config.has_vision && base.projector.empty();
  if (is_drawn && (adapter.empty() || !holds_projector(adapter_folder(adapter)))) {
    throw ConfigError(
        "--projector: neither the base nor the adapter has one; name mm_projector.bin");
  }
}

// Fails before hours of reading and merging.
void check_space(const Llava& plan, const std::string& dtype, const fs::path& out) {
  int64_t values = 0;
  plan.visit_weights([&](const std::string&, const at::Tensor& slot) { values += slot.numel(); });
  const auto needed = values * static_cast<int64_t>(elementSize(dtype_from_name(dtype)));
  auto folder = fs::absolute(out).lexically_normal();
  while (!fs::exists(folder) && folder.has_relative_path()) folder = folder.parent_path();
  const auto free = static_cast<int64_t>(fs::space(folder).available);
  if (free < needed) {
    throw ConfigError(out.string() + ": the model has " + readable_bytes(needed) + ", and " +
                      readable_bytes(free) + " are free");
  }
}

std::string share_text(double part, double whole) {
  return whole > 0 ? readable_number(100 * part / whole, 3) + " %" : "0 %";
}

// Merges, and says what it changed.
void merge_and_compare(Llava& model, const std::string& dtype, int64_t num_prompts) {
  size_t num_layers = 0;
  for (const auto* linear : lora::adapted_linears(model))
    num_layers += linear->adapter()->parts.size();
  if (num_layers == 0) return;
  const auto say_merged = [&] {
    const auto norms = lora::merge(model);
    log::info("merged into " + std::to_string(num_layers) + " layers; rounding to " + dtype +
              " changed " + share_text(norms.lost, norms.update) + " of the update");
  };
  if (num_prompts == 0) return say_merged();
  const DrawnPrompts prompts(model, num_prompts, 0);
  const auto before = prompts.logits(model);
  say_merged();
  const auto after = prompts.logits(model);
  const auto gap = (after - before).abs().max().item<double>();
  const auto same = after.argmax(1).eq(before.argmax(1)).sum().item<int64_t>();
  log::info(std::to_string(num_prompts) +
            " drawn prompts, attached against merged: logits differ by " +
            share_text(gap, before.abs().max().item<double>()) + " of the largest at most, " +
            std::to_string(same) + " of " + std::to_string(after.size(0)) +
            " likeliest tokens are the same");
}

void write_peft(Llava& model, const ExportRequest& request, const fs::path& dir) {
  const auto folder = adapter_folder(request.from.adapter);
  if (!fs::exists(folder / "adapter_config.json")) {
    throw CheckpointError(folder.string() +
                          ": holds a projector alone, for which PEFT has no layout; merged-hf and "
                          "llava take it");
  }
  auto info = lora::read_adapter_info(folder);
  info.saves_projector = holds_projector(folder);
  const auto& named = request.from.model;
  if (!named.llava.empty() || !named.language.empty())
    info.base_model = named.llava.empty() ? named.language : named.llava;
  info.finer = {{"finer_version", FINER_VERSION}, {"finer_commit", FINER_COMMIT}};
  lora::save_adapter(model, info, dir);
}

}  // namespace

void export_model(const ExportRequest& request) {
  check_request(request);
  auto base = base_model(request.from);
  if (request.from.dtype.empty() && !base.model.use_from_scratch)
    base.model.dtype = stored_dtype(base.model);
  const auto config = read_model_config(base.model);
  if (request.format == "llava" && !config.has_vision)
    throw ConfigError(
        "--format llava: the model has no vision tower; merged-hf writes a LLaMA directory");
  if (!request.from.adapter.empty()) adapter_folder(request.from.adapter);
  check_projector(base.model, config, request.from.adapter);
  if (request.format != "peft") check_space(*plan_llava(base.model), base.model.dtype, request.out);

  const auto model = load_llava(base.model, open_device(request.from.device), base.seed);
  add_adapter(*model, request.from.adapter);
  const auto out = request.out.has_filename() ? request.out : request.out.parent_path();
  const fs::path partial = out.string() + ".partial";
  fs::remove_all(partial);
  if (request.format == "peft") {
    write_peft(*model, request, partial);
  } else {
    merge_and_compare(*model, base.model.dtype, request.num_prompts);
    if (request.format == "llava") {
      const auto named = fs::absolute(out).lexically_normal().string();
      save_llava_layout(*model, base.model, {request.vision_tower, named, base.image_aspect},
                        partial);
    } else {
      save_model(*model, base.model, partial);
    }
  }
  fs::rename(partial, out);
}

}  // namespace finer
