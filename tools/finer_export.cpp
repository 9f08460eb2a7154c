#include "finer/export/export.h"
#include "tools/cli.h"
#include "tools/model_options.h"

#include <CLI/CLI.hpp>

#include <iostream>

int main(int argc, char** argv) {
  CLI::App app{"finer-export: writes a model and its adapter for other programs."};
  app.set_version_flag("--version", finer::cli::version_text());
  finer::ExportRequest request;
  auto& from = request.from;
  from.device = "cpu";
  finer::cli::add_model_options(app, from);
  app.add_option("--format", request.format,
                 "merged-hf: a llava-hf directory, the adapter merged; llava: original LLaVA's "
                 "layout, the adapter merged; peft: the adapter, as PEFT writes it")
      ->required();
  app.add_option("--out", request.out, "new folder")->required();
  app.add_option("--dtype", from.dtype,
                 "float32 | bfloat16 | float16; default: what the base is stored in");
  app.add_option("--vision-tower", request.vision_tower,
                 "llava: hub id or directory that LLaVA is to load the tower from; default: "
                 "OUT/vision_tower, which is written");
  app.add_option("--prompts", request.num_prompts,
                 "drawn prompts that are answered before and after merging; 0: none")
      ->check(CLI::Range(int64_t{0}, int64_t{1024}))
      ->capture_default_str();
  app.add_option("--device", from.device, "auto | cpu | cuda | cuda:N")->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return finer::cli::run("finer-export", [&] {
    finer::cli::check_model_options(from);
    finer::export_model(request);
    std::cout << request.out.string() << std::endl;
    return 0;
  });
}
