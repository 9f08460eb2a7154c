#include "finer/io/weight_names.h"

#include <catch2/catch.hpp>

#include <string>
#include <utility>
#include <vector>

namespace finer {

namespace {

using Names = std::vector<std::pair<std::string, std::string>>;

void check_names(const Names& names) {
  for (const auto& [published, canonical] : names) {
    INFO(published);
    CHECK(canonical_weight_name(published).value_or("(unknown)") == canonical);
  }
}

const std::string kEmbedding = "language_model.embed_tokens.weight";
const std::string kQuery = "language_model.layers.11.self_attn.q_proj.weight";
const std::string kNorm = "language_model.norm.weight";
const std::string kHead = "language_model.lm_head.weight";
const std::string kClass = "vision_tower.embeddings.class_embedding";
const std::string kPreNorm = "vision_tower.pre_layrnorm.bias";
const std::string kVisionLayer = "vision_tower.encoder.layers.3.mlp.fc1.weight";
const std::string kProjector = "multi_modal_projector.linear_2.bias";

}  // namespace

TEST_CASE("llava-hf of transformers 4.36 to 4.51 has canonical names", "[io]") {
  check_names({{"language_model.model.embed_tokens.weight", kEmbedding},
               {"language_model.model.layers.11.self_attn.q_proj.weight", kQuery},
               {"language_model.model.norm.weight", kNorm},
               {"language_model.lm_head.weight", kHead},
               {"vision_tower.vision_model.embeddings.class_embedding", kClass},
               {"vision_tower.vision_model.pre_layrnorm.bias", kPreNorm},
               {"vision_tower.vision_model.encoder.layers.3.mlp.fc1.weight", kVisionLayer},
               {"multi_modal_projector.linear_2.bias", kProjector}});
}

TEST_CASE("llava-hf of transformers 4.52 and newer has canonical names", "[io]") {
  check_names({{"model.language_model.embed_tokens.weight", kEmbedding},
               {"model.language_model.layers.11.self_attn.q_proj.weight", kQuery},
               {"model.language_model.norm.weight", kNorm},
               {"lm_head.weight", kHead},
               {"model.vision_tower.vision_model.embeddings.class_embedding", kClass},
               {"model.vision_tower.vision_model.encoder.layers.3.mlp.fc1.weight", kVisionLayer},
               {"model.multi_modal_projector.linear_2.bias", kProjector}});
}

TEST_CASE("llava-hf of transformers 5, whose tower is flat, has canonical names", "[io]") {
  check_names({{"model.vision_tower.embeddings.class_embedding", kClass},
               {"model.vision_tower.pre_layrnorm.bias", kPreNorm},
               {"model.vision_tower.encoder.layers.3.mlp.fc1.weight", kVisionLayer},
               {"vision_tower.encoder.layers.3.mlp.fc1.weight", kVisionLayer}});
}

TEST_CASE("original LLaVA has canonical names, its trained tower and projector included", "[io]") {
  check_names({{"model.embed_tokens.weight", kEmbedding},
               {"model.layers.11.self_attn.q_proj.weight", kQuery},
               {"model.norm.weight", kNorm},
               {"lm_head.weight", kHead},
               {"model.vision_tower.vision_tower.vision_model.embeddings.class_embedding", kClass},
               {"model.vision_tower.vision_tower.vision_model.encoder.layers.3.mlp.fc1.weight",
                kVisionLayer},
               {"model.mm_projector.0.weight", "multi_modal_projector.linear_1.weight"},
               {"model.mm_projector.2.bias", kProjector},
               {"model.mm_projector.weight", "multi_modal_projector.linear_1.weight"}});
}

TEST_CASE("the three parts have canonical names: LLaMA, CLIP, mm_projector.bin", "[io]") {
  check_names({{"vision_model.embeddings.class_embedding", kClass},
               {"vision_model.pre_layrnorm.bias", kPreNorm},
               {"vision_model.encoder.layers.3.mlp.fc1.weight", kVisionLayer},
               {"mm_projector.0.bias", "multi_modal_projector.linear_1.bias"},
               {"mm_projector.2.bias", kProjector},
               {"mm_projector.30.weight", "multi_modal_projector.linear_16.weight"},
               {"mm_projector.bias", "multi_modal_projector.linear_1.bias"}});
}

TEST_CASE("what a checkpoint may carry and no model needs has an empty name", "[io]") {
  check_names({{"model.layers.0.self_attn.rotary_emb.inv_freq", ""},
               {"language_model.model.layers.0.self_attn.rotary_emb.inv_freq", ""},
               {"vision_tower.vision_model.embeddings.position_ids", ""},
               {"vision_model.embeddings.position_ids", ""},
               {"text_model.encoder.layers.0.mlp.fc1.weight", ""},
               {"visual_projection.weight", ""},
               {"text_projection.weight", ""},
               {"logit_scale", ""}});
}

TEST_CASE("other names are unknown, never guessed at", "[io]") {
  for (const std::string name :
       {"", "weight", "transformer.h.0.attn.weight", "model", "lm_head", "mm_projector.1.weight",
        "mm_projector.x.weight", "mm_projector.200.weight", "mm_projector.", "mm_projector..weight",
        "model.mm_projector.-2.weight", "qformer.layers.0.weight"}) {
    INFO(name);
    CHECK_FALSE(canonical_weight_name(name).has_value());
  }
}

}  // namespace finer
