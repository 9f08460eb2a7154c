#include "finer/model/generator.h"

#include "finer/model/generate.h"
#include "finer/model/prefix_tree.h"
#include "finer/model/score_tree.h"
#include "tests/model/tiny_llava.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <set>

namespace finer {

namespace {

// A LLaVA with grouped queries and heads that the CPU kernel takes; the weights spread enough for
// greedy text to be sure of itself.
std::unique_ptr<Llava> small_llava(const std::string& dtype = "float32", int64_t width = 64) {
  ModelConfig model;
  model.use_from_scratch = true;
  model.dtype = dtype;
  auto& c = model.from_scratch;
  c.language = {.vocab_size = 300,
                .width = width,
                .mlp_width = width * 3 / 2,
                .num_layers = 3,
                .num_heads = 4,
                .num_kv_heads = 2,
                .head_size = 16,
                .max_positions = 512};
  c.vision = {.width = 32,
              .mlp_width = 64,
              .num_layers = 2,
              .num_heads = 2,
              .image_side_px = 16,
              .patch_side_px = 4};
  auto out = load_llava(model, at::kCPU, 7);
  uint64_t seed = 100;
  out->visit_weights([&](const std::string& name, const at::Tensor& slot) {
    const bool is_embedding = name.find("embed_tokens") != std::string::npos;
    if (is_embedding || name.find("lm_head") != std::string::npos) {
      slot.copy_(drawn(slot.sizes(), ++seed).mul(is_embedding ? 0.5 : 3.0 / 8));
    }
  });
  return out;
}

std::vector<int64_t> drawn_ids(int64_t count, uint64_t seed, int64_t vocab = 300) {
  const auto ids = drawn({count}, seed).mul(1e4).abs().to(at::kLong).remainder(vocab);
  return {ids.const_data_ptr<int64_t>(), ids.const_data_ptr<int64_t>() + count};
}

void append(std::vector<int64_t>& ids, const std::vector<int64_t>& more) {
  ids.insert(ids.end(), more.begin(), more.end());
}

// System text, a picture (none for -1), a question of its own.
GeneratePrompt prompt_of(const Llava& model, int64_t picture, uint64_t question,
                         int64_t max_new_tokens) {
  GeneratePrompt out;
  const int64_t vocab = model.config().language.vocab_size;
  const int64_t side = model.config().vision.image_side_px;
  out.ids = drawn_ids(20, 1, vocab);
  if (picture >= 0) {
    out.image_begin = static_cast<int64_t>(out.ids.size());
    out.ids.resize(out.ids.size() + static_cast<size_t>(model.config().image_positions()));
    out.pixels = drawn({1, 3, side, side}, 500 + static_cast<uint64_t>(picture));
    out.image_key = 77 + static_cast<uint64_t>(picture);
  }
  append(out.ids, drawn_ids(3 + static_cast<int64_t>(question % 5), 1000 + question, vocab));
  out.max_new_tokens = max_new_tokens;
  return out;
}

std::vector<int64_t> plain(Llava& model, const GeneratePrompt& p) {
  const int64_t stop = p.stop_ids.empty() ? -1 : p.stop_ids[0];
  return generate_plain(model, p.ids, p.image_begin, p.pixels, stop, p.max_new_tokens);
}

std::vector<std::vector<int64_t>> answers_of(Generator& generator,
                                             const std::vector<GeneratePrompt>& prompts) {
  std::map<int64_t, std::vector<int64_t>> by_ticket;
  for (const auto& prompt : prompts) by_ticket[generator.submit(prompt)];
  while (generator.num_pending() > 0) {
    for (auto& answer : generator.next()) by_ticket.at(answer.ticket) = std::move(answer.ids);
  }
  std::vector<std::vector<int64_t>> out;
  for (auto& [ticket, ids] : by_ticket) out.push_back(std::move(ids));
  return out;
}

// 16 prompts about three pictures and none, answers of many lengths.
std::vector<GeneratePrompt> mixed_prompts(const Llava& model, int64_t longest = 64) {
  std::vector<GeneratePrompt> out;
  for (int64_t i = 0; i < 16; ++i) {
    out.push_back(prompt_of(model, i % 4 - 1, static_cast<uint64_t>(i), 1 + (i * 37) % longest));
  }
  return out;
}

}  // namespace

TEST_CASE("a packed model answers as it did before", "[model][generator]") {
  const auto model = small_llava("float32", 384);
  const auto prompts = mixed_prompts(*model, 32);
  std::vector<std::vector<int64_t>> expected;
  for (const auto& prompt : prompts) expected.push_back(plain(*model, prompt));
  model->language().pack();
  REQUIRE(!model->language().linears().back()->weight().defined());
  for (const int64_t batch : {1, 16}) {
    Generator generator(*model, {.max_sequences = batch});
    CHECK(answers_of(generator, prompts) == expected);
  }
}

TEST_CASE("greedy answers are those of the plain way, whatever the batch", "[model][generator]") {
  const auto model = small_llava();
  const auto prompts = mixed_prompts(*model);
  std::vector<std::vector<int64_t>> expected;
  for (const auto& prompt : prompts) expected.push_back(plain(*model, prompt));
  for (const int64_t batch : {1, 3, 16}) {
    for (const bool reuses : {true, false}) {
      Generator generator(*model, {.max_sequences = batch, .reuses_prefixes = reuses});
      CHECK(answers_of(generator, prompts) == expected);
      const auto counts = generator.counts();
      CHECK(counts.encoded_pictures == (reuses ? 3 : 12));
      CHECK(counts.reused_pictures == (reuses ? 9 : 0));
      CHECK((counts.reused_tokens > 0) == reuses);
      CHECK(answers_of(generator, prompts) == expected);  // and from a warm cache
    }
  }
}

TEST_CASE("heads that the kernel does not take give the same answers", "[model][generator]") {
  const auto model = tiny_llava();  // head size 6
  std::vector<GeneratePrompt> prompts;
  for (int64_t i = 0; i < 6; ++i)
    prompts.push_back(prompt_of(*model, i % 3 - 1, static_cast<uint64_t>(i), 20 + i));
  std::vector<std::vector<int64_t>> expected;
  for (const auto& prompt : prompts) expected.push_back(plain(*model, prompt));
  Generator generator(*model, {});
  CHECK(answers_of(generator, prompts) == expected);
}

TEST_CASE("bfloat16 models answer, and mostly as the plain way does", "[model][generator]") {
  // products of 8 bits in another order: some tokens are close calls, and all after one differ
  const auto model = small_llava("bfloat16");
  const auto prompts = mixed_prompts(*model, 12);
  Generator generator(*model, {});
  const auto found = answers_of(generator, prompts);
  int64_t same = 0;
  for (size_t i = 0; i < prompts.size(); ++i) {
    CHECK(static_cast<int64_t>(found[i].size()) == prompts[i].max_new_tokens);
    same += found[i] == plain(*model, prompts[i]);
  }
  CHECK(same >= 12);
}

TEST_CASE("a second turn finds the first one and its answer in the cache", "[model][generator]") {
  const auto model = small_llava();
  Generator generator(*model, {});
  auto prompt = prompt_of(*model, 1, 5, 24);
  const auto first = answers_of(generator, {prompt})[0];
  const auto before = generator.counts();
  append(prompt.ids, first);
  append(prompt.ids, {11, 12, 13});
  CHECK(answers_of(generator, {prompt})[0] == plain(*model, prompt));
  const auto after = generator.counts();
  // everything but the answer's last token, which was never read, and the new question
  CHECK(after.computed_tokens - before.computed_tokens == 1 + 3 + 23);
  CHECK(after.encoded_pictures == 1);
}

TEST_CASE("the same prompt twice at a time, and again", "[model][generator]") {
  const auto model = small_llava();
  Generator generator(*model, {});
  const auto prompt = prompt_of(*model, 0, 3, 30);
  const auto expected = plain(*model, prompt);
  for (const auto& answer : answers_of(generator, {prompt, prompt, prompt})) {
    CHECK(answer == expected);
  }
  CHECK(answers_of(generator, {prompt})[0] == expected);
}

TEST_CASE("a cache that is too small forgets, and the answers stay", "[model][generator]") {
  const auto model = small_llava();
  const auto prompts = mixed_prompts(*model, 20);
  std::vector<std::vector<int64_t>> expected;
  for (const auto& prompt : prompts) expected.push_back(plain(*model, prompt));
  for (const int64_t tokens : {1, 90, 150, 400}) {
    Generator generator(*model, {.cache_tokens = tokens});
    for (int round = 0; round < 2; ++round) CHECK(answers_of(generator, prompts) == expected);
  }
}

TEST_CASE("prompts longer than a pass are read in pieces", "[model][generator]") {
  ModelConfig config;
  config.use_from_scratch = true;
  config.from_scratch.has_vision = false;
  config.from_scratch.language = {.vocab_size = 100,
                                  .width = 16,
                                  .mlp_width = 24,
                                  .num_layers = 2,
                                  .num_heads = 2,
                                  .num_kv_heads = 2,
                                  .head_size = 8,
                                  .max_positions = 4096};
  const auto model = load_llava(config, at::kCPU, 3);
  std::vector<GeneratePrompt> prompts(3);
  prompts[0].ids = drawn_ids(2500, 1, 100);
  prompts[1].ids = prompts[0].ids;  // shares what is read in a later pass than the first
  prompts[1].ids.resize(2300);
  append(prompts[1].ids, {5, 6});
  prompts[2].ids = drawn_ids(900, 2, 100);
  for (auto& prompt : prompts) prompt.max_new_tokens = 4;
  Generator generator(*model, {});
  const auto found = answers_of(generator, prompts);
  for (size_t i = 0; i < prompts.size(); ++i) CHECK(found[i] == plain(*model, prompts[i]));
  CHECK(generator.counts().reused_tokens == 2300);
}

TEST_CASE("an answer ends before its stop id", "[model][generator]") {
  const auto model = small_llava();
  auto prompt = prompt_of(*model, 2, 1, 40);
  const auto free_answer = plain(*model, prompt);
  const int64_t stop = free_answer[7];
  const auto cut = std::find(free_answer.begin(), free_answer.end(), stop) - free_answer.begin();
  prompt.stop_ids = {299, stop};
  Generator generator(*model, {});
  std::vector<int64_t> seen;
  generator.on_token = [&](int64_t, int64_t token) { seen.push_back(token); };
  generator.submit(prompt);
  const auto answers = generator.next();
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].is_stopped);
  CHECK(answers[0].ids == std::vector<int64_t>(free_answer.begin(), free_answer.begin() + cut));
  CHECK(seen == answers[0].ids);
  prompt.max_new_tokens = 0;
  generator.submit(prompt);
  CHECK(generator.next()[0].ids.empty());
  CHECK(generator.next().empty());
}

TEST_CASE("a cancelled answer comes out with what it has, the others go on", "[model][generator]") {
  const auto model = small_llava();
  const auto a = prompt_of(*model, 0, 1, 30), b = prompt_of(*model, 0, 2, 30);
  Generator generator(*model, {});
  int64_t count = 0;
  generator.on_token = [&](int64_t ticket, int64_t) {
    if (ticket == 0 && ++count == 5) generator.cancel(0);
  };
  const auto found = answers_of(generator, {a, b});
  auto expected = plain(*model, a);
  expected.resize(5);
  CHECK(found[0] == expected);
  CHECK(found[1] == plain(*model, b));
  // given up before it was read: what others share with it is still computed
  const auto c = prompt_of(*model, 1, 3, 9), d = prompt_of(*model, 1, 4, 9);
  generator.cancel(generator.submit(c));
  CHECK(generator.next()[0].ids.empty());
  CHECK(answers_of(generator, {d})[0] == plain(*model, d));
}

TEST_CASE("draws depend on the seed and on nothing else", "[model][generator]") {
  const auto model = small_llava();
  auto prompts = mixed_prompts(*model, 30);
  for (size_t i = 0; i < prompts.size(); ++i) {
    prompts[i].temperature = i % 3 == 0 ? 0.0 : 0.8;
    prompts[i].top_p = 0.9;
    prompts[i].seed = i;
  }
  Generator one(*model, {.max_sequences = 1}), many(*model, {.max_sequences = 16});
  const auto expected = answers_of(one, prompts);
  CHECK(answers_of(many, prompts) == expected);
  CHECK(expected[0] == plain(*model, prompts[0]));
  auto prompt = prompt_of(*model, 0, 0, 30);
  prompt.temperature = 1;
  std::set<std::vector<int64_t>> different;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    prompt.seed = seed;
    different.insert(answers_of(many, {prompt})[0]);
  }
  CHECK(different.size() == 8);
  prompt.top_p = 1e-9;  // the likeliest token alone
  CHECK(answers_of(many, {prompt})[0] == plain(*model, prompt));
}

TEST_CASE("log-likelihoods through the tree are those one by one", "[model][generator]") {
  const auto model = small_llava();
  std::vector<std::vector<int64_t>> names;
  for (uint64_t i = 0; i < 3000;
       ++i) {  // more than a pass of the tree; small alphabet: much shared
    names.push_back(drawn_ids(1 + static_cast<int64_t>(i % 6), 9000 + i, 9));
  }
  names.push_back({});
  names.push_back(names[4]);
  const auto prompt = prompt_of(*model, 1, 2, 0);
  Generator generator(*model, {});
  generator.submit(prompt_of(*model, 1, 3, 5));  // something else is under way
  const auto found = generator.log_likelihoods(prompt, names);
  REQUIRE(found.size() == names.size());
  CHECK(found[3000] == 0.0);
  CHECK(found[3001] == found[4]);
  const at::NoGradGuard no_gradients;
  double worst = 0;
  for (size_t i = 0; i < names.size(); i += 100) {
    auto ids = prompt.ids;
    append(ids, names[i]);
    LlavaInput input;
    input.ids_T = at::tensor(ids, at::kLong);
    input.packing = Packing::from_bounds({0, static_cast<int64_t>(ids.size())}, at::kCPU);
    input.image_slots = at::arange(
        prompt.image_begin, prompt.image_begin + model->config().image_positions(), at::kLong);
    input.pixels = prompt.pixels;
    const auto logs = logits_of(*model, input).log_softmax(1);
    double sum = 0;
    for (size_t t = 0; t < names[i].size(); ++t) {
      const auto row = static_cast<int64_t>(prompt.ids.size() + t) - 1;
      sum += logs[row][names[i][t]].item<double>();
    }
    worst = std::max(worst, std::abs(sum - found[i]));
  }
  CHECK(worst < 1e-4);  // sums of up to six float32 logarithms of size 10
  CHECK(generator.next().size() == 1);
}

TEST_CASE("prompts that cannot be answered are refused with their sizes", "[model][generator]") {
  const auto model = small_llava();
  Generator generator(*model, {});
  auto prompt = prompt_of(*model, 0, 1, 8);
  const auto refuses = [&](const std::string& part) {
    CHECK_THROWS_WITH(generator.submit(prompt), Catch::Contains(part));
  };
  SECTION("longer than the model's positions") {
    prompt.ids.resize(510);
    refuses("510 tokens and its answer up to 8, more than the model's 512 positions");
  }
  SECTION("empty") {
    prompt.ids.clear();
    refuses("empty");
  }
  SECTION("ids outside the vocabulary") {
    prompt.ids[2] = 300;
    refuses("token id 300 is outside the vocabulary of 300");
  }
  SECTION("a picture behind the end") {
    prompt.image_begin = static_cast<int64_t>(prompt.ids.size()) - 3;
    refuses("positions within the prompt");
  }
  SECTION("a top_p of nothing") {
    prompt.top_p = 0;
    refuses("top_p");
  }
}

TEST_CASE("a prefix tree splits, locks and forgets the longest unused", "[model][generator]") {
  PrefixTree tree;
  const std::vector<int64_t> abc = {1, 2, 3}, abd = {1, 2, 4, 5};
  auto match = tree.match(abc);
  CHECK(match.slots.empty());
  tree.insert(match.node, abc, std::vector<int32_t>{10, 11, 12});
  match = tree.match(abd);
  CHECK(match.slots == std::vector<int32_t>{10, 11});
  auto* leaf = tree.insert(match.node, std::span(abd).subspan(2), std::vector<int32_t>{13, 14});
  REQUIRE(leaf != nullptr);
  CHECK(tree.insert(match.node, std::span(abd).subspan(2), std::vector<int32_t>{1, 2}) == nullptr);
  CHECK(tree.num_tokens() == 5);
  CHECK(tree.num_unlocked_above(leaf) == 4);
  tree.lock(leaf);
  CHECK(tree.num_locked_tokens() == 4);
  CHECK(tree.match(std::vector<int64_t>{1}).slots ==
        std::vector<int32_t>{10});  // splits a locked one
  CHECK(tree.num_locked_tokens() == 4);
  CHECK(tree.evict(100) == std::vector<int32_t>{12});
  CHECK(tree.match(abd).slots == std::vector<int32_t>{10, 11, 13, 14});
  tree.unlock(leaf);
  CHECK(tree.num_locked_tokens() == 0);
  CHECK(tree.evict(1) == std::vector<int32_t>{13, 14});  // leaves first
  CHECK(tree.evict(100).size() == 2);
  CHECK(tree.num_tokens() == 0);
}

TEST_CASE("a score tree has every beginning once, in preorder", "[model][generator]") {
  const auto tree = ScoreTree::build({{3, 1}, {2}, {3}, {}, {3, 1, 4}, {3, 2}});
  std::vector<int64_t> tokens, parents;
  for (const auto& node : tree.nodes) {
    tokens.push_back(node.token);
    parents.push_back(node.parent);
  }
  CHECK(tokens == std::vector<int64_t>{2, 3, 1, 4, 2});
  CHECK(parents == std::vector<int64_t>{-1, -1, 1, 2, 1});
  CHECK(tree.ends == std::vector<int64_t>{2, 0, 1, -1, 3, 4});
  CHECK(!tree.nodes[0].has_children);
  CHECK(tree.nodes[1].has_children);
}

}  // namespace finer
