#include "finer/model/generator.h"

#include "finer/core/error.h"
#include "finer/model/kv_store.h"
#include "finer/model/prefix_tree.h"
#include "finer/model/sampling.h"
#include "finer/model/score_tree.h"

#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <list>
#include <numeric>
#include <string>
#include <unordered_map>
#include <utility>

namespace finer {

namespace {

constexpr int64_t kPassRows = 1024;    // new prompt tokens that a pass takes up
constexpr int64_t kScoreRows = 1024;   // nodes of a score tree in a pass
constexpr int64_t kHeadBlock = 1024;   // rows of the vocabulary in one product
constexpr int64_t kHeadRows = 256;     // rows whose logits are there at a time
constexpr int64_t kKeptPictures = 32;  // whose features are kept beside those in use
constexpr int64_t kPictureBatch = 16;  // encoded at a time
constexpr int64_t kFirstSlots = 1024;  // cache to begin with
constexpr int64_t kLeastShared = 16;   // tokens worth a group

// A prompt under way, or being scored.
struct Sequence {
  int64_t ticket = 0;
  GeneratePrompt prompt;
  std::vector<int64_t> elements;     // of the prefix tree: prompt, then the answer as it grows
  std::vector<int32_t> slots;        // of elements, as far as they have one
  PrefixTree::Node* node = nullptr;  // locked; its path holds the first tree_tokens slots
  int64_t tree_tokens = 0;
  int64_t num_computed = 0;  // elements whose keys and values are in the cache (or come before)
  at::Tensor features;       // [P, D] of its picture while positions of it are to be computed
  std::vector<int64_t> answer;
  bool is_finished = false, is_stopped = false;

  int64_t length() const { return static_cast<int64_t>(elements.size()); }
  int64_t num_pending() const { return length() - num_computed; }
};

// Tokens of a pass, before the model sees them.
struct Pass {
  std::vector<int64_t> ids;
  CachedView view;
  std::vector<int64_t> wanted;  // rows whose hidden state is asked for
  struct PictureRows {
    at::Tensor features;
    int64_t first_feature, first_row, count;
  };
  std::vector<PictureRows> pictures;

  int64_t num_rows() const { return static_cast<int64_t>(ids.size()); }
  // Appends a list of slots; returns where it begins.
  int64_t add_slots(const std::vector<int32_t>& slots, int64_t begin, int64_t end) {
    const auto at = static_cast<int64_t>(view.slots.size());
    view.slots.insert(view.slots.end(), slots.begin() + begin, slots.begin() + end);
    return at;
  }
  void add_row(int64_t id, int64_t position, int32_t slot, int64_t own_begin, int64_t own_count) {
    ids.push_back(id);
    view.positions.push_back(position);
    view.writes_to.push_back(slot);
    view.own_begin.push_back(own_begin);
    view.own_count.push_back(own_count);
  }
};

int64_t common_beginning(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
  return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
}

}  // namespace

struct Generator::State {
  Llava& model;
  GeneratorOptions options;
  std::function<void(int64_t, int64_t)>& on_token;
  KvStore store;
  int64_t cache_limit;
  bool has_kernel;
  PrefixTree tree;
  std::deque<std::pair<int64_t, GeneratePrompt>> waiting;
  std::list<Sequence> running;
  std::vector<GeneratedAnswer> finished;
  int64_t next_ticket = 0;
  Counts counts;
  at::Tensor logits_buffer;

  // Pictures by key: a small number for the prefix tree, and features, the last used in front.
  std::unordered_map<uint64_t, int64_t> picture_numbers;
  std::list<std::pair<uint64_t, at::Tensor>> kept_pictures;

  State(Llava& m, GeneratorOptions o, std::function<void(int64_t, int64_t)>& callback)
      : model(m),
        options(o),
        on_token(callback),
        store(m.config().language, m.options()),
        cache_limit(o.cache_tokens > 0
                        ? o.cache_tokens
                        : KvStore::affordable_tokens(m.config().language, m.options())),
        has_kernel(has_cached_kernel(m.options(), m.language().attention_config())) {
    options.max_sequences = std::max<int64_t>(1, options.max_sequences);
  }

  void check(const GeneratePrompt& prompt) const;
  std::vector<int64_t> elements_of(const GeneratePrompt& prompt);
  void make_room(int64_t slots);
  bool has_room_for(const Sequence& sequence) const;
  void admit();
  void enter(Sequence& sequence);
  void leave(Sequence& sequence);
  void encode_pictures(const std::vector<Sequence*>& sequences);
  void add_prompt_rows(Pass& pass, Sequence& sequence, int64_t count);
  void add_answer_rows(Pass& pass, std::vector<Sequence*> sequences);
  at::Tensor compute(Pass& pass);
  at::Tensor logits_of(const at::Tensor& hidden);
  void step();
  void take_token(Sequence& sequence, int64_t token);
  bool has_unread_prompts() const;
  void drop_everything();
};

void Generator::State::check(const GeneratePrompt& prompt) const {
  const auto& config = model.config();
  const auto length = static_cast<int64_t>(prompt.ids.size());
  const int64_t limit = config.language.max_positions;
  if (length == 0) throw DataError("the prompt is empty");
  if (prompt.max_new_tokens < 0) throw DataError("max_new_tokens is negative");
  if (length > limit || prompt.max_new_tokens > limit - length) {
    throw DataError("the prompt has " + std::to_string(length) + " tokens and its answer up to " +
                    std::to_string(prompt.max_new_tokens) + ", more than the model's " +
                    std::to_string(limit) +
                    " positions; shorten the prompt or lower max_new_tokens");
  }
  for (const int64_t id : prompt.ids) {
    if (id < 0 || id >= config.language.vocab_size) {
      throw DataError("token id " + std::to_string(id) + " is outside the vocabulary of " +
                      std::to_string(config.language.vocab_size));
    }
  }
  if (!(prompt.temperature >= 0) || std::isinf(prompt.temperature))
    throw DataError("temperature: expected a number of at least 0");
  if (!(prompt.top_p > 0 && prompt.top_p <= 1))
    throw DataError("top_p: expected more than 0 and at most 1");
  if (prompt.image_begin < 0) return;
  if (!config.has_vision) throw DataError("the prompt has a picture, the model no vision tower");
  const int64_t side = config.vision.image_side_px;
  if (prompt.image_begin + config.image_positions() > length || !prompt.pixels.defined() ||
      prompt.pixels.sizes() != at::IntArrayRef({1, 3, side, side})) {
    throw DataError("the prompt's picture: expected " + std::to_string(config.image_positions()) +
                    " positions within the prompt and pixels [1, 3, " + std::to_string(side) +
                    ", " + std::to_string(side) + "]");
  }
}

// Pictures become negative numbers, so that prompts about equal pictures begin alike.
std::vector<int64_t> Generator::State::elements_of(const GeneratePrompt& prompt) {
  auto out = prompt.ids;
  if (prompt.image_begin < 0) return out;
  const auto number = static_cast<int64_t>(picture_numbers.size());
  const int64_t element = -1 - picture_numbers.try_emplace(prompt.image_key, number).first->second;
  const auto begin = out.begin() + prompt.image_begin;
  std::fill(begin, begin + model.config().image_positions(), element);
  return out;
}

// Afterwards that many slots are free: by growing within the limit, then by forgetting, then by
// growing beyond it.
void Generator::State::make_room(int64_t slots) {
  const auto grow = [&](int64_t most) {
    const int64_t missing = slots - store.num_free();
    const int64_t wanted =
        std::max({kFirstSlots, 2 * store.capacity(), store.capacity() + missing});
    const int64_t capacity = std::min(wanted, most);
    if (missing > 0 && capacity >= store.capacity() + missing) store.grow(capacity);
  };
  try {
    grow(cache_limit);
  } catch (const c10::OutOfMemoryError&) {
    cache_limit = store.capacity();  // forgetting goes on
  }
  if (store.num_free() < slots) {
    const int64_t spare = store.capacity() / 16;  // not again at the next token
    store.give_back(tree.evict(slots - store.num_free() + spare));
  }
  if (store.num_free() < slots) grow(store.capacity() + slots - store.num_free());
}

// Whether the sequence can run to its end beside the others.
bool Generator::State::has_room_for(const Sequence& sequence) const {
  int64_t promised = sequence.prompt.max_new_tokens + sequence.length() -
                     static_cast<int64_t>(sequence.slots.size());
  for (const auto& other : running) {
    promised += other.prompt.max_new_tokens - static_cast<int64_t>(other.answer.size());
  }
  const int64_t held = store.num_used() - (tree.num_tokens() - tree.num_locked_tokens());
  return held + tree.num_unlocked_above(sequence.node) + promised <= cache_limit;
}

// Finds what the cache has of the prompt, takes slots for the rest, and shows the rest to the
// prompts that come after: their rows run in the same pass or a later one.
void Generator::State::enter(Sequence& sequence) {
  tree.lock(sequence.node);
  const auto reused = static_cast<int64_t>(sequence.slots.size());
  make_room(sequence.length() - reused);
  for (int64_t i = reused; i < sequence.length(); ++i) sequence.slots.push_back(store.take());
  sequence.tree_tokens = sequence.num_computed = reused;
  counts.reused_tokens += reused;
  if (!options.reuses_prefixes) return;
  const auto at = static_cast<size_t>(reused);
  auto* node = tree.insert(sequence.node, std::span(sequence.elements).subspan(at),
                           std::span(sequence.slots).subspan(at));
  if (node == nullptr) return;  // another prompt is this one or begins with it
  tree.lock(node);
  tree.unlock(sequence.node);
  sequence.node = node;
  sequence.tree_tokens = sequence.length();
}

// Gives slots back, or to the tree.
void Generator::State::leave(Sequence& sequence) {
  tree.unlock(sequence.node);
  const auto cached = static_cast<size_t>(sequence.num_computed);
  auto known = static_cast<size_t>(sequence.tree_tokens);  // slots behind these are the sequence's
  if (options.reuses_prefixes && cached > known) {
    const auto elements = std::span(sequence.elements).first(cached);
    const auto match = tree.match(elements);
    const size_t there = match.slots.size();  // at least `known`; what is behind is there twice
    if (there < cached) {
      tree.insert(match.node, elements.subspan(there),
                  std::span(sequence.slots).subspan(there, cached - there));
    }
    for (size_t i = known; i < there; ++i) store.give_back(sequence.slots[i]);
    known = cached;
  }
  for (size_t i = known; i < sequence.slots.size(); ++i) store.give_back(sequence.slots[i]);
}

void Generator::State::admit() {
  std::vector<Sequence*> entered;
  while (!waiting.empty() && static_cast<int64_t>(running.size()) < options.max_sequences) {
    auto& [ticket, prompt] = waiting.front();
    if (prompt.max_new_tokens == 0) {
      finished.push_back({ticket, {}, false});
      waiting.pop_front();
      continue;
    }
    Sequence sequence;
    sequence.ticket = ticket;
    sequence.elements = elements_of(prompt);
    // the last token is always computed: its logits are wanted
    const auto known = std::span(sequence.elements)
                           .first(options.reuses_prefixes ? sequence.elements.size() - 1 : 0);
    auto match = tree.match(known);
    sequence.node = match.node;
    sequence.slots = std::move(match.slots);
    sequence.prompt.max_new_tokens = prompt.max_new_tokens;
    if (!running.empty() && !has_room_for(sequence)) break;
    sequence.prompt = std::move(prompt);
    waiting.pop_front();
    running.push_back(std::move(sequence));
    enter(running.back());
    entered.push_back(&running.back());
  }
  encode_pictures(entered);
}

// Gives features to the sequences whose picture is not in the cache to its end; each picture is
// encoded once, several at a time.
void Generator::State::encode_pictures(const std::vector<Sequence*>& sequences) {
  const int64_t P = model.config().image_positions();
  std::vector<Sequence*> asking;
  std::vector<std::pair<uint64_t, at::Tensor>> fresh;  // pixels, then features
  std::unordered_map<uint64_t, size_t> fresh_index;
  for (auto* sequence : sequences) {
    const auto& prompt = sequence->prompt;
    if (prompt.image_begin < 0) continue;
    if (sequence->num_computed >= prompt.image_begin + P) {
      ++counts.reused_pictures;
      continue;
    }
    asking.push_back(sequence);
    const auto kept = std::find_if(kept_pictures.begin(), kept_pictures.end(),
                                   [&](const auto& p) { return p.first == prompt.image_key; });
    if (kept != kept_pictures.end()) {
      ++counts.reused_pictures;
      kept_pictures.splice(kept_pictures.begin(), kept_pictures, kept);
    } else if (!fresh_index.try_emplace(prompt.image_key, fresh.size()).second &&
               options.reuses_prefixes) {
      ++counts.reused_pictures;
    } else {
      if (!options.reuses_prefixes) fresh_index[prompt.image_key] = fresh.size();
      fresh.emplace_back(prompt.image_key, prompt.pixels);
    }
  }
  for (size_t begin = 0; begin < fresh.size(); begin += kPictureBatch) {
    const size_t end = std::min(fresh.size(), begin + kPictureBatch);
    std::vector<at::Tensor> pixels;
    for (size_t i = begin; i < end; ++i) pixels.push_back(fresh[i].second);
    const auto features =
        model.vision()->forward(at::cat(pixels).to(model.options().device()));  // [N, P, D]
    const auto projected =
        model.projector()->forward(features.reshape({-1, features.size(-1)})).split(P);
    for (size_t i = begin; i < end; ++i) fresh[i].second = projected[i - begin].clone();
    counts.encoded_pictures += static_cast<int64_t>(end - begin);
  }
  for (auto* sequence : asking) {
    const uint64_t key = sequence->prompt.image_key;
    sequence->prompt.pixels = at::Tensor();
    const auto found = fresh_index.find(key);
    if (found != fresh_index.end()) {
      sequence->features = fresh[found->second].second;
      continue;
    }
    for (const auto& [kept, features] : kept_pictures) {
      if (kept == key) sequence->features = features;
    }
  }
  if (!options.reuses_prefixes) return;
  for (auto& picture : fresh) kept_pictures.push_front(std::move(picture));
  while (static_cast<int64_t>(kept_pictures.size()) > kKeptPictures) kept_pictures.pop_back();
}

// The next `count` tokens of a prompt: they share what was computed before, and see each other up
// to themselves.
void Generator::State::add_prompt_rows(Pass& pass, Sequence& s, int64_t count) {
  const int64_t begin = s.num_computed, end = begin + count;
  const int64_t shared = pass.add_slots(s.slots, 0, begin);
  const int64_t own = pass.add_slots(s.slots, begin, end);
  pass.view.groups.push_back({pass.num_rows(), count, shared, begin});
  const int64_t P = model.config().image_positions(), image = s.prompt.image_begin;
  if (image >= 0 && begin < image + P && end > image) {
    const int64_t first = std::max(begin, image), last = std::min(end, image + P);
    pass.pictures.push_back(
        {s.features, first - image, pass.num_rows() + first - begin, last - first});
  }
  for (int64_t i = begin; i < end; ++i) {
    const int64_t element = s.elements[static_cast<size_t>(i)];
    pass.add_row(std::max<int64_t>(element, 0), i, s.slots[static_cast<size_t>(i)], own,
                 i - begin + 1);
  }
  s.num_computed = end;
  if (end == s.length()) pass.wanted.push_back(pass.num_rows() - 1);
}

// The newest token of each sequence. Those with the same beginning stand together, so that its keys
// are read once for several of them.
void Generator::State::add_answer_rows(Pass& pass, std::vector<Sequence*> sequences) {
  for (size_t first = 0; first < sequences.size();) {
    int64_t shared = sequences[first]->length() - 1;
    size_t last = first + 1;
    for (; last < sequences.size(); ++last) {
      const int64_t with_next =
          std::min(shared, common_beginning(sequences[last - 1]->slots, sequences[last]->slots));
      if (with_next < kLeastShared || (last - first > 1 && 2 * with_next < shared)) break;
      shared = with_next;
    }
    if (last - first == 1) shared = 0;
    pass.view.groups.push_back({pass.num_rows(), static_cast<int64_t>(last - first),
                                pass.add_slots(sequences[first]->slots, 0, shared), shared});
    for (; first < last; ++first) {
      auto& s = *sequences[first];
      const int64_t own = pass.add_slots(s.slots, shared, s.length());
      pass.wanted.push_back(pass.num_rows());
      pass.add_row(s.elements.back(), s.length() - 1, s.slots.back(), own, s.length() - shared);
      s.num_computed = s.length();
    }
  }
}

// Hidden states [wanted, D] after the last norm; keys and values of all rows are in the cache then.
at::Tensor Generator::State::compute(Pass& pass) {
  const auto device = model.options().device();
  const auto& attention = model.language().attention_config();
  pass.view.make_tensors(device, has_kernel, attention.num_heads / attention.num_kv_heads);
  auto x_TD = model.language().embed(at::tensor(pass.ids, at::kLong).to(device));
  for (const auto& picture : pass.pictures) {
    x_TD.narrow(0, picture.first_row, picture.count)
        .copy_(picture.features.narrow(0, picture.first_feature, picture.count));
  }
  counts.computed_tokens += pass.num_rows();
  return model.language().forward_cached(x_TD, pass.view, store.layers(),
                                         at::tensor(pass.wanted, at::kLong).to(device));
}

// [M, V] in the compute dtype, good until the next call: memory of this size is dear to ask for
// anew with every token. On the CPU by blocks of the vocabulary, which MKL multiplies with few rows
// at about twice the speed of the whole: what it copies of the matrix stays in the cache.
at::Tensor Generator::State::logits_of(const at::Tensor& hidden) {
  const auto& packed = model.language().packed_head();
  if (packed.defined()) return packed.multiply(hidden, at::Tensor());
  const auto head = model.language().head().to(hidden.scalar_type());
  const int64_t M = hidden.size(0), V = head.size(0);
  if (!logits_buffer.defined() || logits_buffer.size(0) < M)
    logits_buffer = at::empty({M, V}, hidden.options());
  auto out = logits_buffer.narrow(0, 0, M);
  if (!hidden.is_cpu()) return at::mm_out(out, hidden, head.t());
  const int64_t num_blocks = (V + kHeadBlock - 1) / kHeadBlock;
  at::parallel_for(0, num_blocks, 1, [&](int64_t first, int64_t last) {
    const at::NoGradGuard no_gradients;  // each thread has its own mode
    for (int64_t block = first; block < last; ++block) {
      const int64_t begin = block * kHeadBlock, count = std::min(kHeadBlock, V - begin);
      auto part = out.narrow(1, begin, count);
      at::mm_out(part, hidden, head.narrow(0, begin, count).t());
    }
  });
  return out;
}

// One pass: a token more of every answer, and as much of the prompts as fits.
void Generator::State::step() {
  Pass pass;
  std::vector<Sequence*> answering, reading;
  for (auto& s : running) (s.answer.empty() ? reading : answering).push_back(&s);
  std::sort(answering.begin(), answering.end(),
            [](const Sequence* a, const Sequence* b) { return a->slots < b->slots; });
  add_answer_rows(pass, answering);
  // on a card, products of the same few sizes: each new one costs it milliseconds
  constexpr int64_t kRound = 64;
  int64_t room = kPassRows - (model.options().device().is_cpu() ? 0 : pass.num_rows() % kRound);
  std::vector<Sequence*> wanting = answering;
  for (auto* s : reading) {  // in their order: a prompt may need what one before it computes
    const int64_t count = std::min(room, s->num_pending());
    if (count == 0) break;
    add_prompt_rows(pass, *s, count);
    room -= count;
    if (s->num_pending() > 0) break;
    s->features = at::Tensor();
    wanting.push_back(s);
  }
  const auto hidden = compute(pass);
  if (wanting.empty()) return;

  const bool is_greedy = std::all_of(wanting.begin(), wanting.end(),
                                     [](const Sequence* s) { return s->prompt.temperature <= 0; });
  const auto M = static_cast<int64_t>(wanting.size());
  std::vector<int64_t> tokens(wanting.size());
  auto logits_MV = logits_of(hidden);
  if (is_greedy && !logits_MV.is_cpu()) {
    const auto best = logits_MV.argmax(1).cpu();
    std::copy_n(best.const_data_ptr<int64_t>(), M, tokens.begin());
  } else {
    logits_MV = logits_MV.to(at::kFloat).cpu().contiguous();
    const auto V = static_cast<size_t>(logits_MV.size(1));
    const float* logits = logits_MV.const_data_ptr<float>();
    at::parallel_for(0, M, 1, [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
        tokens[i] = choose_token({logits + i * V, V}, wanting[i]->prompt,
                                 static_cast<int64_t>(wanting[i]->answer.size()));
      }
    });
  }
  for (size_t i = 0; i < wanting.size(); ++i) take_token(*wanting[i], tokens[i]);
  for (auto s = running.begin(); s != running.end();) {
    // a prompt that was given up while it was read stays until others can use what it leaves
    if (!s->is_finished || s->num_computed < static_cast<int64_t>(s->prompt.ids.size())) {
      ++s;
      continue;
    }
    leave(*s);
    finished.push_back({s->ticket, std::move(s->answer), s->is_stopped});
    s = running.erase(s);
  }
}

void Generator::State::take_token(Sequence& s, int64_t token) {
  if (s.is_finished) return;  // cancelled by another's callback
  const auto& stops = s.prompt.stop_ids;
  if (std::find(stops.begin(), stops.end(), token) != stops.end()) {
    s.is_finished = s.is_stopped = true;
    return;
  }
  s.answer.push_back(token);
  s.is_finished = static_cast<int64_t>(s.answer.size()) >= s.prompt.max_new_tokens;
  if (on_token) on_token(s.ticket, token);
  if (s.is_finished) return;
  make_room(1);
  s.elements.push_back(token);
  s.slots.push_back(store.take());
}

bool Generator::State::has_unread_prompts() const {
  return std::any_of(running.begin(), running.end(),
                     [](const Sequence& s) { return s.answer.empty(); });
}

void Generator::State::drop_everything() {
  running.clear();
  waiting.clear();
  tree.clear();
  store.clear();
}

Generator::Generator(Llava& model, GeneratorOptions options)
    : state_(std::make_unique<State>(model, options, on_token)) {}
Generator::~Generator() = default;

int64_t Generator::submit(GeneratePrompt prompt) {
  state_->check(prompt);
  state_->waiting.emplace_back(state_->next_ticket, std::move(prompt));
  return state_->next_ticket++;
}

int64_t Generator::num_pending() const {
  return static_cast<int64_t>(state_->waiting.size() + state_->running.size() +
                              state_->finished.size());
}

Generator::Counts Generator::counts() const { return state_->counts; }

void Generator::cancel(int64_t ticket) {
  for (auto& s : state_->running) s.is_finished |= s.ticket == ticket;
  auto& waiting = state_->waiting;
  for (auto at = waiting.begin(); at != waiting.end(); ++at) {
    if (at->first != ticket) continue;
    state_->finished.push_back({ticket, {}, false});
    waiting.erase(at);
    break;
  }
}

std::vector<GeneratedAnswer> Generator::next() {
  const at::NoGradGuard no_gradients;
  const DropoutSeed no_dropout(0);
  auto& s = *state_;
  try {
    while (s.finished.empty() && !(s.waiting.empty() && s.running.empty())) {
      s.admit();
      if (!s.running.empty()) s.step();
    }
  } catch (...) {
    s.drop_everything();
    throw;
  }
  return std::exchange(s.finished, {});
}

std::vector<double> Generator::log_likelihoods(
    const GeneratePrompt& prompt, const std::vector<std::vector<int64_t>>& continuations) {
  const at::NoGradGuard no_gradients;
  const DropoutSeed no_dropout(0);
  auto& state = *state_;
  const auto& config = state.model.config().language;
  int64_t longest = 0;
  for (const auto& continuation : continuations) {
    longest = std::max(longest, static_cast<int64_t>(continuation.size()));
    for (const int64_t id : continuation) {
      if (id >= 0 && id < config.vocab_size) continue;
      throw DataError("a continuation's token id " + std::to_string(id) +
                      " is outside the vocabulary of " + std::to_string(config.vocab_size));
    }
  }
  Sequence sequence;
  sequence.prompt = prompt;
  sequence.prompt.max_new_tokens = longest;
  state.check(sequence.prompt);
  const auto tree = ScoreTree::build(continuations);
  const auto& nodes = tree.nodes;
  std::vector<double> scores(nodes.size());  // of the path from the prompt to each node

  // Log-probabilities of the children of rows: children[i] hang below row child_rows[i].
  std::vector<std::vector<int64_t>> children(nodes.size() + 1);  // of node n at n + 1
  for (size_t n = 0; n < nodes.size(); ++n)
    children[static_cast<size_t>(nodes[n].parent + 1)].push_back(static_cast<int64_t>(n));
  const auto score_children = [&](const at::Tensor& hidden, const std::vector<int64_t>& parents) {
    for (int64_t begin = 0; begin < hidden.size(0); begin += kHeadRows) {
      const int64_t end = std::min(hidden.size(0), begin + kHeadRows);
      std::vector<int64_t> rows, tokens, which;
      for (int64_t r = begin; r < end; ++r) {
        for (const int64_t child :
             children[static_cast<size_t>(parents[static_cast<size_t>(r)] + 1)]) {
          rows.push_back(r - begin);
          tokens.push_back(nodes[static_cast<size_t>(child)].token);
          which.push_back(child);
        }
      }
      const auto device = hidden.device();
      const auto logits = state.logits_of(hidden.narrow(0, begin, end - begin)).to(at::kFloat);
      const auto rows_t = at::tensor(rows, at::kLong).to(device);
      const auto flat = rows_t * logits.size(1) + at::tensor(tokens, at::kLong).to(device);
      const auto logs =
          (logits.view({-1}).index_select(0, flat) - logits.logsumexp(1).index_select(0, rows_t))
              .to(at::kDouble)
              .cpu();
      for (size_t i = 0; i < which.size(); ++i) {
        const int64_t parent = nodes[static_cast<size_t>(which[i])].parent;
        scores[static_cast<size_t>(which[i])] =
            logs.const_data_ptr<double>()[i] +
            (parent < 0 ? 0.0 : scores[static_cast<size_t>(parent)]);
      }
    }
  };

  try {
    while (state.has_unread_prompts())
      state.step();  // the cache may hold tokens yet to be computed
    if (!nodes.empty()) {
      sequence.elements = state.elements_of(prompt);
      const auto known =
          std::span(sequence.elements)
              .first(state.options.reuses_prefixes ? sequence.elements.size() - 1 : 0);
      auto match = state.tree.match(known);
      sequence.node = match.node;
      sequence.slots = std::move(match.slots);
      state.enter(sequence);
      state.encode_pictures({&sequence});
      at::Tensor hidden;
      while (sequence.num_pending() > 0) {
        Pass pass;
        state.add_prompt_rows(pass, sequence, std::min(kPassRows, sequence.num_pending()));
        hidden = state.compute(pass);
      }
      score_children(hidden, {-1});

      // Nodes with children, in preorder, some at a time. Between passes only the ancestors of the
      // next node keep their slots.
      std::vector<int32_t> slots(nodes.size(), -1);
      std::vector<int64_t> live;  // nodes that hold a slot
      for (size_t at = 0; at < nodes.size();) {
        std::vector<int64_t> batch;
        for (; at < nodes.size() && static_cast<int64_t>(batch.size()) < kScoreRows; ++at) {
          if (nodes[at].has_children) batch.push_back(static_cast<int64_t>(at));
        }
        if (batch.empty()) break;
        std::vector<bool> is_needed(nodes.size() + 1);
        for (int64_t n = nodes[static_cast<size_t>(batch.front())].parent; n >= 0;
             n = nodes[static_cast<size_t>(n)].parent) {
          is_needed[static_cast<size_t>(n)] = true;
        }
        std::vector<int64_t> still_live;
        for (const int64_t n : live) {
          if (is_needed[static_cast<size_t>(n)]) {
            still_live.push_back(n);
          } else {
            state.store.give_back(slots[static_cast<size_t>(n)]);
          }
        }
        live = std::move(still_live);
        state.make_room(static_cast<int64_t>(batch.size()));
        Pass pass;
        const int64_t shared = pass.add_slots(sequence.slots, 0, sequence.length());
        pass.view.groups.push_back(
            {0, static_cast<int64_t>(batch.size()), shared, sequence.length()});
        for (const int64_t n : batch) {
          const auto& node = nodes[static_cast<size_t>(n)];
          slots[static_cast<size_t>(n)] = state.store.take();
          live.push_back(n);
          std::vector<int32_t> path;
          for (int64_t up = n; up >= 0; up = nodes[static_cast<size_t>(up)].parent)
            path.push_back(slots[static_cast<size_t>(up)]);
          std::reverse(path.begin(), path.end());
          const auto depth = static_cast<int64_t>(path.size());
          pass.wanted.push_back(pass.num_rows());
          pass.add_row(node.token, sequence.length() + node.depth, slots[static_cast<size_t>(n)],
                       pass.add_slots(path, 0, depth), depth);
        }
        score_children(state.compute(pass), batch);
      }
      for (const int64_t n : live) state.store.give_back(slots[static_cast<size_t>(n)]);
      state.leave(sequence);
    }
  } catch (...) {
    state.drop_everything();
    throw;
  }
  std::vector<double> out;
  for (const int64_t end : tree.ends)
    out.push_back(end < 0 ? 0.0 : scores[static_cast<size_t>(end)]);
  return out;
}

}  // namespace finer
