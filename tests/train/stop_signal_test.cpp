#include "finer/train/stop_signal.h"

#include <catch2/catch.hpp>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

namespace {

// Exit code of a child that runs `body`; -N when signal N killed it.
int exit_code_of(const std::function<void()>& body) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    body();
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace

TEST_CASE("a stop signal is remembered instead of killing the process", "[train]") {
  for (const int signal : {SIGINT, SIGTERM}) {
    const finer::StopSignal stop(false);
    CHECK(stop.requested() == 0);
    raise(signal);
    CHECK(stop.requested() == signal);
  }
}

TEST_CASE("a second stop signal ends the process at once with 128 and its number", "[train]") {
  for (const int signal : {SIGINT, SIGTERM}) {
    CHECK(exit_code_of([signal] {
            const finer::StopSignal stop(false);
            raise(signal);
            raise(signal);
          }) == 128 + signal);
  }
}

TEST_CASE("a launcher's SIGTERM right after Ctrl-C counts as the same request", "[train]") {
  CHECK(exit_code_of([] {
          const finer::StopSignal stop(false);
          raise(SIGINT);
          raise(SIGTERM);
          _exit(stop.requested() == SIGINT ? 7 : 8);
        }) == 7);
}

TEST_CASE("a SIGTERM long after Ctrl-C ends the process at once", "[train][slow]") {
  CHECK(exit_code_of([] {
          const finer::StopSignal stop(false);
          raise(SIGINT);
          usleep(2'100'000);
          raise(SIGTERM);
        }) == 128 + SIGTERM);
}

TEST_CASE("after a StopSignal has gone, signals kill as before", "[train]") {
  CHECK(exit_code_of([] {
          signal(SIGTERM, SIG_DFL);  // Catch has a handler of its own
          { const finer::StopSignal stop(false); }
          raise(SIGTERM);
        }) == -SIGTERM);
}

TEST_CASE("only one StopSignal may live at a time", "[train]") {
  const finer::StopSignal stop(false);
  CHECK_THROWS_AS(finer::StopSignal(false), std::logic_error);
}
