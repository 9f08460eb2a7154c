// finer's half of tools/bench/generate: answers questions about pictures and says how long it took.
#include "finer/core/error.h"
#include "finer/eval/session.h"
#include "tools/cli.h"

#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <map>
#include <string>
#include <vector>

// generate_side MODEL QUESTIONS.jsonl THREADS SEQUENCES reuse|none [DEVICE DTYPE]: a line a
// question, {"image", "prompt", "tokens"}. Pictures and prompts are ready before the clock starts;
// the cache is empty.
int main(int argc, char** argv) {
  return finer::cli::run("generate_side", [&] {
    if (argc != 6 && argc != 8)
      throw finer::ConfigError(
          "expected MODEL QUESTIONS THREADS SEQUENCES reuse|none [DEVICE DTYPE]");
    at::set_num_threads(std::stoi(argv[3]));
    finer::SessionConfig config;
    config.model.llava = argv[1];
    config.device = argc == 8 ? argv[6] : "cpu";
    if (argc == 8) config.model.dtype = argv[7];
    const finer::Session session(config);
    std::map<std::string, finer::Picture> pictures;
    std::vector<finer::GeneratePrompt> prompts;
    std::ifstream file(argv[2]);
    for (std::string line; std::getline(file, line);) {
      const auto json = nlohmann::json::parse(line);
      const auto image = json.at("image").get<std::string>();
      if (pictures.count(image) == 0) pictures[image] = session.picture(image);
      const std::vector<finer::Turn> turns = {
          {"human", "<image>\n" + json.at("prompt").get<std::string>()}};
      prompts.push_back(
          session.prompt(turns, &pictures.at(image), json.at("tokens").get<int64_t>()));
      prompts.back().stop_ids.clear();  // equal lengths on both sides
    }
    const auto once = [&] {
      finer::Generator generator(session.model(),
                                 {.max_sequences = std::stoi(argv[4]),
                                  .reuses_prefixes = std::string(argv[5]) == "reuse"});
      const auto start = std::chrono::steady_clock::now();
      for (const auto& prompt : prompts) generator.submit(prompt);
      std::vector<finer::GeneratedAnswer> answers;
      while (generator.num_pending() > 0) {
        for (auto& answer : generator.next()) answers.push_back(std::move(answer));
      }
      const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
      std::sort(answers.begin(), answers.end(),
                [](const auto& a, const auto& b) { return a.ticket < b.ticket; });
      nlohmann::json out = {{"seconds", spent.count()},
                            {"computed_tokens", generator.counts().computed_tokens},
                            {"reused_tokens", generator.counts().reused_tokens},
                            {"encoded_pictures", generator.counts().encoded_pictures}};
      for (const auto& answer : answers) out["answers"].push_back(answer.ids);
      return out;
    };
    once();  // warm-up, as on the other side
    std::cout << once().dump() << std::endl;
    return 0;
  });
}
