#include "data/readers/picture_verifier.h"

#include "finer/image/decode.h"

#include <algorithm>
#include <exception>

namespace finer::data {

PictureVerifier::PictureVerifier(std::filesystem::path root, int64_t num_threads)
    : root_(std::move(root)), max_waiting_(static_cast<size_t>(num_threads) * 8) {
  for (int64_t i = 0; i < num_threads; ++i) threads_.emplace_back([this] { work(); });
}

PictureVerifier::~PictureVerifier() {
  {
    const std::lock_guard lock(mutex_);
    waiting_.clear();
  }
  join();
}

void PictureVerifier::join() {
  {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
  }
  has_work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void PictureVerifier::add(const std::string& path) {
  std::unique_lock lock(mutex_);
  has_room_.wait(lock, [&] { return waiting_.size() < max_waiting_; });
  waiting_.emplace_back(num_added_++, path);
  has_work_.notify_one();
}

void PictureVerifier::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    has_work_.wait(lock, [&] { return !waiting_.empty() || is_closed_; });
    if (waiting_.empty()) return;
    const auto [number, path] = std::move(waiting_.front());
    waiting_.pop_front();
    has_room_.notify_one();
    lock.unlock();
    std::string reason;
    try {
      decode_image(root_ / path);
    } catch (const std::exception& error) {  // out of memory is a fault of the picture, too
      reason = error.what();
    }
    lock.lock();
    if (!reason.empty()) broken_.emplace_back(number, reason);
  }
}

std::vector<std::string> PictureVerifier::finish() {
  join();
  std::sort(broken_.begin(), broken_.end());
  std::vector<std::string> lines;
  for (auto& [number, reason] : broken_) lines.push_back(std::move(reason));
  return lines;
}

}  // namespace finer::data
