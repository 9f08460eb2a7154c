#pragma once

#include "finer/image/preprocess.h"
#include "finer/model/config.h"
#include "finer/model/generator.h"
#include "finer/text/conversation.h"
#include "finer/text/tokenizer.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace finer {

/// A model to be asked.
struct SessionConfig {
  ModelConfig model;              // none named: the base that the adapter's own recipe names
  std::filesystem::path adapter;  // PEFT directory, run or checkpoint; empty: the base alone
  std::string conversation;       // empty: as the adapter's recipe, else vicuna_v1
  std::string image_aspect;       // empty: as the adapter's recipe, else pad
  std::string dtype;              // empty: model.dtype, or the adapter's recipe's
  std::string device = "auto";    // auto | cpu | cuda | cuda:N
  uint64_t seed = 0;              // weights of a from_scratch model
};

/// What a SessionConfig comes to, with the recipe beside its adapter.
struct BaseModel {
  ModelConfig model;
  uint64_t seed = 0;  // of weights that are drawn
  std::string conversation, image_aspect;
};

/// The base that config.model names, else the one of the recipe beside the adapter.
/// Throws: ConfigError.
BaseModel base_model(const SessionConfig& config);

/// What the encoder sees of a picture.
struct Picture {
  at::Tensor pixels;  // [1, 3, side, side] float32, host
  uint64_t key = 0;   // hash of the pixels: GeneratePrompt::image_key
};

/// Model, adapter, tokenizer and picture settings, opened and held against each other, and the way
/// from turns and a picture to a prompt.
class Session {
 public:
  /// Throws: ConfigError, CheckpointError, DataError, RecipeError, each naming the file.
  explicit Session(const SessionConfig& config);
  /// On a model that is open already (evaluation within training); it must outlive the session.
  Session(Llava& model, const ModelConfig& source, std::shared_ptr<const Tokenizer> tokenizer,
          const std::string& conversation, const std::string& image_aspect);

  Llava& model() const { return *model_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  ConversationKind conversation() const { return conversation_; }
  ImageAspect image_aspect() const { return image_aspect_; }

  /// Decoded, resized, normalised. Throws: DataError naming the file; ConfigError where the model
  /// has no vision tower.
  Picture picture(const std::filesystem::path& file) const;

  /// Ids as training has them before an answer; end of sequence stops it. `turns` ends with a
  /// human turn; with a picture exactly one human turn holds "<image>".
  /// Throws: DataError for turns that tokenize_prompt refuses.
  GeneratePrompt prompt(std::span<const Turn> turns, const Picture* picture,
                        int64_t max_new_tokens) const;

  /// Text of new ids, without blanks around it.
  std::string text(const std::vector<int64_t>& ids) const;

 private:
  std::unique_ptr<Llava> owned_;
  Llava* model_ = nullptr;
  std::shared_ptr<const Tokenizer> tokenizer_;
  PreprocessConfig preprocess_;
  ConversationKind conversation_ = ConversationKind::kVicunaV1;
  ImageAspect image_aspect_ = ImageAspect::kPad;
};

/// Where the files of an adapter are: in the directory, or, of a run or a checkpoint, in its
/// `adapter`. Throws: CheckpointError, also for full tuning, whose weights are not in an adapter.
std::filesystem::path adapter_folder(const std::filesystem::path& dir);

/// Attaches what a directory holds to a model without an adapter: a PEFT directory, a run, a
/// checkpoint; an empty path does nothing. Throws: as adapter_folder; CheckpointError.
void add_adapter(Llava& model, const std::filesystem::path& dir);

}  // namespace finer
