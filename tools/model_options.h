#pragma once

#include "finer/eval/session.h"

#include <CLI/CLI.hpp>

namespace finer::cli {

/// The options that say which model is opened, and with which adapter: --model, --language,
/// --vision, --projector, --tokenizer, --adapter.
void add_model_options(CLI::App& app, SessionConfig& session);

/// Throws: ConfigError for options that contradict each other.
void check_model_options(const SessionConfig& session);

}  // namespace finer::cli
