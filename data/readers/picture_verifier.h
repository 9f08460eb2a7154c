#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace finer::data {

/// Decodes pictures in threads and keeps the reasons of those that do not decode.
class PictureVerifier {
 public:
  PictureVerifier(std::filesystem::path root, int64_t num_threads);
  ~PictureVerifier();

  /// Waits while a few pictures a thread are in line already.
  void add(const std::string& path);
  /// Waits for all, and gives a line a broken picture, in the order they were added.
  std::vector<std::string> finish();

 private:
  void work();
  void join();

  std::filesystem::path root_;
  size_t max_waiting_;
  std::mutex mutex_;
  std::condition_variable has_work_, has_room_;
  std::deque<std::pair<int64_t, std::string>> waiting_;
  std::vector<std::pair<int64_t, std::string>> broken_;
  int64_t num_added_ = 0;
  bool is_closed_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace finer::data
