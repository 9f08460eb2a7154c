#include "finer/eval/train_eval.h"
#include "finer/recipe/recipe.h"
#include "finer/train/trainer.h"
#include "tools/cli.h"
#include "tools/local_ranks.h"

#include <CLI/CLI.hpp>

#include <iostream>

int main(int argc, char** argv) {
  CLI::App app{"finer-train: fine-tunes a LLaVA model as a recipe says."};
  std::string recipe_file, resume = "auto";
  std::vector<std::string> overrides;
  bool is_dry = false, explains = false, checks_ranks = false;
  int64_t most_mb = 0;
  int ranks = 1;
  auto* file_option = app.add_option("recipe", recipe_file, "YAML recipe (docs/recipes.md)");
  app.add_option("overrides", overrides, "key=value, over the recipe: optim.lr=1e-4");
  auto* dry_flag =
      app.add_flag("--dry-run", is_dry, "check everything, print the plan, train nothing");
  app.add_option("--resume", resume, "auto | never | a checkpoint directory")
      ->capture_default_str();
  app.add_flag("--explain", explains, "print every key of a recipe");
  app.add_option("--ranks", ranks, "start so many ranks on this machine, as torchrun would")
      ->check(CLI::Range(1, 256))
      ->excludes(dry_flag);
  app.add_flag("--check-ranks", checks_ranks,
               "with --ranks, or under torchrun, srun or mpirun: form the group, time its links, "
               "train nothing");
  app.add_option("--most-mb", most_mb,
                 "of --check-ranks: largest sum; 0: 1000 MB, or what memory allows")
      ->check(CLI::Range(int64_t{0}, int64_t{100000}));
  app.set_version_flag("--version", finer::cli::version_text());
  try {
    app.parse(argc, argv);
    if (!explains && !checks_ranks && file_option->count() == 0) throw CLI::RequiredError("recipe");
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return finer::cli::run("finer-train", [&] {
    if (explains) {
      std::cout << finer::explain_recipe(false);
      return 0;
    }
    if (checks_ranks) {
      if (ranks > 1) return finer::cli::start_ranks(ranks, argv);
      std::cout << finer::check_ranks(most_mb);
      return 0;
    }
    const auto recipe = finer::load_recipe(recipe_file, overrides);
    if (ranks > 1) return finer::cli::start_ranks(ranks, argv);
    const auto evaluation = finer::make_train_eval();
    if (is_dry) {
      finer::dry_run(recipe, resume, evaluation.get());
      return 0;
    }
    return finer::train(recipe, resume, evaluation.get());
  });
}
