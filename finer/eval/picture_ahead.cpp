#include "finer/eval/picture_ahead.h"

#include "finer/core/error.h"

#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <thread>

namespace finer {

struct PictureAhead::Shared {
  struct Ready {
    Picture picture;
    std::exception_ptr fault;
  };

  std::vector<std::filesystem::path> paths;
  Read read;
  size_t ahead;

  std::mutex mutex;
  std::condition_variable changed;
  std::map<size_t, Ready> ready;  // by place in paths
  size_t to_start = 0;
  size_t to_give = 0;
  bool is_over = false;
  std::vector<std::thread> threads;

  Ready decode(size_t index) const {
    Ready out;
    if (paths[index].empty()) return out;
    try {
      out.picture = read(paths[index]);
    } catch (...) {
      out.fault = std::current_exception();
    }
    return out;
  }

  void work() {
    std::unique_lock lock(mutex);
    while (true) {
      changed.wait(
          lock, [&] { return is_over || to_start >= paths.size() || to_start < to_give + ahead; });
      if (is_over || to_start >= paths.size()) return;
      const size_t index = to_start++;
      lock.unlock();
      Ready out = decode(index);
      lock.lock();
      ready.emplace(index, std::move(out));
      changed.notify_all();
    }
  }
};

PictureAhead::PictureAhead(std::vector<std::filesystem::path> paths, Read read, int64_t workers,
                           int64_t ahead)
    : shared_(std::make_unique<Shared>()) {
  FINER_CHECK(workers > 0 && ahead > 0, "at least one worker and one picture ahead");
  shared_->paths = std::move(paths);
  shared_->read = std::move(read);
  shared_->ahead = static_cast<size_t>(ahead);
  for (int64_t i = 0; i < workers; ++i) {
    shared_->threads.emplace_back([shared = shared_.get()] { shared->work(); });
  }
}

PictureAhead::~PictureAhead() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->is_over = true;
  }
  shared_->changed.notify_all();
  for (auto& thread : shared_->threads) thread.join();
}

Picture PictureAhead::next() {
  auto& s = *shared_;
  std::unique_lock lock(s.mutex);
  FINER_CHECK(s.to_give < s.paths.size(), "a picture that is left");
  s.changed.wait(lock, [&] { return s.ready.count(s.to_give) > 0; });
  auto out = std::move(s.ready.at(s.to_give));
  s.ready.erase(s.to_give++);
  s.changed.notify_all();
  if (out.fault) std::rethrow_exception(out.fault);
  return std::move(out.picture);
}

}  // namespace finer
