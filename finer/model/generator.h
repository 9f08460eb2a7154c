#pragma once

#include "finer/model/llava.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace finer {

/// A conversation so far, to be gone on with.
struct GeneratePrompt {
  std::vector<int64_t> ids;  // picture positions widened, as ReadySample has them
  int64_t image_begin = -1;  // first picture position, -1 without a picture
  at::Tensor pixels;         // [1, 3, side, side] float32, host; undefined without a picture
  uint64_t image_key = 0;    // equal keys are equal pictures: features and cache are shared
  int64_t max_new_tokens = 64;
  std::vector<int64_t> stop_ids;  // any of these ends the answer and is not part of it
  double temperature = 0;         // 0: greedy
  double top_p = 1;
  uint64_t seed = 0;  // of this prompt's draws: they depend on nothing else
};

struct GeneratedAnswer {
  int64_t ticket = 0;        // what submit() returned
  std::vector<int64_t> ids;  // new tokens
  bool is_stopped = false;   // by a stop id; false: by max_new_tokens
};

struct GeneratorOptions {
  int64_t max_sequences = 64;   // that decode at a time
  int64_t cache_tokens = 0;     // keys and values kept, in tokens; 0: a quarter of what is free
                                // (memory is taken as it is needed; one long prompt may exceed it)
  bool reuses_prefixes = true;  // beginnings that prompts share are computed once
};

/// Many prompts at a time, without padding: sequences join and leave as they finish, and what
/// prompts have in common at their beginning (system text, picture, earlier turns with their
/// answers) is computed once and kept, the longest unused going first when room is needed.
///
/// The model's weights must not change while it lives: the cache would be another model's. After an
/// exception from next() or log_likelihoods() all that was under way is dropped.
/// Threads: one at a time.
class Generator {
 public:
  Generator(Llava& model, GeneratorOptions options);
  ~Generator();

  /// Queues a prompt; returns its ticket, which counts from 0. Throws: DataError when the prompt
  /// and its answer are longer than the model's positions.
  int64_t submit(GeneratePrompt prompt);
  /// Works until at least one answer is finished; empty when nothing is under way.
  std::vector<GeneratedAnswer> next();
  int64_t num_pending() const;
  /// Ends an answer with what it has; it comes out of next(). May be called from on_token. An
  /// unknown or finished ticket does nothing.
  void cancel(int64_t ticket);
  /// Called with every token as it is chosen, to show answers as they grow.
  std::function<void(int64_t ticket, int64_t token)> on_token;

  /// Sum of log-probabilities of each continuation after the prompt, through a prefix tree over
  /// them: a beginning that continuations share is computed once.
  std::vector<double> log_likelihoods(const GeneratePrompt& prompt,
                                      const std::vector<std::vector<int64_t>>& continuations);

  /// Tokens whose keys and values were computed, and those that were found in the cache.
  struct Counts {
    int64_t computed_tokens = 0, reused_tokens = 0, encoded_pictures = 0, reused_pictures = 0;
  };
  Counts counts() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace finer
