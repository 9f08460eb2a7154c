#include "finer/model/generator.h"

#include "finer/core/error.h"
#include "finer/model/sampling.h"

#include <deque>
#include <string>
#include <utility>

namespace finer {

struct Generator::State {
  Llava& model;
  GeneratorOptions options;
  std::deque<std::pair<int64_t, GeneratePrompt>> waiting;
  int64_t next_ticket = 0;
  Counts counts;

  // Logits [M, V] float32, on the host, at the wanted positions of one sequence.
  at::Tensor logits(const GeneratePrompt& prompt, const std::vector<int64_t>& ids,
                    const std::vector<int64_t>& wanted) {
    const auto device = model.options().device();
    LlavaInput input;
    input.ids_T = at::tensor(ids, at::kLong).to(device);
    input.packing = Packing::from_bounds({0, static_cast<int64_t>(ids.size())}, device);
    if (prompt.image_begin >= 0) {
      const int64_t P = model.config().image_positions();
      input.image_slots =
          at::arange(prompt.image_begin, prompt.image_begin + P, at::kLong).to(device);
      input.pixels = prompt.pixels.to(device);
    }
    const auto hidden = model.forward(input, at::tensor(wanted, at::kLong).to(device));
    counts.computed_tokens += static_cast<int64_t>(ids.size());
    return at::mm(hidden, model.language().head().to(hidden.scalar_type()).t())
        .to(at::kFloat)
        .cpu()
        .contiguous();
  }
};

Generator::Generator(Llava& model, GeneratorOptions options)
    : state_(new State{model, options, {}, 0, {}}) {}
Generator::~Generator() = default;

int64_t Generator::submit(GeneratePrompt prompt) {
  const auto length = static_cast<int64_t>(prompt.ids.size());
  const int64_t limit = state_->model.config().language.max_positions;
  if (length == 0) throw DataError("the prompt is empty");
  if (length + prompt.max_new_tokens > limit) {
    throw DataError("the prompt has " + std::to_string(length) + " tokens and its answer up to " +
                    std::to_string(prompt.max_new_tokens) + ": more than the model's " +
                    std::to_string(limit) + " positions; shorten either");
  }
  state_->waiting.emplace_back(state_->next_ticket, std::move(prompt));
  return state_->next_ticket++;
}

int64_t Generator::num_pending() const { return static_cast<int64_t>(state_->waiting.size()); }
Generator::Counts Generator::counts() const { return state_->counts; }

std::vector<GeneratedAnswer> Generator::next() {
  if (state_->waiting.empty()) return {};
  const at::NoGradGuard no_gradients;
  const auto [ticket, prompt] = std::move(state_->waiting.front());
  state_->waiting.pop_front();
  GeneratedAnswer answer;
  answer.ticket = ticket;
  auto ids = prompt.ids;
  while (static_cast<int64_t>(answer.ids.size()) < prompt.max_new_tokens) {
    const auto logits = state_->logits(prompt, ids, {static_cast<int64_t>(ids.size()) - 1});
    const int64_t token =
        choose_token({logits.const_data_ptr<float>(), static_cast<size_t>(logits.size(1))}, prompt,
                     static_cast<int64_t>(answer.ids.size()));
    for (const int64_t stop : prompt.stop_ids) answer.is_stopped |= token == stop;
    if (answer.is_stopped) break;
    answer.ids.push_back(token);
    ids.push_back(token);
    if (on_token) on_token(ticket, token);
  }
  return {answer};
}

std::vector<double> Generator::log_likelihoods(
    const GeneratePrompt& prompt, const std::vector<std::vector<int64_t>>& continuations) {
  const at::NoGradGuard no_gradients;
  std::vector<double> out;
  for (const auto& continuation : continuations) {
    auto ids = prompt.ids;
    std::vector<int64_t> wanted;
    for (const int64_t id : continuation) {
      wanted.push_back(static_cast<int64_t>(ids.size()) - 1);
      ids.push_back(id);
    }
    double sum = 0;
    if (!wanted.empty()) {
      const auto logs = state_->logits(prompt, ids, wanted).log_softmax(1);
      for (size_t i = 0; i < continuation.size(); ++i) {
        sum += logs[static_cast<int64_t>(i)][continuation[i]].item<double>();
      }
    }
    out.push_back(sum);
  }
  return out;
}

}  // namespace finer
