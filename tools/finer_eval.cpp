#include "finer/core/error.h"
#include "finer/eval/eval_recipe.h"
#include "finer/eval/evaluator.h"
#include "finer/eval/logits.h"
#include "tools/cli.h"
#include "tools/eval_score.h"
#include "tools/eval_seeds.h"
#include "tools/local_ranks.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <iostream>

int main(int argc, char** argv) {
  CLI::App app{"finer-eval: what a model says about data, without training."};
  app.set_version_flag("--version", finer::cli::version_text());
  app.require_subcommand(0, 1);

  std::string recipe_file, adapter, tokens, images = ".", out, aspect = "pad", device = "auto";
  std::vector<std::string> overrides;
  finer::ModelConfig model;
  bool explains = false;
  int ranks = 1;
  auto* eval_file =
      app.add_option("recipe", recipe_file, "evaluation recipe, YAML (docs/evaluation.md)");
  app.add_option("overrides", overrides, "key=value, over the recipe: subset.limit=100");
  app.add_flag("--explain", explains, "print every key of an evaluation recipe");
  app.add_option("--ranks", ranks, "of an evaluation: start so many ranks on this machine")
      ->check(CLI::Range(1, 256));
  auto* loss = app.add_subcommand("loss", "mean loss a label token over a recipe's data, as JSON");
  loss->add_option("recipe", recipe_file, "YAML recipe")->required();
  loss->add_option("overrides", overrides, "key=value, over the recipe");
  loss->add_option("--adapter", adapter, "PEFT directory or checkpoint");

  auto* logits = app.add_subcommand("logits", "logits of tokenized samples, as safetensors");
  logits->add_option("--model", model.llava, "llava-hf or original LLaVA directory");
  logits->add_option("--language", model.language, "Vicuna / LLaMA directory, instead of --model");
  logits->add_option("--vision", model.vision,
                     "CLIP directory, with --language or an original LLaVA model");
  logits->add_option("--projector", model.projector, "mm_projector.bin or safetensors");
  logits->add_option("--adapter", adapter, "PEFT directory or checkpoint");
  logits->add_option("--tokens", tokens, "lines of finer-data tokenize")->required();
  logits->add_option("--images", images, "folder the images are relative to");
  logits->add_option("--aspect", aspect, "pad | crop")->capture_default_str();
  logits->add_option("--dtype", model.dtype, "float32 | bfloat16 | float16")->capture_default_str();
  logits->add_option("--device", device, "auto | cpu | cuda | cuda:N")->capture_default_str();
  logits->add_option("--out", out, "file to write")->required();

  finer::cli::ScoreFiles to_score;
  auto* score = app.add_subcommand("score", "EM and F1 of predictions made elsewhere, as JSON");
  score->add_option("--records", to_score.records, "unified records, a line each")->required();
  score
      ->add_option("--predictions", to_score.predictions,
                   "a line each: {\"idx\": 0, \"text\": \"Answer: ...\"}")
      ->required();
  score->add_option("--level", to_score.level, "high_coarse | coarse | fine")->required();
  score->add_option("--per-sample", to_score.per_sample,
                    "file for a line a prediction: {\"idx\", \"em\", \"f1\"}");
  std::vector<std::filesystem::path> evaluations;
  auto* seeds = app.add_subcommand(
      "seeds", "what several evaluations of one recipe have in common, as a table");
  seeds->add_option("outputs", evaluations, "output folders of finer-eval RECIPE")->required();
  try {
    app.parse(argc, argv);
    if (app.get_subcommands().empty() && !explains && eval_file->count() == 0)
      throw CLI::RequiredError("recipe");
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return finer::cli::run("finer-eval", [&] {
    if (app.get_subcommands().empty()) {
      if (!explains) {
        const auto recipe = finer::load_eval_recipe(recipe_file, overrides);
        return ranks > 1 ? finer::cli::start_ranks(ranks, argv) : finer::evaluate(recipe);
      }
      std::cout << finer::explain_eval_recipe(false);
    } else if (*seeds) {
      finer::cli::summarise_seeds(evaluations);
    } else if (*score) {
      finer::cli::score_files(to_score);
    } else if (*loss) {
      const auto result = finer::data_loss(finer::load_recipe(recipe_file, overrides), adapter);
      std::cout
          << nlohmann::json{{"loss", result.loss}, {"label_tokens", result.label_tokens}}.dump()
          << "\n";
    } else {
      if (model.llava.empty() == model.language.empty()) {
        throw finer::ConfigError(
            "logits: give --model, or --language with --vision and --projector");
      }
      finer::write_logits(model, adapter, tokens, images, aspect, device, out);
    }
    return 0;
  });
}
