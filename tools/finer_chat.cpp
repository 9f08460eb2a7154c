#include "finer/core/error.h"
#include "finer/eval/session.h"
#include "finer/eval/streamed_text.h"
#include "tools/cli.h"
#include "tools/model_options.h"

#include <CLI/CLI.hpp>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

namespace {

volatile std::sig_atomic_t g_interrupted = 0;

// Ctrl-C ends an answer; while a question is waited for it ends the program, because reading is
// interrupted too (no SA_RESTART).
void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { g_interrupted = 1; };
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
}

struct Options {
  finer::SessionConfig session;
  std::string image, prompt;
  int64_t max_new_tokens = 512;
  bool caps_tokens = true;  // the default yields to what the model's positions leave
  double temperature = 0, top_p = 1;
  uint64_t seed = 0;
};

// A conversation and the picture it is about.
class Chat {
 public:
  explicit Chat(const Options& options)
      : options_(options), session_(options.session), generator_(session_.model(), {}) {}

  void set_picture(const std::string& file) {
    auto picture = session_.picture(file);
    if (picture_) turns_.clear();  // a conversation is about one picture
    picture_ = std::move(picture);
    is_picture_new_ = true;
  }
  bool has_picture() const { return picture_.has_value(); }
  void reset() {
    turns_.clear();
    is_picture_new_ = picture_.has_value();
  }

  // Asks, writes the answer to stdout as it grows, and keeps both. A question that is refused
  // changes nothing.
  void ask(const std::string& text) {
    auto turns = turns_;
    const bool is_marked = text.find("<image>") != std::string::npos;
    turns.push_back({"human", (is_picture_new_ && !is_marked ? "<image>\n" : "") + text});
    auto prompt = session_.prompt(turns, picture_ ? &*picture_ : nullptr, options_.max_new_tokens);
    if (options_.caps_tokens) {
      const int64_t left = session_.model().config().language.max_positions -
                           static_cast<int64_t>(prompt.ids.size());
      prompt.max_new_tokens = std::min(prompt.max_new_tokens, std::max<int64_t>(1, left));
    }
    prompt.temperature = options_.temperature;
    prompt.top_p = options_.top_p;
    prompt.seed = options_.seed + static_cast<uint64_t>(turns_.size() / 2);

    finer::StreamedText stream(session_.tokenizer());
    const bool is_terminal = isatty(STDOUT_FILENO) == 1;
    const auto show = [&](const std::string& piece) {
      std::cout << (is_terminal ? finer::without_controls(piece) : piece) << std::flush;
    };
    generator_.on_token = [&](int64_t ticket, int64_t token) {
      show(stream.add(token));
      if (g_interrupted != 0) generator_.cancel(ticket);
    };
    generator_.submit(std::move(prompt));
    const auto answers = generator_.next();
    show(stream.finish());
    std::cout << std::endl;
    auto answer = session_.text(answers.at(0).ids);
    if (answer.empty()) return;  // no turn can be made of it
    turns.push_back({"gpt", std::move(answer)});
    turns_ = std::move(turns);
    is_picture_new_ = false;
  }

 private:
  Options options_;
  finer::Session session_;
  finer::Generator generator_;
  std::vector<finer::Turn> turns_;
  std::optional<finer::Picture> picture_;
  bool is_picture_new_ = false;
};

std::string stripped(const std::string& text) {
  const auto begin = text.find_first_not_of(" \t\r");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// One line of the conversation; false ends it.
bool take_line(Chat& chat, const std::string& line) {
  if (line.empty()) return true;
  if (line[0] != '/') {
    chat.ask(line);
    return true;
  }
  const auto blank = line.find_first_of(" \t");
  const auto command = line.substr(0, blank);
  const auto rest = blank == std::string::npos ? "" : stripped(line.substr(blank));
  if (command == "/quit" && rest.empty()) return false;
  if (command == "/reset" && rest.empty()) {
    chat.reset();
    std::cerr << "a new conversation" << (chat.has_picture() ? ", about the same picture" : "")
              << std::endl;
  } else if (command == "/image" && !rest.empty()) {
    chat.set_picture(rest);
    std::cerr << rest << ": the next questions are about it" << std::endl;
  } else {
    std::cerr << "commands: /image FILE, /reset, /quit" << std::endl;
  }
  return true;
}

int converse(Chat& chat) {
  const bool is_terminal = isatty(STDIN_FILENO) == 1;
  if (is_terminal) {
    std::cerr << "Ask a question. /image FILE shows a picture, /reset begins anew, /quit ends; "
                 "Ctrl-C stops an answer."
              << std::endl;
  }
  for (std::string line;;) {
    if (is_terminal) std::cerr << "> " << std::flush;
    if (!std::getline(std::cin, line)) {
      if (is_terminal) std::cerr << std::endl;
      return g_interrupted != 0 ? 130 : 0;
    }
    try {
      if (!take_line(chat, stripped(line))) return 0;
    } catch (const finer::Error& error) {  // the conversation goes on without this line
      std::cerr << "finer-chat: " << error.what() << std::endl;
    }
    g_interrupted = 0;
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"finer-chat: asks a model about a picture; without --prompt, a conversation."};
  app.set_version_flag("--version", finer::cli::version_text());
  Options options;
  auto& session = options.session;
  finer::cli::add_model_options(app, session);
  app.add_option("--conversation", session.conversation,
                 "vicuna_v1, or another that recipes know; default: the adapter's");
  app.add_option("--aspect", session.image_aspect, "pad | crop; default: the adapter's, else pad");
  auto* image = app.add_option("--image", options.image, "picture that the question is about");
  auto* prompt = app.add_option("--prompt", options.prompt, "one question, then end");
  auto* tokens = app.add_option("--max-new-tokens", options.max_new_tokens, "longest answer")
                     ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
                     ->capture_default_str();
  app.add_option("--temperature", options.temperature, "0: the likeliest token, nothing is drawn")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  app.add_option("--top-p", options.top_p, "share of likely tokens to draw from")
      ->check(CLI::Range(1e-6, 1.0))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "of the draws")->capture_default_str();
  app.add_option("--device", session.device, "auto | cpu | cuda | cuda:N")->capture_default_str();
  app.add_option("--dtype", session.dtype,
                 "float32 | bfloat16 | float16; default: the adapter's, else float32");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return finer::cli::run("finer-chat", [&] {
    options.caps_tokens = tokens->count() == 0;
    finer::cli::check_model_options(session);
    if (prompt->count() > 0 && stripped(options.prompt).empty())
      throw finer::DataError("--prompt: is empty; expected a question");
    // before the model: reading 14 GB to learn that a name is misspelt is no fun
    if (image->count() > 0 && access(options.image.c_str(), R_OK) != 0)
      throw finer::DataError(options.image + ": " + std::strerror(errno));
    Chat chat(options);
    if (image->count() > 0) chat.set_picture(options.image);
    catch_interrupts();
    if (prompt->count() == 0) return converse(chat);
    chat.ask(options.prompt);
    return g_interrupted != 0 ? 130 : 0;
  });
}
