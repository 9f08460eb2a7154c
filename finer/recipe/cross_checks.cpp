#include "finer/recipe/cross_checks.h"

#include <initializer_list>
#include <string>

namespace finer {

namespace {

std::string number(int64_t value) { return std::to_string(value); }

class Checker {
 public:
  Checker(ConfigDocument& document, Recipe& recipe) : document_(document), r_(recipe) {}

  void run() {
    check_model_form();
    if (r_.model.use_from_scratch) {
      check_language_sizes();
      if (r_.model.from_scratch.has_vision) check_vision_sizes();
    } else {
      r_.model.from_scratch = LlavaConfig{};
      r_.model.from_scratch.has_vision = !is_text_only_;
    }
    check_parts_that_train();
    check_idle_keys();
    check_warmup();
    check_eval();
  }

 private:
  bool sound(std::initializer_list<const char*> paths) const {
    for (const char* path : paths) {
      if (!document_.is_sound(path)) return false;
    }
    return true;
  }
  void fault(const std::string& path, const std::string& what) { document_.add_fault(path, what); }

  // Exactly one of llava, language, from_scratch, each with the parts that go with it.
  void check_model_form() {
    const ModelConfig& m = r_.model;
    is_text_only_ =
        m.use_from_scratch ? !m.from_scratch.has_vision : !m.language.empty() && m.vision.empty();
    knows_model_ = sound({"model"});
    if (!knows_model_) return;
    const int forms = !m.llava.empty() + !m.language.empty() + m.use_from_scratch;
    if (forms != 1) {
      std::string found;
      if (!m.llava.empty()) found += "llava";
      if (!m.language.empty()) found += std::string(found.empty() ? "" : " and ") + "language";
      if (m.use_from_scratch) found += std::string(found.empty() ? "" : " and ") + "from_scratch";
      fault("model", "found " + (found.empty() ? "none" : found) +
                         "; expected exactly one of llava, language, from_scratch");
      knows_model_ = false;
      return;
    }
    if (!m.vision.empty() && m.use_from_scratch) {
      fault("model.vision",
            "does nothing beside from_scratch; leave it out, or give from_scratch.vision");
    }
    if (!m.projector.empty() && (m.language.empty() || m.vision.empty())) {
      fault("model.projector", "does nothing here; expected beside both language and vision");
    }
    if (m.use_from_scratch && m.tokenizer.empty()) {
      fault("model.tokenizer",
            "missing; expected a tokenizer's directory or file, since from_scratch has none of its "
            "own");
    }
  }

  void check_language_sizes() {
    LanguageConfig& l = r_.model.from_scratch.language;
    const std::string at = "model.from_scratch.language";
    if (!sound({"model.from_scratch.language"})) return;
    if (!document_.has(at + ".num_kv_heads")) l.num_kv_heads = l.num_heads;
    if (!document_.has(at + ".head_size")) {
      if (l.width % l.num_heads != 0 || l.width / l.num_heads % 2 != 0) {
        fault(at + ".width", "found " + number(l.width) + " with num_heads " + number(l.num_heads) +
                                 "; expected an even number a head, or head_size given");
      } else {
        l.head_size = l.width / l.num_heads;
      }
    } else if (l.head_size % 2 != 0) {
      fault(at + ".head_size", "found " + number(l.head_size) + "; expected an even number");
    }
    if (l.num_heads % l.num_kv_heads != 0) {
      fault(at + ".num_kv_heads", "found " + number(l.num_kv_heads) +
                                      "; expected a divisor of num_heads, which is " +
                                      number(l.num_heads));
    }
    if (l.rope_scaling == "llama3" && l.rope_high_freq_factor <= l.rope_low_freq_factor) {
      fault(at + ".rope_high_freq_factor",
            "found no more than rope_low_freq_factor; expected above it");
    }
  }

  void check_vision_sizes() {
    const LlavaConfig& m = r_.model.from_scratch;
    const VisionConfig& s = m.vision;
    const std::string at = "model.from_scratch.vision";
    if (!sound({"model.from_scratch.vision"})) return;
    if (s.width % s.num_heads != 0) {
      fault(at + ".width", "found " + number(s.width) +
                               "; expected a multiple of num_heads, which is " +
                               number(s.num_heads));
    }
    if (s.image_side_px % s.patch_side_px != 0) {
      fault(at + ".image_side_px", "found " + number(s.image_side_px) +
                                       "; expected a multiple of patch_side_px, which is " +
                                       number(s.patch_side_px));
    } else if (sound({"data.max_tokens", "model.from_scratch.keep_class_token"}) &&
               m.image_positions() >= r_.data.max_tokens) {
      fault("data.max_tokens", "found " + number(r_.data.max_tokens) + "; expected more than the " +
                                   number(m.image_positions()) + " positions of a picture");
    }
    if (sound({"model.from_scratch.feature_layer"}) &&
        (m.feature_layer < -s.num_layers - 1 || m.feature_layer > s.num_layers)) {
      fault("model.from_scratch.feature_layer",
            "found " + number(m.feature_layer) + "; expected between " + number(-s.num_layers - 1) +
                " and " + number(s.num_layers) + ", as vision.num_layers is " +
                number(s.num_layers));
    }
  }

  // Something trains, and nothing is asked of parts that are not there.
  void check_parts_that_train() {
    TrainConfig& t = r_.train;
    if (knows_model_ && is_text_only_) {
      const char* const kPaths[] = {"train.vision", "train.projector"};
      std::string* const values[] = {&t.vision, &t.projector};
      for (int i = 0; i < 2; ++i) {
        if (document_.has(kPaths[i]) && document_.is_sound(kPaths[i]) && *values[i] != "frozen") {
          fault(kPaths[i],
                "found \"" + *values[i] +
                    "\" with a model that reads text only; expected frozen, or a vision model");
        }
        *values[i] = "frozen";
      }
      if (r_.model.use_from_scratch) {
        LlavaConfig& scratch = r_.model.from_scratch;
        const LlavaConfig usual;
        const auto unused = [&](const char* path, bool is_usual) {
          if (!is_usual && document_.is_own(path)) idle(path, "the model has no vision section");
        };
        unused("model.from_scratch.projector", scratch.projector.kind == usual.projector.kind &&
                                                   scratch.projector.bias == usual.projector.bias);
        unused("model.from_scratch.feature_layer", scratch.feature_layer == usual.feature_layer);
        unused("model.from_scratch.keep_class_token", !scratch.keep_class_token);
        scratch.vision = VisionConfig{};
        scratch.projector = ProjectorConfig{};
        scratch.feature_layer = usual.feature_layer;
        scratch.keep_class_token = false;
      }
    }
    const bool trains = t.language != "frozen" || t.vision != "frozen" || t.projector != "frozen";
    if (!trains && sound({"train", "model"})) {
      fault("train", "nothing trains; expected lora or full for language, or full for projector");
    }
  }

  void idle(const std::string& path, const std::string& why) {
    fault(path, "does nothing, since " + why + "; leave it out");
  }

  // A key that changes nothing gets its usual value.
  template <class T>
  void unused(const char* path, T& value, const T& usual, bool is_used, const std::string& why) {
    if (is_used) return;
    if (value != usual && document_.is_own(path) &&
        sound({path, "train", "optim.schedule", "model"})) {
      idle(path, why);
    }
    value = usual;
  }

  // Keys of this file that change nothing. Inherited ones are let be: arms of an experiment share a
  // base.
  void check_idle_keys() {
    const TrainConfig& t = r_.train;
    if (t.language != "lora" && t.vision != "lora") {
      if (document_.is_own("lora") && sound({"train"})) {
        idle("lora", "neither train.language nor train.vision is lora");
      }
      r_.lora = lora::LoraConfig{};
    }
    if (knows_model_ && is_text_only_) {
      if (r_.data.picture_group != 1 && document_.is_own("data.picture_group") &&
          sound({"data.picture_group"})) {
        idle("data.picture_group", "the model reads text only");
      }
      r_.data.picture_group = 1;
    }
    unused("optim.projector_lr", r_.optim.projector_lr, 0.0, t.projector != "frozen",
           "the projector does not train");
    unused("optim.vision_lr", r_.optim.vision_lr, 0.0, t.vision != "frozen",
           "the vision model does not train");
    unused("optim.min_lr_ratio", r_.optim.min_lr_ratio, 0.0, r_.optim.schedule != "constant",
           "optim.schedule is constant");
    check_muon();
  }

  void check_muon() {
    const TrainConfig& t = r_.train;
    OptimConfig& o = r_.optim;
    if (!sound({"optim", "train", "model"})) return;
    const OptimConfig usual;
    const bool trains_matrices =
        t.language == "full" || t.vision == "full" || t.projector == "full";
    unused("optim.matrices", o.matrices, usual.matrices, trains_matrices, "no part trains in full");
    const bool has_muon = o.matrices == "muon";
    const bool takes_rate = t.language == "full" ||
                            (t.projector == "full" && o.projector_lr == 0) ||
                            (t.vision == "full" && o.vision_lr == 0);
    const std::string why = "optim.matrices is adamw";
    unused("optim.muon_lr", o.muon_lr, usual.muon_lr, has_muon && takes_rate,
           has_muon ? "all parts that train in full have their own rate" : why);
    unused("optim.muon_momentum", o.muon_momentum, usual.muon_momentum, has_muon, why);
    unused("optim.muon_steps", o.muon_steps, usual.muon_steps, has_muon, why);
  }

  void check_warmup() {
    OptimConfig& o = r_.optim;
    if (o.warmup_steps == 0) return;
    if (document_.has("optim.warmup_ratio") && o.warmup_ratio != 0 &&
        sound({"optim.warmup_ratio"})) {
      fault("optim.warmup_steps", "given beside optim.warmup_ratio (" +
                                      document_.where("optim.warmup_ratio") +
                                      "); expected one of them, the other null");
    }
    o.warmup_ratio = 0;
  }

  void check_eval() {
    if (!r_.has_eval || !sound({"eval"})) return;
    const TrainEvalConfig& e = r_.eval;
    if (e.loss_data.empty() && e.records.empty())
      fault("eval", "measures nothing; expected loss_data, records, or both");
    if (!e.records.empty() && knows_model_ && is_text_only_)
      fault("eval.records", "found records with pictures and a model that reads text only");
    for (const char* key : {"eval.images", "eval.attributes", "eval.prompts"}) {
      if (e.records.empty() && document_.is_own(key)) idle(key, "eval.records is not given");
    }
    if (e.loss_data.empty() && document_.is_own("eval.loss_images"))
      idle("eval.loss_images", "eval.loss_data is not given");
  }

  ConfigDocument& document_;
  Recipe& r_;
  bool is_text_only_ = false;
  bool knows_model_ = false;  // its form is clear and nothing in it is at fault
};

}  // namespace

void cross_check(ConfigDocument& document, Recipe& recipe) { Checker(document, recipe).run(); }

}  // namespace finer
